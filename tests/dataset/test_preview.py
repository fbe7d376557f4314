"""A preview says what the build then does; what would go wrong is told before freezing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from zarr.storage import LocalStore

from napari_confseg.__main__ import main
from napari_confseg.dataset.build import build
from napari_confseg.dataset.leakage import fingerprint, near_pairs
from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
from napari_confseg.dataset.preview import Surveyor
from napari_confseg.store import Cohort
from tests.agreement.opinions import read_clip
from tests.conftest import add_clip, clip_meta

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = BuildRequest(name="toy", parts={"train": 0.5, "test": 0.5})


@pytest.fixture
def study(tmp_path: Path) -> Cohort:
    """Three patients, two raters; c2 shows the very frames of c0, one grey value brighter."""
    cohort = Cohort.create(LocalStore(tmp_path / "study.zarr"), name="study")
    for i in range(2):
        add_clip(cohort, f"c{i}", patient=f"p{i}", n_frames=4)
    with cohort.new_clip("c2", shape=(48, 64)) as new:
        for frame in cohort.clip("c0").frames[:]:
            new.append(np.clip(frame.astype(int) + 1, 0, 255).astype(np.uint8))
        new.finish(clip_meta(4, patient="p2"))
    for i in range(3):
        read_clip(cohort, f"c{i}", {"anna": (1.0, 0.0), "bert": (0.7, 1.0)}, seed=i)
    return cohort


@pytest.mark.parametrize("policy", ["reviewed", "every:2", "disagreement:2"])
def test_it_says_what_the_build_then_does(study: Cohort, tmp_path: Path, policy: str) -> None:
    request = REQUEST.model_copy(update={"frames": FramePolicy.parse(policy), "folds": 3})
    seen = Surveyor(study).preview(request)
    made = build(study, request, tmp_path / "out").manifest
    assert seen is not None
    assert (seen.request, seen.split, seen.folds) == (made.request, made.split, made.folds)
    assert [(c.clip, c.patient, c.frames) for c in seen.clips] == [
        (c.clip, c.patient, c.frames) for c in made.clips
    ]
    assert seen.leakage == made.leakage
    assert seen.leakage.frames or made.split.of_clip["c0"] == made.split.of_clip["c2"]
    for a, b in zip(seen.clips, made.clips, strict=True):
        assert a.raters == {name: r.classes for name, r in b.raters.items()}
    assert (seen.patients, seen.problems) == (3, ())


def test_another_split_is_answered_without_counting_again(study: Cohort) -> None:
    surveyor, counted = Surveyor(study), []
    surveyor.preview(REQUEST, progress=lambda *a: counted.append(a))
    other = REQUEST.model_copy(update={"parts": {"train": 0.4, "val": 0.3, "test": 0.3}, "seed": 3})
    seen = surveyor.preview(other, progress=lambda *a: counted.append(a))
    assert len(counted) == 3
    assert seen is not None
    assert seen.split is not None
    assert seen.split.names == ("train", "val", "test")
    total = seen.count("pleura")
    by_part = [seen.count("pleura", part).marked for part in seen.split.names]
    assert sum(by_part) == total.marked == 3 * 2 * 2
    assert (
        surveyor.preview(
            REQUEST.model_copy(update={"classes": ("pleura",)}), cancelled=lambda: True
        )
        is None
    )


def test_what_is_wrong_is_told(study: Cohort) -> None:
    def problems(**changes: object) -> set[str]:
        seen = Surveyor(study).preview(REQUEST.model_copy(update=changes))
        assert seen is not None
        return {p.code for p in seen.problems}

    assert problems(parts={f"p{i}": 0.25 for i in range(4)}) == {"split"}
    assert problems(spacing=0.5) == {"spacing-unknown"}
    assert problems(raters=("nobody",)) == {"nothing-reviewed"}
    assert problems(clips=("gone",), classes=("liver",)) == {"missing", "class-unknown"}


def test_a_class_nobody_marked_is_counted_as_empty(study: Cohort) -> None:
    for name in ("anna", "bert"):
        rater = study.clip("c0").rater(name)
        status = rater.read_status()
        status[:, 4] = 2
        rater.write_status(status)
    seen = Surveyor(study).preview(REQUEST)
    assert seen is not None
    effusion = seen.count("effusion")
    assert (effusion.reviewed, effusion.marked) == (8, 0)


def test_one_patient_is_refused_before_packing_or_makes_one_part(
    study: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_one = [
        "build",
        str(tmp_path / "study.zarr"),
        "--out",
        str(tmp_path / "d"),
        "--clips",
        "c0",
    ]
    assert main(build_one) == 1
    assert "--split train=1" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
    assert main([*build_one, "--split", "train=1"]) == 0


def test_a_place_that_cannot_be_written_is_said(
    study: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert main(["build", str(tmp_path / "study.zarr"), "--out", str(tmp_path / "file")]) == 1
    said = capsys.readouterr().err
    assert "[disk]" in said
    assert "Free some space or choose another place" in said


def test_black_frames_are_no_leak_and_pairs_are_bounded() -> None:
    black = fingerprint(np.zeros((48, 64), np.uint8))
    assert black == fingerprint(np.full((48, 64), 90, np.uint8)) == 0
    hashes = np.array([0, 0, 5, 5, 5, 5], np.uint64)
    groups = ["a", "b", "a", "b", "a", "b"]
    pairs = near_pairs(hashes, groups)
    assert pairs == [(2, 3, 0), (2, 5, 0), (3, 4, 0), (4, 5, 0)]
    assert near_pairs(hashes, groups, cells=1) == pairs
    assert near_pairs(hashes, groups, most=2) == pairs[:2]
