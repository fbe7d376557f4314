"""The clinical table: what a ward would know of the synthetic patients.

Equations, with S the patient's severity (0..1) on the day and N(0, s) noise:

- oxygenation ``S/F = 470 - 330 S + N(0, 22)``, within 80..476;
- FiO2 is the least on offer that lets SpO2 reach 92 %, 0.21 in room air;
  ``SpO2 = min(S/F * FiO2, 100) `` rounded to whole percents, as an oximeter shows it;
  so S/F must be read with care where SpO2 > 97 %, as in life;
- at follow-up ``S' = S + N(-0.12, 0.15)`` within 0..1, then S/F as above;
- readmission within 30 days with probability
  ``1 / (1 + exp(-(-3.2 + 3.4 S' + 1.2 S + 0.03 (age - 65))))``.

Examined on several days, three days apart, a patient has a *course* (:data:`COURSES`): better, same
or worse. From one examination to the next ``S' = S + the course's step + N(0, 0.05)`` within 0..1,
and once in five a new course is drawn. S/F at follow-up is that of the next examination; after the
last one S takes one more step, and readmission follows from the last S and that S'.

Zones scatter about S (:mod:`sample_data.cohort`), and B-lines, A-lines, consolidation, effusion
and the pleura's irregularity follow the zone's severity, so the findings carry the signal.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, fields, replace

import numpy as np

# Devices by the FiO2 they give; that of a nasal cannula is an estimate: 0.21 + 0.03 per L/min.
DEVICES = (
    (0.21, "room-air"),
    *((0.21 + 0.03 * flow, "nasal-cannula-estimate") for flow in range(1, 7)),
    (0.45, "venturi-mask"),
    (0.5, "venturi-mask"),
    (0.55, "venturi-mask"),
    *((fio2, "high-flow") for fio2 in (0.6, 0.7, 0.8)),
    (0.9, "ventilator"),
    (1.0, "ventilator"),
)
TARGET_SPO2 = 92.0
DAYS_BETWEEN = 3
COURSES = {"better": (-0.18, 0.45), "same": (0.0, 0.3), "worse": (0.14, 0.25)}
"""Step of the severity between examinations, and how often a course is drawn."""
TURNS = 0.2
STEP_NOISE = 0.05


@dataclass(frozen=True)
class ClinicalRow:
    """One patient on one day. S/F = SpO2 (percent) / FiO2 (fraction).

    Attributes
    ----------
    patient : str
    day : int
        Days from admission.
    age : int
        Years.
    sex : str
        ``"f"`` or ``"m"``.
    clips, zones : str
        Clips of that day and their lung zones, separated by spaces, in the same order.
    spo2 : int
        Oxygen saturation, percent.
    fio2 : float
        Inspired fraction of oxygen, 0.21..1.
    fio2_source : str
        The device; ``...-estimate`` where FiO2 is estimated from a flow.
    sf, sf_followup : float
        S/F on the day, and at follow-up three days later: the next examination if there is one.
    readmitted_30d : int
        1 if readmitted within 30 days of discharge.
    """

    patient: str
    day: int
    age: int
    sex: str
    clips: str
    zones: str
    spo2: int
    fio2: float
    fio2_source: str
    sf: float
    sf_followup: float
    readmitted_30d: int


def oxygenation(rng: np.random.Generator, severity: float) -> tuple[int, float, str]:
    """Return (SpO2 in percent, FiO2, its source) of a patient of `severity`."""
    ratio = float(np.clip(470 - 330 * severity + rng.normal(0, 22), 80, 476))
    enough = [d for d in DEVICES if ratio * d[0] >= TARGET_SPO2]
    fio2, source = enough[0] if enough else DEVICES[-1]
    return int(np.clip(round(ratio * fio2), 60, 100)), round(fio2, 2), source


def draw_row(
    rng: np.random.Generator,
    patient: str,
    severity: float,
    clips: list[str],
    zones: list[str],
) -> ClinicalRow:
    """Draw the row of one patient; see the module for the equations."""
    age = int(np.clip(rng.normal(64, 13), 21, 95))
    sex = str(rng.choice(["f", "m"]))
    spo2, fio2, source = oxygenation(rng, severity)
    later = float(np.clip(severity + rng.normal(-0.12, 0.15), 0, 1))
    spo2_later, fio2_later, _ = oxygenation(rng, later)
    risk = readmission(later, severity, age)
    return ClinicalRow(
        patient,
        0,
        age,
        sex,
        " ".join(clips),
        " ".join(zones),
        spo2,
        fio2,
        source,
        round(spo2 / fio2, 1),
        round(spo2_later / fio2_later, 1),
        int(rng.random() < risk),
    )


def readmission(later: float, severity: float, age: int) -> float:
    """Return the probability of readmission; see the module."""
    return float(1 / (1 + np.exp(-(-3.2 + 3.4 * later + 1.2 * severity + 0.03 * (age - 65)))))


def draw_course(rng: np.random.Generator, severity: float, n: int) -> list[float]:
    """Draw a patient's severity at `n` examinations, the first of which is `severity`."""
    steps, shares = zip(*COURSES.values(), strict=True)
    course, step = [severity], rng.choice(steps, p=shares)
    for _ in range(n - 1):
        course.append(float(np.clip(course[-1] + step + rng.normal(0, STEP_NOISE), 0, 1)))
        if rng.random() < TURNS:
            step = rng.choice(steps, p=shares)
    return course


def draw_stay(
    rng: np.random.Generator, first: ClinicalRow, course: list[float], clips: list[list[str]]
) -> list[ClinicalRow]:
    """Draw the rows of a patient of several days.

    Parameters
    ----------
    rng : Generator
    first : ClinicalRow
        Of the first day; who the patient is, their zones and S/F on that day are kept.
    course : list of float
        Severity on each day, and after the last.
    clips : list of list of str
        Clips of each day, in the order of the zones.
    """
    seen = [(first.spo2, first.fio2, first.fio2_source)]
    seen += [oxygenation(rng, severity) for severity in course[1:]]
    back = int(rng.random() < readmission(course[-1], course[-2], first.age))
    return [
        replace(
            first,
            day=k * DAYS_BETWEEN,
            clips=" ".join(clips[k]),
            spo2=spo2,
            fio2=fio2,
            fio2_source=source,
            sf=round(spo2 / fio2, 1),
            sf_followup=round(seen[k + 1][0] / seen[k + 1][1], 1),
            readmitted_30d=back,
        )
        for k, (spo2, fio2, source) in enumerate(seen[:-1])
    ]


def to_csv(rows: list[ClinicalRow]) -> str:
    """Return the table as CSV with a header line."""
    names = [f.name for f in fields(ClinicalRow)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    return out.getvalue()
