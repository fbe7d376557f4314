"""What the commands of datasets refuse; tests/journey walks them through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from zarr.storage import LocalStore

from napari_confseg.__main__ import main
from napari_confseg.agreement.methods import METHODS
from napari_confseg.formats import READ, WRITTEN
from napari_confseg.store import Cohort
from tests.agreement.opinions import read_clip
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def study(tmp_path: Path) -> str:
    """Three patients, two raters."""
    cohort = Cohort.create(LocalStore(tmp_path / "study.zarr"), name="study")
    for i in range(3):
        add_clip(cohort, f"c{i}", patient=f"p{i}", n_frames=3)
        read_clip(cohort, f"c{i}", {"anna": (1.0, 0.0), "bert": (0.7, 1.0)}, seed=i)
    return str(tmp_path / "study.zarr")


def test_refusals(study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", study, "--raters", "anna"]) == 1
    assert main(["build", study, "--out", str(tmp_path / "d"), "--frames", "some"]) == 1
    assert main(["export", str(tmp_path), "--format", "png", "--out", str(tmp_path / "o")]) == 1
    said = capsys.readouterr().err
    for code in ("too-few-raters", "every:N", "not-a-dataset"):
        assert code in said


def test_choices_are_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    for command, choices in (
        ("consensus", METHODS),
        ("export", WRITTEN),
        ("import-labels", READ),
    ):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines())) <= 80
        listed = re.sub(r"[{},]|\s", " ", said)
        assert " ".join(choices) in " ".join(listed.split())
