"""Confidence in words, and how the keys step through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
