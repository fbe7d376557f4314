"""Pictures that several people outlined: both layouts, several sets, and what can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_confseg.__main__ import main
from napari_confseg.formats.rater_pictures import (
    RaterPicturesRequest,
    find_pictures,
    import_rater_pictures,
)
from napari_confseg.store import ClassSpec, Cohort, Status, StoreError
from napari_confseg.store.validate import validate

NAMES = ["Person1_A", "Person1_B", "Person2_A"]
CELL = RaterPicturesRequest(class_name="cell")


@pytest.fixture(autouse=True)
def _state(state_dir):
    pass


def outlines(seed: int, shape: tuple[int, int] = (20, 24)) -> np.ndarray:
    """Three people's masks, bool (3, Y, X)."""
    return np.random.default_rng(seed).random((3, *shape)) < (0.2, 0.5, 0.8)[seed % 3]


def write_set(folder: Path, pictures: dict[str, int]) -> None:
    """Write pictures with bit planes, each from its seed."""
    folder.mkdir(parents=True)
    (folder / "raters.json").write_text(json.dumps(NAMES))
    for name, seed in pictures.items():
        frame = np.random.default_rng(99 - seed).integers(0, 256, (20, 24), np.uint8)
        Image.fromarray(frame).save(folder / f"{name}.png")
        bits = sum(m.astype(np.uint16) << k for k, m in enumerate(outlines(seed)))
        Image.fromarray(bits).save(folder / f"{name}_raters.png")


def write_masks(folder: Path, pictures: dict[str, int]) -> None:
    """Write the same as a mask folder for each rater."""
    write_set(folder / "work", pictures)
    for name, seed in pictures.items():
        (folder / "images").mkdir(exist_ok=True)
        (folder / "work" / f"{name}.png").rename(folder / "images" / f"{name}.png")
        for rater, mask in zip(NAMES, outlines(seed), strict=True):
            (folder / rater).mkdir(exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / rater / f"{name}.png")
    for path in (folder / "work").iterdir():
        path.unlink()
    (folder / "work").rmdir()


@pytest.fixture
def cohort(tmp_path):
    spec = ClassSpec(index=0, name="cell", label="Cell", color="#56b4e9")
    return Cohort.create(tmp_path / "cells.zarr", name="cells", classes=(spec,))


@pytest.mark.parametrize("write", [write_set, write_masks])
def test_each_outline_is_a_rater_of_a_clip_of_one_frame(write, cohort, tmp_path):
    write(tmp_path / "set", {"b1": 0, "b2": 1})
    report = import_rater_pictures(cohort, tmp_path / "set", CELL)
    assert (report.clips, report.problems) == (["b1", "b2"], [])
    assert report.raters == {"person1-a": 2, "person1-b": 2, "person2-a": 2}
    for seed, name in enumerate(report.clips):
        clip = cohort.clip(name)
        assert (clip.meta.patient, clip.meta.tags, clip.shape) == (name, (), (1, 20, 24))
        frame = np.random.default_rng(99 - seed).integers(0, 256, (20, 24), np.uint8)
        assert (clip.frames[0] == frame).all()
        for rater, mask in zip(map(clip.rater, clip.raters()), outlines(seed), strict=True):
            assert (rater.read_plane(0, 0) == mask * 100).all()
            assert rater.read_status().tolist() == [[Status.REVIEWED]]
            assert rater.meta.kind == "human"
            assert not rater.meta.learnt  # what came from a file is learnt from only by name
    assert validate(cohort.store) == []


