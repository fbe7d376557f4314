"""How raters are told apart on the canvas: a colour and a hatching each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COLORS: Final = ("#77aadd", "#ee8866", "#bbcc33", "#ffaabb", "#44bb99", "#eedd88")
"""Paul Tol's "light" scheme: bright enough on black, and told apart by colour-blind readers."""

DIRECTIONS: Final = 4


@dataclass(frozen=True)
class Look:
    """A colour ``"#rrggbb"`` and a direction of :func:`~napari_confseg.annotate.hatch.hatching`."""

    color: str
    direction: int


def look_of(number: int) -> Look:
    """Return the look of the rater of this number: the first twelve all differ."""
    return Look(COLORS[number % len(COLORS)], number % DIRECTIONS)
