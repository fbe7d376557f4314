"""Calibrated consensus: raters' confidence scales and the truth, estimated together.

Raters use the scale differently, and one who marks nothing may have overlooked what others saw.
Each pixel hides a state, one of a few in rising order from "surely not" to "surely there"; each
rater has a table of how often they give which confidence in each state. States and tables are
estimated in turn by expectation-maximisation (Dawid and Skene, Appl. Stat. 28, 1979, with
confidence levels as the answers), under the law that a higher state makes every "at least this
confident" likelier, which is what makes the curve from confidence to probability monotone.

Why not a hidden yes or no, i.e. two states: an edge that is blurred is blurred for everybody, so
given a plain yes or no the raters' errors come together, and the model, which takes them for
independent, explains that by a third thing, "somebody may mark here", and is sure of it. With
states in between the raters are nearly independent given the state. Nearly: rounds go on improving
the likelihood long after they stop improving the answer, so there are few (``ROUNDS``).
``docs/explanation/consensus.md`` has the figures.

What a state means in percent cannot be estimated from raters alone: if all are overconfident, their
answers don't show it. Here it is the interquartile mean of what the raters state there, so that no
one of three or more can shift it far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.agreement.patterns import MISSING, N_CODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.agreement.patterns import Patterns

STATES = 21
ROUNDS = 5


@dataclass(frozen=True)
class Calibrated:
    """Estimated tables of a group of raters for one class.

    Parameters
    ----------
    raters : tuple of str
        The group.
    prior : NDArray
        ``float (states)``, share of the pixels in each state.
    probability : NDArray
        ``float (states)``, rising, 0..1: what each state means.
    answers : NDArray
        ``float (raters, states, 11)``: how often a rater gives each code in each state.
    log_likelihood : float
        Per pixel that anybody marked.
    """

    raters: tuple[str, ...]
    prior: NDArray[np.float64]
    probability: NDArray[np.float64]
    answers: NDArray[np.float64]
    log_likelihood: float

    def combine(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the expected probability, 0..1, for patterns ``uint8 (patterns, raters)``."""
        weight, _ = _expect(codes, self.prior, self.answers)
        return weight @ self.probability

    def curve(self, rater: str) -> NDArray[np.float64]:
        """Return the probability, 0..1, that each code of a rater stands for on its own, rising.

        Returns
        -------
        NDArray
            ``float (11)``: for not marked, 1..10 %, ..., 91..100 %.
        """
        joint = self.prior[:, None] * self.answers[self.raters.index(rater)]
        share = joint.sum(0)
        return isotonic(self.probability @ joint / share, share)

    def overlooked(self, rater: str) -> float:
        """Return how often a rater leaves unmarked what the group holds at 50 % or more.

        A lower bound: what one of few overlooks lowers the group's estimate, too.
        """
        weight = self.prior * (self.probability >= 0.5)
        missed = self.answers[self.raters.index(rater), :, 0]
        return float(weight @ missed / weight.sum()) if weight.sum() > 0 else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Return plain data: a curve and an omission rate for each rater."""
        return {
            "raters": {
                r: {
                    "probability_by_confidence": [round(float(v), 4) for v in self.curve(r)],
                    "overlooked": round(self.overlooked(r), 4),
                }
                for r in self.raters
            },
            "states": [round(float(v), 4) for v in self.probability],
            "log_likelihood": round(self.log_likelihood, 6),
        }


def estimate_calibrated(
    patterns: Patterns, *, states: int = STATES, rounds: int = ROUNDS
) -> Calibrated:
    """Return raters' tables, and what the states mean, from counts of answers.

    Parameters
    ----------
    patterns : Patterns
        Counts of answers.
    states : int
        How many hidden states; 2 is Dawid and Skene's yes or no.
    rounds : int
        Of expectation-maximisation. With two raters one is made: two answers don't tell a shared
        doubt from a disagreement.
    """
    counts = patterns.counts.astype(float)
    marked = max(float(counts[((patterns.codes % MISSING) > 0).any(1)].sum()), 1.0)
    present = (patterns.codes != MISSING).any(0)
    weight = _start(patterns, states)
    for _ in range(rounds if present.sum() > 2 else 1):
        share = weight * counts[:, None]
        prior = share.sum(0) + 1e-9 * max(counts.sum(), 1)  # nobody may have reviewed it
        prior /= prior.sum()
        answers = _answers(patterns.codes, share)
        weight, log = _expect(patterns.codes, prior, answers)
    likelihood = float(counts @ log) / marked
    if not present.any():
        present[:] = True
    meaning = _meaning(answers[present], patterns.stated[present], prior)
    return Calibrated(patterns.raters, prior, meaning, answers, likelihood)


def _start(patterns: Patterns, states: int) -> NDArray[np.float64]:
    """Return first weights (patterns, states): the mean of the answers, between two states."""
    known = patterns.codes != MISSING
    code = np.where(known, patterns.codes, 0)
    stated = np.where(known, patterns.stated[np.arange(len(patterns.raters)), code], 0)
    place = stated.sum(1) / np.maximum(known.sum(1), 1) * (states - 1)
    lower = np.minimum(place.astype(int), states - 2)
    weight = np.zeros((len(place), states))
    rows = np.arange(len(place))
    weight[rows, lower] = 1 - (place - lower)
    weight[rows, lower + 1] = place - lower
    return weight


def _answers(codes: NDArray[np.uint8], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each rater's table (raters, states, 11) that best explains the shares.

    Under the law that P(code >= c | state) rises with the state, for every c: the isotonic
    regression of each of these curves. It keeps their order, so differences are probabilities.
    """
    n_states = share.shape[1]
    tables = np.empty((codes.shape[1], n_states, N_CODES))
    for rater in range(codes.shape[1]):
        counted = np.stack([share[codes[:, rater] == c].sum(0) for c in range(N_CODES)], 1)
        counted += 1e-6 * (counted.sum(0) + 1e-3) / (counted.sum() + 1e-3)
        total = counted.sum(1)
        at_least = counted[:, ::-1].cumsum(1)[:, ::-1] / total[:, None]
        rising = np.stack([isotonic(at_least[:, c], total) for c in range(N_CODES)], 1)
        table = rising - np.column_stack([rising[:, 1:], np.zeros(n_states)])
        table = np.maximum(
            table, 1e-6
        )  # no answer is impossible: one slip must not veto the others
        tables[rater] = table / table.sum(1, keepdims=True)
    return tables


