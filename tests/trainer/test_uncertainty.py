"""What a model does not know, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import entropy as scipy_entropy

from napari_confseg.job import Failed, PredictRequest, RunFolder
from napari_confseg.store import Status
from tests.trainer.conftest import B_LINE, PLEURA, run_folder
from trainer.ensemble import Ensemble
from trainer.predict import Predictor
from trainer.run_job import execute
from trainer.uncertainty import DOUBT_FROM, decompose, entropy, epistemic_map

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def members() -> torch.Tensor:
    """Five models' probabilities (M, N, C, H, W)."""
    return torch.rand(5, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_the_entropy_is_scipys(members):
    p = members[0].double()
    expected = scipy_entropy(np.stack([p, 1 - p]), base=2, axis=0)
    np.testing.assert_allclose(entropy(p), expected, atol=1e-12)
    assert entropy(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0, 1, 0]


def test_the_mean_s_entropy_is_doubt_plus_unseen(members):
    mean, aleatoric, epistemic = decompose(members)
    torch.testing.assert_close(mean, members.double().mean(0))
    torch.testing.assert_close(entropy(mean), aleatoric + epistemic)
    assert (aleatoric >= 0).all()
    assert (epistemic > 0).all()


def test_unseen_is_how_far_the_members_are_from_their_mean(members):
    """The mutual information by its other definition, as a mean Kullback-Leibler divergence."""
    mean, _, epistemic = decompose(members)
    p, m = members.double().numpy(), mean.numpy()
    two = (
        np.stack([p, 1 - p]),
        np.stack([np.broadcast_to(m, p.shape), np.broadcast_to(1 - m, p.shape)]),
    )
    expected = scipy_entropy(*two, base=2, axis=0).mean(0)
    np.testing.assert_allclose(epistemic, expected, atol=1e-9)


def test_members_who_agree_have_seen_it_all(members):
    _, aleatoric, epistemic = decompose([members[0]] * 4)
    assert epistemic.max() < 1e-9
    torch.testing.assert_close(aleatoric, entropy(members[0].double()))


def test_sure_members_who_contradict_each_other_have_no_doubt():
    _, aleatoric, epistemic = decompose([torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])])
    assert aleatoric.tolist() == [0, 0]
    assert epistemic.tolist() == [1, 0]


@pytest.fixture(scope="module")
def models(tmp_path_factory, shared_toy) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    changes = [{}, {"seed": 1}, {"dropout": 0.2, "classes": ("b-line", "pleura")}]
    paths = [folder / f"run-{i}" for i in range(3)]
    for path, change in zip(paths, changes, strict=True):
        assert execute(run_folder(path, shared_toy, steps=4, **change)) is not None
    return paths


def test_one_model_thrice_has_doubt_alone(models, shared_toy):
    frames = np.asarray(shared_toy.clip("clip-0").frames[:2])
    ensemble = Ensemble.load([models[0]] * 3, device="cpu")
    maps = ensemble.maps(frames)
    assert np.array_equal(maps[""], Predictor.load(models[0], "cpu").percent(frames))
    for name, planes in ensemble.maps(frames[1]).items():
        assert np.array_equal(planes, maps[name][1])
    assert list(maps) == ["", "-epistemic"]  # the contour is the probability
    assert maps["-epistemic"].max() == 0


def test_the_maps_are_written_as_raters_of_their_own(tmp_path, toy, models):
    more = tuple(map(str, models[1:]))
    request = PredictRequest(
        run=str(models[0]),
        members=more,
        cohort=toy.location,
        rater="m",
        clips=("clip-1",),
        device="cpu",
    )
    folder = RunFolder.create(tmp_path / "job", request)
    assert execute(folder) is not None
    clip = toy.clip("clip-1")
    planes = {}
    for name in ("m", "m-epistemic"):
        rater = clip.rater(name)
        assert rater.meta.kind == "model"
        assert (rater.read_status()[:, [PLEURA, B_LINE]] == Status.REVIEWED).all()
        planes[name] = rater.read_planes(B_LINE).astype(float) / 100
    # The mean goes by class, in whatever order the members learnt them.
    frames = np.asarray(clip.frames[:])
    single = [
        Predictor.load(m, "cpu").percent(frames)[:, c]
        for m, c in zip(models, (1, 1, 0), strict=True)
    ]
    assert np.abs(100 * planes["m"] - np.mean(single, 0)).max() <= 1
    members = [
        Predictor.load(m, "cpu").probability(frames)[:, c].double().numpy()
        for m, c in zip(models, (1, 1, 0), strict=True)
    ]
    whole, alone = (
        scipy_entropy(np.stack([p, 1 - p]), base=2, axis=0)
        for p in (np.mean(members, 0), np.stack(members))
    )
    share = np.where(whole >= DOUBT_FROM, (whole - alone.mean(0)) / whole, 0)
    assert np.abs(share - planes["m-epistemic"]).max() <= 0.006  # whole percent
    assert share.max() > 0.01


