"""The clinical table, with units, ranges, patients and days checked.

One line per patient and day. What is known on that day may be a predictor; what is known only later
(:data:`OUTCOMES`) may only be predicted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.errors import MOST_PROBLEMS, sentence
from napari_confseg.store.files import MIB, read_csv
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trainer.sources import AnyCohort

OUTCOMES = ("sf", "sf_followup", "readmitted_30d")
COVARIATES = ("age", "sex")
MOST_SPO2 = 97
"""Percent; above, the dissociation curve is flat and S/F says nothing of oxygenation."""
_LARGEST = 64 * MIB  # of a table: some 500,000 lines
_SLACK = 1.0  # of S/F: tables round


@dataclass(frozen=True)
class Row:
    """One patient on one day.

    Attributes
    ----------
    patient : str
    day : int
        Days from admission.
    age : float
        Years.
    sex : str
        ``"f"`` or ``"m"``.
    clips, zones : tuple of str
        Clips of that day, and the lung zone of each.
    spo2 : float
        Percent.
    fio2 : float
        Fraction, 0.21..1.
    fio2_source : str
        The device; ``...-estimate`` where FiO2 was estimated from a flow.
    sf, sf_followup : float
        SpO2 / FiO2 on the day, and later.
    readmitted_30d : bool
        Within 30 days of discharge.
    """

    patient: str
    day: int
    age: float
    sex: str
    clips: tuple[str, ...]
    zones: tuple[str, ...]
    spo2: float
    fio2: float
    fio2_source: str
    sf: float
    sf_followup: float
    readmitted_30d: bool

    @property
    def sf_counts(self) -> bool:
        """Whether S/F can be read as a measure of oxygenation."""
        return self.spo2 <= MOST_SPO2

    @property
    def fio2_estimated(self) -> bool:
        """Whether FiO2 is an estimate."""
        return self.fio2_source.endswith("-estimate")


COLUMNS = tuple(Row.__dataclass_fields__)


def read_table(path: Path, source: AnyCohort) -> tuple[list[Row], int]:
    """Read and check the table of a cohort; of a dataset, take what is of its clips.

    Returns
    -------
    rows : list of Row
        Of a dataset, without the clips that it does not hold.
    left_out : int
        Lines of which a dataset holds no clip.

    Raises
    ------
    TrainError
        If anything is wrong; names every problem with its line.
    """
    try:
        header, lines = read_csv(path, _LARGEST)
    except (StoreError, OSError) as error:
        told = error.problems[0].message if isinstance(error, StoreError) else sentence(error)
        raise TrainError(f"The table {path} can't be read: {told}", "Name another.") from error
    left_out = 0
    problems = list(_header_problems(header))
    rows: list[Row] = []
    if not problems:
        for number, line in lines:
            found = list(_line_problems(line, f"line {number}"))
            problems += found
            if not found:
                rows.append(_row(line))
        whole = len(rows)
        if isinstance(source, FrozenCohort):
            rows = list(_held(rows, source))
        problems += _together(rows, source)
        left_out = whole - len(rows)
    if not lines:
        problems.append(
            Problem(
                "empty",
                path.name,
                "The table has no line",
                hint="give one line for each patient and day",
            )
        )
    if problems:
        listed = "\n".join(f"  {p}" for p in problems[:MOST_PROBLEMS])
        if len(problems) > MOST_PROBLEMS:
            listed += "\n  ..."
        raise TrainError(
            f"{path.name} can't be used; {len(problems)} problem(s):\n{listed}",
            "Correct the table and run it again.",
        )
    return rows, left_out


def _held(rows: Sequence[Row], source: FrozenCohort) -> Iterator[Row]:
    """Yield the rows of which the dataset holds a clip, with the clips that it holds."""
    there = set(source.clips())
    for row in rows:
        kept = [(c, z) for c, z in zip(row.clips, row.zones, strict=True) if c in there]
        if kept:
            clips, zones = zip(*kept, strict=True)
            yield replace(row, clips=clips, zones=zones)


def rows_before(rows: Sequence[Row]) -> list[int | None]:
    """Return for each row the place of the same patient's latest row before it."""
    mine: defaultdict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        mine[row.patient].append(i)
    found: list[int | None] = []
    for row in rows:
        before = [i for i in mine[row.patient] if rows[i].day < row.day]
        found.append(max(before, key=lambda i: rows[i].day) if before else None)
    return found


