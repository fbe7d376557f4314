"""The work list: which clips are to be read, in which order. Pure functions of facts and a wish."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
    """What the list knows of one clip, for one reader.

    Attributes
    ----------
    clip, patient : str
        Names; the patient is empty until read.
    reviewed : float
        Share of (frame, class) pairs that this reader has reviewed, 0..1.
    strokes : int
        Strokes of this reader that stand.
    begun : bool
        Whether this reader has marked, reviewed or described anything.
    seconds : float
        Time this reader was active on it.
    zone, quality, pathology, tags, note
        What this reader says of it; where they say no zone, and among the tags, what the importer
        or the lead said.
    alike : float or None
        The lowest soft Dice of its readers in any class; None if not known, not to be told to a
        blinded reader, or there is one reader at most.
    trouble : str
        Why it can't be read; empty if it can.
    """

    clip: str
    patient: str = ""
    reviewed: float = 0.0
    strokes: int = 0
    begun: bool = False
    seconds: float = 0.0
    zone: str = ""
    quality: int = 0
    pathology: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    note: str = ""
    alike: float | None = None
    trouble: str = ""

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
class QueueWish:
    """Which clips a person wants to see, and how ordered.

    Attributes
    ----------
    which : Which
        One of the four lists.
    text : str
        Words that must all occur in a clip's name, patient, zone, tags or note.
    facets : frozenset of (Facet, str)
        Of each facet named, a clip must have one of the values.
    sort, falling : Sort, bool
        The order, and whether it is turned round.
    """

    which: Which = Which.ALL
    text: str = ""
    facets: frozenset[tuple[Facet, str]] = field(default_factory=frozenset)
    sort: Sort = Sort.NAME
    falling: bool = False

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


def _narrowed(facts: Iterable[ClipFacts], wish: QueueWish) -> list[ClipFacts]:
    words = wish.text.casefold().split()
    wanted: dict[Facet, set[str]] = {}
    for facet, value in wish.facets:
        wanted.setdefault(facet, set()).add(value)
    return [
        f
        for f in facts
        if all(values.intersection(f.values(facet)) for facet, values in wanted.items())
        and (not words or _has(f, words))
    ]


def _has(facts: ClipFacts, words: Sequence[str]) -> bool:
    said = (facts.clip, facts.patient, facts.zone, *facts.pathology, *facts.tags, facts.note)
    text = "\n".join(said).casefold()
    return all(word in text for word in words)


def ordered(
    facts: Iterable[ClipFacts], wish: QueueWish, current: str | None = None
) -> tuple[str, ...]:
    """Return the names of the clips that `wish` asks for, in order. Pure.

    `current`, the clip that is open, stays in the list though it may no longer belong there: a
    clip must not vanish at the stroke that finishes it.
    """
    facts = list(facts)
    kept = {f.clip for f in _narrowed(facts, wish) if _TESTS[wish.which](f)} | {current}
    found = sorted((f for f in facts if f.clip in kept), key=lambda f: natural(f.clip))
    if wish.sort is Sort.NAME:
        return tuple(f.clip for f in (reversed(found) if wish.falling else found))
    key = _key(wish.sort)
    found.sort(key=key, reverse=wish.falling)  # stable: ties stay by name
    return tuple(f.clip for f in found)


def counts(facts: Iterable[ClipFacts], wish: QueueWish) -> dict[Which, int]:
    """Return how many clips each of the four lists has, narrowed by text and facets."""
    narrowed = _narrowed(facts, wish)
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
