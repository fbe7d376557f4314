"""What a network's outputs mean: laws of the heads, and of the raters' scales."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from napari_confseg.methods import METHODS, Method
from trainer import heads, losses
from trainer.network import Segmenter, as_rater
from trainer.targets import RECIPES, make_targets


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def raw_and_logits(name: str, generator: torch.Generator, n_classes: int = 2):
    method = Method(name=name)
    head = RECIPES[name].head
    outputs = head.outputs or round(method.settings["n"])
    raw = 4 * torch.randn(3, n_classes * outputs, 8, 8, generator=generator)
    raw.requires_grad_()
    return method, outputs, raw, head.logits(raw, outputs)


@pytest.mark.parametrize("name", METHODS)
def test_no_weight_no_gradient_through_the_whole_method(name, generator):
    method, outputs, raw, logits = raw_and_logits(name, generator)
    planes = torch.randint(0, 101, (3, 2, 8, 8), generator=generator).to(torch.uint8)
    planes[:, :, :, :4] = 255
    reviewed = torch.tensor([[True, True], [True, False], [False, True]])
    target, weight = make_targets(method, planes, reviewed, generator)
    losses.loss_of(method)(logits, target, weight).backward()
    assert raw.grad is not None
    by_class = raw.grad.view(3, 2, outputs, 8, 8)
    assert (by_class[..., :4] == 0).all()
    assert (by_class[1, 1] == 0).all()
    assert (by_class[2, 0] == 0).all()
    assert (by_class[0, ..., 4:] != 0).any()
    assert by_class.isfinite().all()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scale", [1, 1e4])
def test_the_probability_is_one_and_finite_whatever_the_outputs(name, scale, generator):
    _, outputs, raw, _ = raw_and_logits(name, generator)
    head = RECIPES[name].head
    raw = (raw.detach() * scale).requires_grad_()
    probability = heads.probability(head.logits(raw, outputs), 2)
    probability.sum().backward()
    assert probability.shape == (3, 2, 8, 8)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize("n", [2, 5, 9])
def test_a_higher_threshold_is_never_likelier(n, generator):
    raw = 20 * torch.randn(2, 3 * n, 6, 6, generator=generator)
    logits = heads.cumulative(raw, n).view(2, 3, n, 6, 6)
    assert (logits.diff(dim=2) <= 0).all()
    torch.testing.assert_close(logits[:, :, 0], raw.view(2, 3, n, 6, 6)[:, :, 0])


def test_any_falling_logits_can_be_said():
    """The construction leaves nothing out: here it is turned round."""
    wanted = torch.tensor([2.0, 1.5, -0.25, -6.0])
    falls = -wanted.diff()
    raw = torch.cat([wanted[:1], torch.log(torch.expm1(falls))]).view(1, 4, 1, 1)
    torch.testing.assert_close(heads.cumulative(raw, 4).flatten(), wanted)


def test_noise_that_vanishes_leaves_ordinary_cross_entropy(generator):
    mean = 3 * torch.randn(2, 3, 1, 5, 5, generator=generator)
    target = torch.rand(2, 3, 5, 5, generator=generator)
    expected = F.binary_cross_entropy_with_logits(mean[:, :, 0], target)
    apart = []
    for log_variance in (-2.0, -6.0, -20.0):
        raw = torch.cat([mean, torch.full_like(mean, log_variance)], 2).flatten(1, 2)
        found = losses.cross_entropy(heads.noisy(raw, 2), target, torch.ones_like(target))
        apart.append((found - expected).abs().item())
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 1e-6


def test_noise_is_averaged_as_many_draws_average(generator):
    """Kendall and Gal's estimate by drawing, with enough draws, is what the closed form gives."""
    mean, log_variance = torch.tensor([-2.0, 0.5, 3.0]), torch.tensor([1.0, 0.0, 1.5])
    raw = torch.stack([mean, log_variance], 1).view(1, 6, 1, 1)
    noise = torch.randn(400_000, 3, generator=generator)
    drawn = (mean + noise * (log_variance / 2).exp()).sigmoid().mean(0)
    found = heads.noisy(raw, 2).sigmoid().flatten()
    torch.testing.assert_close(found, drawn, atol=0.02, rtol=0)