def test_the_command_makes_the_cohort_of_several_sets(tmp_path, capsys):
    write_set(tmp_path / "sets" / "one", {"b1": 0})
    write_set(tmp_path / "sets" / "two", {"m1": 1})
    argv = ["import-raters", str(tmp_path / "sets"), "--cohort", str(tmp_path / "new.zarr")]
    argv += ["--create", "--class-name", "cell", "--json"]
    assert main([*argv, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["sets"] == {"one": 1, "two": 1}
    assert not (tmp_path / "new.zarr").exists()
    assert main(argv) == 0
    made = Cohort.open(tmp_path / "new.zarr")
    assert [made.clip(n).meta.tags for n in made.clips()] == [("one",), ("two",)]
    assert [c.name for c in made.meta.classes] == ["cell"]


def test_a_stopped_import_goes_on_and_a_whole_one_is_refused(cohort, tmp_path):
    write_set(tmp_path / "set", {"b1": 0, "b2": 1})
    pictures = find_pictures(tmp_path / "set")

    def stop(done: int, *_: object) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_rater_pictures(cohort, tmp_path / "set", CELL, progress=stop)
    status = cohort.clip("b1").rater("person2-a").read_status()
    status[:] = Status.UNTOUCHED  # as if it had been stopped within the clip
    cohort.clip("b1").rater("person2-a").write_status(status)
    report = import_rater_pictures(cohort, tmp_path / "set", CELL)
    assert (report.clips, report.problems) == ([p.name for p in pictures], [])
    again = import_rater_pictures(cohort, tmp_path / "set", CELL)
    assert [p.message for p in again.problems] == [
        "The cohort has it already, as b1",
        "The cohort has it already, as b2",
    ]


def test_what_is_wrong_with_a_picture_is_named_and_the_others_come(cohort, tmp_path):
    folder = tmp_path / "set"
    write_set(folder, dict.fromkeys(("bits", "damaged", "lost", "right", "size"), 1))
    bits = np.array(Image.open(folder / "bits_raters.png"))
    Image.fromarray(bits | np.uint16(8)).save(folder / "bits_raters.png")
    (folder / "damaged_raters.png").write_bytes(b"\x89PNG\r\n")
    (folder / "lost_raters.png").unlink()
    Image.fromarray(bits[:9]).save(folder / "size_raters.png")
    report = import_rater_pictures(cohort, folder, CELL)
    assert report.clips == cohort.clips() == ["right"]
    assert {Path(p.path).name.split("_")[0]: p.code for p in report.problems} == {
        "bits": "bits",
        "damaged": "malformed",
        "lost": "missing",
        "size": "size",
    }


def test_masks_of_more_than_two_values_or_without_picture_are_refused(cohort, tmp_path):
    write_masks(tmp_path / "set", {"b1": 0})
    grey = np.arange(20 * 24, dtype=np.uint8).reshape(20, 24)
    Image.fromarray(grey).save(tmp_path / "set" / NAMES[0] / "b1.png")
    report = import_rater_pictures(cohort, tmp_path / "set", CELL)
    assert [p.code for p in report.problems] == ["mask"]
    assert cohort.clips() == []
    Image.fromarray(grey).save(tmp_path / "set" / NAMES[0] / "b9.png")
    with pytest.raises(StoreError, match="There is no picture of this name"):
        import_rater_pictures(cohort, tmp_path / "set", CELL)


def test_names_that_clash_and_folders_without_a_layout_are_refused(cohort, tmp_path):
    write_set(tmp_path / "sets" / "one", {"b1": 0})
    write_set(tmp_path / "sets" / "two", {"b1": 1})
    with pytest.raises(StoreError, match="would be clip b1 as well"):
        find_pictures(tmp_path / "sets")
    (tmp_path / "sets" / "two" / "raters.json").write_text('["a b", "a-b"]')
    with pytest.raises(StoreError, match="can't name a rater"):
        find_pictures(tmp_path / "sets" / "two")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"expected raters\.json beside pictures"):
        find_pictures(tmp_path / "empty")
    with pytest.raises(StoreError, match="no class 'nucleus'"):
        import_rater_pictures(
            cohort, tmp_path / "sets" / "one", RaterPicturesRequest(class_name="nucleus")
        )
