"""Disagreements over a cohort: how much is due on each clip."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_confseg.agreement.disagreement import find_disagreements
from napari_confseg.agreement.rater_view import RaterView
from napari_confseg.annotate.review.comparison import ADJUDICATED
from napari_confseg.annotate.review.decisions import DecisionRecord
from napari_confseg.annotate.review.state import chosen_raters
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_confseg.annotate.review.decisions import Item
    from napari_confseg.annotate.review.state import ReviewSettings
    from napari_confseg.store import Clip, Cohort


@dataclass(frozen=True)
class ClipDue:
    """Disagreements of one clip: all, those undecided, and the size of these together."""

    clip: str
    events: int
    open: int
    size: float


def due_of(clip: str, items: Sequence[Item]) -> ClipDue:
    """Return what is due on a clip with these disagreements."""
    size = sum(r.size for i in items for r in i.open)
    return ClipDue(clip, len(items), sum(1 for i in items if i.open), size)


class ClipQueue:
    """The clips of a cohort by what is due on them, most first when it was looked through."""

    def __init__(self) -> None:
        self.clips: tuple[ClipDue, ...] = ()

    def clear(self) -> None:
        """Forget everything."""
        self.clips = ()

    def update(self, clip: str, items: Sequence[Item]) -> None:
        """Keep up with the decisions on one clip."""
        now = due_of(clip, items)
        self.clips = tuple(now if d.clip == clip else d for d in self.clips)

    def others(self, here: str | None, every: Sequence[str], step: int = 1) -> list[str]:
        """Return the clips to turn to after `here` (`step` -1: before), nearest first.

        Those with something due; all of `every` before the cohort was looked through.
        """
        names = [d.clip for d in self.clips if d.open or d.clip == here] or list(every)
        at = names.index(here) if here in names else -1 if step > 0 else 0
        turned = [names[(at + step * i) % len(names)] for i in range(1, len(names) + 1)]
        return [name for name in turned if name != here]


def find_due(
    cohort: Cohort,
    settings: ReviewSettings,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[ClipDue]:
    """Return what is due on every clip that two raters have reviewed, most first.

    Parameters
    ----------
    cohort : Cohort
        Read only; edits that are still pending are not in it.
    settings : ReviewSettings
        Raters and classes to compare, threshold and smallest width.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Checked before each frame; if true, what is done so far is returned.
    """
    found = []
    names = cohort.clips()
    for done, name in enumerate(names):
        if cancelled and cancelled():
            break
        if progress:
            progress(done, len(names), name)
        with suppress(StoreError, OSError):  # a clip that cannot be read says so when it is opened
            due = _due_on(cohort.clip(name), cohort, settings, cancelled)
            if due is not None:
                found.append(due)
    return sorted(found, key=lambda d: (-d.size, d.clip))


def _due_on(
    clip: Clip, cohort: Cohort, settings: ReviewSettings, cancelled: Callable[[], bool] | None
) -> ClipDue | None:
    views = [RaterView(clip, name) for name in clip.raters()]
    facts = [(v.name, v.rater.meta.kind, int(v.reviewed.any(axis=1).sum())) for v in views]
    chosen = chosen_raters(settings, facts)
    if len(chosen) < 2:
        return None
    classes = [
        c.index
        for c in cohort.meta.classes
        if settings.classes is None or c.name in settings.classes
    ]
    found = find_disagreements(
        clip,
        sorted(chosen),
        classes,
        settings.threshold,
        narrowest=settings.narrowest,
        cancelled=cancelled,
    )
    if found is None or not found.compared.any():
        return None
    mine = next((v.rater for v in views if v.name == ADJUDICATED), None)
    record = DecisionRecord(mine.read_strokes() if mine is not None else ())
    return due_of(clip.name, [record.item(e) for e in found.events])
