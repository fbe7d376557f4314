"""From findings of clips to what is known of a patient on a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
    table = np.array([_day(row, clips) for row in rows])
    earlier = _earlier(rows)
    if not any(e is not None for e in earlier):
        return table
    change = np.full_like(table, np.nan)
    for i, e in enumerate(earlier):
        if e is not None:
            change[i] = table[i] - table[e]
    return np.hstack([table, change])


def known(
    rows: Sequence[Row],
    names: Sequence[str],
    findings: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, NDArray[np.float64]]:
    """Return what may foretell: the covariates alone, and with the findings of each source.

    Parameters
    ----------
    rows : sequence of Row
        Patients and days.
    names : sequence of str
        Of the covariates.
    findings : mapping
        By source, then by clip.
    """
    fixed = covariates(rows, names)
    with_findings = {
        source: np.hstack([fixed, patient_findings(rows, clips)])
        for source, clips in findings.items()
    }
    return {"age and sex" if names else "nothing": fixed} | with_findings


def _day(row: Row, clips: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    values = np.array([[clips[c][n] for n in FINDINGS] for c in row.clips if c in clips])
    values = values.reshape(-1, len(FINDINGS))
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0).sum(0), known.sum(0)
    mean = np.divide(total, count, out=np.full(len(FINDINGS), np.nan), where=count > 0)
    peak = np.where(known, values, -np.inf).max(0, initial=-np.inf)
    return np.concatenate([mean, np.where(count > 0, peak, np.nan)])


def _earlier(rows: Sequence[Row]) -> list[int | None]:
    """Return for each row the place of the same patient's latest row before it."""
    found: list[int | None] = []
    for row in rows:
        before = [i for i, r in enumerate(rows) if r.patient == row.patient and r.day < row.day]
        found.append(max(before, key=lambda i: rows[i].day) if before else None)
    return found
