"""The clinical table: one planted fault at a time, and the code that names it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from napari_confseg.store import Cohort
from sample_data.clinical import ClinicalRow
from tests.trainer.conftest import add_toy_clip
from trainer.clinical.table import COLUMNS, check_covariates, read_table
from trainer.errors import TrainError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = [
    {
        "patient": "p0",
        "day": "0",
        "age": "60",
        "sex": "f",
        "clips": "clip-0",
        "zones": "R1",
        "spo2": "92",
        "fio2": "0.24",
        "fio2_source": "nasal-cannula-estimate",
        "sf": "383.3",
        "sf_followup": "400",
        "readmitted_30d": "0",
    },
    {
        "patient": "p0",
        "day": "3",
        "age": "60",
        "sex": "f",
        "clips": "clip-1",
        "zones": "R2",
        "spo2": "98",
        "fio2": "0.21",
        "fio2_source": "room-air",
        "sf": "466.7",
        "sf_followup": "440",
        "readmitted_30d": "0",
    },
    {
        "patient": "p1",
        "day": "0",
        "age": "71",
        "sex": "m",
        "clips": "clip-2",
        "zones": "R1",
        "spo2": "90",
        "fio2": "0.6",
        "fio2_source": "high-flow",
        "sf": "150",
        "sf_followup": "160",
        "readmitted_30d": "1",
    },
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    made = Cohort.create(tmp_path_factory.mktemp("ward") / "ward.zarr", name="ward")
    for clip, patient, zone in (
        ("clip-0", "p0", "R1"),
        ("clip-1", "p0", "R2"),
        ("clip-2", "p1", "R1"),
    ):
        add_toy_clip(made, clip, patient, n_frames=1, zone=zone)
    return made


def write(path: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> Path:
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, columns or list(COLUMNS), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def changed(line: int, **values: str) -> list[dict[str, str]]:
    return [row | values if i == line else dict(row) for i, row in enumerate(GOOD)]


def test_a_good_table_is_read_as_it_is(tmp_path, cohort):
    rows, left_out = read_table(write(tmp_path / "t.csv", GOOD), cohort)
    assert left_out == 0
    assert [r.patient for r in rows] == ["p0", "p0", "p1"]
    assert [r.sf_counts for r in rows] == [True, False, True]
    assert [r.fio2_estimated for r in rows] == [True, False, False]
    assert rows[2].readmitted_30d
    assert rows[0].clips == ("clip-0",)


def test_the_columns_are_those_that_sample_data_writes():
    assert tuple(ClinicalRow.__dataclass_fields__) == COLUMNS


@pytest.mark.parametrize(
    ("line", "values", "code", "words"),
    [
        (0, {"spo2": "0.92"}, "range", "a fraction: give percent"),
        (0, {"fio2": "24"}, "range", "percent: give a fraction"),
        (0, {"fio2": "0.1"}, "range", "expected 0.21 to 1, found 0.1"),
        (1, {"age": "160"}, "range", "line 3, age"),
        (1, {"age": "old"}, "number", "found old"),
        (1, {"day": "-1"}, "range", "line 3, day"),
        (2, {"sex": "1"}, "sex", "expected f or m"),
        (2, {"readmitted_30d": "yes"}, "readmitted", "expected 0 or 1"),
        (2, {"fio2_source": ""}, "fio2-source", "-estimate"),
        (2, {"patient": " "}, "patient", "line 4"),
        (0, {"sf": "430"}, "sf", "is it of another day?"),
        (0, {"zones": "R1 R2"}, "clips", "1 clips, 2 zones"),
        (0, {"zones": "L1"}, "clip-zone", "expected R1 for clip-0, found L1"),
        (2, {"clips": "clip-9"}, "clip-unknown", "clip-9"),
        (2, {"clips": "clip-1", "zones": "R2"}, "clip-patient", "clip-1, of p0"),
        (
            0,
            {"clips": "clip-0 clip-1", "zones": "R1 R2"},
            "future",
            "a clip seen on a later day must not predict",
        ),
        (1, {"day": "0"}, "twice", "Day 0 has two lines"),
        (1, {"readmitted_30d": "1"}, "differs", "patient p0, day 3"),
    ],
)
def test_each_fault_is_refused_by_name(tmp_path, cohort, line, values, code, words):
    with pytest.raises(TrainError) as refused:
        read_table(write(tmp_path / "t.csv", changed(line, **values)), cohort)
    assert f"[{code}]" in str(refused.value)
    assert words in str(refused.value)


def test_columns_that_are_missing_or_unknown_are_refused(tmp_path, cohort):
    columns = [c for c in COLUMNS if c != "spo2"] + ["discharge_day"]
    with pytest.raises(TrainError) as refused:
        read_table(write(tmp_path / "t.csv", GOOD, columns), cohort)
    assert "[column-missing]" in str(refused.value)
    assert "The column discharge_day is none of" in str(refused.value)
    with pytest.raises(TrainError, match=r"\[empty\]"):
        read_table(write(tmp_path / "t.csv", []), cohort)
    with pytest.raises(TrainError, match="can't be read"):
        read_table(tmp_path / "none.csv", cohort)


@pytest.mark.parametrize("name", ["sf_followup", "readmitted_30d", "sf", "fio2"])
def test_the_future_and_the_outcomes_own_parts_are_no_covariates(name):
    with pytest.raises(TrainError, match="can't be a covariate"):
        check_covariates(("age", name))
    assert check_covariates(("age",)) == ("age",)