def test_a_share_is_of_doubt_and_whole_where_sure_members_differ():
    members = [torch.tensor([0.0, 1.0, 0.5, 1e-3]), torch.tensor([1.0, 1.0, 0.5, 0.0])]
    mean, share = epistemic_map(members)
    assert mean.tolist() == pytest.approx([0.5, 1, 0.5, 5e-4])
    assert share.tolist() == pytest.approx([1, 0, 0, 0])


def test_an_ensemble_with_two_outputs_writes_the_mean_of_each(tmp_path, toy):
    runs = [tmp_path / "two", tmp_path / "one"]
    for run, levels in zip(runs, ("overlap", "stated"), strict=True):
        method = {"name": "soft", "levels": levels}
        assert execute(run_folder(run, toy, steps=4, method=method)) is not None
    frames = np.asarray(toy.clip("clip-0").frames[:2])
    maps = Ensemble.load(runs, device="cpu").maps(frames)
    assert list(maps) == ["", "-probability", "-epistemic"]
    alone = [replace(Predictor.load(run, "cpu"), both=True).percents(frames) for run in runs]
    for name, outputs in zip(("", "-probability"), zip(*alone, strict=True), strict=True):
        assert np.abs(maps[name] - np.mean(outputs, 0)).max() <= 1


def test_dropping_at_random_is_repeatable_and_differs_from_draw_to_draw(models, shared_toy):
    frames = np.asarray(shared_toy.clip("clip-0").frames[:2])
    predictor = Predictor.load(models[2], "cpu")
    whole = predictor.probability(frames)
    one, two, again = (predictor.probability(frames, draw) for draw in (0, 1, 0))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert torch.equal(predictor.probability(frames), whole)
    maps = Ensemble.load([models[2]], draws=3, device="cpu").maps(frames)
    assert maps["-epistemic"].max() > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"draws": 3}, "run-0 was fitted without dropout"),
        ({"members": ("{other}",)}, "other learnt rib, and run-0 pleura, b-line"),
        ({"members": ("{gone}",)}, "gone holds no fitted model"),
    ],
)
def test_what_cannot_be_together_is_said(tmp_path, toy, models, changes, words):
    config = (models[0] / "config.json").read_text()
    (tmp_path / "other").mkdir()
    narrow = config.replace('"pleura",\n    "b-line"', '"rib"')
    assert narrow != config
    (tmp_path / "other" / "config.json").write_text(narrow)
    assert execute(run_folder(tmp_path / "rib", toy, classes=("b-line",), steps=1)) is not None
    checkpoint = (tmp_path / "rib" / "checkpoint.safetensors").read_bytes()
    (tmp_path / "other" / "checkpoint.safetensors").write_bytes(checkpoint)
    places = {"{other}": tmp_path / "other", "{gone}": tmp_path / "gone"}
    members = tuple(str(places[m]) for m in changes.get("members", ()))
    request = PredictRequest(
        run=str(models[0]),
        cohort=toy.location,
        device="cpu",
        **({"rater": "m"} | changes | {"members": members}),
    )
    folder = RunFolder.create(tmp_path / "job", request)
    assert execute(folder) is None
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert words in last.error
    assert not any("-epistemic" in r for r in toy.clip("clip-0").raters())


def test_there_must_be_room_for_the_maps_names():
    assert PredictRequest(run="r", cohort="c", rater="r" * 52).maps == ()
    with pytest.raises(ValidationError, match="-probability' is not a legal name"):
        PredictRequest(run="r", cohort="c", rater="r" * 53, members=("other",))