def test_noise_only_ever_draws_towards_even_odds(generator):
    mean = torch.linspace(-6, 6, 25)
    probabilities = []
    for log_variance in (-20.0, 0.0, 2.0):
        raw = torch.stack([mean, torch.full_like(mean, log_variance)], 1).view(25, 2, 1, 1)
        probabilities.append((heads.noisy(raw, 2).sigmoid().flatten() - 0.5).abs())
    assert (probabilities[0] + 1e-6 >= probabilities[1]).all()
    assert (probabilities[1] + 1e-6 >= probabilities[2]).all()


# ---- raters ----------------------------------------------------------------------------------


def test_raters_taken_at_their_word_are_no_raters_at_all(generator):
    logits = torch.randn(4, 2, 3, 3, generator=generator)
    zeros = torch.zeros(3, 2)
    assert torch.equal(as_rater(logits, zeros, zeros, torch.tensor([0, 1, 2, 0])), logits)
    alone = torch.randn(1, 2, generator=generator)  # a panel of one is its own mean
    assert torch.equal(as_rater(logits, alone, alone, torch.zeros(4, dtype=torch.int64)), logits)


def test_a_common_habit_of_all_raters_is_nobodys(generator):
    logits, rater = torch.randn(4, 2, 3, 3, generator=generator), torch.tensor([0, 1, 2, 0])
    log_scale, bias = torch.randn(2, 3, 2, generator=generator)
    common = torch.tensor([0.7, -2.0])
    torch.testing.assert_close(
        as_rater(logits, log_scale + common, bias + common, rater),
        as_rater(logits, log_scale, bias, rater),
    )


def test_a_raters_curve_rises():
    logits = torch.linspace(-5, 5, 50).view(1, 1, 1, 50)
    log_scale, bias = torch.tensor([[-3.0], [2.0]]), torch.tensor([[4.0], [0.0]])
    for r in (0, 1):
        assert (as_rater(logits, log_scale, bias, torch.tensor([r])).diff(dim=3) > 0).all()


def test_known_habits_are_found_again(generator):
    """Two raters answer about the same hidden probabilities, one bold, one free with marks."""
    hidden = 2 * torch.randn(64, 1, 8, 8, generator=generator)
    true_log_scale, true_bias = torch.tensor([[0.5], [-0.5]]), torch.tensor([[-0.8], [0.8]])
    rater = torch.arange(64) % 2
    said = as_rater(hidden, true_log_scale, true_bias, rater).sigmoid()
    log_scale = torch.zeros(2, 1, requires_grad=True)
    bias = torch.zeros(2, 1, requires_grad=True)
    optimizer = torch.optim.Adam([log_scale, bias], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        found = as_rater(hidden, log_scale, bias, rater)
        losses.cross_entropy(found, said, torch.ones_like(said)).backward()
        optimizer.step()
    torch.testing.assert_close(log_scale.detach(), true_log_scale, atol=0.03, rtol=0)
    torch.testing.assert_close(bias.detach(), true_bias, atol=0.03, rtol=0)


def test_a_network_of_every_method_begins_at_the_prevalence():
    images, share = torch.rand(2, 1, 16, 16), torch.tensor([0.02, 0.3])
    for name, recipe in RECIPES.items():
        outputs = recipe.head.outputs or 5
        torch.manual_seed(0)
        network = Segmenter((4, 8), 0, 2, recipe.head, outputs, 3 if recipe.per_rater else 0)
        torch.nn.init.zeros_(network.net.model[-1][0].weight)
        torch.nn.init.zeros_(network.net.model[-1][0].bias)
        network.set_statistics(torch.zeros(4, 8, 8, dtype=torch.uint8), share)
        logits = network(images).view(2, 2, -1, 16, 16)
        lowest = logits[:, :, 0].sigmoid().mean((0, 2, 3))
        # Where noise is learnt it begins at one logit, which draws towards even odds.
        tolerance = 0.06 if name == "heteroscedastic" else 1e-5
        assert (lowest - share).abs().max() < tolerance, name
