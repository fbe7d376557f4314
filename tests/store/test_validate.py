"""validate: nothing against a good cohort, every planted defect by its own code, all at once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from zarr.storage import MemoryStore

from napari_confseg.store import Cohort, validate
from tests.conftest import add_clip
from tests.store.defects import DEFECTS, RATER, Defect
from tests.store.outside import VALIDATORS, finds

if TYPE_CHECKING:
    from pathlib import Path


def test_a_good_cohort_has_no_problem_here_nor_elsewhere(good: Path) -> None:
    assert validate(good) == []
    assert [v for v in VALIDATORS if finds(v, good)] == []


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.name.replace(" ", "-"))
def test_each_defect_has_its_code(broken: Path, defect: Defect) -> None:
    defect.plant(broken)
    problems = validate(broken)
    assert {p.code for p in problems} == {defect.code}
    assert all(p.message for p in problems)


def test_there_are_enough_of_them() -> None:
    assert len({d.code for d in DEFECTS}) >= 20


def test_many_defects_are_all_named(broken: Path) -> None:
    chosen = [
        d
        for d in DEFECTS
        if d.code
        in {
            "ome-unit",
            "value-range",
            "stroke-box",
            "lease",
            "unlisted",
            "orphan",
            "frame-missing",
        }
    ]
    for defect in chosen:
        defect.plant(broken)
    assert {d.code for d in chosen} <= {p.code for p in validate(broken)}


def test_what_the_outside_validators_all_miss_is_found(good: Path, tmp_path: Path) -> None:
    missed = {
        "planes of another shape than the clip",
        "negative scale",
        "scale of zero",
        "unknown unit",
        "flipped bit in a plane",
        "confidence 150",
        "label nobody listed",
        "status 3",
    }
    for i, defect in enumerate(d for d in DEFECTS if d.name in missed):
        root = shutil.copytree(good, tmp_path / str(i) / "cohort.zarr")
        defect.plant(root)
        assert [v for v in VALIDATORS if finds(v, root)] == [], defect.name
        assert defect.code in {p.code for p in validate(root)}


def test_places_that_hold_no_cohort(tmp_path: Path) -> None:
    assert [p.code for p in validate(tmp_path / "nothing.zarr")] == ["missing"]
    (tmp_path / "not.zip").write_bytes(b"no zip")
    assert [p.code for p in validate(tmp_path / "not.zip")] == ["zip-damaged"]
    (tmp_path / "empty").mkdir()
    assert [p.code for p in validate(tmp_path / "empty")] == ["missing"]


def test_progress_and_memory_stores() -> None:
    store = MemoryStore()
    cohort = Cohort.create(store, name="m")
    add_clip(cohort, "a")
    add_clip(cohort, "b")
    seen: list[tuple[int, int, str]] = []
    assert validate(store, progress=lambda *step: seen.append(step)) == []
    assert seen == [(0, 2, "a"), (1, 2, "b")]


def test_it_changes_nothing(broken: Path) -> None:
    (broken / RATER / "0/c/1/1/0/0.x.partial").touch()
    before = sorted((p, p.stat().st_mtime_ns) for p in broken.rglob("*"))
    validate(broken)
    assert sorted((p, p.stat().st_mtime_ns) for p in broken.rglob("*")) == before
