"""A frozen dataset through torch's loader, and prediction from arrays: what is documented runs."""

from __future__ import annotations

import doctest
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from napari_confseg.dataset import BuildRequest, Dataset, build
from napari_confseg.store import EXCLUDED, Status, StoreError
from tests.trainer.conftest import B_LINE, run_folder
from trainer import dataset, models, predict
from trainer.dataset import ConfidenceDataset
from trainer.errors import TrainError
from trainer.predict import Predictor
from trainer.run_job import execute

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def place(tmp_path_factory, shared_toy) -> Path:
    """A folder with a dataset and a fitted run, called as in the examples."""
    place = tmp_path_factory.mktemp("examples")
    request = BuildRequest(
        name="lung-dataset",
        classes=("pleura", "b-line"),
        size=(32, 48),
        parts={"train": 0.75, "val": 0.25},
    )
    build(shared_toy, request, place / "lung-dataset")
    assert execute(run_folder(place / "runs" / "first", shared_toy, steps=2, size="study"))
    return place


@pytest.mark.parametrize("module", [dataset, predict, models])
def test_the_examples_in_docstrings_run(module, place, monkeypatch):
    monkeypatch.chdir(place)
    done = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert done.attempted >= 4
    assert done.failed == 0


def test_every_sample_is_what_the_dataset_holds(place, shared_toy):
    frozen = Dataset.open(place / "lung-dataset")
    parts = [ConfidenceDataset(place / "lung-dataset", part) for part in ("train", "val")]
    whole = ConfidenceDataset(str(place / "lung-dataset"), part=None)
    assert len(whole) == sum(map(len, parts)) == 20
    for sample in (whole[i] for i in range(len(whole))):
        clip, number = shared_toy.clip(sample["clip"]), sample["number"]
        assert sample["frame"].dtype == torch.float32
        assert torch.equal(
            (sample["frame"][0] * 255).round().to(torch.uint8),
            torch.from_numpy(clip.frames[number]),
        )
        rater = clip.rater(sample["rater"])
        assert np.array_equal(sample["planes"][1], rater.read_plane(number, B_LINE))
        reviewed = rater.read_status()[number, [0, B_LINE]] == Status.REVIEWED
        assert sample["reviewed"].tolist() == reviewed.tolist()
        assert sample["patient"] == frozen.manifest.record(sample["clip"]).patient


def test_the_margin_beside_the_picture_is_excluded(tmp_path, shared_toy):
    """Frames of 32 x 48 on a square: the dataset holds 0 in the margin, where nobody looked."""
    request = BuildRequest(name="square", classes=("b-line",), size=(48, 48), parts={"train": 1})
    frozen = build(shared_toy, request, tmp_path / "square")
    y, x = frozen.manifest.clips[0].inside
    assert (y.start, y.stop, x.start, x.stop) == (8, 40, 0, 48)
    for sample in ConfidenceDataset(tmp_path / "square"):
        planes = sample["planes"].numpy()
        outside = np.ones(planes.shape[1:], bool)
        outside[y, x] = False
        assert (planes[:, outside] == EXCLUDED).all()
        plane = shared_toy.clip(sample["clip"]).rater("reader-a").read_plane(sample["number"], 2)
        assert np.array_equal(planes[0, y, x], plane)


def test_it_reads_alike_in_workers_and_after_pickling(place):
    whole = ConfidenceDataset(place / "lung-dataset", part=None)
    whole[0]
    again = pickle.loads(pickle.dumps(whole))
    batches = list(DataLoader(again, batch_size=7))
    assert torch.equal(
        torch.cat([b["planes"] for b in batches]),
        torch.stack([whole[i]["planes"] for i in range(20)]),
    )
    assert batches[0]["clip"][:2] == ["clip-0", "clip-0"]


def test_what_is_not_there_is_named(place):
    with pytest.raises(StoreError, match=r"no part 'validation', only train, val"):
        ConfidenceDataset(place / "lung-dataset", "validation")
    with pytest.raises(TrainError, match=r"no rater called reader-z\. It has reader-a"):
        ConfidenceDataset(place / "lung-dataset", raters=["reader-z"])


def test_one_frame_is_predicted_as_in_a_clip(place, shared_toy):
    predictor = Predictor.load(str(place / "runs" / "first"), "cpu")
    frames = np.asarray(shared_toy.clip("clip-1").frames[:])
    assert np.array_equal(predictor.percent(frames[2]), predictor.percent(frames[2:3])[0])
    assert predictor.probability(frames[0]).shape == (2, 32, 48)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((2, 32, 48)), "uint8, grey values of 0 to 255, not float64. Scale them"),
        (np.zeros((32, 48), np.int16), "not int16"),
        (np.zeros((1, 2, 32, 48), np.uint8), r"shape (T, Y, X), or (Y, X) for one, not (1, 2, 32"),
        (np.zeros((0, 32, 48), np.uint8), "leave no axis empty"),
    ],
)
def test_other_arrays_are_refused_by_name(place, frames, words):
    predictor = Predictor.load(place / "runs" / "first", "cpu")
    for ask in (predictor.probability, predictor.percent):
        with pytest.raises(TrainError) as told:
            ask(frames)
        assert words in str(told.value)
