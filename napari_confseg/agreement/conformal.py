"""Split conformal prediction by patient: thresholds and intervals that hold with a chosen share.

Patients who were not learnt from each get a *score*: how far a model's output has to be opened so
that this patient is covered. The k-th smallest score of n, k = ceil((n + 1) x share), covers the
next patient with at least that probability if patients are exchangeable, whatever the model and
whatever the distribution (Vovk, Gammerman & Shafer 2005; Papadopoulos et al. 2002).

For contours the patient is covered if all but a small allowed share of the pixels are: a noisy
mask never lies within another to the last pixel. This is conformal risk control (Angelopoulos et
al. 2024, arXiv 2208.02814) of the loss "more than the allowed share is missed", which is 0 or 1;
the same method with the missed share itself as loss would bound its mean alone, and a mean of 2 %
may be one patient in ten with a fifth missed.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]

NOTHING = 101
"""A threshold on percents that nothing reaches."""


def share_of(percent: int, sides: int = 1) -> Fraction:
    """Return the share that each of `sides` promises must hold with, for all at `percent` %.

    What may fail is divided evenly between them (Bonferroni), exactly: 90 % of two is 19/20 each.
    """
    return 1 - Fraction(100 - percent, 100 * sides)


def needed(share: Fraction) -> int:
    """Return the fewest patients that can promise `share`: ceil(1 / (1 - share)) - 1.

    >>> needed(share_of(90)), needed(share_of(90, sides=2)), needed(share_of(95))
    (9, 19, 19)
    """
    return ceil(1 / (1 - share)) - 1


def rank(n: int, share: Fraction) -> int:
    """Return which of `n` scores, from the smallest, is taken: ceil((n + 1) x share)."""
    return ceil((n + 1) * share)


def bound(scores: Sequence[float] | NDArray[np.floating], share: Fraction) -> float:
    """Return what the next patient's score does not exceed, with probability `share` at least.

    Infinite with fewer patients than :func:`needed`.
    """
    k = rank(len(scores), share)
    return float(np.partition(scores, k - 1)[k - 1]) if k <= len(scores) else inf


def left_out(scores: NDArray[np.floating], share: Fraction) -> NDArray[np.bool_]:
    """Return whether each patient is covered by the bound that all others give, ``(n,)``.

    Where the others are fewer than :func:`needed`, everybody is, for nothing is excluded then.
    """
    others = (np.delete(scores, i) for i in range(len(scores)))
    return np.array([s <= bound(o, share) for s, o in zip(scores, others, strict=True)], np.bool_)


def outer_score(inside: Counts, allowed: float) -> int:
    """Return the highest threshold from which all but `allowed` of a region is reached.

    Parameters
    ----------
    inside : ndarray of int, shape (101,)
        Pixels of the reference region, by the model's percent; not all 0.
    allowed : float
        Share of them that may be missed, 0..1.

    Returns
    -------
    int
        0..100; pixels with at least this percent are the outer region. 0 takes the whole frame.
    """
    missed = np.concatenate([[0], np.cumsum(inside)])  # missed[t] has less than t
    return int(np.flatnonzero(missed[:NOTHING] <= allowed * inside.sum() + 1e-9)[-1])


def inner_score(inside: Counts, outside: Counts, allowed: float) -> int:
    """Return the lowest threshold from which on all but `allowed` lies in a region.

    The share outside does not always fall as the threshold rises; it has to stay within what is
    allowed at all higher ones, so that a higher threshold is always a safer one.

    Parameters
    ----------
    inside, outside : ndarray of int, shape (101,)
        Pixels in and out of the reference region, by the model's percent.
    allowed : float
        Share of the pixels reached that may lie outside, 0..1.

    Returns
    -------
    int
        1..101; 101 takes nothing.
    """
    false, all_ = (np.cumsum(v[::-1])[::-1] for v in (outside, inside + outside))
    bad = false > allowed * all_ + 1e-9
    return max(int(np.flatnonzero(bad)[-1]) + 1 if bad.any() else 0, 1)
