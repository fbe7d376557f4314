"""The cohort's clips as one reader's work: facts read from the store, and what is wished."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_confseg.annotate.blinding import Role, Standing
from napari_confseg.annotate.queue import ClipFacts, QueueWish, counts, following, ordered
from napari_confseg.annotate.reviewing import painted, reviewed_frames
from napari_confseg.store import About, Status, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.annotate.queue import Which
    from napari_confseg.store import ClipMeta, Cohort, Stroke


def facts_of(
    clip: str,
    meta: ClipMeta,
    status: NDArray[np.uint8],
    strokes: Iterable[Stroke],
    about: About,
) -> ClipFacts:
    """Return what a reader's `status` ``(T, C)``, strokes and words amount to."""
    made = sum(1 for _ in painted(strokes))
    said = about.model_copy(update={"seconds": {}, "unblinded": None})
    return ClipFacts(
        clip=clip,
        patient=meta.patient,
        reviewed=float((status == Status.REVIEWED).mean()) if status.size else 0.0,
        strokes=made,
        begun=bool(made or status.any() or said != About()),
        seconds=sum(about.seconds.values()),
        zone=about.zone or meta.zone or "",
        quality=about.quality or 0,
        pathology=about.pathology,
        tags=tuple(dict.fromkeys((*about.tags, *meta.tags))),
        note=about.note,
    )


def read_facts(cohort: Cohort, name: str, rater: str) -> ClipFacts:
    """Return what the store knows of `rater` on a clip; `trouble` says why it can't be read.

    What waits in a journal is not in it.
    """
    try:
        clip = cohort.clip(name)
        if rater not in clip.raters():
            return facts_of(name, clip.meta, _nothing(clip.shape[0], cohort), (), About())
        mine = clip.rater(rater)
        return facts_of(name, clip.meta, mine.read_status(), mine.read_strokes(),
                        mine.read_about())  # fmt: skip
    except StoreError as error:
        return ClipFacts(name, trouble=str(error.problems[0]))
    except OSError as error:
        return ClipFacts(name, trouble=str(error))


def _nothing(n_frames: int, cohort: Cohort) -> NDArray[np.uint8]:
    import numpy as np

    return np.zeros((n_frames, len(cohort.meta.classes)), np.uint8)


class WorkList:
    """Facts of every clip for the reader, in the order that is wished.

    Attributes
    ----------
    changed : psygnal.Signal
        Facts or wish are others.
    facts : dict of str to ClipFacts
        By clip; those not read yet know their name alone.
    wish : QueueWish
        What is to be listed.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.facts: dict[str, ClipFacts] = {}
        self.wish = QueueWish()

    def clear(self) -> None:
        """Know no clips and wish for nothing in particular: another cohort is opened."""
        self.facts, self.wish = {}, QueueWish()
        self.changed.emit()

    def set_clips(self, names: Sequence[str], *, forget: bool = False) -> None:
        """List these clips; what is known of them stays, unless it is to be forgotten."""
        known = {} if forget else self.facts
        self.facts = {name: known.get(name) or ClipFacts(name) for name in names}
        self.changed.emit()

    def put(self, facts: Iterable[ClipFacts]) -> None:
        """Take note of these facts; how alike readers are stays as it is known."""
        for one in facts:
            old = self.facts.get(one.clip)
            if old is not None:
                self.facts[one.clip] = replace(one, alike=old.alike)
        self.changed.emit()

    def put_alike(self, scores: dict[str, float | None]) -> None:
        """Take note of how alike readers are, of some clips."""
        for clip, alike in scores.items():
            if clip in self.facts:
                self.facts[clip] = replace(self.facts[clip], alike=alike)
        self.changed.emit()

    def ask(self, **changes: object) -> None:
        """Wish for something else."""
        self.wish = replace(self.wish, **changes)  # type: ignore[arg-type]
        self.changed.emit()

    def names(self, current: str | None = None) -> tuple[str, ...]:
        """Return the clips to list, in order; the `current` one stays among them."""
        return ordered(self.facts.values(), self.wish, current)

    def counts(self) -> dict[Which, int]:
        """Return how many clips each list has."""
        return counts(self.facts.values(), self.wish)

    def beside(self, current: str | None, step: int) -> str | None:
        """Return the next readable clip after `current`, or before it; None beyond the ends."""
        names = self.names(current)
        found = following(names, current, step)
        while found is not None and self.facts[found].trouble:
            found = following(names, found, step)
        return found

    def to_do_after(self, current: str | None) -> str | None:
        """Return the next clip with work left after `current` in the list, then from its start."""
        names = self.names(current)
        start = names.index(current) + 1 if current in names else 0
        for name in (*names[start:], *names[:start]):
            if name != current and not self.facts[name].done and not self.facts[name].trouble:
                return name
        return None


def may_compare(cohort: Cohort, name: str, rater: str, role: Role) -> bool:
    """Whether `rater` may know how alike the readers of a clip are.

    Raises
    ------
    StoreError
        If the clip or the rater can't be read.
    """
    rule = cohort.meta.blinding
    if not Standing(rule, role).blinded:
        return True
    clip = cohort.clip(name)
    if rater not in clip.raters():
        return False
    mine = clip.rater(rater)
    complete = bool(reviewed_frames(mine.read_status()).all())
    unblinded = mine.read_about().unblinded is not None
    return not Standing(rule, role, complete, unblinded).blinded
