"""From two raters to an export, by the commands a person types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from zarr.storage import LocalStore

from napari_confseg.__main__ import main
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


def test_the_whole_way(study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: object) -> Any:
        assert main([str(a) for a in arguments] + ["--json"]) == 0
        return json.loads(capsys.readouterr().out)

    page, data, out = tmp_path / "agreement.html", tmp_path / "lung-ds", tmp_path / "coco"
    agreed = call(
        "agree",
        study,
        "--classes",
        "pleura",
        "--at",
        50,
        "--report",
        page,
        "--per-clip",
        tmp_path / "clips.csv",
    )
    assert agreed["pairs"][0]["dice"]["n"] == 3
    assert page.stat().st_size > 10_000
    rows = (tmp_path / "clips.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 3 * 5  # three clips, one pair, one class: five scores
    made = call("consensus", study, "--classes", "pleura", "a-line", "--method", "mean")
    assert made["clips"] == ["c0", "c1", "c2"]
    build = (
        "build",
        study,
        "--out",
        data,
        "--raters",
        "mean",
        "--classes",
        "pleura",
        "a-line",
        "--split",
        "train=0.6",
        "test=0.4",
    )
    first = call(*build)
    assert (first["version"], first["new"], first["frames"]) == (1, True, 6)
    assert call(*build)["new"] is False
    checked = call("build", study, "--out", data, "--check")
    assert checked["changes"] == checked["problems"] == []
    exported = call("export", data, "--format", "coco", "--out", out)
    assert exported["threshold"] is None
    assert (out / "train.json").is_file()
    call(
        "consensus",
        study,
        "--classes",
        "pleura",
        "a-line",
        "--method",
        "majority",
        "--name",
        "mean",
        "--at",
        30,
    )
    assert main(["build", study, "--out", str(data), "--check"]) == 1
    assert "marks of mean changed" in capsys.readouterr().out
    assert call(*build)["version"] == 2
    changes = call("diff", data / "v1", data / "v2")
    assert {m["rater"] for m in changes["marks"]} == {"mean"}


def test_refusals(study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", study, "--raters", "anna"]) == 1
    assert main(["build", study, "--out", str(tmp_path / "d"), "--frames", "some"]) == 1
    assert main(["export", str(tmp_path), "--format", "png", "--out", str(tmp_path / "o")]) == 1
    said = capsys.readouterr().err
    for code in ("too-few-raters", "every:N", "not-a-dataset"):
        assert code in said
