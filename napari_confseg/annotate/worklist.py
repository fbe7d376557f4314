"""The cohort's clips as one reader's work list."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from psygnal import Signal

from napari_confseg.annotate.clip_facts import ClipFacts, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_confseg.annotate.clip_facts import OtherRater

DIFFER_BELOW: Final = 0.7
"""Readers differ on a clip if their soft Dice in some class is below this."""


class Which(StrEnum):
    """Which clips."""

    ALL = "all"
    TO_DO = "to do"
    BEGUN = "begun"
    DONE = "done"
    PROBLEM = "problem"
    DIFFER = "differ"


class Sort(StrEnum):
    """By what the list is ordered; ties by name."""

    NAME = "name"
    PATIENT = "patient"
    ZONE = "zone"
    DAY = "day"
    STATE = "state"
    MINUTES = "minutes"
    ALIKE = "alike"
    OTHERS = "others"
    TO_LEARN = "to-learn"


class Facet(StrEnum):
    """By what, beside that, the list may be narrowed."""

    ZONE = "zone"
    QUALITY = "quality"
    PATHOLOGY = "pathology"
    TAG = "tag"


@dataclass(frozen=True)
class WorkListSettings:
    """Which clips a person wants to see, and how ordered."""

    which: Which = Which.ALL  # one of the lists
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
    # A clip that cannot be read is nobody's to do. One not read yet may well be.
    Which.TO_DO: lambda f: not f.done and not f.trouble,
    Which.BEGUN: lambda f: f.state is State.BEGUN,
    Which.DONE: lambda f: f.done,
    Which.PROBLEM: lambda f: bool(f.trouble),
    Which.DIFFER: lambda f: f.alike is not None and f.alike < DIFFER_BELOW,
}


@lru_cache(maxsize=20_000)
def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that puts ``clip-9`` before ``clip-10``."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(p), "") if i % 2 else (0, p) for i, p in enumerate(parts))


def _progress(f: ClipFacts) -> tuple[int, float] | None:
    return None if f.state is None else (list(State).index(f.state), f.reviewed)


ORDERS: Final[Mapping[Sort, Callable[[ClipFacts], Any]]] = {
    Sort.NAME: lambda f: natural(f.clip),
    Sort.PATIENT: lambda f: natural(f.patient) if f.patient else None,
    Sort.ZONE: lambda f: f.zone or None,
    Sort.DAY: lambda f: f.day,
    Sort.STATE: _progress,
    Sort.MINUTES: lambda f: f.seconds,
    Sort.ALIKE: lambda f: f.alike,
    Sort.OTHERS: lambda f: len(f.others) or None,
    Sort.TO_LEARN: lambda f: f.to_learn,
}
"""What each order compares; clips of which it is not known (None) come last, either way round."""


def values_of(facts: ClipFacts, facet: Facet) -> tuple[str, ...]:
    """Return what a clip has of a facet."""
    if facet is Facet.ZONE:
        return (facts.zone,) if facts.zone else ()
    if facet is Facet.QUALITY:
        return (str(facts.quality),) if facts.quality else ()
    return facts.pathology if facet is Facet.PATHOLOGY else facts.tags


def _narrowed(facts: Iterable[ClipFacts], settings: WorkListSettings) -> list[ClipFacts]:
    words = settings.text.casefold().split()
    wanted: dict[Facet, set[str]] = {}
    for facet, value in settings.facets:
        wanted.setdefault(facet, set()).add(value)
    return [
        f
        for f in facts
        if all(values.intersection(values_of(f, facet)) for facet, values in wanted.items())
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
    key = ORDERS[settings.sort]
    known = [(value, f) for f in found if (value := key(f)) is not None]
    known.sort(key=lambda pair: pair[0], reverse=settings.falling)  # stable: ties stay by name
    unknown = (f for f in found if key(f) is None)
    return tuple(f.clip for f in (*(f for _, f in known), *unknown))


def counts(facts: Iterable[ClipFacts], settings: WorkListSettings) -> dict[Which, int]:
    """Return how many clips each of the lists has, narrowed by text and facets."""
    narrowed = _narrowed(facts, settings)
    return {which: sum(map(_TESTS[which], narrowed)) for which in Which}


def choices(facts: Iterable[ClipFacts]) -> dict[Facet, Counter[str]]:
    """Return what there is to narrow by: of each facet its values, and how many clips have them."""
    facts = list(facts)
    return {facet: Counter(v for f in facts for v in values_of(f, facet)) for facet in Facet}


def following(names: Sequence[str], current: str | None, step: int) -> str | None:
    """Return the clip `step` places after `current` in `names`; None beyond either end.

    If `current` is not among them, the first one follows and the last one precedes.
    """
    if current not in names:
        return (names[0] if step > 0 else names[-1]) if names else None
    at = names.index(current) + step
    return names[at] if 0 <= at < len(names) else None


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

    def clear(self, settings: WorkListSettings | None = None) -> None:
        """Forget clips and settings, or take these: another cohort is opened."""
        self.facts, self.settings = {}, settings or WorkListSettings()
        self.changed.emit()

    def set_clips(self, names: Sequence[str], *, forget: bool = False) -> None:
        """List these clips; what is known of them stays, unless it is to be forgotten."""
        known = {} if forget else self.facts
        self.facts = {name: known.get(name) or ClipFacts(name) for name in names}
        self.changed.emit()

    def put(self, facts: Iterable[ClipFacts]) -> None:
        """Take note of these facts; what comparing and ranking found stays as it is known."""
        changed = False
        for one in facts:
            old = self.facts.get(one.clip)
            if old is not None:
                self.facts[one.clip] = replace(one, alike=old.alike, to_learn=old.to_learn)
                changed |= self.facts[one.clip] != old
        if changed:
            self.changed.emit()

    def put_others(self, others: Mapping[str, tuple[OtherRater, ...]]) -> None:
        """Take note of who else marked some clips."""
        changed = False
        for clip, them in others.items():
            old = self.facts.get(clip)
            if old is not None and old.others != them:
                self.facts[clip] = replace(old, others=them)
                changed = True
        if changed:
            self.changed.emit()

    def put_alike(self, scores: dict[str, float | None]) -> None:
        """Take note of how alike readers are, of some clips."""
        for clip, alike in scores.items():
            if clip in self.facts:
                self.facts[clip] = replace(self.facts[clip], alike=alike)
        self.changed.emit()

    def put_to_learn(self, clips: Sequence[str]) -> None:
        """Take note of the order in which there is most to learn from clips, the most first."""
        places = {clip: place for place, clip in enumerate(clips, 1)}
        self.facts = {
            clip: replace(facts, to_learn=places.get(clip)) for clip, facts in self.facts.items()
        }
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
