"""Features of a patient on a day, from the findings of clips."""

from __future__ import annotations

from collections import Counter, defaultdict
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


LEAST_SHARE = 0.1
"""Share of all days on which a zone is examined, for it to have features of its own."""


def patient_findings(
    rows: Sequence[Row],
    clips: Mapping[str, Mapping[str, float]],
    *,
    over_time: bool = True,
    by_zone: bool = False,
) -> NDArray[np.float64]:
    """Return the findings of each patient and day: of the whole chest, their change, by zone.

    Parameters
    ----------
    rows : sequence of Row
        Patients and days.
    clips : mapping
        Findings by clip.
    over_time : bool
        Whether change is known: of each zone since the patient's day before on which that zone
        was examined. Left out, too, if nobody's zone was examined twice.
    by_zone : bool
        Whether each zone of :func:`common_zones` has features of its own.

    Returns
    -------
    ndarray of float (rows, columns)
        Mean and largest value of each finding over the day's clips; mean and largest change over
        its zones; then, zone by zone, each finding and its change. NaN where undefined.
    """
    zones = [_by_zone(row, clips) for row in rows]
    changes = _changes(rows, zones)
    over_time = over_time and any(changes)
    parts = [np.array([_mean_and_largest(_day(row, clips)) for row in rows])]
    if over_time:
        parts.append(np.array([_mean_and_largest(list(c.values())) for c in changes]))
    for zone in common_zones(rows) if by_zone else ():
        parts.append(np.array([z.get(zone, _NOTHING) for z in zones]))
        if over_time:
            parts.append(np.array([c.get(zone, _NOTHING) for c in changes]))
    return np.hstack(parts)


def common_zones(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the zones that are examined on at least ``LEAST_SHARE`` of the days, sorted."""
    days = Counter(zone for row in rows for zone in set(row.zones))
    return tuple(sorted(z for z, n in days.items() if n >= LEAST_SHARE * len(rows)))


def repeated(rows: Sequence[Row]) -> bool:
    """Whether a zone of some patient was examined on two days."""
    days = Counter((row.patient, zone) for row in rows for zone in set(row.zones))
    return any(n > 1 for n in days.values())


def feature_sets(
    rows: Sequence[Row],
    names: Sequence[str],
    findings: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    over_time: bool = True,
    by_zone: bool = False,
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
    over_time, by_zone : bool
        Whether their change is known, and what each zone shows; see :func:`patient_findings`.
    """
    fixed = covariates(rows, names)
    with_findings = {
        s: np.hstack([fixed, patient_findings(rows, clips, over_time=over_time, by_zone=by_zone)])
        for s, clips in findings.items()
    }
    # Whoever knows nothing says the same of everybody: a column that is the same for all.
    least = {"age and sex": fixed} if names else {"nothing": np.zeros((len(rows), 1))}
    return least | with_findings


_NOTHING = np.full(len(FINDINGS), np.nan)
_Zones = dict[str, "NDArray[np.float64]"]
"""Zone -> its findings."""


def _day(row: Row, clips: Mapping[str, Mapping[str, float]]) -> list[NDArray[np.float64]]:
    return [np.array([clips[c][n] for n in FINDINGS]) for c in row.clips if c in clips]


def _by_zone(row: Row, clips: Mapping[str, Mapping[str, float]]) -> _Zones:
    """Return the mean of each finding over the clips of each zone."""
    found: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for clip, zone in zip(row.clips, row.zones, strict=True):
        if clip in clips:
            found[zone].append(np.array([clips[clip][n] for n in FINDINGS]))
    return {zone: _mean_and_largest(values)[: len(FINDINGS)] for zone, values in found.items()}


def _changes(rows: Sequence[Row], zones: Sequence[_Zones]) -> list[_Zones]:
    """Return how each zone changed since the day before on which it was examined."""
    mine: defaultdict[str, list[int]] = defaultdict(list)
    for i in sorted(range(len(rows)), key=lambda i: rows[i].day):
        mine[rows[i].patient].append(i)
    changes: list[_Zones] = [{} for _ in rows]
    for days in mine.values():
        last: _Zones = {}
        for i in days:
            changes[i] = {z: v - last[z] for z, v in zones[i].items() if z in last}
            last |= zones[i]
    return changes


def _mean_and_largest(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean and the largest of each finding, NaN where none is known."""
    table = np.array(values).reshape(-1, len(FINDINGS))
    known = ~np.isnan(table)
    total, count = np.where(known, table, 0).sum(0), known.sum(0)
    mean = np.divide(total, count, out=np.full(len(FINDINGS), np.nan), where=count > 0)
    peak = np.where(known, table, -np.inf).max(0, initial=-np.inf)
    return np.concatenate([mean, np.where(count > 0, peak, np.nan)])
