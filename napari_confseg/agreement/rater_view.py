"""Views of the raters on a clip, read frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import RATER_KINDS, Status, rater_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort, RaterMeta

SECOND = "-2"
"""A rater who reads a clip twice is two raters in the store: ``anna`` and ``anna-2``."""


def first_reading(name: str, names: Iterable[str]) -> str | None:
    """Return the rater of whom `name` is the second reading among `names`, or None."""
    base = name.removesuffix(SECOND)
    return base if base != name and base in set(names) else None


class RaterView:
    """One rater on one clip: reviewed frames, and planes one at a time.

    Parameters
    ----------
    clip : Clip
        The clip.
    name : str
        The rater.

    Attributes
    ----------
    reviewed : NDArray
        ``bool (T, C)``.
    """

    def __init__(self, clip: Clip, name: str) -> None:
        self.name = name
        self.rater = clip.rater(name)
        self.reviewed: NDArray[np.bool_] = self.rater.read_status() == Status.REVIEWED
        self._stored = set(self.rater.stored_chunks())

    @property
    def empty(self) -> bool:
        """Whether nothing is marked and nothing reviewed."""
        return not self._stored and not self.reviewed.any()

    def plane(self, frame: int, class_index: int) -> NDArray[np.uint8] | None:
        """Return one plane ``uint8 (Y, X)``, or None when nothing is on disk (all not marked)."""
        if (frame, class_index) not in self._stored:
            return None
        return self.rater.read_plane(frame, class_index)


def rater_views(clip: Clip, names: Sequence[str]) -> list[RaterView]:
    """Return those of the raters called `names` who are on `clip`, in the order given."""
    present = set(clip.raters())
    return [RaterView(clip, name) for name in names if name in present]


def compared_raters(cohort: Cohort) -> list[str]:
    """Return the names of the raters of `cohort` that are compared if none are named, sorted."""
    return _named(cohort, lambda meta: RATER_KINDS[meta.kind].compared)


def learnt_raters(cohort: Cohort) -> list[str]:
    """Return the names of the raters that are learnt from if none are named, sorted.

    These are the people who painted here. What came from a file has to be named.
    """
    return _named(cohort, lambda meta: meta.learnt)


def rater_titles(cohort: Cohort, names: Sequence[str]) -> list[str]:
    """Return what lists call the raters `names`; a name that nobody bears is left as it is."""
    titles = dict.fromkeys(names, "")
    for clip in map(cohort.clip, cohort.clips()):
        for name in [n for n, title in titles.items() if not title and n in clip.raters()]:
            meta = clip.rater(name).meta
            titles[name] = rater_label(name, meta.label, meta.kind)
    return [title or name for name, title in titles.items()]


def _named(cohort: Cohort, wanted: Callable[[RaterMeta], bool]) -> list[str]:
    found = set()
    for clip_name in cohort.clips():
        clip = cohort.clip(clip_name)
        found |= {n for n in clip.raters() if n not in found and wanted(clip.rater(n).meta)}
    return sorted(found)


def planes_of(
    views: Sequence[RaterView], frame: int, class_index: int, shape: tuple[int, int]
) -> dict[str, NDArray[np.uint8]]:
    """Return the planes of those who reviewed this frame for this class, name -> ``(Y, X)``.

    Planes that are not on disk share one array of zeros: don't write into them.
    """
    blank: NDArray[np.uint8] | None = None
    planes = {}
    for view in views:
        if view.reviewed[frame, class_index]:
            plane = view.plane(frame, class_index)
            if plane is None:
                blank = np.zeros(shape, np.uint8) if blank is None else blank
                plane = blank
            planes[view.name] = plane
    return planes
