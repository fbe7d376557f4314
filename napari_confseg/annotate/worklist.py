"""The cohort's clips as one reader's work list."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from psygnal import Signal
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_confseg.agreement.overlap import soft_dice_by_class
from napari_confseg.annotate.access import Role, Visibility
from napari_confseg.annotate.preferences import state_folder
from napari_confseg.annotate.review_progress import painted, reviewed_frames
from napari_confseg.store import RATER_KINDS, ClipNotes, Status, StoreError
from napari_confseg.store.files import MIB, read_file, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.store import ClipMeta, Cohort, Stroke


DIFFER_BELOW: Final = 0.7
"""Readers differ on a clip if their soft Dice in some class is below this."""


class Which(StrEnum):
    """Which clips."""

    ALL = "all"
    TO_DO = "to do"
    MINE = "mine"
    DIFFER = "differ"


class Sort(StrEnum):
    """By what the list is ordered; ties by name."""

    NAME = "name"
    REVIEWED = "reviewed"
    MINUTES = "minutes"
    ALIKE = "alike"


class Facet(StrEnum):
    """By what, beside that, the list may be narrowed."""

    ZONE = "zone"
    QUALITY = "quality"
    PATHOLOGY = "pathology"
    TAG = "tag"


@dataclass(frozen=True)
class ClipFacts:
    """Facts of one clip, for one reader."""

    clip: str
    patient: str = ""  # empty until read
    reviewed: float = 0.0  # share of (frame, class) pairs that this reader has reviewed, 0..1
    strokes: int = 0  # of this reader, those undone left out
    begun: bool = False  # this reader has marked, reviewed or noted something
    seconds: float = 0.0  # time this reader was active on it
    # The reader's notes; zone (where they have none) and tags also from the importer or the lead.
    zone: str = ""
    quality: int = 0
    pathology: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    note: str = ""
    # The lowest soft Dice of its readers in any class; None if unknown, hidden from a blinded
    # reader, or where there is one reader at most.
    alike: float | None = None
    trouble: str = ""  # why it can't be read; empty if it can

    @property
    def done(self) -> bool:
        """Whether every frame is reviewed in every class."""
        return self.reviewed >= 1

    def values(self, facet: Facet) -> tuple[str, ...]:
        """Return what this clip has of a facet."""
        if facet is Facet.ZONE:
            return (self.zone,) if self.zone else ()
        if facet is Facet.QUALITY:
            return (str(self.quality),) if self.quality else ()
        return self.pathology if facet is Facet.PATHOLOGY else self.tags


@dataclass(frozen=True)
class WorkListSettings:
    """Which clips a person wants to see, and how ordered."""

    which: Which = Which.ALL  # one of the four lists
    text: str = ""  # words that must all occur in a clip's name, patient, zone, tags or note
    # Of each facet named, a clip must have one of the values.
    facets: frozenset[tuple[Facet, str]] = field(default_factory=frozenset)
    sort: Sort = Sort.NAME
    falling: bool = False  # the order is reversed

    @property
    def narrows(self) -> bool:
        """Whether text or facets leave anything out."""
        return bool(self.text.strip() or self.facets)


_TESTS: Final[Mapping[Which, Callable[[ClipFacts], bool]]] = {
    Which.ALL: lambda f: True,
    # A clip that cannot be read is nobody's to do.
    Which.TO_DO: lambda f: not f.done and not f.trouble,
    Which.MINE: lambda f: f.begun,
    Which.DIFFER: lambda f: f.alike is not None and f.alike < DIFFER_BELOW,
}


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that puts ``clip-9`` before ``clip-10``."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(p), "") if i % 2 else (0, p) for i, p in enumerate(parts))


def _key(sort: Sort) -> Callable[[ClipFacts], float]:
    if sort is Sort.REVIEWED:
        return lambda f: f.reviewed
    if sort is Sort.MINUTES:
        return lambda f: f.seconds
    if sort is Sort.ALIKE:
        return lambda f: 2.0 if f.alike is None else f.alike  # what nobody compared comes last
    return lambda f: 0.0


def _narrowed(facts: Iterable[ClipFacts], settings: WorkListSettings) -> list[ClipFacts]:
    words = settings.text.casefold().split()
    wanted: dict[Facet, set[str]] = {}
    for facet, value in settings.facets:
        wanted.setdefault(facet, set()).add(value)
    return [
        f
        for f in facts
        if all(values.intersection(f.values(facet)) for facet, values in wanted.items())
        and (not words or _has(f, words))
    ]


def _has(facts: ClipFacts, words: Sequence[str]) -> bool:
    described = (facts.clip, facts.patient, facts.zone, *facts.pathology, *facts.tags, facts.note)
    text = "\n".join(described).casefold()
    return all(word in text for word in words)


def ordered(
    facts: Iterable[ClipFacts], settings: WorkListSettings, current: str | None = None
) -> tuple[str, ...]:
    """Return the names of the clips that `settings` asks for, in order. Pure.

    `current`, the clip that is open, stays in the list though it may no longer belong there: a
    clip must not vanish at the stroke that finishes it.
    """
    facts = list(facts)
    kept = {f.clip for f in _narrowed(facts, settings) if _TESTS[settings.which](f)} | {current}
    found = sorted((f for f in facts if f.clip in kept), key=lambda f: natural(f.clip))
    if settings.sort is Sort.NAME:
        return tuple(f.clip for f in (reversed(found) if settings.falling else found))
    key = _key(settings.sort)
    found.sort(key=key, reverse=settings.falling)  # stable: ties stay by name
    return tuple(f.clip for f in found)


def counts(facts: Iterable[ClipFacts], settings: WorkListSettings) -> dict[Which, int]:
    """Return how many clips each of the four lists has, narrowed by text and facets."""
    narrowed = _narrowed(facts, settings)
    return {which: sum(map(_TESTS[which], narrowed)) for which in Which}


def choices(facts: Iterable[ClipFacts]) -> dict[Facet, Counter[str]]:
    """Return what there is to narrow by: of each facet its values, and how many clips have them."""
    facts = list(facts)
    return {facet: Counter(v for f in facts for v in f.values(facet)) for facet in Facet}


def following(names: Sequence[str], current: str | None, step: int) -> str | None:
    """Return the clip `step` places after `current` in `names`; None beyond either end.

    If `current` is not among them, the first one follows and the last one precedes.
    """
    if current not in names:
        return (names[0] if step > 0 else names[-1]) if names else None
    at = names.index(current) + step
    return names[at] if 0 <= at < len(names) else None


def facts_of(
    clip: str,
    meta: ClipMeta,
    status: NDArray[np.uint8],
    strokes: Iterable[Stroke],
    notes: ClipNotes,
) -> ClipFacts:
    """Return what a reader's `status` ``(T, C)``, strokes and notes amount to."""
    made = sum(1 for _ in painted(strokes))
    described = notes.model_copy(update={"seconds": {}, "unblinded": None})
    return ClipFacts(
        clip=clip,
        patient=meta.patient,
        reviewed=float((status == Status.REVIEWED).mean()) if status.size else 0.0,
        strokes=made,
        begun=bool(made or status.any() or described != ClipNotes()),
        seconds=sum(notes.seconds.values()),
        zone=notes.zone or meta.zone or "",
        quality=notes.quality or 0,
        pathology=notes.pathology,
        tags=tuple(dict.fromkeys((*notes.tags, *meta.tags))),
        note=notes.note,
    )


