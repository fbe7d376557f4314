"""Colours of planes: the class's colour, more opaque the surer the reader."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

FAINTEST = 0.22
"""Opacity of 1 % relative to 100 %: what is marked at all must be seen on speckle."""

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


def ramp(color: str, threshold: int = 1) -> DirectLabelColormap:
    """Return the colormap of a class: clear below `threshold`, then ever more opaque.

    A new object each time: napari keeps a layer's selected label in its colormap.
    """
    return DirectLabelColormap(color_dict=dict(_table(color, threshold)))
