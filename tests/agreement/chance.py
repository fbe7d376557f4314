"""Kappa and alpha written out, as oracles for what the summary computes from sums."""

from __future__ import annotations

import numpy as np

from napari_confseg.agreement.kappa import alpha_from_sums


def value_counts(answers: np.ndarray, n_values: int) -> np.ndarray:
    """(raters, units) with -1 for missing -> (units, values)."""
    return np.stack([(answers == v).sum(0) for v in range(n_values)], 1)


def fleiss_kappa(counts: np.ndarray) -> float:
    """Fleiss (1971), of counts ``(units, categories)`` with as many raters for each unit."""
    n = int(counts[0].sum())
    observed = ((counts**2).sum(1) - n).mean() / (n * (n - 1))
    expected = ((counts.sum(0) / counts.sum()) ** 2).sum()
    return float((observed - expected) / (1 - expected))


def coincidences(counts: np.ndarray) -> np.ndarray:
    """Krippendorff's coincidence matrix of counts ``(units, values)``."""
    kept = counts[counts.sum(1) > 1].astype(float)  # a single answer cannot be paired
    weighted = kept / (kept.sum(1) - 1)[:, None]
    return weighted.T @ kept - np.diag(weighted.sum(0))


def krippendorff_alpha(matrix: np.ndarray, distance: np.ndarray) -> float:
    """Alpha of a coincidence matrix, by the function that the summary uses."""
    return float(alpha_from_sums((matrix * distance).sum(), matrix.sum(1), distance))
