"""Features of a patient on a day, from the findings of clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.clinical.table import rows_before
from trainer.findings import FINDINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.clinical.table import Row


def covariates(rows: Sequence[Row], names: Sequence[str]) -> NDArray[np.float64]:
    """Return age in years and sex (1 for m) as asked for, (rows, names)."""
    columns = {"age": [r.age for r in rows], "sex": [float(r.sex == "m") for r in rows]}
    return np.array([columns[n] for n in names], float).reshape(len(names), len(rows)).T


def patient_findings(
    rows: Sequence[Row], clips: Mapping[str, Mapping[str, float]]
) -> NDArray[np.float64]:
    """Return each finding's mean and largest value over the day's clips, and their change.

    Parameters
    ----------
    rows : sequence of Row
        Patients and days.
    clips : mapping
        Findings by clip.

    Returns
    -------
    ndarray of float (rows, 2 or 4 times findings)
        Change since the patient's day before it, NaN on their first; left out if everybody has
        one day only. NaN where a finding is undefined in all clips.
    """
    table = findings_on_the_day(rows, clips)
    earlier = rows_before(rows)
    if not any(e is not None for e in earlier):
        return table
    change = np.full_like(table, np.nan)
    for i, e in enumerate(earlier):
        if e is not None:
            change[i] = table[i] - table[e]
    return np.hstack([table, change])


def feature_sets(
    rows: Sequence[Row],
    names: Sequence[str],
    findings: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    over_time: bool = True,
) -> dict[str, NDArray[np.float64]]:
    """Return the predictors: the covariates alone, and with the findings of each source.

    Parameters
    ----------
    rows : sequence of Row
        Patients and days.
    names : sequence of str
        Of the covariates.
    findings : mapping
        By source, then by clip.
    over_time : bool
        Whether their change since the patient's day before is known, too.
    """
    fixed = covariates(rows, names)
    read = patient_findings if over_time else findings_on_the_day
    with_findings = {s: np.hstack([fixed, read(rows, clips)]) for s, clips in findings.items()}
    # Whoever knows nothing says the same of everybody: a column that is the same for all.
    least = {"age and sex": fixed} if names else {"nothing": np.zeros((len(rows), 1))}
    return least | with_findings


def findings_on_the_day(
    rows: Sequence[Row], clips: Mapping[str, Mapping[str, float]]
) -> NDArray[np.float64]:
    """Return each finding's mean and largest value over the day's clips, (rows, 2 x findings)."""
    return np.array([_day(row, clips) for row in rows])


def _day(row: Row, clips: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    values = np.array([[clips[c][n] for n in FINDINGS] for c in row.clips if c in clips])
    values = values.reshape(-1, len(FINDINGS))
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0).sum(0), known.sum(0)
    mean = np.divide(total, count, out=np.full(len(FINDINGS), np.nan), where=count > 0)
    peak = np.where(known, values, -np.inf).max(0, initial=-np.inf)
    return np.concatenate([mean, np.where(count > 0, peak, np.nan)])
