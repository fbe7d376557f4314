"""Disagreements over a whole cohort: which clip needs an adjudicator most."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_confseg.agreement.disagreement import find_disagreements
from napari_confseg.agreement.rater_view import RaterView
from napari_confseg.annotate.review.decisions import Settled
from napari_confseg.annotate.review.state import chosen_raters
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_confseg.annotate.review.decisions import Item
    from napari_confseg.annotate.review.state import Wish
    from napari_confseg.store import Clip, Cohort

ADJUDICATED: Final = "adjudicated"
"""The rater whose planes hold what was decided."""


@dataclass(frozen=True)
class ClipDue:
    """How much is to be decided on one clip.

    Attributes
    ----------
    clip : str
        Its name.
    events, open : int
        Disagreements, and those of them not decided.
    size : float
        Of those that are open, as :class:`~napari_confseg.agreement.disagreement.Event` has it.
    """

    clip: str
    events: int
    open: int
    size: float


def due_of(clip: str, items: Sequence[Item]) -> ClipDue:
    """Return how much is to be decided on a clip with these disagreements."""
    size = sum(r.size for i in items for r in i.open)
    return ClipDue(clip, len(items), sum(1 for i in items if i.open), size)


def look_through(
    cohort: Cohort,
    wish: Wish,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[ClipDue]:
    """Return what is due on every clip that two raters have reviewed, most first.

    Parameters
    ----------
    cohort : Cohort
        Read only. What waits in a journal is not in it.
    wish : Wish
        Whom and what to compare, and from which confidence on.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Asked for each frame; if true, what is done so far is returned.
    """
    found = []
    names = cohort.clips()
    for done, name in enumerate(names):
        if cancelled and cancelled():
            break
        if progress:
            progress(done, len(names), name)
        with suppress(StoreError, OSError):  # a clip that cannot be read says so when it is opened
            due = _look_at(cohort.clip(name), cohort, wish, cancelled)
            if due is not None:
                found.append(due)
    return sorted(found, key=lambda d: (-d.size, d.clip))


def _look_at(
    clip: Clip, cohort: Cohort, wish: Wish, cancelled: Callable[[], bool] | None
) -> ClipDue | None:
    there = [RaterView(clip, name) for name in clip.raters()]
    who = [(r.name, r.rater.meta.kind, int(r.reviewed.any(axis=1).sum())) for r in there]
    chosen = chosen_raters(wish, who)
    if len(chosen) < 2:
        return None
    classes = [
        c.index for c in cohort.meta.classes if wish.classes is None or c.name in wish.classes
    ]
    found = find_disagreements(
        clip, sorted(chosen), classes, wish.threshold, narrowest=wish.narrowest, cancelled=cancelled
    )
    if found is None or not found.compared.any():
        return None
    mine = next((r.rater for r in there if r.name == ADJUDICATED), None)
    settled = Settled(mine.read_strokes() if mine is not None else ())
    return due_of(clip.name, [settled.item(e) for e in found.events])
