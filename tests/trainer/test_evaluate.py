"""Scores against independent implementations."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance
from skimage.draw import polygon2mask
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, f1_score, jaccard_score

from napari_confseg.agreement.overlap import joint_histogram
from napari_confseg.store import EXCLUDED, Cohort, Sector, Spacing, Status
from tests.trainer.conftest import B_LINE, PLEURA, add_toy_clip, run_folder
from trainer.errors import TrainError
from trainer.evaluate import BINS, evaluate, probability_scores
from trainer.predict import Predictor
from trainer.run_job import execute

if TYPE_CHECKING:
    from pathlib import Path


LEFT = ((0, 0), (0, 20), (31, 20), (31, 0))
"""Corners of a sector that leaves out some of what is marked."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    made = Cohort.create(tmp_path_factory.mktemp("toy") / "toy.zarr", name="toy")
    for i in range(4):
        spacing = Spacing(y=0.5, x=0.25, source="manual") if i % 2 else None
        sector = Sector(kind="linear", polygon=LEFT) if i == 3 else None
        add_toy_clip(made, f"clip-{i}", f"p{i}", spacing=spacing, sector=sector)
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory, cohort) -> Path:
    path = tmp_path_factory.mktemp("runs") / "fitted"
    two_outputs = {"name": "soft", "levels": "overlap"}
    assert execute(run_folder(path, cohort, steps=30, method=two_outputs)) is not None
    return path


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's own call
def test_each_score_equals_its_oracle(cohort, model):
    thresholds = (50, 60)
    names = cohort.clips()
    evaluation = evaluate(model, cohort, thresholds=thresholds, clips=names, device="cpu")
    assert len(evaluation.cases) == 4 * 2 * 2
    predictor = replace(Predictor.load(model, "cpu"), both=True)
    for case in evaluation.cases:
        clip = cohort.clip(case.clip)
        c = predictor.config.classes.index(case.class_name)
        index = (PLEURA, B_LINE)[c]
        contour, percent = (p[:, c] for p in predictor.percents(np.asarray(clip.frames[:])))
        assert not np.array_equal(contour, percent)
        if clip.meta.sector:  # nothing counts that prediction would not write
            inside = polygon2mask(clip.shape[1:], LEFT)
            assert contour[:, ~inside].any()
            contour, percent = contour * inside, percent * inside
        rater = clip.rater("reader-a").read_planes(index) >= case.threshold
        found = contour >= 50
        flat = rater.ravel(), found.ravel()
        assert case.frames == 5
        assert case.dice == pytest.approx(f1_score(*flat))
        assert case.iou == pytest.approx(jaccard_score(*flat))
        assert case.brier == pytest.approx(brier_score_loss(rater.ravel(), percent.ravel() / 100))
        spacing = [clip.meta.spacing.y, clip.meta.spacing.x] if clip.meta.spacing else None
        both = [t for t in range(5) if rater[t].any() and found[t].any()]
        distances = [
            compute_hausdorff_distance(
                torch.from_numpy(found[t])[None, None],
                torch.from_numpy(rater[t])[None, None],
                include_background=True,
                percentile=95,
                spacing=spacing,
            ).item()
            for t in both
        ]
        mine, other = (case.hd95_mm, case.hd95_px) if spacing else (case.hd95_px, case.hd95_mm)
        assert math.isnan(other)
        assert mine == pytest.approx(np.mean(distances), rel=1e-4, nan_ok=True)  # in float32


def test_calibration_error_equals_scikit_learn():
    rng = np.random.default_rng(0)
    percent = rng.integers(0, 101, 5000).astype(np.uint8)
    plane = (100 * (rng.random(5000) < (percent / 100) ** 2)).astype(np.uint8)
    # scikit-learn's bins are open on the left, ours on the right: keep off the borders.
    inside = percent % 10 != 0
    percent, plane = percent[inside], plane[inside]
    share, mean = calibration_curve(plane > 0, percent / 100, n_bins=BINS)
    sizes = np.histogram(percent / 100, BINS, (0, 1))[0]
    expected = (np.abs(share - mean) * sizes).sum() / sizes.sum()
    _, error = probability_scores(joint_histogram(percent, plane), 50)
    assert error == pytest.approx(expected)


def test_what_is_undefined_is_nan_and_not_counted(tmp_path, model):
    cohort = Cohort.create(tmp_path / "other.zarr", name="other")
    add_toy_clip(cohort, "full", "p1")
    add_toy_clip(cohort, "empty", "p2", spacing=Spacing(y=1, x=1, source="manual"))
    rater = cohort.clip("empty").rater("reader-a")
    for t in range(5):
        rater.write_plane(t, B_LINE, np.zeros((32, 48), np.uint8))
        rater.write_plane(t, PLEURA, np.full((32, 48), EXCLUDED, np.uint8))
    evaluation = evaluate(model, cohort, device="cpu")
    cases = {(c.clip, c.class_name): c for c in evaluation.cases}
    excluded = cases["empty", "pleura"]
    assert all(math.isnan(getattr(excluded, s)) for s in evaluation.columns)
    assert math.isnan(cases["empty", "b-line"].hd95_mm)
    mean = next(m for m in evaluation.means if m.class_name == "pleura")
    assert mean.defined["dice"] == mean.defined["brier"] == 1
    assert mean.values["dice"] == cases["full", "pleura"].dice
    assert mean.defined["hd95_mm"] == 0
    assert math.isnan(mean.values["hd95_mm"])
    evaluation.write_csv(tmp_path / "cases.csv")
    with (tmp_path / "cases.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 4
    row = next(r for r in rows if (r["clip"], r["class_name"]) == ("empty", "pleura"))
    assert row["dice"] == ""
    assert json.loads(evaluation.model_dump_json())["cases"][0]["hd95_px"] is None
    assert evaluation.note == "Another cohort than the model learnt from."


def test_by_default_the_held_out_patients_are_scored(cohort, model):
    split = Predictor.load(model, "cpu").config.split
    evaluation = evaluate(model, cohort, device="cpu")
    assert {c.clip for c in evaluation.cases} == set(split.validation)
    assert {c.patient for c in evaluation.cases} == set(split.validation_patients)
    assert evaluation.note.startswith(f"Held-out patients: {', '.join(split.validation_patients)}")


def test_only_what_a_rater_reviewed_is_scored_and_any_rater_will_do(cohort, model):
    clip = cohort.clip("clip-2")
    truth = clip.create_rater("truth", kind="truth")
    status = np.zeros((5, 6), np.uint8)
    status[[1, 4], B_LINE] = Status.REVIEWED
    truth.write_status(status)
    for t in range(5):
        truth.write_plane(t, B_LINE, clip.rater("reader-a").read_plane(t, B_LINE))
    evaluation = evaluate(model, cohort, against=("truth",), clips=("clip-2",), device="cpu")
    (case,) = evaluation.cases
    assert (case.against, case.class_name, case.frames) == ("truth", "b-line", 2)
    assert (evaluation.part, evaluation.data) == ("chosen clips", "cohort toy")
    assert evaluation.note == "The model has learnt from 1 of these 1 clips."


def test_a_threshold_that_is_none_is_refused(cohort, model):
    with pytest.raises(TrainError, match=r"Thresholds \[0\] can't be used"):
        evaluate(model, cohort, thresholds=(0,))
