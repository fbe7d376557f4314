"""Agreement beyond chance: Fleiss' kappa and Krippendorff's alpha, in closed form.

Both are functions of sums over units, so clips add up and bootstraps are cheap. All functions take
stacks: leading axes are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Metric = Literal["nominal", "ordinal", "interval"]


def fleiss_kappa(counts: NDArray[np.integer]) -> float:
    """Return Fleiss' kappa of `counts`, NaN where chance alone explains everything.

    Parameters
    ----------
    counts : NDArray
        ``int (units, categories)``: how many of the raters chose the category. Each row must add
        up to the same number of raters, at least 2.

    Raises
    ------
    ValueError
        If rows add up to different numbers.

    Notes
    -----
    Fleiss, "Measuring nominal scale agreement among many raters", Psychol. Bull. 76 (1971).
    """
    if not len(counts):
        return float("nan")
    raters = counts.sum(1)
    if (raters != raters[0]).any() or raters[0] < 2:
        raise ValueError(
            f"Fleiss' kappa needs the same number of raters (at least 2) for each unit, "
            f"found {sorted(set(raters.tolist()))}; use Krippendorff's alpha"
        )
    n = int(raters[0])
    observed = float(((counts**2).sum(1) - n).mean() / (n * (n - 1)))
    expected = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def presence_kappa(tally: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return Fleiss' kappa of yes or no from how many units got j votes.

    Parameters
    ----------
    tally : NDArray
        ``(..., n + 1)``: number of units where j of the n raters said yes, j = 0..n.

    Returns
    -------
    NDArray
        ``(...)``; NaN where there are no units or all raters always say the same.
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


def coincidences(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return Krippendorff's coincidence matrix.

    Parameters
    ----------
    counts : NDArray
        ``int (units, values)``: how many raters gave the unit the value. A unit with fewer than
        two answers says nothing and is left out.

    Returns
    -------
    NDArray
        ``float (values, values)``, symmetric; its sum is the number of pairable answers.
    """
    answers = counts.sum(1)
    kept = counts[answers > 1].astype(float)
    weight = 1 / (kept.sum(1) - 1)
    weighted = kept * weight[:, None]
    matrix: NDArray[np.float64] = weighted.T @ kept - np.diag(weighted.sum(0))
    return matrix


def krippendorff_alpha(matrix: NDArray[np.floating], metric: Metric = "nominal") -> float:
    """Return Krippendorff's alpha from a coincidence matrix over the values 0, 1, 2, ...

    Parameters
    ----------
    matrix : NDArray
        ``float (values, values)`` of :func:`coincidences`.
    metric : {"nominal", "ordinal", "interval"}
        How far two values are apart.

    Returns
    -------
    float
        1 is perfect, 0 is chance; NaN if there are no pairs or only one value occurs.

    Notes
    -----
    Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section C and E.
    """
    marginal = matrix.sum(1)
    distance = _distance(marginal, metric)
    return float(alpha_from_sums(np.array((matrix * distance).sum()), marginal, distance))


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


def _distance(marginal: NDArray[np.floating], metric: Metric) -> NDArray[np.float64]:
    n = len(marginal)
    if metric == "interval":
        return interval_distance(n)
    if metric == "nominal":
        return 1 - np.eye(n)
    # Ordinal: answers between the two values, the ends counted half.
    middle = marginal.cumsum() - marginal / 2
    apart: NDArray[np.float64] = np.subtract.outer(middle, middle).astype(float) ** 2
    return apart