def read_facts(cohort: Cohort, name: str, rater: str) -> ClipFacts:
    """Return what the store knows of `rater` on a clip; `trouble` is why it can't be read.

    What waits in a journal is not in it.
    """
    try:
        clip = cohort.clip(name)
        if rater not in clip.raters():
            return facts_of(name, clip.meta, _nothing(clip.shape[0], cohort), (), ClipNotes())
        mine = clip.rater(rater)
        return facts_of(
            name, clip.meta, mine.read_status(), mine.read_strokes(), mine.read_clip_notes()
        )
    except StoreError as error:
        return ClipFacts(name, trouble=str(error.problems[0]))
    except OSError as error:
        return ClipFacts(name, trouble=str(error))


def _nothing(n_frames: int, cohort: Cohort) -> NDArray[np.uint8]:
    import numpy as np

    return np.zeros((n_frames, len(cohort.meta.classes)), np.uint8)


class WorkList:
    """Facts of every clip for the reader, in the order of the settings.

    Attributes
    ----------
    facts : dict of str to ClipFacts
        By clip; those not read yet know their name alone.
    settings : WorkListSettings
        What is to be listed.
    """

    changed = Signal()  # facts or settings changed

    def __init__(self) -> None:
        self.facts: dict[str, ClipFacts] = {}
        self.settings = WorkListSettings()

    def clear(self) -> None:
        """Forget clips and settings: another cohort is opened."""
        self.facts, self.settings = {}, WorkListSettings()
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

    def change(self, **changes: object) -> None:
        """Change fields of the settings."""
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        self.changed.emit()

    def names(self, current: str | None = None) -> tuple[str, ...]:
        """Return the clips to list, in order; the `current` one stays among them."""
        return ordered(self.facts.values(), self.settings, current)

    def counts(self) -> dict[Which, int]:
        """Return how many clips each list has."""
        return counts(self.facts.values(), self.settings)

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
    if not Visibility(rule, role).blinded:
        return True
    clip = cohort.clip(name)
    if rater not in clip.raters():
        return False
    mine = clip.rater(rater)
    complete = bool(reviewed_frames(mine.read_status()).all())
    unblinded = mine.read_clip_notes().unblinded is not None
    return not Visibility(rule, role, complete, unblinded).blinded