def _expect(
    codes: NDArray[np.uint8], prior: NDArray[np.float64], answers: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of the states (patterns, states) and the log likelihood (patterns)."""
    log = np.tile(np.log(prior), (len(codes), 1))
    for rater, table in enumerate(answers):
        # The last row is for no answer, which says nothing.
        by_code = np.zeros((MISSING + 1, len(prior)))
        by_code[:N_CODES] = np.log(table.T)
        log += by_code[codes[:, rater]]
    highest = log.max(1, keepdims=True)
    weight = np.exp(log - highest)
    total = weight.sum(1, keepdims=True)
    return weight / total, (highest + np.log(total))[:, 0]


def _meaning(
    answers: NDArray[np.float64], stated: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability of each state: interquartile mean of what raters state there."""
    means = np.sort(np.einsum("rkc,rc->rk", answers, stated), axis=0)
    n = len(means)
    rank = np.arange(n)
    # How much of each sorted rater lies between the quartiles; one of three counts a sixth.
    inside = np.clip(np.minimum(rank + 1, 0.75 * n) - np.maximum(rank, 0.25 * n), 0, None)
    return isotonic(inside @ means / inside.sum(), prior)


def isotonic(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the non-decreasing sequence nearest to `values` in weighted least squares."""
    # Takes longer to import than all else that whoever compares raters needs.
    from scipy.optimize import isotonic_regression

    fitted: NDArray[np.float64] = isotonic_regression(values, weights=weights).x
    return fitted
