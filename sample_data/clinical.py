"""The clinical table: what a ward would know of the synthetic patients.

Equations, with S the patient's severity (0..1) on the day and N(0, s) noise:

- oxygenation ``S/F = 470 - 330 S + N(0, 22)``, within 80..476;
- FiO2 is the least on offer that lets SpO2 reach 92 %, 0.21 in room air;
  ``SpO2 = min(S/F * FiO2, 100) `` rounded to whole percents, as an oximeter shows it;
  so S/F must be read with care where SpO2 > 97 %, as in life;
- at follow-up ``S' = S + N(-0.12, 0.15)`` within 0..1, then S/F as above;
- readmission within 30 days with probability
  ``1 / (1 + exp(-(-3.2 + 3.4 S' + 1.2 S + 0.03 (age - 65))))``.

Zones scatter about S (:mod:`sample_data.cohort`), and B-lines, A-lines, consolidation, effusion
and the pleura's irregularity follow the zone's severity, so the findings carry the signal.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, fields

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
        S/F on the day, and at follow-up three days later.
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
    risk = 1 / (1 + np.exp(-(-3.2 + 3.4 * later + 1.2 * severity + 0.03 * (age - 65))))
    return ClinicalRow(
        patient, 0, age, sex, " ".join(clips), " ".join(zones), spo2, fio2, source,
        round(spo2 / fio2, 1), round(spo2_later / fio2_later, 1), int(rng.random() < risk),
    )  # fmt: skip


def to_csv(rows: list[ClinicalRow]) -> str:
    """Return the table as CSV with a header line."""
    names = [f.name for f in fields(ClinicalRow)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    return out.getvalue()
