"""Simulated readers: how people of several kinds mark the same findings with a confidence.

A reader sees each finding with the probability that is there to be seen
(:mod:`sample_data.findings`), judges it a little differently every time, paints an inner region
and a softer rim around it by hand, and states one confidence for each, on the levels they use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from sample_data.fields import Texture
from sample_data.findings import B_LINE, CONSOLIDATION, PLEURA, REACH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.findings import Finding

TENS = tuple(range(10, 101, 10))


@dataclass(frozen=True)
class ReaderKind:
    """How a kind of reader differs from one whose word can be taken as it is.

    Attributes
    ----------
    label : str
        What people read.
    judgement : float
        Standard deviation, in probits, of how likely each finding seems to them.
    hand : float
        Standard deviation of where their outline runs, in units of the edge's softness.
    generous : float
        How far outside the likely edge they draw, in the same units.
    sharpen, lean : float
        Stated log-odds are ``sharpen * log-odds + lean``.
    levels : tuple of int
        Confidences they use.
    rim : bool
        Whether they paint a softer rim around the inner region.
    omits : float
        Chance to leave out a finding altogether; doubled for one that is hard to see.
    skips : float
        Share of the frames they leave unreviewed.
    follows : float
        Visibility at which they stop following a B-line down; 0 follows it to the bottom.
    smallest : float
        Area in square pixels below which a consolidation is called thick pleura instead.
    """

    label: str
    judgement: float = 0.25
    hand: float = 0.35
    generous: float = 0.0
    sharpen: float = 1.0
    lean: float = 0.0
    levels: tuple[int, ...] = TENS
    rim: bool = True
    omits: float = 0.02
    skips: float = 0.0
    follows: float = 0.0
    smallest: float = 0.0


READERS: dict[str, ReaderKind] = {
    "calibrated": ReaderKind("Calibrated reader"),
    "over-inclusive": ReaderKind("Over-inclusive reader", generous=1.1, lean=0.35, omits=0.0),
    "over-confident": ReaderKind(
        "Over-confident reader", sharpen=2.2, lean=1.0, levels=(50, 80, 90, 100), omits=0.04
    ),
    "one-value": ReaderKind("Reader of one value", levels=(80,), rim=False, omits=0.05),
    "lazy": ReaderKind(
        "Lazy reader", judgement=0.5, hand=0.8, generous=-0.3, levels=(50, 100), rim=False,
        omits=0.25, skips=0.5,
    ),
    # Two schools of thought on one question each: how far down a fading B-line is one, and
    # whether a small subpleural consolidation is more than a thickened pleura.
    "school-deep": ReaderKind("First school: B-lines to the bottom"),
    "school-visible": ReaderKind(
        "Second school: B-lines as far as seen", follows=0.22, smallest=260.0
    ),
}  # fmt: skip
"""Kinds of reader by name."""

SCHOOLS = ("school-deep", "school-visible")


@dataclass(frozen=True)
class Mark:
    """One stroke of a reader: `region`, ``bool`` of the shape of `box`, at one confidence."""

    class_index: int
    confidence: int
    box: tuple[slice, slice]
    region: NDArray[np.bool_]


class Reader:
    """One simulated reader on one clip.

    Parameters
    ----------
    rng : Generator
    kind : ReaderKind
    """

    def __init__(self, rng: np.random.Generator, kind: ReaderKind) -> None:
        self.kind = kind
        self._rng = rng
        self._hand = Texture.draw(rng, (9.0, 9.0))
        self._opinions: dict[str, tuple[float, bool]] = {}

    def reviews(self) -> bool:
        """Decide whether the next frame is looked at."""
        return bool(self._rng.random() >= self.kind.skips)

    def marks(
        self,
        found: list[Finding],
        z: NDArray[np.float32],
        u: NDArray[np.float32],
        inside: NDArray[np.bool_],
    ) -> list[Mark]:
        """Return the strokes for one frame, in the order they are made: rims before what they hold.

        Parameters
        ----------
        found : list of Finding
            What there is, at the picture's pixels.
        z, u : ndarray
            Beam coordinates of the pixels, mm.
        inside : ndarray
            The sector.
        """
        drift = self._rng.uniform(-3, 3, 2).astype(np.float32)  # no outline is drawn twice alike
        strokes: list[tuple[int, Mark]] = []
        for f in found:
            likely, omitted = self._opinion(f)
            if omitted:
                continue
            box = f.box
            wobble = self.kind.hand * self._hand.at(z[box] + drift[0], u[box] + drift[1])
            seems = f.margin[box] + self.kind.generous
            strokes += self._outline(f, likely, seems, seems + wobble, inside[box])
        return [mark for _, mark in sorted(strokes, key=lambda s: s[0])]

    def _outline(
        self,
        f: Finding,
        likely: float,
        seems: NDArray[np.float32],
        drawn: NDArray[np.float32],
        inside: NDArray[np.bool_],
    ) -> list[tuple[int, Mark]]:
        """Return the regions painted for one finding, with their order; arrays are of its box."""
        kind, class_index, visible = self.kind, f.class_index, inside
        if class_index == B_LINE and kind.follows:
            visible = inside & (f.seen[f.box] > kind.follows)
        painted = visible & (f.margin[f.box] > -REACH)
        if class_index == CONSOLIDATION and np.count_nonzero(painted & (drawn > 0)) < kind.smallest:
            class_index = PLEURA
        bounds = [(-0.9, 0.3), (0.3, np.inf)] if kind.rim else [(0.0, np.inf)]
        strokes = []
        for order, (low, high) in enumerate(bounds):
            region = painted & (drawn > low) & (drawn <= high)
            if not region.any():
                continue
            confidence = self._state(likely * float(ndtr(seems[region]).mean()))
            if confidence:
                strokes.append((order, Mark(class_index, confidence, f.box, region)))
        return strokes

    def _opinion(self, f: Finding) -> tuple[float, bool]:
        """Return how likely the finding seems, and whether it is left out, the whole clip long."""
        if f.key not in self._opinions:
            seems = ndtr(ndtri(f.likely) + self.kind.judgement * self._rng.standard_normal())
            hard = 2.0 if f.likely < 0.6 else 1.0
            self._opinions[f.key] = (
                float(seems),
                bool(self._rng.random() < hard * self.kind.omits),
            )
        return self._opinions[f.key]

    def _state(self, p: float) -> int:
        """Return the level that this reader states for probability `p`; 0 if not worth marking."""
        k = self.kind
        stated = 100 * expit(k.sharpen * logit(np.clip(p, 1e-3, 1 - 1e-3)) + k.lean)
        level = min(k.levels, key=lambda v: abs(v - stated))
        return level if stated >= min(k.levels) / 2 else 0