class Score(BaseModel):
    """One clip's score."""

    model_config = ConfigDict(frozen=True)

    stamp: str  # what was compared; see :meth:`~napari_confseg.store.Rater.stamp`
    alike: float | None  # the lowest soft Dice in any class; None if there is nothing to compare


class Scores(BaseModel):
    """Scores by clip, in a file of the state folder; one that cannot be read counts as empty."""

    clips: dict[str, Score] = Field(default_factory=dict)

    @classmethod
    def load(cls, cohort: Cohort) -> Scores:
        """Return what is remembered of `cohort`."""
        with suppress(OSError, StoreError, ValidationError):
            return cls.model_validate_json(read_file(_file(cohort), 64 * MIB))
        return cls()

    def save(self, cohort: Cohort) -> None:
        """Remember this; a disk that refuses costs a comparison later."""
        with suppress(OSError):
            write_private(_file(cohort), self.model_dump_json().encode())

    def of(
        self, cohort: Cohort, name: str, cancelled: Callable[[], bool] | None = None
    ) -> float | None:
        """Return the score of a clip, compared anew if one of its readers has gone on since.

        Raises
        ------
        StoreError
            If something of it can't be read.
        """
        clip = cohort.clip(name)
        raters = {n: clip.rater(n) for n in clip.raters()}
        people = [n for n, rater in raters.items() if RATER_KINDS[rater.meta.kind].compared]
        if len(people) < 2:
            return None
        stamp = " ".join(f"{n}:{raters[n].stamp()}" for n in people)
        known = self.clips.get(name)
        if known is not None and known.stamp == stamp:
            return known.alike
        scores = soft_dice_by_class(clip, people, cancelled=cancelled)
        if scores is None:  # cancelled
            return None
        score = Score(stamp=stamp, alike=min(scores.values(), default=None))
        self.clips[name] = score
        return score.alike


def _file(cohort: Cohort) -> Path:
    return state_folder() / "alike" / f"{cohort.meta.cohort_id}.json"