def check_covariates(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the covariates; what is known only later is refused.

    Raises
    ------
    TrainError
        If one is an outcome, holds one, or is no column that may be used.
    """
    for name in names:
        if name in OUTCOMES or name in ("spo2", "fio2", "fio2_source"):
            raise TrainError(
                f"{name!r} can't be a covariate: it is an outcome or part of one",
                f"Use {', '.join(COVARIATES)}.",
            )
        if name not in COVARIATES:
            raise TrainError(f"There is no covariate {name!r}", f"Use {', '.join(COVARIATES)}.")
    return names


def _header_problems(header: tuple[str, ...]) -> Iterator[Problem]:
    for name in COLUMNS:
        if name not in header:
            yield Problem("column-missing", "header", f"The column {name} is missing")
    for name in header:
        if name not in COLUMNS:
            yield Problem(
                "column-unknown",
                "header",
                f"The column {name} is none of {', '.join(COLUMNS)}",
                hint="take it out: it may not have been known on the day",
            )
    for name in sorted({n for n in header if header.count(n) > 1}):
        yield Problem(
            "column-twice", "header", f"The column {name} stands {header.count(name)} times"
        )


def _is_fraction(text: str) -> str:
    return "a fraction: give percent" if 0 < float(text) <= 1 else ""


def _is_percent(text: str) -> str:
    return "percent: give a fraction, 0.21 to 1" if float(text) > 1 else ""


# Column -> lowest, highest, and what a wrong value looks like.
_RANGES: dict[str, tuple[float, float, Callable[[str], str]]] = {
    "day": (0, 3650, lambda _: ""),
    "age": (0, 120, lambda _: ""),
    "spo2": (50, 100, _is_fraction),
    "fio2": (0.21, 1.0, _is_percent),
    "sf": (50, 477, _is_fraction),
    "sf_followup": (50, 477, _is_fraction),
}


def _line_problems(line: dict[str, str], where: str) -> Iterator[Problem]:
    numbers: dict[str, float] = {}
    for name, (low, high, hint) in _RANGES.items():
        text = line[name] or ""
        try:
            numbers[name] = float(text)
        except ValueError:
            yield Problem.mismatch("number", f"{where}, {name}", "a number", text or "nothing")
            continue
        if not low <= numbers[name] <= high:
            yield Problem.mismatch(
                "range", f"{where}, {name}", f"{low:g} to {high:g}", text, hint(text)
            )
    if not (line["patient"] or "").strip():
        yield Problem("patient", f"{where}, patient", "No patient is named")
    if line["sex"] not in ("f", "m"):
        yield Problem.mismatch("sex", f"{where}, sex", "f or m", line["sex"] or "nothing")
    if line["readmitted_30d"] not in ("0", "1"):
        yield Problem.mismatch(
            "readmitted", f"{where}, readmitted_30d", "0 or 1", line["readmitted_30d"]
        )
    if not (line["fio2_source"] or "").strip():
        yield Problem(
            "fio2-source",
            f"{where}, fio2_source",
            "The device that gave FiO2 is not named",
            hint="end it in -estimate where FiO2 was estimated from a flow",
        )
    clips, zones = line["clips"].split(), line["zones"].split()
    if not clips or len(clips) != len(zones):
        yield Problem.mismatch(
            "clips",
            f"{where}, clips",
            "a zone for each of one or more clips",
            f"{len(clips)} clips, {len(zones)} zones",
        )
    if {"sf", "spo2", "fio2"} <= numbers.keys() and numbers["fio2"]:
        ratio = numbers["spo2"] / numbers["fio2"]
        if abs(ratio - numbers["sf"]) > _SLACK:
            yield Problem.mismatch(
                "sf",
                f"{where}, sf",
                f"SpO2 / FiO2 = {ratio:.1f}",
                line["sf"],
                "is it of another day?",
            )


def _row(line: dict[str, str]) -> Row:
    return Row(
        line["patient"],
        int(float(line["day"])),
        float(line["age"]),
        line["sex"],
        tuple(line["clips"].split()),
        tuple(line["zones"].split()),
        float(line["spo2"]),
        float(line["fio2"]),
        line["fio2_source"],
        float(line["sf"]),
        float(line["sf_followup"]),
        line["readmitted_30d"] == "1",
    )


def _together(rows: list[Row], cohort: AnyCohort) -> Iterator[Problem]:
    """Yield the problems of several lines, or of table and cohort, together."""
    names = set(cohort.clips())
    line_of: dict[str, Row] = {}
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda r: (r.patient, r.day)):
        where = f"patient {row.patient}, day {row.day}"
        earlier = first.setdefault(row.patient, row)
        if row is not earlier and (row.sex, row.readmitted_30d) != (
            earlier.sex,
            earlier.readmitted_30d,
        ):
            yield Problem("differs", where, "Sex or readmission differs from that on the first day")
        for clip, zone in zip(row.clips, row.zones, strict=True):
            if clip not in names:
                yield Problem.mismatch("clip-unknown", where, f"a clip of {cohort.meta.name}", clip)
                continue
            meta = cohort.clip(clip).meta
            if meta.patient != row.patient:
                yield Problem.mismatch(
                    "clip-patient", where, f"a clip of {row.patient}", f"{clip}, of {meta.patient}"
                )
            if meta.zone and meta.zone != zone:
                yield Problem.mismatch("clip-zone", where, f"{meta.zone} for {clip}", zone)
            if clip in line_of:
                yield Problem(
                    "future",
                    where,
                    f"The clip {clip} belongs to day {line_of[clip].day}, too",
                    hint="a clip seen on a later day must not predict an earlier one",
                )
            line_of[clip] = row
    seen: set[tuple[str, int]] = set()
    for row in rows:
        if (row.patient, row.day) in seen:
            yield Problem("twice", f"patient {row.patient}", f"Day {row.day} has two lines")
        seen.add((row.patient, row.day))
