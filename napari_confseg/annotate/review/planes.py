"""Planes of raters as the viewer reads them: one frame of one class at a time, the latest kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.dataset.maps import Map
    from napari_confseg.dataset.reading import Reading

KEPT: Final = 16
"""Frames kept of each rater: stepping to and fro reads nothing twice."""


class FrameByFrame:
    """Array-like ``uint8 (T, Y, X)`` whose frames are made when they are looked at."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self.ndim = 3
        self.size = int(np.prod(shape))
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        if not isinstance(key, tuple):
            key = (key,)
        if key and isinstance(key[0], (int, np.integer)):
            return np.asarray(self.frame(int(key[0]))[key[1:]])
        frames = range(self.shape[0])[key[0] if key else slice(None)]
        return np.asarray(np.stack([self.frame(t) for t in frames])[(slice(None), *key[1:])])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, ``uint8 (Y, X)``, read-only."""
        index = range(self.shape[0])[index]
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        made = self._make(index)
        made.flags.writeable = False
        self._kept[index] = made
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return made

    def _make(self, index: int) -> NDArray[np.uint8]:
        raise NotImplementedError


class StoredPlanes(FrameByFrame):
    """What one rater marked of one class, as it is in the store.

    Parameters
    ----------
    reading : Reading
        The rater on the clip.
    class_index : int
        Of which class.
    tell : callable
        Told in a sentence why a plane cannot be read; it then shows as not marked.
    """

    def __init__(self, reading: Reading, class_index: int, tell: Callable[[str], None]) -> None:
        t, _, y, x = reading.rater.shape
        super().__init__((t, y, x))
        self._reading = reading
        self._class = class_index
        self._tell = tell

    def _make(self, index: int) -> NDArray[np.uint8]:
        blank = np.zeros(self.shape[1:], np.uint8)
        try:
            plane = self._reading.plane(index, self._class)
        except (StoreError, OSError) as error:
            self._tell(f"{self._reading.name}, frame {index + 1} cannot be read: {error}")
            return blank
        return blank if plane is None else plane

    def reviewed(self, frame: int) -> bool:
        """Whether the rater has reviewed this frame for this class."""
        return bool(self._reading.reviewed[frame, self._class])


class MapOfAgreement(FrameByFrame):
    """A map of :data:`~napari_confseg.dataset.maps.MAPS` over the raters who reviewed each frame.

    Parameters
    ----------
    planes : sequence of StoredPlanes
        Of the raters that are compared, of one class.
    make : callable
        The map.
    threshold : int
        Passed on to it.
    """

    def __init__(self, planes: Sequence[StoredPlanes], make: Map, threshold: int) -> None:
        super().__init__(planes[0].shape)
        self._planes = tuple(planes)
        self._map = make
        self._threshold = threshold

    def _make(self, index: int) -> NDArray[np.uint8]:
        said = [p.frame(index) for p in self._planes if p.reviewed(index)]
        if len(said) < 2:
            return np.zeros(self.shape[1:], np.uint8)
        return self._map(np.stack(said), self._threshold)
