"""Laws of the losses, and two independent implementations of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss
from sklearn.metrics import log_loss

from trainer import losses

LOSSES = list(losses.LOSSES.values())
SHAPE = (3, 2, 8, 8)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_weight_no_gradient(loss, generator):
    logits = torch.randn(SHAPE, generator=generator, requires_grad=True)
    target = torch.rand(SHAPE, generator=generator)
    weight = (torch.rand(SHAPE, generator=generator) < 0.5).float()
    loss(logits, target, weight).backward()
    assert logits.grad is not None
    assert (logits.grad[weight == 0] == 0).all()
    assert (logits.grad[weight > 0] != 0).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_no_weight_anywhere_is_zero_and_finite(loss, generator):
    logits = torch.randn(SHAPE, generator=generator, requires_grad=True)
    value = loss(logits, torch.ones(SHAPE), torch.zeros(SHAPE))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_what_has_no_weight_may_hold_anything(loss, generator):
    logits, target = torch.randn(SHAPE, generator=generator), torch.rand(SHAPE, generator=generator)
    weight = (torch.rand(SHAPE, generator=generator) < 0.5).float()
    other = torch.where(weight > 0, target, 1 - target)
    assert loss(logits, target, weight).item() == loss(logits, other, weight).item()


@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_class_adds_nothing(loss, generator):
    logits, target = torch.randn(SHAPE, generator=generator), torch.rand(SHAPE, generator=generator)
    weight = torch.ones(SHAPE)
    weight[:, 1] = 0
    alone = loss(logits[:, :1], target[:, :1], weight[:, :1])
    torch.testing.assert_close(loss(logits, target, weight), alone)


def test_cross_entropy_equals_scikit_learn(generator):
    logits = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    target = (torch.rand(SHAPE, generator=generator) < 0.3).double()
    weight = torch.rand(SHAPE, generator=generator, dtype=torch.float64)
    expected = np.mean(
        [
            log_loss(
                target[:, c].flatten(),
                logits[:, c].sigmoid().flatten(),
                sample_weight=weight[:, c].flatten(),
            )
            for c in range(SHAPE[1])
        ]
    )
    assert losses.cross_entropy(logits, target, weight).item() == pytest.approx(expected, rel=1e-6)


def test_hard_dice_equals_monai(generator):
    logits = torch.randn(SHAPE, generator=generator)
    target = (torch.rand(SHAPE, generator=generator) < 0.3).float()
    oracle = DiceLoss(sigmoid=True, batch=True, smooth_nr=0, smooth_dr=0)
    mine = losses.dice(logits, target, torch.ones(SHAPE))
    torch.testing.assert_close(mine, oracle(logits, target))


def test_soft_dice_is_best_at_the_soft_label_and_the_product_form_is_not(generator):
    target = torch.rand(SHAPE, generator=generator) * 0.8 + 0.1
    ones = torch.ones(SHAPE)
    exact, sharper = torch.logit(target), torch.logit(target) * 3
    assert losses.dice(exact, target, ones).item() == pytest.approx(0, abs=1e-6)
    assert losses.dice(sharper, target, ones) > losses.dice(exact, target, ones)
    product = DiceLoss(sigmoid=True, batch=True)
    assert product(sharper, target) < product(exact, target)


def test_cross_entropy_is_a_proper_score_for_soft_labels():
    target = torch.full((1, 1, 4, 4), 0.3)
    logits = torch.zeros((1, 1, 1, 1), requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=1)
    for _ in range(200):
        optimizer.zero_grad()
        losses.cross_entropy(logits.expand_as(target), target, torch.ones(1, 1, 4, 4)).backward()
        optimizer.step()
    assert logits.sigmoid().item() == pytest.approx(0.3, abs=1e-4)


def test_adaptive_wing_equals_the_published_formula():
    """Wang, Bo and Fuxin, equations 4 and 5, written out once more."""
    omega, theta, epsilon, alpha = 14.0, 0.5, 1.0, 2.1
    p, y = (v.ravel() for v in np.meshgrid(np.linspace(0.001, 0.999, 41), np.linspace(0, 1, 11)))
    a = omega / (1 + (theta / epsilon) ** (alpha - y)) * (alpha - y)
    a *= (theta / epsilon) ** (alpha - y - 1) / epsilon
    c = theta * a - omega * np.log(1 + (theta / epsilon) ** (alpha - y))
    apart = np.abs(y - p)
    near = omega * np.log(1 + (apart / epsilon) ** (alpha - y))
    expected = np.where(apart < theta, near, a * apart - c)
    for one_p, one_y, one in zip(p, y, expected, strict=True):
        logits = torch.logit(torch.tensor(one_p, dtype=torch.float64)).view(1, 1, 1, 1)
        target = torch.full_like(logits, one_y)
        found = losses.adaptive_wing(logits, target, torch.ones_like(logits))
        assert found.item() == pytest.approx(one, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("y", [0.0, 0.3, 0.45])
def test_adaptive_wing_is_continuous_and_smooth_at_theta(y):
    """Value and slope meet where one branch takes over from the other."""
    step = 1e-5
    at = [y + losses.THETA + k * step for k in (-2, -1, 1, 2)]
    values = []
    for p in at:
        logits = torch.logit(torch.tensor(p, dtype=torch.float64)).view(1, 1, 1, 1)
        ones = torch.ones_like(logits)
        values.append(losses.adaptive_wing(logits, ones * y, ones).item())
    before, across, after = np.diff(values) / np.diff(at)
    assert before == pytest.approx(after, rel=1e-3)
    assert across == pytest.approx(after, rel=1e-3)


@pytest.mark.parametrize(
    "loss", [losses.cross_entropy, losses.dice, losses.cross_entropy_and_dice, losses.adaptive_wing]
)
@pytest.mark.parametrize("y", [0.1, 0.4, 0.75, 0.9])
def test_right_for_soft_labels_is_best_at_the_soft_label_itself(loss, y):
    grid = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    target = torch.full((1, 1, 4, 4), y, dtype=torch.float64)
    values = [loss(torch.logit(p).expand_as(target), target, torch.ones_like(target)) for p in grid]
    assert grid[int(torch.stack(values).argmin())].item() == pytest.approx(y, abs=1e-6)


def test_product_dice_equals_cross_entropy_plus_monai_and_pulls_soft_labels_to_extremes(generator):
    logits, ones = torch.randn(SHAPE, generator=generator), torch.ones(SHAPE)
    target = torch.rand(SHAPE, generator=generator)
    oracle = DiceLoss(sigmoid=True, batch=True, smooth_nr=0, smooth_dr=0)(logits, target)
    found = losses.product_dice(logits, target, ones)
    torch.testing.assert_close(found, losses.cross_entropy(logits, target, ones) + oracle)
    soft = torch.full((1, 1, 4, 4), 0.75)
    exact = torch.logit(soft).requires_grad_()
    losses.product_dice(exact, soft, torch.ones_like(soft)).backward()
    assert exact.grad is not None
    assert (exact.grad < 0).all()  # further up, away from the label
