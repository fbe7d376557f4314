"""Planes drawn in a review: raters' marks and agreement maps."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.annotate.hatch import DrawnPlanes
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.maps import Map
    from napari_confseg.agreement.rater_view import RaterView

KEPT: Final = 16
"""Frames kept of each rater: stepping to and fro reads nothing twice."""


class FrameCache:
    """Frames made on demand; the latest ones are kept.

    Parameters
    ----------
    make : callable
        From an index to a frame, ``uint8 (Y, X)``.
    """

    def __init__(self, make: Callable[[int], NDArray[np.uint8]]) -> None:
        self._make = make
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, ``uint8 (Y, X)``, read-only."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        made = self._make(index)
        made.flags.writeable = False
        self._kept[index] = made
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return made


class StoredPlanes(DrawnPlanes):
    """One rater's marks of one class, as stored.

    Parameters
    ----------
    view : RaterView
        The rater on the clip.
    class_index : int
        The class.
    report : callable
        Called with a sentence if a plane cannot be read; it then shows as not marked.
    """

    def __init__(self, view: RaterView, class_index: int, report: Callable[[str], None]) -> None:
        t, _, y, x = view.rater.shape
        super().__init__((t, y, x))
        self._frames = FrameCache(self._draw)
        self._view = view
        self._class = class_index
        self._report = report

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, ``uint8 (Y, X)``, read-only."""
        return self._frames.frame(range(self.shape[0])[index])

    def _draw(self, index: int) -> NDArray[np.uint8]:
        blank = np.zeros(self.shape[1:], np.uint8)
        try:
            plane = self._view.plane(index, self._class)
        except (StoreError, OSError) as error:
            self._report(f"{self._view.name}, frame {index + 1} cannot be read: {error}")
            return blank
        return blank if plane is None else plane

    def reviewed(self, frame: int) -> bool:
        """Whether the rater has reviewed this frame for this class."""
        return bool(self._view.reviewed[frame, self._class])


class MapOfAgreement(DrawnPlanes):
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
        self._frames = FrameCache(self._draw)
        self._planes = tuple(planes)
        self._map = make
        self._threshold = threshold

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, ``uint8 (Y, X)``, read-only."""
        return self._frames.frame(range(self.shape[0])[index])

    def _draw(self, index: int) -> NDArray[np.uint8]:
        stated = [p.frame(index) for p in self._planes if p.reviewed(index)]
        if len(stated) < 2:
            return np.zeros(self.shape[1:], np.uint8)
        return self._map(np.stack(stated), self._threshold)
