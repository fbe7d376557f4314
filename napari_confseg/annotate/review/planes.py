"""Planes of raters as the viewer reads them: one frame of one class at a time, the latest kept."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_confseg.annotate.hatch import DrawnPlanes
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Event
    from napari_confseg.agreement.maps import Map
    from napari_confseg.agreement.rater_view import RaterView

KEPT: Final = 16
"""Frames kept of each rater: stepping to and fro reads nothing twice."""


class KeptPlanes(DrawnPlanes):
    """Planes whose frames are made when they are looked at, and kept for a while."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

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

    @abstractmethod
    def _make(self, index: int) -> NDArray[np.uint8]:
        """Make one frame, ``uint8 (Y, X)``."""


class StoredPlanes(KeptPlanes):
    """What one rater marked of one class, as it is in the store.

    Parameters
    ----------
    reading : RaterView
        The rater on the clip.
    class_index : int
        Of which class.
    tell : callable
        Told in a sentence why a plane cannot be read; it then shows as not marked.
    """

    def __init__(self, reading: RaterView, class_index: int, tell: Callable[[str], None]) -> None:
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


class MapOfAgreement(KeptPlanes):
    """A map of :data:`~napari_confseg.agreement.maps.MAPS` over the raters who reviewed each frame.

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


class OutlinedEvent(KeptPlanes):
    """A disagreement's outline on each of its frames: 1 is the line around it, 2 a rim of that.

    Parameters
    ----------
    event : Event or None
        The disagreement.
    shape : tuple of int
        (T, Y, X) of the clip.
    """

    def __init__(self, event: Event | None, shape: tuple[int, int, int]) -> None:
        super().__init__(shape)
        self._regions = {r.frame: r for r in event.regions} if event else {}

    def _make(self, index: int) -> NDArray[np.uint8]:
        out = np.zeros(self.shape[1:], np.uint8)
        region = self._regions.get(index)
        if region is None:
            return out
        mask = np.zeros(self.shape[1:], np.bool_)
        y0, x0, y1, x1 = region.box
        mask[y0:y1, x0:x1] = region.mask
        box = np.s_[max(y0 - 4, 0) : y1 + 4, max(x0 - 4, 0) : x1 + 4]
        # One pixel away from it, so that what raters marked at its edge stays in sight.
        near, line, rim = (ndimage.binary_dilation(mask[box], iterations=i) for i in (1, 2, 3))
        out[box][rim & ~line] = 2
        out[box][line & ~near] = 1
        return out
