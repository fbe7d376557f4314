"""Who lies on the ward: patients, the zones that are examined, on which days, and how sick.

A patient of several days is examined at the same zones each time, under the same chest wall: the
state of the lung moves (:func:`sample_data.clinical.draw_course`), and what is drawn of a zone is
drawn from the same seed, so that findings come and go with it. Picture and readers are new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sample_data.clinical import DAYS_BETWEEN, draw_course, draw_row, draw_stay, to_csv

ZONES = tuple(f"{side}{number}" for side in "LR" for number in range(1, 7))
DAY_SCATTER = 0.04
"""Standard deviation of a zone's severity between examinations, beside the patient's course."""


@dataclass(frozen=True)
class ClipPlan:
    """What is decided of a clip before it is made.

    Attributes
    ----------
    name, patient, zone : str
    severity : float
        Of the lung there, on the day, 0..1.
    body : SeedSequence
        What chest and probe are drawn from; the same on every day.
    seed : SeedSequence
        What picture and readers are drawn from.
    day : int or None
        Days from admission; None if the patient is examined once.
    """

    name: str
    patient: str
    zone: str
    severity: float
    body: np.random.SeedSequence
    seed: np.random.SeedSequence
    day: int | None = None


def plan(
    patients: int, clips_per_patient: int, seed: int, days: int = 1
) -> tuple[list[ClipPlan], str]:
    """Return the plans of all clips and the clinical table as CSV.

    The first day is the same however many days follow: those are drawn from a stream of their own.
    """
    root, later = np.random.SeedSequence(seed), np.random.SeedSequence([seed, 1])
    rng, later_rng = (np.random.default_rng(s.spawn(1)[0]) for s in (root, later))
    # Severities cover the scale evenly, so that even a small cohort shows everything.
    severities = rng.permutation((np.arange(patients) + rng.random(patients)) / patients)
    plans, rows = [], []
    for number, severity in enumerate(severities):
        patient = f"p{number + 1:02d}"
        zones = sorted(rng.choice(ZONES, clips_per_patient, replace=False).tolist())
        offsets = []
        for zone in zones:
            dependent = 0.1 if zone.endswith(("5", "6")) else 0.0
            offsets.append(rng.normal(dependent - 0.03, 0.12))
        local = np.clip(severity + offsets, 0, 1)
        first = [
            _first(patient, *which, root.spawn(1)[0])
            for which in zip(zones, local.tolist(), strict=True)
        ]
        row = draw_row(rng, patient, float(severity), [p.name for p in first], zones)
        if days == 1:
            plans += first
            rows.append(row)
            continue
        course = draw_course(later_rng, float(severity), days + 1)
        stay = _stay(first, course[:days], offsets, later_rng, later)
        plans += [p for day in stay for p in day]
        rows += draw_stay(later_rng, row, course, [[p.name for p in day] for day in stay])
    return plans, to_csv(rows)


def _first(patient: str, zone: str, severity: float, seed: np.random.SeedSequence) -> ClipPlan:
    (body,) = seed.spawn(1)
    return ClipPlan(f"{patient}-{zone.lower()}", patient, zone, severity, body, seed)


def _stay(
    first: list[ClipPlan],
    course: list[float],
    offsets: list[float],
    rng: np.random.Generator,
    seeds: np.random.SeedSequence,
) -> list[list[ClipPlan]]:
    """Return the plans of each day: the first, and the same zones again as the course has it."""
    stay = []
    for k, severity in enumerate(course):
        day = k * DAYS_BETWEEN
        plans = [replace(p, name=f"{p.name}-d{day:02d}", day=day) for p in first]
        if k:
            there = severity + np.array(offsets) + rng.normal(0, DAY_SCATTER, len(first))
            local = np.clip(there, 0, 1).tolist()
            plans = [
                replace(p, severity=s, seed=seeds.spawn(1)[0])
                for p, s in zip(plans, local, strict=True)
            ]
        stay.append(plans)
    return stay
