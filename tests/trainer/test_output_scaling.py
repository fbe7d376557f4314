"""Which percent is written for a probability: half of the best Dice is where to cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from napari_confseg.methods import LEVELS, METHODS, Method
from tests.trainer.conftest import run_folder
from trainer.network import Segmenter
from trainer.output_scaling import LOWEST, ProbabilityCounts
from trainer.predict import Predictor
from trainer.run_job import execute


@pytest.fixture
def meant() -> tuple[torch.Tensor, np.ndarray]:
    """Probabilities (1, 2, 200, 200) and a truth that is as likely as they say."""
    rng = np.random.default_rng(0)
    said = rng.beta([[[0.2]], [[0.5]]], [[[2.0]], [[1.0]]], (2, 200, 200))
    return torch.from_numpy(said)[None].float(), rng.random(said.shape) < said


def seen(probability: torch.Tensor) -> ProbabilityCounts:
    counted = ProbabilityCounts(probability.shape[1])
    for part in probability.split(1):
        counted.add(part)
    return counted


def written(probability: torch.Tensor) -> torch.Tensor:
    network = Segmenter((4, 8), 0, probability.shape[1])
    network.set_output_scaling(seen(probability).output_scaling())
    return network.written(probability)


def test_at_half_of_what_is_written_the_overlap_is_best(meant):
    probability, truth = meant
    share = written(probability)[0].numpy()
    for p, s, y in zip(probability[0].numpy(), share, truth, strict=True):
        found = [f1_score(y.ravel(), (p >= cut).ravel()) for cut in np.arange(0.05, 1, 0.05)]
        ours = f1_score(y.ravel(), (s >= 0.5).ravel())
        assert ours > max(found) - 0.005
        assert ours > f1_score(y.ravel(), (p >= 0.5).ravel())


def test_the_best_cut_is_half_of_the_dice_that_is_expected(meant):
    """Lipton et al., ECML 2014, theorem 1; the expectation is right for who means what they say."""
    probability, truth = meant
    expected = seen(probability).expected_dice()
    for c, y in enumerate(truth):
        cut = float(expected[c]) / 2
        dice = f1_score(y.ravel(), (probability[0, c].numpy() >= cut).ravel())
        assert dice == pytest.approx(float(expected[c]), abs=0.015)


def test_order_is_kept_and_frames_may_come_in_parts(meant):
    probability, _ = meant
    share = written(probability)
    for c in range(2):
        order = probability[0, c].flatten().argsort()
        assert (share[0, c].flatten()[order].diff() >= 0).all()
    parts = probability.view(1, 2, 4, 50, 200).transpose(0, 2)[:, :, 0]
    torch.testing.assert_close(seen(parts).output_scaling(), seen(probability).output_scaling())


def test_a_sure_model_is_cut_at_half_and_a_blind_one_sees_no_more():
    sure = torch.tensor([0.0, 1.0]).repeat(1, 1, 8, 4)
    assert float(seen(sure).output_scaling().shift) == pytest.approx(0, abs=1e-9)
    blind = torch.full((1, 1, 8, 8), 0.02)
    assert float(written(blind).max()) < LOWEST
    nothing = torch.zeros(1, 1, 8, 8)
    assert float(written(nothing).max()) < 0.001


def test_every_method_may_be_written_either_way():
    assert {about.levels for about in METHODS.values()} <= set(LEVELS)
    assert Method(name="relative-threshold").written_as == "overlap"
    assert Method.parse("relative-threshold+stated").written_as == "stated"
    assert Method.parse("threshold:t=50+overlap").written_as == "overlap"
    assert Method.parse("soft+semimetric+overlap") == Method(
        name="soft", loss="semimetric", levels="overlap"
    )


def test_a_run_keeps_how_it_is_written(tmp_path, shared_toy):
    """The same weights, learnt alike; only the percents differ, and not their order."""
    frames = np.asarray(shared_toy.clip("clip-0").frames[:2])
    probability, percent = {}, {}
    for levels in LEVELS:
        folder = run_folder(
            tmp_path / levels, shared_toy, steps=4, method={"name": "soft", "levels": levels}
        )
        assert execute(folder) is not None
        predictor = Predictor.load(folder.path, "cpu")
        probability[levels] = predictor.probability(frames)
        percent[levels] = predictor.percent(frames)
    assert torch.equal(*probability.values())
    stated, overlap = percent["stated"].astype(int), percent["overlap"].astype(int)
    assert np.array_equal(stated, (100 * probability["stated"]).round().numpy())
    assert not np.array_equal(stated, overlap)
    for c in range(len(stated[0])):
        order = stated[:, c].ravel().argsort(kind="stable")
        highest = np.maximum.accumulate(overlap[:, c].ravel()[order])
        # Of equal whole percents the finer ones may differ by what a percent comes to.
        assert (highest - overlap[:, c].ravel()[order]).max() <= 7
