"""The README's commands, run as they stand there on the clips that are shipped."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from napari_confseg.__main__ import main as confseg
from napari_confseg.store import Cohort, Edit, Patch, RaterWriter, Status, StatusChange
from sample_data.__main__ import main as make_sample
from trainer.__main__ import main as confseg_train

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(heading: str = "From your clips to a model") -> list[list[str]]:
    """The lines of one section."""
    section = README.split(f"## {heading}")[1].split("\n## ")[0]
    (block,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.strip()]


def mark(cohort: Cohort, clip: str) -> None:
    """Mark a band on two frames and call them reviewed, as a reader would in napari."""
    with RaterWriter.open(cohort, clip, "ada") as writer:
        _, n_classes, height, width = writer.shape
        band = np.zeros((height // 6, width // 2), np.uint8)
        for frame in (0, 5):
            patch = Patch(0, frame, height // 5, width // 4, band, np.full_like(band, 80))
            status = tuple(
                StatusChange(frame, c, Status.UNTOUCHED, Status.REVIEWED) for c in range(n_classes)
            )
            writer.commit(Edit((patch,), 80, "brush", 0, frame, status))


@pytest.mark.timeout(600)
def test_from_clips_to_a_model(
    tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips").symlink_to(ROOT / "sample_data" / "clips")
    monkeypatch.chdir(tmp_path)
    ran = []
    for program, *arguments in commands():
        if program == "napari":
            cohort = Cohort.open("ward.zarr")
            for clip in cohort.clips():
                mark(cohort, clip)
            continue
        quick = ["--steps", "4"] if arguments[0] == "fit" else []
        run = {"confseg": confseg, "confseg-train": confseg_train}[program]
        assert run([*arguments, *quick]) == 0, arguments
        ran.append(arguments[0])
    assert ran == ["import", "status", "fit", "predict", "evaluate"]
    cohort = Cohort.open("ward.zarr")
    assert len(cohort.clips()) == 2
    for name in cohort.clips():
        clip = cohort.clip(name)
        assert clip.raters() == ["ada", "first"]
        assert (clip.rater("first").read_status() == Status.REVIEWED).all()
    assert (tmp_path / "runs" / "first" / "result.json").is_file()
    assert confseg(["validate", "ward.zarr"]) == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
def test_from_two_readers_to_a_dataset(
    tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = []
    for program, *arguments in commands("From two readers to a dataset"):
        if program == "python":
            assert arguments[:2] == ["-m", "sample_data"]
            small = ["--patients", "4", "--clips", "1", "--frames", "4", "--size", "96x128"]
            assert make_sample([*arguments[2:], *small]) == 0
            continue
        assert program == "confseg"
        assert confseg(arguments) == 0, arguments
        ran.append(arguments[0])
    assert ran == ["agree", "consensus", "build", "export", "export", "import-labels"]
    assert (tmp_path / "agreement.html").is_file()
    assert (tmp_path / "exports" / "nnunet" / "splits_final.json").is_file()
    cohort = Cohort.open("study.zarr")
    clip = cohort.clip(cohort.clips()[0])
    for index in range(len(cohort.meta.classes)):  # what a peer gets is what there was
        planes = [clip.rater(name).read_planes(index) for name in ("calibrated", "peer")]
        assert np.array_equal(*planes)


def test_every_page_it_names_is_there() -> None:
    targets = re.findall(r"\]\(((?!https?:)[^)#]+)\)", README)
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []
