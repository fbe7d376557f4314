from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from skimage.draw import polygon2mask

from napari_confseg.store import Cohort, Status
from napari_confseg.store.validate import validate
from sample_data import clinical_path, make_cohort
from sample_data.__main__ import main
from sample_data.clinical import draw_row
from sample_data.ward import plan

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"patients": 2, "clips_per_patient": 1, "frames": 2, "size": (96, 128)}


def digest(folder: Path) -> str:
    """One hash over every file's path and bytes."""
    h = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        h.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return h.hexdigest()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a.zarr", "b.zarr", "c.zarr")]
    for place, seed in zip(places, (7, 7, 8), strict=True):
        make_cohort(place, seed=seed, **SMALL)
    assert digest(places[0]) == digest(places[1]) != digest(places[2])
    tables = [clinical_path(p).read_bytes() for p in places]
    assert tables[0] == tables[1] != tables[2]


def test_one_day_has_the_bytes_it_always_had() -> None:
    """Hash taken before there were several days; pictures follow from the plan and its seeds."""
    plans, table = plan(patients=5, clips_per_patient=3, seed=41)
    told = [(p.name, p.zone, round(p.severity, 9), p.seed.spawn_key) for p in plans]
    hashed = hashlib.sha256(repr(told).encode() + table.encode()).hexdigest()
    assert hashed == "ba489fcbd2388d33c50d0a3173c40dede08c55478954e6b1736e2e70592657e2"
    assert [p.body.spawn_key for p in plans] == [(*p.seed.spawn_key, 0) for p in plans]
    assert {p.seed.n_children_spawned for p in plans} == {1}


def test_breaks_interrupt_the_pleural_line_and_change_no_other_truth(tmp_path: Path) -> None:
    small = SMALL | {"readers": (), "seed": 7}
    whole = make_cohort(tmp_path / "whole.zarr", **small)
    broken = make_cohort(tmp_path / "broken.zarr", breaks=True, **small)
    assert whole.meta.cohort_id != broken.meta.cohort_id
    lost = 0
    for name in whole.clips():
        a, b = (c.clip(name).rater("truth").read_classes(range(6)) for c in (whole, broken))
        np.testing.assert_array_equal(a[1:], b[1:])
        assert (b[0] <= a[0]).all()
        lost += np.count_nonzero(a[0] > b[0])
    assert lost > 0


def test_raters_and_their_values(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "a.zarr", **SMALL)
    assert validate(tmp_path / "a.zarr") == []
    for name in cohort.clips():
        clip = cohort.clip(name)
        assert clip.raters() == ["latent", "reader-a", "reader-b", "reader-c", "truth"]
        assert clip.meta.sector is not None
        sector = polygon2mask(clip.shape[1:], clip.meta.sector.polygon)
        outside = ~binary_dilation(sector, iterations=2)  # corners are rounded to whole pixels
        assert 0.2 < outside.mean() < 0.8
        for c in range(len(cohort.meta.classes)):
            exact = clip.rater("truth").read_planes(c)
            assert set(np.unique(exact)) <= {0, 100}
            for rater in clip.raters():
                assert not clip.rater(rater).read_planes(c)[:, outside].any()


def test_refuses_nonsense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patients must be 1 to 999, found 0"):
        make_cohort(tmp_path / "a.zarr", patients=0)
    with pytest.raises(ValueError, match="days must be 1 to 30, found 31"):
        make_cohort(tmp_path / "a.zarr", days=31)
    with pytest.raises(ValueError, match="no kind of reader 'sleepy'"):
        make_cohort(tmp_path / "a.zarr", readers=("sleepy",))


def test_readers_leave_status_and_strokes(tmp_path: Path) -> None:
    cohort = make_cohort(
        tmp_path / "a.zarr", readers=("calibrated", "lazy"), **SMALL | {"frames": 4}
    )
    for name in cohort.clips():
        rater = cohort.clip(name).rater("reader-a")
        status = rater.read_status()
        assert (status[[0, 2]] == Status.REVIEWED).all()
        assert not status[[1, 3]].any()
        strokes = rater.read_strokes()
        assert [s.seq for s in strokes] == list(range(1, len(strokes) + 1))
        for stroke in strokes:
            y0, x0, y1, x1 = stroke.box
            box = rater.read_plane(stroke.frame, stroke.class_index)[y0:y1, x0:x1]
            assert box.any()
            assert np.count_nonzero(box) >= stroke.pixels * 0.5  # later strokes cover, never erase
            assert box.max() >= stroke.confidence
        assert (cohort.clip(name).rater("truth").read_status() == Status.REVIEWED).all()


def test_the_clinical_table(tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"
    cohort = make_cohort(place, **SMALL)
    rows = list(csv.DictReader(clinical_path(place).read_text(encoding="utf-8").splitlines()))
    assert sorted(clip for row in rows for clip in row["clips"].split()) == cohort.clips()
    for row in rows:
        for clip, zone in zip(row["clips"].split(), row["zones"].split(), strict=True):
            assert cohort.clip(clip).meta.zone == zone
            assert cohort.clip(clip).meta.patient == row["patient"]
        assert 0.21 <= float(row["fio2"]) <= 1
        assert 60 <= int(row["spo2"]) <= 100
        assert float(row["sf"]) == round(int(row["spo2"]) / float(row["fio2"]), 1)
        assert row["readmitted_30d"] in {"0", "1"}


def test_the_first_day_is_the_same_however_many_follow() -> None:
    alone, _ = plan(patients=4, clips_per_patient=2, seed=3)
    followed, _ = plan(patients=4, clips_per_patient=2, seed=3, days=3)
    first = [p for p in followed if p.day == 0]
    for one, same in zip(alone, first, strict=True):
        assert same.name == f"{one.name}-d00"
        assert (same.zone, same.severity) == (one.zone, one.severity)
        assert same.body.spawn_key == one.body.spawn_key
        assert same.seed.spawn_key == one.seed.spawn_key
    pictures = {(str(p.seed.entropy), p.seed.spawn_key) for p in followed}
    assert len(pictures) == len(followed)  # a new picture every day
    assert len({p.body.spawn_key for p in followed}) == len(alone)  # of the same chest


def test_a_row_an_examination_and_the_next_ones_s_f(tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"
    cohort = make_cohort(place, days=3, readers=(), **SMALL)
    assert validate(place) == []
    rows = list(csv.DictReader(clinical_path(place).read_text(encoding="utf-8").splitlines()))
    assert [(r["patient"], r["day"]) for r in rows] == [
        (p, d) for p in ("p01", "p02") for d in ("0", "3", "6")
    ]
    for row, after in pairwise(rows):
        if row["patient"] == after["patient"]:
            assert row["sf_followup"] == after["sf"]
            for name in ("age", "sex", "zones", "readmitted_30d"):
                assert row[name] == after[name]
    for row in rows:
        clip = cohort.clip(row["clips"]).meta
        assert (clip.patient, clip.zone) == (row["patient"], row["zones"])
        assert f"day {row['day']}" in clip.tags
    chests = [cohort.clip(r["clips"]).meta.sector for r in rows]
    assert chests[0] == chests[1] == chests[2] != chests[3]
    frames = [cohort.clip(r["clips"]).frames[0].tobytes() for r in rows]
    assert len(set(frames)) == len(frames)


def test_s_f_changes_as_the_lung_does() -> None:
    plans, table = plan(patients=300, clips_per_patient=2, seed=0, days=3)
    rows = list(csv.DictReader(table.splitlines()))
    on_day: dict[tuple[str, int], list[float]] = {}
    for p in plans:
        assert p.day is not None
        on_day.setdefault((p.patient, p.day), []).append(p.severity)
    lung = np.array([np.mean(on_day[r["patient"], int(r["day"])]) for r in rows]).reshape(-1, 3)
    ratio = np.array([float(r["sf"]) for r in rows]).reshape(-1, 3)
    worse, more = np.diff(lung).ravel(), np.diff(ratio).ravel()
    assert np.corrcoef(worse, more)[0, 1] < -0.7
    assert -330 * 1.3 < np.polyfit(worse, more, 1)[0] < -330 * 0.7  # the equation of the table
    assert min((worse < -0.05).mean(), (worse > 0.05).mean(), (abs(worse) < 0.05).mean()) > 0.15
    # A course goes on more often than it turns: the change so far says something of the next.
    assert np.corrcoef(np.diff(lung)[:, 0], np.diff(lung)[:, 1])[0, 1] > 0.3


def test_severity_drives_oxygenation_and_readmission() -> None:
    rng = np.random.default_rng(0)
    severity = rng.random(400)
    rows = [draw_row(rng, "p", float(s), [], []) for s in severity]
    assert np.corrcoef(severity, [r.sf for r in rows])[0, 1] < -0.85
    assert np.corrcoef(severity, [r.readmitted_30d for r in rows])[0, 1] > 0.2
    assert 0.05 < np.mean([r.readmitted_30d for r in rows]) < 0.6
    readable = np.mean([r.spo2 <= 97 for r in rows])
    assert 0.4 < readable < 0.95  # S/F can't be read off in the others, as in life


def test_the_command(tmp_path: Path) -> None:
    place = tmp_path / "lung.zarr"
    command = [
        sys.executable,
        "-m",
        "sample_data",
        str(place),
        "--patients",
        "1",
        "--clips",
        "1",
        "--frames",
        "1",
        "--size",
        "96x128",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["clips"] == Cohort.open(place).clips()
    assert clinical_path(place).is_file()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "The folder is not empty" in again.stderr


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["out.zarr", "--size", "large"])
    assert stop.value.code == 2
    assert "expected e.g. 256x320, found 'large'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "example:" in capsys.readouterr().out
