"""The model that is shipped: it is there, marks by its name, and marks what it should."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.job import CHECKPOINT
from napari_confseg.store import DEFAULT_CLASSES, Cohort, Status
from tests.conftest import clip_meta
from tests.trainer.conftest import B_LINE, PLEURA
from trainer.__main__ import main
from trainer.predict import Predictor
from trainer.shipped import STARTER, VERSION, run_folder
from trainer.starter.phantoms import CLASSES, PhantomSet

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_a_few_megabytes_with_a_card_and_knows_the_default_classes():
    folder = run_folder(STARTER)
    assert folder.name == f"{STARTER}-{VERSION}"
    assert 2**19 < (folder / CHECKPOINT).stat().st_size < 2**22
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "not a medical device" in card
    config = Predictor.load(STARTER, "cpu").config
    assert config.classes == CLASSES == tuple(c.name for c in DEFAULT_CLASSES)
    assert config.origin.kind == "phantoms"


def test_it_predicts_by_name_those_classes_that_the_cohort_has(tmp_path: Path, state_dir: Path):
    spleen = DEFAULT_CLASSES[0].model_copy(update={"name": "spleen", "label": "Spleen"})
    two = (spleen, DEFAULT_CLASSES[B_LINE].model_copy(update={"index": 1}))
    cohort = Cohort.create(tmp_path / "c.zarr", name="c", classes=two)
    with cohort.new_clip("clip-1", shape=(64, 64)) as new:
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 255, (2, 64, 64), dtype=np.uint8)
        for frame in frames:
            new.append(frame)
        new.finish(clip_meta(2))
    assert main(["predict", STARTER, cohort.location, "--device", "cpu", "--json"]) == 0
    rater = Cohort.open(cohort.location).clip("clip-1").rater(STARTER)
    assert (rater.meta.kind, rater.meta.run) == ("model", f"{STARTER}-{VERSION}")
    assert rater.read_status().tolist() == [[Status.UNTOUCHED, Status.REVIEWED]] * 2
    expected = Predictor.load(STARTER, "cpu").percent(frames)[:, B_LINE]
    assert np.array_equal(rater.read_planes(1), expected)
    (job,) = (state_dir / STARTER / "predictions").iterdir()
    assert json.loads((job / "job.json").read_text())["run"] == STARTER


def test_a_cohort_of_other_classes_is_refused(tmp_path: Path, state_dir: Path, capsys):
    spleen = DEFAULT_CLASSES[0].model_copy(update={"name": "spleen", "label": "Spleen"})
    cohort = Cohort.create(tmp_path / "c.zarr", name="c", classes=(spleen,))
    assert main(["predict", STARTER, cohort.location, "--device", "cpu"]) == 1
    assert "The starter model knows pleura" in capsys.readouterr().err
    assert not list((state_dir / STARTER / "predictions").iterdir())


def test_a_cohort_without_clips_is_told(tmp_path: Path, state_dir: Path, capsys):
    cohort = Cohort.create(tmp_path / "c.zarr", name="c", classes=DEFAULT_CLASSES)
    for command in (["predict", STARTER, cohort.location], ["rank", cohort.location]):
        assert main([*command, "--device", "cpu"]) == 1
        assert "There are no clips in cohort c" in capsys.readouterr().err
    assert not list((state_dir / STARTER / "predictions").iterdir())


def test_it_marks_phantoms_under_settings_that_it_never_saw(tmp_path: Path):
    predictor = Predictor.load(STARTER, "cpu")
    held = PhantomSet(0, 14, predictor.config.canvas, "held-out")
    assert held.make(tmp_path, lambda *_: None, lambda: False)
    frames, planes = held.load(tmp_path)
    percent = predictor.percent(frames)
    for c in (PLEURA, B_LINE):
        shown = planes[:, c]
        sure, absent = (shown >= 80) & (shown <= 100), shown == 0
        assert percent[:, c][sure].mean() > 35
        assert percent[:, c][absent].mean() < 5
