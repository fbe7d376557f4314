"""STAPLE, plain and weighted by confidence, from the table of answer patterns.

Warfield, Zou and Wells, "Simultaneous truth and performance level estimation", IEEE TMI 23 (2004).
SimpleITK's needs every plane of every rater in memory at once and gives NaN where nobody marks
anything; this one needs neither, and equals it where both are defined (tests).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.patterns import MISSING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.agreement.patterns import Patterns

ITERATIONS = 500
TOLERANCE = 1e-6


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    out: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * x))
    return out


@dataclass(frozen=True)
class Staple:
    """Estimated sensitivity and specificity of each rater; `prior` is the share of yes."""

    raters: tuple[str, ...]
    prior: float
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]

    def probability(
        self, yes: NDArray[np.float64], known: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the probability of a yes, 0..1.

        Parameters
        ----------
        yes : NDArray
            ``float (raters, pixels)``, 0..1; a fraction counts as that much of a yes.
        known : NDArray
            ``bool (raters, pixels)``, whether there is an answer.
        """
        p, q = np.array(self.sensitivity)[:, None], np.array(self.specificity)[:, None]
        evidence = yes * np.log(p / (1 - q)) + (1 - yes) * np.log((1 - p) / q)
        return sigmoid(np.log(self.prior / (1 - self.prior)) + (evidence * known).sum(0))


def estimate_staple(
    patterns: Patterns, answer: NDArray[np.float64], prior: float | None = None
) -> Staple:
    """Return STAPLE's estimate from a table of patterns.

    Parameters
    ----------
    patterns : Patterns
        Counts of answers. A rater without an answer to a pixel does not count there.
    answer : NDArray
        ``float (raters, 11)``: how much of a yes each code is. 0 or 1 is Warfield's STAPLE; the
        stated confidence itself is the confidence-weighted one, where a rater's 60 % counts as
        0.6 of a yes and 0.4 of a no.
    prior : float, optional
        Mean of all answers if not given, as in ITK.

    Returns
    -------
    Staple
        With sensitivities and specificities kept off 0 and 1, so that an empty plane or a rater
        who never marks gives a number and not NaN.
    """
    known = patterns.codes != MISSING
    code = np.where(known, patterns.codes, 0)
    yes = np.where(known, answer[np.arange(len(patterns.raters)), code], 0.0)
    counts = patterns.counts.astype(float)
    total = counts @ known
    mean = float((counts @ yes).sum() / max(total.sum(), 1))
    prior = float(np.clip(mean if prior is None else prior, 1e-9, 1 - 1e-9))
    p = np.full(len(patterns.raters), 0.99999)
    q = p.copy()
    for _ in range(ITERATIONS):
        evidence = yes * np.log(p / (1 - q)) + (known - yes) * np.log((1 - p) / q)
        weight = sigmoid(np.log(prior / (1 - prior)) + evidence.sum(1)) * counts
        rest = counts - weight
        new_p = _share(weight @ yes, weight @ known)
        new_q = _share(rest @ (known - yes), rest @ known)
        change = max(np.abs(new_p - p).max(), np.abs(new_q - q).max())
        p, q = new_p, new_q
        if change < TOLERANCE:
            break
    return Staple(patterns.raters, prior, tuple(p.tolist()), tuple(q.tolist()))


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.divide(part, whole, out=np.full_like(part, 0.5), where=whole > 0)
    clipped: NDArray[np.float64] = np.clip(share, 1e-7, 1 - 1e-7)
    return clipped
