"""Findings: a value, its interval, its unit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from napari_confseg.readouts.belief import INTERVAL, Belief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Unit = Literal["%", "lines", "breaks", "indentations", "specks", "mm", "px", "mm²", "px²"]
COUNTS: Final = ("lines", "breaks", "indentations", "specks")
"""Units of what is counted, in the plural."""

_DIGITS: Final[dict[Unit, int]] = {"%": 1, "mm": 2, "px": 1, "mm²": 1}
_TAIL = (1 - INTERVAL) / 2
_GRID = (np.arange(400) + 0.5) / 400


@dataclass(frozen=True)
class Finding:
    """A quantity as a plane's confidences leave it.

    Attributes
    ----------
    unit : Unit
        ``"%"``, what is counted, or ``"mm"``, ``"px"``, ``"mm²"``, ``"px²"``.
    value : float
        Median of the belief: thus a whole number for a count. NaN if undefined.
    low, high : float
        95 % of the belief lies between them, ends included; NaN if undefined.
    expected : float
        Mean of the belief; NaN if undefined.
    defined : float
        Probability that there is such a quantity (a share of a pleural line needs one), 0..1;
        the other fields hold given that there is.
    belief : Belief
        The whole distribution.
    """

    unit: Unit
    value: float
    low: float
    high: float
    expected: float
    defined: float
    belief: Belief = field(repr=False, compare=False)

    @classmethod
    def of(cls, belief: Belief, unit: Unit) -> Finding:
        """Sum up the distribution `belief` of a quantity in `unit`."""
        low, value, high = belief.quantile(np.array([_TAIL, 0.5, 1 - _TAIL]))
        return cls(
            unit, float(value), float(low), float(high), belief.expected, belief.defined, belief
        )

    def within(self, half_width: float) -> Finding:
        """Return the finding with another interval: `half_width` to both sides, on its scale."""
        top = 100.0 if self.unit == "%" else float("inf")
        low, high = self.value - half_width, self.value + half_width
        return replace(self, low=max(low, 0.0), high=min(high, top))

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "–"
        digits = _DIGITS.get(self.unit, 0)
        low, value, high = (f"{v:.{digits}f}" for v in (self.low, self.value, self.high))
        one = self.unit in COUNTS and value == "1"
        unit = f" {self.unit.removesuffix('s') if one else self.unit}"
        return f"{value}{unit}" if low == high else f"{value}{unit} ({low} to {high})"


@dataclass(frozen=True)
class Presence:
    """How sure it is that something is there at all.

    Attributes
    ----------
    probability : float
        If regions are independent, 0..1; NaN if the class does not exist.
    low, high : float
        What it can be at least and at most, however regions hang together (Fréchet's bounds).
    """

    probability: float
    low: float
    high: float

    @property
    def present(self) -> bool:
        """Whether it is held for likelier than not."""
        return self.probability >= 0.5

    def __str__(self) -> str:
        if np.isnan(self.probability):
            return "–"
        low, p, high = (f"{100 * v:.0f}" for v in (self.low, self.probability, self.high))
        word = "present" if self.present else "absent"
        return f"{word}, {p} %" if low == high else f"{word}, {p} % ({low} to {high})"


def over_frames(
    findings: Sequence[Finding], combine: Callable[[np.ndarray], np.ndarray]
) -> Finding:
    """Return what the frames of a clip say together; doubt is taken to repeat in each of them.

    Frames show the same lung: who wrongly takes something for a B-line does so in every frame.
    So frames are combined quantile by quantile (comonotone), which gives the widest interval of
    a mean that the frames' own distributions allow. Independent frames would promise a
    precision that grows with the frame rate.

    Parameters
    ----------
    findings : sequence of Finding
        One for each frame; those undefined are left out. NaN if none is defined.
    combine : callable
        From quantiles ``(frames, n)`` to ``(n,)``, monotone: the mean or the largest.
    """
    if not findings:
        raise ValueError("no frame to sum up: give at least one finding")
    there = [f for f in findings if f.defined > 0]
    unit = findings[0].unit
    if not there:
        return Finding.of(Belief.of(np.array([np.nan]), np.ones(1)), unit)
    tails = np.array([_TAIL, 0.5, 1 - _TAIL])
    low, value, high = combine(np.stack([f.belief.quantile(tails) for f in there]))
    values = combine(np.stack([f.belief.quantile(_GRID) for f in there]))
    belief = Belief.of(values, np.full(len(_GRID), 1 / len(_GRID)))
    defined = max(f.defined for f in there)
    belief = Belief(belief.values, belief.weights, defined)
    return Finding(unit, float(value), float(low), float(high), belief.expected, defined, belief)
