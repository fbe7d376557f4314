"""Repair: what a crash left is set right, what would be a guess is left alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from napari_confseg.__main__ import main
from napari_confseg.store import Cohort, RaterWriter, validate
from napari_confseg.store.repair import repair
from tests.conftest import add_clip
from tests.store.defects import CLIP, DEFECTS

REPAIRED = {
    "half-written file",
    "status of fewer classes than the planes",
    "no OME metadata",
    "OME version 0.4",
    "no OME version",
    "axes in another order",
    "unknown unit",
    "scale of zero",
    "negative scale",
    "scale that is not the clip's",
    "rater folder without metadata",
}


def age(*paths: Path) -> None:
    """Make files two hours old."""
    for path in paths:
        os.utime(path, (time.time() - 7200,) * 2)


@pytest.mark.parametrize("name", sorted(REPAIRED))
def test_what_can_be_set_right_is(broken: Path, name: str) -> None:
    [defect] = [d for d in DEFECTS if d.name == name]
    planes = Cohort.open(broken).clip(CLIP).rater("ann").read_classes(range(6))
    defect.plant(broken)
    assert validate(broken) != []
    done = repair(broken)
    assert len(done) == 1
    assert done[0].startswith(CLIP)
    assert validate(broken) == []
    assert repair(broken) == []
    found = Cohort.open(broken).clip(CLIP).rater("ann").read_classes(range(6))
    np.testing.assert_array_equal(found, planes)


def test_a_sound_cohort_stays_as_it_is(broken: Path) -> None:
    before = {p: p.read_bytes() for p in broken.rglob("*") if p.is_file()}
    assert repair(broken) == []
    after = {p: p.read_bytes() for p in broken.rglob("*") if p.is_file()}
    assert {k: v for k, v in after.items() if not k.name.endswith(".lock")} == {
        k: v for k, v in before.items() if not k.name.endswith(".lock")
    }


@pytest.mark.parametrize(
    "name", ["flipped bit in the record", "flipped bit in a frame", "file nobody listed"]
)
def test_nothing_is_guessed(broken: Path, name: str) -> None:
    for defect in DEFECTS:
        if defect.name == name:
            defect.plant(broken)
    before = {p.code for p in validate(broken)}
    assert repair(broken) == []
    assert {p.code for p in validate(broken)} == before


def test_what_somebody_is_writing_is_left_alone(cohort: Cohort) -> None:
    root = Path(cohort.location)
    with RaterWriter.open(cohort, "clip-1", "ann") as writer:
        writer.change_notes(note="begun")
        assert writer.flush(30)  # the first thing it does is to sweep
        partial = root / "clip-1/raters/ann/0/x.partial"
        partial.touch()
        [said] = repair(root)
        assert "left as it is" in said
        assert partial.exists()
    assert repair(root) == ["clip-1/raters/ann: removed half-written files"]


def test_an_import_that_never_ended_is_removed_once_it_is_old(cohort: Cohort) -> None:
    root = Path(cohort.location)
    new = cohort.new_clip("clip-3", shape=(8, 9)).__enter__()
    new._storing.shutdown()
    assert [p.code for p in validate(root)] == ["orphan"]
    assert "try again in an hour" in repair(root)[0]
    age(*(p for p in (root / "clip-3").rglob("*") if p.is_file()))
    assert repair(root) == ["clip-3: removed what an interrupted import left"]
    assert validate(root) == []
    add_clip(cohort, "clip-3")
    (root / "clip-3/zarr.json").unlink()  # a whole clip that lost its attributes is no rest
    age(*(p for p in (root / "clip-3").rglob("*") if p.is_file()))
    assert repair(root) == []
    assert (root / "clip-3/0/c/0/0/0").exists()


def test_a_stale_view_and_an_empty_change(cohort: Cohort, capsys: pytest.CaptureFixture) -> None:
    root = Path(cohort.location)
    before = (root / "zarr.json").read_bytes()
    cohort.update_meta(blinding="always", by="Prof. Dee")
    (root / "zarr.json").write_bytes(before)
    (root / "_changes/2.json").touch()
    age(root / "_changes/2.json")
    assert main(["validate", str(root), "--repair"]) == 0
    out = capsys.readouterr().out
    assert "Repaired: _changes/2.json: removed an empty change." in out
    assert "Repaired: cohort: zarr.json shows the newest change again." in out
    assert "is sound" in out
    assert Cohort.open(root).meta.blinding == "always"
    assert main(["validate", str(root), "--repair"]) == 0
    assert "nothing to repair" in capsys.readouterr().out
