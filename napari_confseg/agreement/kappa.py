"""Agreement beyond chance: Fleiss' kappa and Krippendorff's alpha from sums.

Both are functions of sums over units, so clips add up and bootstraps are cheap. All functions take
stacks: leading axes are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def presence_kappa(tally: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return Fleiss' kappa of yes or no from how many units got j votes.

    Parameters
    ----------
    tally : NDArray
        ``(..., n + 1)``: number of units where j of the n raters voted yes, j = 0..n.

    Returns
    -------
    NDArray
        ``(...)``; NaN where there are no units or all raters always vote the same.
    """
    n = tally.shape[-1] - 1
    j = np.arange(n + 1)
    units = tally.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (tally * (j * (j - 1) + (n - j) * (n - j - 1))).sum(-1) / (units * n * (n - 1))
        yes = (tally * j).sum(-1) / (units * n)
        expected = yes**2 + (1 - yes) ** 2
        kappa: NDArray[np.float64] = np.where(
            expected < 1, (observed - expected) / (1 - expected), np.nan
        )
    return kappa


def alpha_from_sums(
    disagreement: NDArray[np.floating],
    marginal: NDArray[np.floating],
    distance: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return alpha from what is enough to keep of a coincidence matrix.

    Parameters
    ----------
    disagreement : NDArray
        ``(...)``, sum of coincidences times `distance`.
    marginal : NDArray
        ``(..., values)``, row sums.
    distance : NDArray
        ``(values, values)``, squared distances.
    """
    total = marginal.sum(-1)
    chance = np.einsum("...i,ij,...j->...", marginal, distance, marginal)
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha: NDArray[np.float64] = np.where(
            chance > 0, 1 - (total - 1) * disagreement / chance, np.nan
        )
    return alpha


def interval_distance(n_values: int) -> NDArray[np.float64]:
    """Return (i - j) squared."""
    return np.subtract.outer(np.arange(n_values), np.arange(n_values)).astype(float) ** 2
