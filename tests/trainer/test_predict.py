"""Predictions arrive in the store as a rater's planes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_confseg.dataset.resample import Resampler
from napari_confseg.job import (
    Cancelled,
    Failed,
    PredictRequest,
    Preview,
    Progress,
    RunFolder,
    Started,
)
from napari_confseg.store import (
    DEFAULT_CLASSES,
    Cohort,
    Identity,
    ProgramWriter,
    Sector,
    Status,
    validate,
)
from tests.conftest import clip_meta
from tests.trainer.conftest import B_LINE, PLEURA, add_toy_clip, run_folder
from trainer.checkpoint import load_config, save_config
from trainer.compute import autocast
from trainer.full_size import to_frame_size
from trainer.predict import Predictor
from trainer.run_job import execute

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory, shared_toy) -> Path:
    path = tmp_path_factory.mktemp("runs") / "fitted"
    assert execute(run_folder(path, shared_toy, steps=4)) is not None
    return path


def predict(path: Path, model: Path, cohort: Cohort, listen=lambda _: None, **changes):
    fields = {"run": str(model), "cohort": cohort.location, "rater": "model-a", "device": "cpu"}
    folder = RunFolder.create(path, PredictRequest(**(fields | changes)))
    return folder, execute(folder, listen)


def test_every_frame_of_every_clip_is_marked(tmp_path, toy, model):
    add_toy_clip(toy, "large", "p9", shape=(70, 50), n_frames=9)
    folder, result = predict(tmp_path / "job", model, toy)
    assert result is not None
    assert result.clips == tuple(toy.clips())
    fresh = Cohort.open(toy.location)
    predictor = Predictor.load(model, "cpu")
    for name in fresh.clips():
        clip = fresh.clip(name)
        rater = clip.rater("model-a")
        status = rater.read_status()
        assert (status[:, [PLEURA, B_LINE]] == Status.REVIEWED).all()
        assert (np.delete(status, [PLEURA, B_LINE], axis=1) == Status.UNTOUCHED).all()
        resampler = Resampler.into(clip.shape[1:], (32, 48))
        fitted = torch.from_numpy(resampler.frames(np.asarray(clip.frames[:])))
        with torch.inference_mode(), autocast(predictor.device, predictor.config.precision):
            logits = predictor.network(fitted[:, None].float() / 255)
            expected = to_frame_size(logits.sigmoid(), clip.shape[1:]).numpy() * 100
        for c, index in enumerate((PLEURA, B_LINE)):
            assert np.abs(rater.read_planes(index) - expected[:, c]).max() <= 0.51
    events, _ = folder.events()
    assert [e.clip for e in events if isinstance(e, Preview)] == toy.clips()
    assert max(e.current for e in events if isinstance(e, Progress)) == 4 * 5 + 9


def test_both_outputs_are_written_under_names_of_their_own(tmp_path, toy, model):
    run = tmp_path / "two"
    method = {"name": "soft", "levels": "overlap"}
    assert execute(run_folder(run, toy, steps=4, method=method)) is not None
    assert predict(tmp_path / "job", run, toy, clips=("clip-1",))[1] is not None
    clip = toy.clip("clip-1")
    predictor = replace(Predictor.load(run, "cpu"), both=True)
    outputs = predictor.percents(np.asarray(clip.frames[:]))
    for end, output in zip(("", "-probability"), outputs, strict=True):
        rater = clip.rater(f"model-a{end}")
        assert (rater.meta.kind, rater.meta.run) == ("model", "two")
        assert (rater.read_status()[:, [PLEURA, B_LINE]] == Status.REVIEWED).all()
        for c, index in enumerate((PLEURA, B_LINE)):
            assert np.array_equal(rater.read_planes(index), output[:, c])
    assert predict(tmp_path / "other", model, toy, rater="one", clips=("clip-1",))[1] is not None
    assert "one-probability" not in clip.raters()  # the contour is the probability


def test_nothing_is_marked_outside_the_sector(tmp_path, toy, model):
    predict(tmp_path / "whole", model, toy, clips=("clip-1",))
    clip = toy.clip("clip-1")
    before = clip.rater("model-a").read_planes(PLEURA)
    left = before.shape[2] // 2
    corners = ((0, 0), (0, left - 1), (before.shape[1] - 1, left - 1), (before.shape[1] - 1, 0))
    assert before[:, :, left:].any()
    for trust, cut in ((0.2, False), (None, True)):
        clip.update_meta(sector=Sector(kind="linear", polygon=corners, trust=trust))
        predict(tmp_path / f"{trust}", model, toy, clips=("clip-1",))
        after = toy.clip("clip-1").rater("model-a").read_planes(PLEURA)
        assert np.array_equal(after[:, :, :left], before[:, :, :left])
        assert np.array_equal(after[:, :, left:], before[:, :, left:] * (not cut))


def test_a_prediction_replaces_the_former_of_the_same_name(tmp_path, toy, model):
    predict(tmp_path / "one", model, toy, clips=("clip-1",))
    rater = toy.clip("clip-1").rater("model-a")
    before = rater.read_plane(0, B_LINE)
    rater.write_plane(0, B_LINE, np.full_like(before, 7))
    predict(tmp_path / "two", model, toy, clips=("clip-1",))
    assert np.array_equal(rater.read_plane(0, B_LINE), before)
    assert "model-a" not in toy.clip("clip-2").raters()


def test_stopped_in_a_clip_it_does_not_count_as_marked(tmp_path, toy, model):
    add_toy_clip(toy, "a-long-one", "p9", n_frames=20)

    def listen(event) -> None:
        if isinstance(event, Progress):
            RunFolder(tmp_path / "job").cancel()

    folder, result = predict(tmp_path / "job", model, toy, listen, clips=("a-long-one", "clip-1"))
    assert result is not None
    assert (result.stopped, result.clips) == (True, ())
    assert isinstance(folder.events()[0][-1], Cancelled)
    rater = toy.clip("a-long-one").rater("model-a")
    assert (rater.read_status()[:, B_LINE] == Status.IN_PROGRESS).all()
    assert execute(folder).clips == ("a-long-one", "clip-1")
    assert (rater.read_status()[:, B_LINE] == Status.REVIEWED).all()


def test_a_person_is_never_overwritten(tmp_path, toy, model):
    before = toy.clip("clip-1").rater("reader-a").read_plane(0, B_LINE)
    folder, result = predict(tmp_path / "job", model, toy, rater="reader-a")
    assert result is None
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert "'reader-a' is of kind 'reader'" in last.error
    assert np.array_equal(toy.clip("clip-1").rater("reader-a").read_plane(0, B_LINE), before)


def test_another_runs_marks_are_not_overwritten_unasked(tmp_path, toy, model):
    predict(tmp_path / "one", model, toy, clips=("clip-1",))
    rater = toy.clip("clip-1").rater("model-a")
    before = rater.read_plane(0, B_LINE)
    other = tmp_path / "worse"
    shutil.copytree(model, other)
    folder, result = predict(tmp_path / "two", other, toy)
    assert result is None
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert "'fitted'" in last.error
    assert "--replace" in last.error
    assert "model-a" not in toy.clip("clip-2").raters()  # refused before anything is written
    assert np.array_equal(rater.read_plane(0, B_LINE), before)
    assert predict(tmp_path / "three", other, toy, replace=True)[1] is not None
    assert toy.clip("clip-1").rater("model-a").meta.run == "worse"
    assert not validate(toy.location)


def test_a_run_of_the_same_name_is_another_run(tmp_path, toy, model):
    predict(tmp_path / "one", model, toy, clips=("clip-1",))
    other = tmp_path / "elsewhere" / model.name
    shutil.copytree(model, other)
    # The same run, wherever it lies, may mark again; and so may not one that was told otherwise.
    assert predict(tmp_path / "two", other, toy, clips=("clip-1",))[1] is not None
    save_config(other, load_config(other).model_copy(update={"seed": 77}))
    folder, result = predict(tmp_path / "three", other, toy)
    assert result is None
    assert f"another run that is called {model.name!r} as well" in folder.events()[0][-1].error
    assert "model-a" not in toy.clip("clip-2").raters()
    assert predict(tmp_path / "four", other, toy, members=(str(model),))[1] is None
    assert predict(tmp_path / "five", other, toy, replace=True)[1] is not None
    recorded = toy.clip("clip-1").rater("model-a").meta.run_sha256
    assert recorded == load_config(other).sha256 != load_config(model).sha256


def test_a_class_that_the_cohort_lacks_is_left_out_and_told(tmp_path, model):
    b_line = DEFAULT_CLASSES[B_LINE].model_copy(update={"index": 0})
    narrow = Cohort.create(tmp_path / "narrow.zarr", name="narrow", classes=(b_line,))
    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 48), dtype=np.uint8)
    with narrow.new_clip("clip-1", shape=(32, 48)) as new:
        for frame in frames:
            new.append(frame)
        new.finish(clip_meta(2))
    folder, result = predict(tmp_path / "job", model, narrow)
    assert result is not None
    (started,) = [e for e in folder.events()[0] if isinstance(e, Started)]
    assert started.facts["not in this cohort"] == "pleura"
    predictor = Predictor.load(model, "cpu")
    expected = predictor.percent(frames)[:, predictor.config.classes.index("b-line")]
    assert np.array_equal(narrow.clip("clip-1").rater("model-a").read_planes(0), expected)


def test_a_name_that_somebody_writes_is_left_alone(tmp_path, toy, model):
    with ProgramWriter(toy.clip("clip-2"), "model-a", Identity("model", run="fitted")):
        folder, result = predict(tmp_path / "job", model, toy)
    assert result is None
    assert "Read-only: " in folder.events()[0][-1].error


def break_checkpoint(run: Path) -> None:
    data = bytearray((run / "checkpoint.safetensors").read_bytes())
    (run / "checkpoint.safetensors").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda run: (run / "config.json").unlink(), "holds no fitted model"),
        (lambda run: (run / "config.json").write_text("{}"), "config.json can't be used"),
        (lambda run: (run / "checkpoint.safetensors").unlink(), "holds no checkpoint yet"),
        (break_checkpoint, "checkpoint.safetensors can't be read"),
    ],
)
def test_a_model_that_cannot_be_used_is_said(tmp_path, toy, model, harm, words):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.json", "checkpoint.safetensors"):
        (copy / name).write_bytes((model / name).read_bytes())
    harm(copy)
    folder, result = predict(tmp_path / "job", copy, toy)
    assert result is None
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert words in last.error
    assert last.hint
