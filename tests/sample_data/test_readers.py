"""Simulated readers differ as their kinds say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sample_data.anatomy import Pose
from sample_data.disease import draw_anatomy
from sample_data.findings import B_LINE, findings, truth
from sample_data.readers import READERS, Reader
from sample_data.scan import Probe

N_CLASSES = 6
PATIENTS = 90


@dataclass
class Record:
    """What a kind of reader did over all patients."""

    stated: np.ndarray  # pixels by stated value
    true: np.ndarray  # of those, the true ones
    omitted: int = 0
    there: int = 0
    skipped: int = 0
    b_pixels: int = 0


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    made = {k: Record(np.zeros(101), np.zeros(101)) for k in READERS}
    probe = Probe("convex", 30.0, 100.0, 52.0)
    z, u = (a.astype(np.float32).ravel() for a in np.mgrid[0:100:120j, -30:30:80j])
    for seed in range(PATIENTS):
        rng = np.random.default_rng(seed)
        anatomy = draw_anatomy(rng, probe, rng.random(), "R5")
        pose = Pose(1.0, 0.2, 0.1, 0.4)
        found = findings(anatomy, pose, z, u)
        true = truth(anatomy, found, pose, z, u)
        for name, kind in READERS.items():
            reader = Reader(np.random.default_rng([seed, 1]), kind)
            record = made[name]
            record.skipped += not reader.reviews()
            planes = np.zeros((N_CLASSES, z.size), np.int64)
            for mark in reader.marks(found, z, u):
                plane = planes[mark.class_index]
                plane[mark.pixels] = np.maximum(plane[mark.pixels], mark.confidence)
            record.stated += np.bincount(planes.ravel(), minlength=101)
            record.true += np.bincount(planes.ravel(), weights=true.ravel(), minlength=101)
            there = true.sum(1) > 20
            record.there += there.sum()
            record.omitted += (there & ~planes.any(1)).sum()
            record.b_pixels += np.count_nonzero(planes[B_LINE])
    return made


def overstatement(record: Record) -> float:
    """Mean of stated minus true, in percent, over marked pixels."""
    said = (np.arange(101) * record.stated)[1:].sum() / record.stated[1:].sum()
    return said - 100 * record.true[1:].sum() / record.stated[1:].sum()


def test_the_calibrated_reader_means_what_they_say(records: dict[str, Record]) -> None:
    record = records["calibrated"]
    used = np.flatnonzero(record.stated > 1500)[1:]
    assert len(used) >= 6
    frequency = 100 * record.true[used] / record.stated[used]
    assert np.abs(frequency - used).max() < 15
    assert abs(overstatement(record)) < 4


def test_over_confident_and_over_inclusive_overstate(records: dict[str, Record]) -> None:
    assert overstatement(records["over-confident"]) > overstatement(records["calibrated"]) + 5
    assert overstatement(records["over-inclusive"]) > overstatement(records["calibrated"]) + 10
    area = {k: r.stated[1:].sum() for k, r in records.items()}
    assert area["over-inclusive"] > 1.15 * area["calibrated"] > 1.3 * area["lazy"]


def test_levels_are_those_of_the_kind(records: dict[str, Record]) -> None:
    for name, record in records.items():
        assert set(np.flatnonzero(record.stated)) <= {0, *READERS[name].levels}
    assert set(np.flatnonzero(records["one-value"].stated)) == {0, 80}


def test_omissions_and_skipped_frames(records: dict[str, Record]) -> None:
    share = {k: r.omitted / r.there for k, r in records.items()}
    assert share["lazy"] > 0.1 > 0.04 > share["calibrated"]
    assert 0.3 < records["lazy"].skipped / PATIENTS < 0.7
    assert records["calibrated"].skipped == 0


def test_the_schools_differ_in_how_far_down_a_b_line_goes(records: dict[str, Record]) -> None:
    deep, visible = records["school-deep"].b_pixels, records["school-visible"].b_pixels
    assert visible < 0.95 * deep


def test_same_seed_same_marks() -> None:
    probe = Probe("linear", 20.0, 45.0)
    z, u = (a.astype(np.float32).ravel() for a in np.mgrid[0:45:60j, -20:20:60j])
    anatomy = draw_anatomy(np.random.default_rng(0), probe, 0.6, "R1")
    found = findings(anatomy, Pose(0, 0, 0, 0), z, u)
    one, two = (
        Reader(np.random.default_rng(5), READERS["calibrated"]).marks(found, z, u) for _ in range(2)
    )
    assert [m.confidence for m in one] == [m.confidence for m in two]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one, two, strict=True))
