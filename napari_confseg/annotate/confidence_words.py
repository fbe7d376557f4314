"""Confidence in words, and steps between values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.store import Anchor


def word_for(confidence: int, anchors: Sequence[Anchor]) -> str:
    """Return the word of the highest anchor at or below `confidence` (1..100).

    Below the lowest anchor it is "less than" that one: 10 % is not yet "possible".
    """
    reached = [a for a in anchors if a.value <= confidence]
    return reached[-1].word if reached else f"less than {anchors[0].word}"


def stepped(confidence: int, step: int) -> int:
    """Return `confidence` moved by `step` to the next multiple of ``abs(step)``, within 1..100.

    From 63, +5 gives 65 and -5 gives 60: a reader's values stay round.
    """
    size = abs(step)
    cells = confidence // size + 1 if step > 0 else -(-confidence // size) - 1
    return min(max(cells * size, 1), 100)


QUALITY: Final = {1: "can't be read", 2: "poor", 3: "fair", 4: "good", 5: "excellent"}
"""A clip's quality in words."""

_PLACES: Final = {
    "1": "front, upper",
    "2": "front, lower",
    "3": "side, upper",
    "4": "side, lower",
    "5": "back, upper",
    "6": "back, lower",
}


def zone_in_words(zone: str) -> str:
    """Return a zone in words.

    >>> zone_in_words("R3")
    'right, side, upper'
    """
    return f"{'left' if zone[0] == 'L' else 'right'}, {_PLACES[zone[1]]}"
