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
from sample_data.findings import B_LINE, CONSOLIDATION, PLEURA

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
        "Lazy reader",
        judgement=0.5,
        hand=0.8,
        generous=-0.3,
        levels=(50, 100),
        rim=False,
        omits=0.25,
        skips=0.5,
    ),
    "hesitant": ReaderKind(
        "Hesitant reader", sharpen=0.6, lean=-0.6, levels=(20, 40, 60), omits=0.05
    ),
    "hasty": ReaderKind(
        "Hasty reader",
        judgement=0.4,
        hand=0.7,
        generous=0.4,
        levels=(30, 70, 100),
        rim=False,
        omits=0.12,
        skips=0.3,
    ),
    "sparing": ReaderKind(
        "Sparing reader", generous=-0.8, lean=-0.4, levels=(40, 60, 80), omits=0.1
    ),
    # Two schools of thought on one question each: how far down a fading B-line is one, and
    # whether a small subpleural consolidation is more than a thickened pleura.
    "school-deep": ReaderKind("First school: B-lines to the bottom"),
    "school-visible": ReaderKind(
        "Second school: B-lines as far as seen", follows=0.22, smallest=260.0
    ),
}
"""Kinds of reader by name."""

SCHOOLS = ("school-deep", "school-visible")


@dataclass(frozen=True)
class Mark:
    """One stroke of a reader: the coordinates `pixels` of one class at one confidence."""

    class_index: int
    confidence: int
    pixels: NDArray[np.int64]


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
        self, found: list[Finding], z: NDArray[np.float32], u: NDArray[np.float32]
    ) -> list[Mark]:
        """Return the strokes for one frame, in the order they are made: rims before what they hold.

        Parameters
        ----------
        found : list of Finding
            What there is, at the coordinates `z`, `u`.
        z, u : ndarray
            Beam coordinates of the sector's pixels in mm, ``(n,)``.
        """
        drift = self._rng.uniform(-3, 3, 2).astype(np.float32)  # no outline is drawn twice alike
        strokes: list[tuple[int, Mark]] = []
        for f in found:
            likely, omitted = self._opinion(f)
            if not omitted and len(f.pixels):
                hand = self._hand.at(z[f.pixels] + drift[0], u[f.pixels] + drift[1])
                strokes += self._outline(f, likely, self.kind.hand * hand)
        return [mark for _, mark in sorted(strokes, key=lambda s: s[0])]

    def _outline(
        self, f: Finding, likely: float, hand: NDArray[np.float32]
    ) -> list[tuple[int, Mark]]:
        """Return the regions painted for one finding, each with its place in the order."""
        kind, class_index = self.kind, f.class_index
        seems = f.margin + kind.generous
        drawn = seems + hand
        if class_index == B_LINE and kind.follows:
            drawn = np.where(f.seen > kind.follows, drawn, -np.inf)
        if class_index == CONSOLIDATION and np.count_nonzero(drawn > 0) < kind.smallest:
            class_index = PLEURA
        bounds = [(-0.9, 0.3), (0.3, np.inf)] if kind.rim else [(0.0, np.inf)]
        strokes = []
        for order, (low, high) in enumerate(bounds):
            region = (drawn > low) & (drawn <= high)
            if not region.any():
                continue
            confidence = self._state(likely * float(ndtr(seems[region]).mean()))
            if confidence:
                strokes.append((order, Mark(class_index, confidence, f.pixels[region])))
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
