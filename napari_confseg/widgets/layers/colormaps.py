"""Colormaps of planes: the surer, the more opaque."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_confseg.annotate.review.lines import LINE, RIM
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

FAINTEST = 0.22
"""Opacity of 1 % relative to 100 %: what is marked at all must be seen on speckle."""

FAINT = 0.15
"""Opacity of the tint beneath lines: enough to see where one paints."""

EXCLUDED_COLOR = (0.62, 0.62, 0.62, 0.75)


def rgb(color: str) -> tuple[float, float, float]:
    """Return ``"#rrggbb"`` as three floats 0..1."""
    r, g, b = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return r, g, b


def alpha(confidence: int) -> float:
    """Return the opacity of a mark of `confidence` (1..100) relative to one of 100."""
    return FAINTEST + (1 - FAINTEST) * confidence / MAX_CONFIDENCE


@lru_cache(maxsize=256)
def _table(color: str, threshold: int) -> dict[int | None, Any]:
    clear = np.zeros(4, np.float32)
    table: dict[int | None, Any] = {None: clear, 0: clear}
    for value in range(max(threshold, 1), MAX_CONFIDENCE + 1):
        table[value] = np.array([*rgb(color), alpha(value)], np.float32)
    table[EXCLUDED] = np.array(EXCLUDED_COLOR, np.float32)
    return table


def faint(color: str, threshold: int = 1) -> DirectLabelColormap:
    """Return a colormap with one faint tint for every confidence: lines over it show which."""
    table: dict[int | None, Any] = dict(_table(color, threshold))
    tint = np.array([*rgb(color), FAINT], np.float32)
    table.update((v, tint) for v in list(table) if v not in (None, 0, EXCLUDED))
    return DirectLabelColormap(color_dict=table)


def line_colors(color: str) -> DirectLabelColormap:
    """Return the colormap of a thin line: its colour, and a dark rim to be seen on any ground."""
    clear = np.zeros(4, np.float32)
    table: dict[int | None, Any] = {None: clear, 0: clear}
    table[RIM] = np.array([0, 0, 0, 0.6], np.float32)
    table[LINE] = np.array([*rgb(color), 1], np.float32)
    return DirectLabelColormap(color_dict=table)


def ink(colors: Sequence[str]) -> DirectLabelColormap:
    """Return the colormap of lines: value ``i + 1`` in the i-th of `colors`."""
    clear = np.zeros(4, np.float32)
    table: dict[int | None, Any] = {None: clear, 0: clear}
    table.update((i, np.array([*rgb(c), 1.0], np.float32)) for i, c in enumerate(colors, 1))
    return DirectLabelColormap(color_dict=table)


def ramp(color: str, threshold: int = 1) -> DirectLabelColormap:
    """Return the colormap of a class: clear below `threshold`, then ever more opaque.

    A new object each time: napari keeps a layer's selected label in its colormap.
    """
    return DirectLabelColormap(color_dict=dict(_table(color, threshold)))
