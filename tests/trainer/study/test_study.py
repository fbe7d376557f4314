"""The whole command on a toy; killed and resumed it ends with the same page."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from distributed import LocalCluster

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.job import RunFolder
from napari_confseg.methods import Method
from napari_confseg.store import Cohort, Status
from tests.trainer.conftest import B_LINE, PLEURA, add_toy_clip
from trainer.__main__ import main
from trainer.checkpoint import load_config
from trainer.study.measure import Measured, read_share
from trainer.study.request import StudyRequest, open_study, plan_fits

if TYPE_CHECKING:
    from pathlib import Path

FITS = 2 * 2


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    """Four patients; the truth is known, and the reader marks it as it is."""
    made = Cohort.create(tmp_path_factory.mktemp("toy") / "toy.zarr", name="toy")
    for i in range(4):
        add_toy_clip(made, f"clip-{i}", f"p{i}")
        clip = made.clip(f"clip-{i}")
        reader = clip.rater("reader-a")
        for name in ("truth", "latent"):
            knows = clip.create_rater(name, kind="truth")
            for c in (PLEURA, B_LINE):
                for t in range(5):
                    plane = reader.read_plane(t, c)
                    hard = np.where(plane >= 50, 100, 0).astype(np.uint8)
                    knows.write_plane(t, c, plane if name == "latent" else hard)
            status = np.full((5, len(made.meta.classes)), Status.REVIEWED, np.uint8)
            knows.write_status(status)
    return made


def command(cohort: Cohort, out: Path, *more: str) -> list[str]:
    return [
        "study",
        cohort.location,
        "--out",
        str(out),
        "--methods",
        "threshold:t=60",
        "soft",
        "--classes",
        "pleura",
        "b-line",
        "--folds",
        "2",
        "--steps",
        "12",
        "--jobs",
        "1",
        "--json",
        *more,
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cohort) -> Path:
    out = tmp_path_factory.mktemp("studies") / "whole"
    assert main(command(cohort, out)) == 0
    return out


def pages(folder: Path) -> tuple[bytes, ...]:
    return tuple((folder / name).read_bytes() for name in ("report.html", "numbers.csv"))


def test_killed_and_resumed_it_ends_with_the_same_page(tmp_path, cohort, finished):
    out = tmp_path / "killed"
    arguments = [*command(cohort, out)[:-3], "--jobs", "2", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments], stdout=subprocess.DEVNULL
    )
    runs = out / "runs"
    while not list(runs.glob("*/metrics.csv")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(RunFolder(run).alive() for run in runs.iterdir()):  # workers end with their parent
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(list(runs.glob("*/scores.csv"))) < FITS
    assert not (out / "report.html").exists()
    assert main(command(cohort, out)) == 0
    assert pages(out) == pages(finished)


def test_every_number_names_its_runs(finished, cohort):
    with (finished / "numbers.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert {r["method"] for r in rows} == {"threshold-60", "soft"}
    for row in rows:
        runs = row["runs"].split()
        assert len(runs) == 2
        assert all((finished / "runs" / run / "scores.csv").exists() for run in runs)
    fits = plan_fits(open_study(finished))
    held = [p for f in fits if f.method.name == "soft" for p in f.held_out]
    assert sorted(held) == ["p0", "p1", "p2", "p3"]
    for fit in fits:
        folder = finished / "runs" / fit.name
        assert not (folder / "state.pt").exists()
        measured = Measured.load(folder / "tables.npz")
        assert set(measured.patients) == set(fit.held_out)
        assert measured.tables.sum() == 2 * 2 * 3 * 5 * 32 * 48  # clips, classes, raters, pixels


def test_the_page_tells_of_the_truth_and_its_figures(finished):
    page = (finished / "report.html").read_text()
    # The toy's raters hold the truth, but nothing in it says that it is synthetic.
    assert "The cohort is <b>synthetic</b>" not in page
    assert "what is known by construction: the raters latent and truth" in page
    assert "nothing is called better or worse" in page
    assert page.count("<svg") >= 4
    assert "threshold-60-*" in page


def test_a_study_on_a_dataset_uses_its_folds_and_finds_the_same(tmp_path, cohort, finished, capsys):
    """Dealt from the same marks by the same seed, they are the folds of the study on the cohort."""
    asked = BuildRequest(
        name="toy",
        raters=("reader-a", "latent", "truth"),
        folds=2,
        classes=("pleura", "b-line"),
        parts={"train": 1.0},
    )
    dataset = build(Cohort.open(cohort.location, read_only=True), asked, tmp_path / "ds")
    out = tmp_path / "study"
    on_cohort = command(cohort, out)
    at = on_cohort.index("--folds")
    on_dataset = ["study", str(tmp_path / "ds"), *on_cohort[2:at], *on_cohort[at + 2 :]]
    assert main(on_dataset) == 0
    assert (out / "numbers.csv").read_bytes() == (finished / "numbers.csv").read_bytes()
    folds = dataset.manifest.folds
    assert folds is not None
    for fit in plan_fits(open_study(out)):
        config = load_config(out / "runs" / fit.name)
        assert config.origin.fold == fit.fold
        assert config.origin.sha256 == dataset.manifest.content_sha256
        held = [c for c, name in folds.of_clip.items() if name == f"fold-{fit.fold}"]
        assert sorted(config.split.test) == sorted(held)
        assert config.raters == ("reader-a",)
    capsys.readouterr()
    out = tmp_path / "refused"
    assert main([*on_dataset, "--out", str(out), "--folds", "3"]) == 1
    assert not out.exists()
    assert "Dataset toy/v1 has 2 folds, not 3" in capsys.readouterr().err


def test_a_study_is_evaluated_on_its_own_hold_outs(finished, cohort, toy, capsys):
    argv = ["evaluate", str(finished), cohort.location, "--method", "soft", "--json"]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["part"] == "hold-outs of 2 folds"
    with_b_line = [c for c in found["cases"] if c["class_name"] == "b-line"]
    assert sorted(c["clip"] for c in with_b_line) == [f"clip-{i}" for i in range(4)]
    fit = next(f for f in plan_fits(open_study(finished)) if f.method.name == "soft")
    alone = ["evaluate", str(finished / "runs" / fit.name), cohort.location, "--json"]
    assert main(alone) == 0
    for case in json.loads(capsys.readouterr().out)["cases"]:
        assert case["patient"] in fit.held_out
        assert case in found["cases"]
    assert main(argv[:3]) == 1
    assert "The study has several methods" in capsys.readouterr().err
    assert main(["evaluate", str(finished), toy.location, "--method", "soft"]) == 1
    assert "nobody of cohort toy was held out" in capsys.readouterr().err


def test_against_compares_with_the_raters_named_and_says_so(tmp_path, cohort, finished):
    """The latent probability by name is the latent probability by kind; a mean is a mean."""
    out = tmp_path / "against"
    asked = ["--groups", "one=reader-a", "two=reader-a", "--methods", "soft"]
    asked += ["--against", "one=latent", "two=truth,latent,reader-a"]
    assert main([*command(cohort, out), *asked]) == 0
    page = (out / "report.html").read_text()
    assert "<b>one</b> with latent; <b>two</b> with truth, latent" in page
    assert "Nobody knows the truth" not in page

    def score(folder: Path, group: str) -> set[str]:
        with (folder / "numbers.csv").open() as f:
            rows = list(csv.DictReader(f))
        names = {"group": group, "method": "soft", "score": "squared_error", "class": "mean"}
        return {r["value"] for r in rows if names.items() <= r.items()}

    assert score(out, "one") == score(finished, "everybody")
    fit = next(f for f in plan_fits(open_study(out)) if f.group == "two")
    measured = Measured.load(out / "runs" / fit.name / "tables.npz")
    stated = measured.reference("latent", fit.raters).sum((0, 1, 2))
    # The disc: 90 and 100 of the core, 50 and 100 of the rim; the bar: twice 100.
    assert set(np.flatnonzero(stated).tolist()) == {0, 75, 95, 100}


def test_a_mean_of_raters_counts_those_who_reviewed_and_leaves_out_what_one_excludes(tmp_path):
    made = Cohort.create(tmp_path / "toy.zarr", name="toy")
    add_toy_clip(made, "clip-0", "p0", n_frames=3)
    clip = made.clip("clip-0")
    other = clip.create_rater("other", kind="human")
    rng = np.random.default_rng(0)
    planes = rng.choice(np.array([0, 30, 61, 255], np.uint8), (3, 32, 48))
    for t in range(3):
        other.write_plane(t, B_LINE, planes[t])
    status = np.zeros((3, len(made.meta.classes)), np.uint8)
    status[1:, B_LINE] = Status.REVIEWED
    other.write_status(status)
    mean, reviewed = read_share(made.location, "clip-0", ("reader-a", "other"), (PLEURA, B_LINE))
    first = np.stack([clip.rater("reader-a").read_planes(c) for c in (PLEURA, B_LINE)], 1)
    assert reviewed.all()
    assert np.array_equal(mean[0], first[0])  # the other has not reviewed it
    assert np.array_equal(mean[:, 0], first[:, 0])
    expected = np.rint(np.nanmean([first[1:, 1], np.where(planes == 255, np.nan, planes)[1:]], 0))
    assert np.array_equal(mean[1:, 1], np.where(planes[1:] == 255, 255, expected))


def test_domains_are_held_out_by_the_tags_of_clips(tmp_path, capsys):
    made = Cohort.create(tmp_path / "toy.zarr", name="toy")
    for i, tag in enumerate(("here", "here", "there", "there", "away")):
        add_toy_clip(made, f"clip-{i}", f"p{i}", n_frames=1, tags=(tag,))
    study = StudyRequest(
        source=made.location,
        classes=("b-line",),
        groups={"one": ("reader-a",)},
        methods=(Method(name="soft"),),
        domains=("here", "away"),
        folds=2,
    )
    assert [f.held_out for f in plan_fits(study)] == [("p0", "p1"), ("p4",)]
    argv = ["study", made.location, "--out", str(tmp_path / "x"), "--domains", "nowhere"]
    assert main(argv) == 1
    assert "Its tags are away, here, there" in capsys.readouterr().err


def test_against_is_refused_where_nobody_is_left_to_compare_with(tmp_path, cohort, capsys):
    for asked, error in (
        (["reader-a"], "Nobody is left to compare rater group everybody with"),
        (["nobody"], "No clip of toy has a rater called nobody"),
        (["who=latent"], "'who', which is no rater group"),
    ):
        argv = [*command(cohort, tmp_path / "x"), "--groups", "everybody=reader-a"]
        assert main([*argv, "--against", *asked]) == 1
        assert error in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_study_may_grow_but_not_change(tmp_path, cohort, finished, capsys):
    more = [*command(cohort, finished), "--steps", "13"]
    assert main(more) == 1
    assert "holds another study: it differs in steps" in capsys.readouterr().err
    assert main([*command(cohort, tmp_path / "x"), "--folds", "4"]) == 1
    assert "4 patients can't be dealt into 4 folds" in capsys.readouterr().err
    assert main([*command(cohort, tmp_path / "y"), "--methods", "soft", "soft"]) == 2
    assert "confseg-train: methods given twice: soft" in capsys.readouterr().err
    assert main([*command(cohort, tmp_path / "z"), "--thresholds", "90:10:10"]) == 1
    assert "Write e.g. 10:90:10" in capsys.readouterr().err


def test_a_failed_fit_does_not_stop_the_others(tmp_path, cohort, finished, capsys):
    out = tmp_path / "failing"
    (out / "runs").mkdir(parents=True)
    fits = plan_fits(open_study(finished))
    (out / "runs" / fits[0].name).mkdir()
    (out / "runs" / fits[0].name / "job.json").write_text("{}")
    assert main(command(cohort, out)) == 1
    told = capsys.readouterr()
    assert "1 of 4 fits failed" in told.err
    assert json.loads(told.out.splitlines()[-1])["current"] == FITS
    assert len(list((out / "runs").glob("*/scores.csv"))) == FITS - 1


def test_a_dask_cluster_does_the_same(tmp_path, cohort, finished):
    out = tmp_path / "dask"
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        scheduler = cluster.scheduler_address
        assert main([*command(cohort, out), "--scheduler", scheduler]) == 0
    assert pages(out) == pages(finished)


def test_a_method_may_be_called_like_a_rater_of_the_cohort(tmp_path):
    """A study writes nothing into the cohort: its consensus `calibrated` may stay."""
    cohort = Cohort.create(tmp_path / "toy.zarr", name="toy")
    for i in range(4):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}")
        cohort.clip(f"clip-{i}").create_rater("calibrated", kind="consensus")
    before = cohort.kinds_of("calibrated")
    asked = ["--methods", "calibrated", "--folds", "2", "--steps", "2", "--jobs", "1", "--json"]
    assert main(["study", cohort.location, "--out", str(tmp_path / "out"), *asked]) == 0
    assert (tmp_path / "out" / "report.html").exists()
    assert Cohort.open(cohort.location).kinds_of("calibrated") == before
