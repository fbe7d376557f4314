"""A model's two outputs: what they are fitted to, and what they never change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from napari_confseg.methods import LEVELS, METHODS, Method
from tests.trainer.conftest import run_folder
from trainer.network import Segmenter
from trainer.output_scaling import HIGHEST, LOWEST, SLOPES, HeldOutCounts, OutputScaling
from trainer.predict import Predictor
from trainer.run_job import execute


@pytest.fixture
def meant() -> tuple[torch.Tensor, np.ndarray]:
    """Probabilities (1, 2, 200, 200) and a truth that is as likely as they say."""
    rng = np.random.default_rng(0)
    said = rng.beta([[[0.2]], [[0.5]]], [[[2.0]], [[1.0]]], (2, 200, 200))
    return torch.from_numpy(said)[None].float(), rng.random(said.shape) < said


def seen(probability: torch.Tensor, percent: np.ndarray | None = None) -> HeldOutCounts:
    """Count frames and their marks, frame by frame; without marks, nothing is marked."""
    planes = torch.zeros(probability.shape, dtype=torch.uint8)
    if percent is not None:
        planes = torch.from_numpy(percent.astype(np.uint8)).view(probability.shape)
    counted = HeldOutCounts(probability.shape[1])
    for of, marks in zip(probability.split(1), planes.split(1), strict=True):
        counted.add(of, marks, torch.ones_like(marks, dtype=torch.bool))
    return counted


def through(scaling: OutputScaling, probability: torch.Tensor) -> torch.Tensor:
    network = Segmenter((4, 8), 0, probability.shape[1])
    unchanged = OutputScaling(torch.ones_like(scaling.slope), torch.zeros_like(scaling.slope))
    network.set_outputs(unchanged, scaling)
    return network.contour(probability)


def contour(probability: torch.Tensor) -> torch.Tensor:
    return through(seen(probability).contour(), probability)


def test_at_half_of_the_contour_the_overlap_is_best(meant):
    probability, truth = meant
    share = contour(probability)[0].numpy()
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


@pytest.mark.parametrize(("steep", "more"), [(1.0, 1.0), (1.3, 1.5)])
def test_of_a_network_that_marks_too_much_the_calibrated_cut_counts(meant, steep, more):
    probability, truth = meant
    learnt = torch.sigmoid(steep * torch.logit(probability, eps=1e-6) + more)
    own = seen(learnt)  # without marks there is no line to put it right
    marked = seen(learnt, 100 * truth)
    for c, y in enumerate(truth):
        p = learnt[0, c].numpy()
        by_own, found = (
            f1_score(y.ravel(), (p >= float(counted.best_cut()[c])).ravel())
            for counted in (own, marked)
        )
        best = max(f1_score(y.ravel(), (p >= cut).ravel()) for cut in np.arange(0.05, 1, 0.05))
        assert found > by_own + 0.01
        assert found > best - 0.01


def test_held_out_marks_lower_no_cut_and_none_is_above_the_highest(meant):
    """A network that falls short of what readers mark keeps its own cut, which is lower already."""
    probability, truth = meant
    timid = torch.sigmoid(torch.logit(probability, eps=1e-6) - 1)
    torch.testing.assert_close(seen(timid, 100 * truth).best_cut(), seen(timid).best_cut())
    sure = torch.sigmoid(torch.logit(probability, eps=1e-6) + 6)
    assert (seen(sure, 100 * truth).best_cut() <= HIGHEST).all()
    assert float(seen(sure, 100 * truth).best_cut().max()) == HIGHEST


def test_order_is_kept_and_frames_may_come_in_parts(meant):
    probability, truth = meant
    share = contour(probability)
    for c in range(2):
        order = probability[0, c].flatten().argsort()
        assert (share[0, c].flatten()[order].diff() >= 0).all()
    parts, marks = (
        part.reshape(1, 2, 4, 50, 200).transpose(0, 2)[:, :, 0]
        for part in (probability, torch.from_numpy(100 * truth)[None])
    )
    whole, in_parts = seen(probability, 100 * truth), seen(parts.contiguous(), marks.numpy())
    torch.testing.assert_close(in_parts.contour(), whole.contour())
    torch.testing.assert_close(in_parts.probability(), whole.probability())


def test_a_sure_model_is_cut_at_half_and_a_blind_one_sees_no_more():
    sure = torch.tensor([0.0, 1.0]).repeat(1, 1, 8, 4)
    assert float(seen(sure).contour().shift) == pytest.approx(0, abs=1e-3)
    blind = torch.full((1, 1, 8, 8), 0.02)
    assert float(contour(blind).max()) < LOWEST
    nothing = torch.zeros(1, 1, 8, 8)
    assert float(contour(nothing).max()) < 0.001


def test_the_probability_is_platts_line(meant):
    """scikit-learn's logistic regression, without a penalty, on pixels that count by confidence."""
    learnt, truth = meant
    odds = torch.logit(learnt[0].double()).flatten(1).numpy()
    percent = 100 * truth
    percent[1] = np.where(truth[1], 60, 20)  # neither absent nor present: each to its share
    alone = []
    for c in range(2):
        stated = percent[c].ravel() / 100
        oracle = LogisticRegression(C=np.inf, tol=1e-8).fit(
            np.tile(odds[c], 2)[:, None],
            np.repeat([1, 0], len(stated)),
            sample_weight=np.concatenate([stated, 1 - stated]),
        )
        found = seen(learnt[:, c : c + 1], percent[c]).probability()
        assert float(found.slope) == pytest.approx(oracle.coef_.item(), abs=0.02)
        assert float(found.shift) == pytest.approx(oracle.intercept_.item(), abs=0.02)
        alone.append(found)
    assert float(alone[0].slope) == pytest.approx(1, abs=0.1)  # who means what they say, is kept
    together = seen(learnt, percent).probability()
    slopes, shifts = torch.stack([torch.cat(line) for line in alone], 1)
    torch.testing.assert_close(together.slope, slopes.prod().sqrt().expand(2))
    torch.testing.assert_close(together.shift, shifts.mean().expand(2))


