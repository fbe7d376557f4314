"""The whole command on a toy ward."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.store import Cohort
from sample_data import clinical_path, make_cohort
from tests.trainer.clinical.test_table import GOOD, write
from tests.trainer.conftest import add_toy_clip
from trainer.__main__ import main
from trainer.checkpoint import load_config
from trainer.findings import rater_findings, read_findings


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """Four patients, a clip each: too few to predict anything."""
    folder = tmp_path_factory.mktemp("ward")
    cohort = Cohort.create(folder / "ward.zarr", name="ward")
    for i in range(4):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}", n_frames=2, zone="R1")
    rows = [GOOD[2] | {"patient": f"p{i}", "clips": f"clip-{i}"} for i in range(4)]
    write(folder / "ward.csv", rows)
    return folder


def test_findings_of_models_are_out_of_fold_and_every_number_says_where_from(ward, capsys):
    command = [
        "clinical",
        str(ward / "ward.zarr"),
        "--table",
        str(ward / "ward.csv"),
        "--out",
        str(ward / "out"),
        "--methods",
        "threshold:t=60",
        "--folds",
        "2",
        "--steps",
        "4",
        "--jobs",
        "1",
        "--json",
    ]
    assert main(command) == 0
    runs = sorted((ward / "out" / "models" / "runs").iterdir())
    assert len(runs) == 2
    read = [set(read_findings([run / "findings.csv"])) for run in runs]
    assert sorted(set.union(*read)) == [f"clip-{i}" for i in range(4)]
    for run, clips in zip(runs, read, strict=True):
        split = load_config(run).split
        assert not clips & {*split.train, *split.validation}
    page = (ward / "out" / "report.html").read_text()
    assert "too few" in page
    with (ward / "out" / "numbers.csv").open() as f:
        assert list(csv.DictReader(f)) == []
    made = (ward / "out" / "report.html").read_bytes()
    assert main(command) == 0
    assert (ward / "out" / "report.html").read_bytes() == made
    capsys.readouterr()
    assert main([*command, "--covariates", "sf_followup"]) == 1
    assert "'sf_followup' can't be a covariate" in capsys.readouterr().err


def test_a_dataset_gives_its_patients_and_folds(ward, tmp_path, capsys):
    """Three of the four patients were frozen, in two folds."""
    asked = BuildRequest(
        name="some",
        clips=("clip-0", "clip-1", "clip-3"),
        folds=2,
        classes=("pleura", "b-line"),
        parts={"train": 1.0},
    )
    cohort = Cohort.open(ward / "ward.zarr", read_only=True)
    dataset = build(cohort, asked, tmp_path / "ds")
    command = [
        "clinical",
        str(tmp_path / "ds"),
        "--table",
        str(ward / "ward.csv"),
        "--out",
        str(tmp_path / "out"),
        "--methods",
        "threshold:t=60",
        "--steps",
        "2",
        "--jobs",
        "1",
        "--json",
    ]
    assert main(command) == 0
    assert "Lines of the table left out, of clips that are not frozen: 1" in capsys.readouterr().err
    folds = dataset.manifest.folds
    assert folds is not None
    for k in range(2):
        (found,) = (tmp_path / "out" / "models" / "runs").glob(f"*fold{k}/findings.csv")
        held = {c for c, name in folds.of_clip.items() if name == f"fold-{k}"}
        assert set(read_findings([found])) == held
    of_cohort = rater_findings(cohort.clip("clip-1"), "reader-a", {"pleura": 0, "b-line": 2})
    raters = read_findings([tmp_path / "out" / "raters" / "reader-a-findings.csv"])
    assert raters["clip-1"] == pytest.approx(of_cohort, rel=1e-5, nan_ok=True)


def test_a_followed_ward_end_to_end_without_models(tmp_path, monkeypatch, capsys):
    """Sample data of two days; nothing is fitted, and there are no covariates to begin from."""
    monkeypatch.setattr("trainer.clinical.outcomes.REPEATS", 1)  # for time, as is one strength
    monkeypatch.setattr("trainer.clinical.outcomes.STRENGTHS", np.array([10.0]))
    place = tmp_path / "followed.zarr"
    make_cohort(
        place, patients=30, seed=3, days=2, clips_per_patient=1, frames=1, size=(64, 64), readers=()
    )
    out = tmp_path / "out"
    assert (
        main(
            [
                "clinical",
                str(place),
                "--table",
                str(clinical_path(place)),
                "--out",
                str(out),
                "--no-models",
                "--covariates",
                "--json",
            ]
        )
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert result["report"] == str(out / "report.html")
    assert not (out / "models").exists()
    with (out / "numbers.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r["outcome"] == "sf"]
    error = {r["findings"]: float(r["value"]) for r in rows}
    shown = [s for s in result["scores"] if s["outcome"] == "sf"]
    assert {s["score"] for s in result["scores"]} >= {"AUROC", "F1"}
    assert {s["findings"]: s["value"] for s in shown} == pytest.approx(error, rel=1e-4)
    assert list(error) == [
        "nothing",
        "truth",
        "latent",
        *(f"{n}, that day alone" for n in ("truth", "latent")),
        *(f"{n}, zone by zone" for n in ("truth", "latent")),
    ]
    assert error["truth"] < error["nothing"]
    page = (out / "report.html").read_text()
    assert "30 patients, 60 days" in page
    assert "Does the change between examinations add?" in page
    assert "Does it matter in which zone?" in page
    assert "Who says yes to everybody" in page
    assert "S/F change since the last" in page
