"""Numbers as people read them."""

from __future__ import annotations

import math

UNDEFINED = "–"
"""Shown where a score is undefined."""


def number(value: float | None, digits: int = 2, unit: str = "", *, signed: bool = False) -> str:
    """Return a number as people read it; a dash if it is None or NaN.

    >>> number(0.12345), number(float("nan")), number(1.5, 1, " mm", signed=True)
    ('0.12', '–', '+1.5 mm')
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    return f"{value:{'+' if signed else ''}.{digits}f}{unit}"


def percent(share: float | None) -> str:
    """Return a share as a whole percentage; a dash if it is None or NaN.

    >>> percent(0.125), percent(None)
    ('12 %', '–')
    """
    return UNDEFINED if share is None else number(100 * share, 0, " %")