def test_a_network_that_says_too_much_is_put_right(meant):
    probability, truth = meant
    learnt = torch.sigmoid(2 * torch.logit(probability, eps=1e-6) + 0.5)
    found = seen(learnt, 100 * truth).probability()
    put_right = through(found, learnt)[0].numpy()
    for c in range(2):
        before, after, best = (
            float(((p - truth[c]) ** 2).mean())
            for p in (learnt[0, c].numpy(), put_right[c], probability[0, c].numpy())
        )
        assert after < before
        assert after == pytest.approx(best, rel=0.01)


def test_a_class_that_nobody_marked_is_left_as_it_was_learnt(meant):
    probability, _ = meant
    found = seen(probability).probability()
    assert found.slope.tolist() == [1, 1]
    assert found.shift.tolist() == [0, 0]
    assert seen(probability).contour().slope.tolist() == [max(SLOPES)] * 2


def test_what_is_not_known_does_not_count(meant):
    probability, truth = meant
    planes = torch.from_numpy(np.where(truth, 100, 0).astype(np.uint8))[None]
    known = torch.zeros(planes.shape, dtype=torch.bool)
    known[..., :100] = True
    planes[..., 100:] = 255
    part = HeldOutCounts(2)
    part.add(probability, planes, known)
    alone = seen(probability[..., :100].contiguous(), 100 * truth[..., :100])
    torch.testing.assert_close(part.probability(), alone.probability())
    torch.testing.assert_close(part.contour(), alone.contour())


def test_the_contour_is_as_steep_as_readers_answers_are(meant):
    """Marks of one value ask for the steepest; who states what the network says, for less."""
    probability, truth = meant
    graded = seen(probability, (100 * probability[0].numpy()).round())
    of_one = seen(probability, 100 * truth)
    assert (of_one.contour().slope == max(SLOPES)).all()
    assert (graded.contour().slope < of_one.contour().slope).all()
    for counted in (graded, of_one):
        found = counted.contour()
        best = counted.level_dice(found)
        for slope in SLOPES:
            other = OutputScaling(
                torch.full_like(found.slope, slope), found.shift * slope / found.slope
            )
            assert (counted.level_dice(other) <= best + 1e-12).all()


