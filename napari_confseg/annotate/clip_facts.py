"""Facts of one clip for one reader: what the work list shows of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.annotate.review_progress import painted, reviewed_frames
from napari_confseg.store import ClipNotes, Status, StoreError, kind_rank, rater_label
from napari_confseg.store.backend import KeyValueStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from numpy.typing import NDArray

    from napari_confseg.annotate.access import Visibility
    from napari_confseg.store import Clip, ClipMeta, Cohort, RaterKind, Stroke
    from napari_confseg.store.lease import LeaseWatch


class State(StrEnum):
    """How far a reader is with a clip."""

    TO_DO = "to do"
    BEGUN = "begun"
    DONE = "done"
    PROBLEM = "problem"


@dataclass(frozen=True)
class OtherRater:
    """Somebody else who marked a clip."""

    name: str  # slug
    title: str  # as lists have it
    kind: RaterKind


@dataclass(frozen=True)
class ClipFacts:
    """Facts of one clip, for one reader."""

    clip: str
    patient: str = ""  # empty until read
    reviewed: float = 0.0  # share of (frame, class) pairs that this reader has reviewed, 0..1
    strokes: int = 0  # of this reader, those undone left out
    begun: bool = False  # this reader has marked, reviewed or noted something
    seconds: float = 0.0  # time this reader was active on it
    # Local day on which this reader last marked or reviewed something. The day of the examination
    # is not kept in a cohort: it would help to identify the patient.
    day: date | None = None
    # The reader's notes; zone (where they have none) and tags also from the importer or the lead.
    zone: str = ""
    quality: int = 0
    pathology: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    note: str = ""
    others: tuple[OtherRater, ...] = ()  # those that this reader may see
    # The lowest soft Dice of its readers in any class; None if unknown, hidden from a blinded
    # reader, or where there is one reader at most.
    alike: float | None = None
    # Place in the trainer's order of what is most to learn from, from 1; None if it has none.
    to_learn: int | None = None
    trouble: str = ""  # why it can't be read; empty if it can

    @property
    def done(self) -> bool:
        """Whether every frame is reviewed in every class."""
        return self.reviewed >= 1

    @property
    def state(self) -> State | None:
        """How far the reader is; None until it is read."""
        if self.trouble:
            return State.PROBLEM
        if not self.patient:
            return None
        if self.done:
            return State.DONE
        return State.BEGUN if self.begun else State.TO_DO


def facts_of(
    clip: str,
    meta: ClipMeta,
    status: NDArray[np.uint8],
    strokes: Iterable[Stroke],
    notes: ClipNotes,
    others: tuple[OtherRater, ...] = (),
) -> ClipFacts:
    """Return what a reader's `status` ``(T, C)``, strokes and notes amount to."""
    strokes = tuple(strokes)
    made = sum(1 for _ in painted(strokes))
    described = notes.model_copy(update={"seconds": {}, "unblinded": None})
    return ClipFacts(
        clip=clip,
        patient=meta.patient,
        reviewed=float((status == Status.REVIEWED).mean()) if status.size else 0.0,
        strokes=made,
        begun=bool(made or status.any() or described != ClipNotes()),
        seconds=sum(notes.seconds.values()),
        day=strokes[-1].time.astimezone().date() if strokes else None,
        zone=notes.zone or meta.zone or "",
        quality=notes.quality or 0,
        pathology=notes.pathology,
        tags=tuple(dict.fromkeys((*notes.tags, *meta.tags))),
        note=notes.note,
        others=others,
    )


def read_facts(cohort: Cohort, name: str, rater: str, seen: Visibility | None = None) -> ClipFacts:
    """Return what the store knows of `rater` on a clip; `trouble` is why it can't be read.

    What waits in a journal is not in it.

    Parameters
    ----------
    cohort : Cohort
        Whose clip it is.
    name : str
        The clip.
    rater : str
        Slug of the reader.
    seen : Visibility, optional
        Whom the reader may see throughout the cohort; what the clip itself allows is added.
        Nobody is looked for if it is not given.
    """
    try:
        clip = cohort.clip(name)
        raters = clip.raters()
        if rater not in raters:
            status = np.zeros((clip.shape[0], len(clip.classes)), np.uint8)
            strokes, notes = [], ClipNotes()
        else:
            mine = clip.rater(rater)
            status, strokes = mine.read_status(), mine.read_strokes()
            notes = mine.read_clip_notes()
        others: tuple[OtherRater, ...] = ()
        if seen is not None:
            here = _on_clip(seen, status, notes)
            others = _read_others(clip, [n for n in raters if n != rater], here)
        return facts_of(name, clip.meta, status, strokes, notes, others)
    except StoreError as error:
        return ClipFacts(name, trouble=str(error.problems[0]))
    except OSError as error:
        return ClipFacts(name, trouble=str(error))


def read_visible_others(clip: Clip, rater: str, seen: Visibility) -> tuple[OtherRater, ...]:
    """Return who else marked a clip, as far as `rater` may see them, people first.

    Raises
    ------
    StoreError, OSError
        If something of it can't be read.
    """
    raters = clip.raters()
    status, notes = np.zeros((0, 0), np.uint8), ClipNotes()
    if seen.blinded and rater in raters:  # else what they did themselves makes no difference
        mine = clip.rater(rater)
        status, notes = mine.read_status(), mine.read_clip_notes()
    here = _on_clip(seen, status, notes)
    return _read_others(clip, [n for n in raters if n != rater], here)


def _on_clip(seen: Visibility, status: NDArray[np.uint8], notes: ClipNotes) -> Visibility:
    """Return whom a reader may see on one clip, by what they did there."""
    complete = bool(status.size) and bool(reviewed_frames(status).all())
    return replace(seen, complete=complete, unblinded=notes.unblinded is not None)


def _read_others(clip: Clip, names: Iterable[str], seen: Visibility) -> tuple[OtherRater, ...]:
    if seen.in_exercise:
        return ()
    metas = []
    for name in names:
        with suppress(StoreError):  # `validate` names what is damaged; the reader's work goes on
            metas.append((name, clip.rater(name).meta))
    metas.sort(key=lambda named: (kind_rank(named[1].kind), named[0]))
    return tuple(
        OtherRater(name, rater_label(name, meta.label, meta.kind), meta.kind)
        for name, meta in metas
        if seen.sees(meta.kind)
    )


def read_editor(clip: Clip, watch: LeaseWatch, others: Iterable[OtherRater], rater: str) -> str:
    """Return who edits a clip just now, of `others` or elsewhere as `rater`; empty for nobody.

    Raises
    ------
    OSError
        If the store is away.
    """
    keys = KeyValueStore(clip.store)
    found = []
    for name, title in ((rater, "you"), *((o.name, o.title) for o in others)):
        holder = watch.holder(keys, f"{clip.name}/raters/{name}")
        if holder is not None:
            found.append(f"{title} on {holder.host} since {holder.since.astimezone():%H:%M}")
    return ", ".join(found)


def visible(others: Iterable[OtherRater], seen: Visibility) -> tuple[OtherRater, ...]:
    """Return those whom somebody may see."""
    return tuple(other for other in others if seen.sees(other.kind))
