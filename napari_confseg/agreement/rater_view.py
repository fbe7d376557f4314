"""Views of the raters on a clip, read frame by frame."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import RATER_KINDS, Status, StoreError, rater_label
from napari_confseg.store.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort
    from napari_confseg.store.rater_kinds import RaterKind

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
        """Return the plane of a class on a frame, ``uint8 (Y, X)``; None if it is empty."""
        if (frame, class_index) not in self._stored:
            return None
        return self.rater.read_plane(frame, class_index)


def rater_views(clip: Clip, names: Sequence[str]) -> list[RaterView]:
    """Return those of the raters called `names` who are on `clip`, in the order given."""
    present = set(clip.raters())
    return [RaterView(clip, name) for name in names if name in present]


def compared_raters(
    cohort: Cohort, *, processes: bool = False, seen: dict[str, str] | None = None
) -> list[str]:
    """Return the names of the raters of `cohort` that are compared if none are named, sorted.

    For `processes` and `seen` see :func:`~napari_confseg.store.survey.survey`.
    """
    found = raters_of(cohort, processes=processes, seen=seen)
    return sorted({name for name, kind, _ in found if RATER_KINDS[kind].compared})


def learnt_raters(cohort: Cohort) -> list[str]:
    """Return the names of the raters that are learnt from if none are named, sorted.

    These are the people who painted here. What came from a file has to be named.
    """
    return sorted({name for name, _, learnt in raters_of(cohort) if learnt})


def rater_titles(cohort: Cohort, names: Sequence[str]) -> list[str]:
    """Return what lists call the raters `names`; a name that nobody bears is left as it is."""
    titles = dict.fromkeys(names, "")
    clips = cohort.clips()
    while clips and not all(titles.values()):
        with suppress(StoreError):  # one that can't be read names nobody
            clip = cohort.clip(clips.pop(0))
            for name in set(clip.raters()) & {n for n, title in titles.items() if not title}:
                meta = clip.rater(name).meta
                titles[name] = rater_label(name, meta.label, meta.kind)
    return [title or name for name, title in titles.items()]


def clip_raters(clip: Clip) -> dict[str, tuple[RaterKind, str, bool]]:
    """Return kind, label and whether they are learnt from, of the raters on a clip."""
    metas = ((name, clip.rater(name).meta) for name in clip.raters())
    return {name: (meta.kind, meta.label, meta.learnt) for name, meta in metas}


RATERS = Question(clip_raters, "raters 1")


def raters_of(
    cohort: Cohort, *, processes: bool = False, seen: dict[str, str] | None = None
) -> Iterator[tuple[str, RaterKind, bool]]:
    """Yield name, kind and whether it is learnt from, of each rater on each clip."""
    for answer in survey(cohort, RATERS, processes=processes, seen=seen):
        for name, (kind, _, learnt) in (answer.data or {}).items():
            yield name, kind, learnt


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