def test_dice_over_levels_is_that_of_the_pixels(meant):
    probability, truth = meant
    percent = np.where(truth, 70, 30)
    scaling = OutputScaling(torch.tensor([1.3, 1.0]).double(), torch.tensor([0.2, -0.1]).double())
    found = seen(probability, percent).level_dice(scaling)
    share = through(scaling, probability)[0].numpy()
    for c in range(2):
        at = np.arange(10, 100, 10)
        expected = [
            f1_score((percent[c] >= u).ravel(), (100 * share[c] >= u).ravel()) for u in at[at <= 70]
        ]
        assert float(found[c]) == pytest.approx(np.mean(expected), abs=0.01)


def test_maps_follow_one_another_and_are_taken_back():
    first = OutputScaling(torch.tensor([0.5, 2.0]), torch.tensor([1.0, -1.0]))
    second = OutputScaling(torch.tensor([1.6, 1.3]), torch.tensor([-0.2, 0.4]))
    x = torch.tensor([0.3, -2.0])
    both = first.then(second)
    expected = second.slope * (first.slope * x + first.shift) + second.shift
    torch.testing.assert_close(both.slope * x + both.shift, expected)
    back = first.then(first.inverse())
    torch.testing.assert_close(back.slope, torch.ones(2))
    torch.testing.assert_close(back.shift, torch.zeros(2))


def test_every_method_may_be_written_either_way():
    assert {about.levels for about in METHODS.values()} <= set(LEVELS)
    assert Method(name="relative-threshold").written_as == "overlap"
    assert Method.parse("relative-threshold+stated").written_as == "stated"
    assert Method.parse("threshold:t=50+overlap").written_as == "overlap"
    assert Method.parse("soft+semimetric+overlap") == Method(
        name="soft", loss="semimetric", levels="overlap"
    )


def test_a_run_keeps_both_outputs(tmp_path, shared_toy):
    """The same weights, learnt alike; only the percents differ, and not their order."""
    frames = np.asarray(shared_toy.clip("clip-0").frames[:2])
    weights, percents = {}, {}
    for levels in LEVELS:
        folder = run_folder(
            tmp_path / levels, shared_toy, steps=4, method={"name": "soft", "levels": levels}
        )
        assert execute(folder) is not None
        predictor = Predictor.load(folder.path, "cpu")
        weights[levels] = dict(predictor.network.named_parameters())
        percents[levels] = replace(predictor, both=True).percents(frames)
        probability = predictor.probability(frames)
        found = (100 * probability).round().numpy()
        assert np.array_equal(found, percents[levels].probability)
        found = (100 * predictor.contour(probability)).round().numpy()
        assert np.array_equal(found, percents[levels].contour)
        assert np.array_equal(predictor.percent(frames), percents[levels].contour)
    for name, learnt in weights["stated"].items():
        assert torch.equal(learnt, weights["overlap"][name])
    stated = percents["stated"]
    assert stated.contour is stated.probability
    for other in percents["overlap"]:
        assert not np.array_equal(stated.contour, other)
        for c in range(stated.contour.shape[1]):
            order = stated.contour[:, c].ravel().argsort(kind="stable")
            values = other[:, c].ravel()[order].astype(int)
            # Of equal whole percents the finer ones may differ by what a percent comes to.
            assert (np.maximum.accumulate(values) - values).max() <= 7


def test_a_scaling_and_its_inverse_change_nothing_at_any_size(tmp_path, shared_toy):
    """Scaling on the canvas would: between two pixels of an edge scaled values lie elsewhere."""
    folder = run_folder(
        tmp_path / "two", shared_toy, steps=4, method={"name": "soft", "levels": "overlap"}
    )
    assert execute(folder) is not None
    predictor = replace(Predictor.load(folder.path, "cpu"), both=True)
    frames = np.asarray(shared_toy.clip("clip-0").frames[:1]).repeat(3, 1).repeat(3, 2)
    n_classes = len(predictor.config.classes)
    one, nought = torch.ones(n_classes), torch.zeros(n_classes)
    predictor.network.set_outputs(OutputScaling(one, nought), OutputScaling(one, nought))
    unscaled = predictor.percents(frames).contour
    flat = OutputScaling(one / 2, nought + 1)
    predictor.network.set_outputs(flat, flat.inverse())
    there_and_back = predictor.percents(frames)
    assert np.array_equal(there_and_back.contour, unscaled)
    assert not np.array_equal(there_and_back.probability, unscaled)
