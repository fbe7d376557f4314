"""How confidence becomes target and weight: the laws of every method."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_confseg import methods
from napari_confseg.methods import METHODS, Method
from napari_confseg.store import EXCLUDED
from trainer import losses
from trainer.targets import RECIPES, make_targets

EVERY_VALUE = torch.tensor([*range(101), EXCLUDED], dtype=torch.uint8).view(1, 1, 1, -1)
REVIEWED = torch.tensor([[True]])
CLASSES = 3


def method(name: str, **params: float) -> Method:
    return Method(name=name, params=params)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_class(values: torch.Tensor, classes: int = CLASSES) -> torch.Tensor:
    """(N, C * L, H, W) as (N, C, L, H, W)."""
    return values.view(len(values), classes, -1, *values.shape[2:])


# ---- laws of all ------------------------------------------------------------------------------


def test_table_and_trainer_agree():
    assert set(METHODS) == set(RECIPES)
    assert list(methods.LOSSES) == list(losses.LOSSES)
    for name, about in METHODS.items():
        takes = inspect.signature(RECIPES[name].target).parameters.values()
        settable = {p.name for p in takes if p.kind is p.KEYWORD_ONLY} - {"generator"}
        assert settable == set(about.parameters)
        assert about.loss in losses.LOSSES
        assert losses.loss_of(method(name)) is losses.LOSSES[about.loss]
        about.purpose.format(**method(name).settings)
        for parameter in about.parameters.values():
            assert parameter.low <= parameter.default <= parameter.high


@pytest.mark.parametrize("name", METHODS)
def test_full_confidence_is_ordinary_training(name):
    hard = torch.randint(0, 2, (2, CLASSES, 6, 6), generator=seeded())
    planes, reviewed = (hard * 100).to(torch.uint8), torch.ones(2, CLASSES).bool()
    target, weight = make_targets(method(name), planes, reviewed, seeded())
    assert (weight == 1).all()
    for level in by_class(target).unbind(2):
        if name == "smoothed":  # edges are soft by intent; at 50 % the answer is the same
            assert ((level - 0.5) * (2 * hard - 1) >= 0).all()
        else:
            assert torch.equal(level, hard.float())


@pytest.mark.parametrize("name", METHODS)
def test_not_reviewed_and_excluded_weigh_nothing(name):
    reviewed = torch.tensor([[False]])
    _, weight = make_targets(method(name), EVERY_VALUE, reviewed, seeded())
    assert (weight == 0).all()
    gone = torch.full_like(EVERY_VALUE, EXCLUDED)
    _, weight = make_targets(method(name), gone, REVIEWED, seeded())
    assert (weight == 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_what_is_unknown_says_nothing_about_what_is_known(name):
    planes = torch.randint(0, 101, (1, 1, 9, 9), generator=seeded()).to(torch.uint8)
    planes[..., 4, :] = EXCLUDED
    target, weight = make_targets(method(name), planes, REVIEWED)
    upper, _ = make_targets(method(name), planes[..., :4, :], REVIEWED)
    assert torch.equal(target[..., :4, :], upper)
    assert (weight[..., 4, :] == 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_reviewed_and_unmarked_is_absent(name):
    target, weight = make_targets(method(name), torch.zeros(1, 1, 2, 2).byte(), REVIEWED, seeded())
    assert (target == 0).all()
    assert (weight == 1).all()


@pytest.mark.parametrize("name", METHODS)
def test_more_confidence_never_asks_for_less(name):
    """On uniform planes, so that neighbours play no part: the pull towards present rises."""
    planes = torch.arange(101).to(torch.uint8).view(101, 1, 1, 1).expand(101, 1, 3, 3)
    target, weight = make_targets(method(name), planes, torch.ones(101, 1).bool())
    asked = (target * weight).mean((1, 2, 3))
    assert (asked.diff() >= 0).all()
    assert (asked[0], asked[-1]) == (0, 1)


# ---- each method's own --------------------------------------------------------------------------


@given(t=st.integers(1, 100) | st.floats(1, 100).map(lambda t: round(t, 1)))
def test_threshold_marks_exactly_what_is_at_least_t(t):
    target, weight = make_targets(method("threshold", t=t), EVERY_VALUE, REVIEWED)
    marked = [
        v
        for v, y in zip(EVERY_VALUE.flatten().tolist(), target.flatten().tolist(), strict=True)
        if y == 1
    ]
    assert marked == list(range(math.ceil(t), 101))
    assert weight.flatten().tolist() == [1.0] * 101 + [0.0]


@given(t=st.integers(1, 100))
def test_hard_labels_are_equal_for_any_threshold(t):
    planes = torch.tensor([[[[0, 100, 100, 0]]]], dtype=torch.uint8)
    hard = planes.float() / 100
    target, weight = make_targets(method("threshold", t=t), planes, REVIEWED)
    assert torch.equal(target, hard)
    assert torch.equal(weight, torch.ones_like(hard))


@pytest.mark.parametrize("name", ["soft", "regression", "semimetric", "heteroscedastic", "raters"])
def test_the_confidence_itself(name):
    target, _ = make_targets(method(name), EVERY_VALUE, REVIEWED)
    torch.testing.assert_close(target.flatten()[:101], torch.arange(101) / 100)


def test_weighted_is_present_with_the_weight_of_its_confidence():
    target, weight = make_targets(method("weighted"), EVERY_VALUE, REVIEWED)
    assert target.flatten()[:101].tolist() == [0.0] + [1.0] * 100
    torch.testing.assert_close(weight.flatten()[1:101], torch.arange(1, 101) / 100)
    assert weight.flatten()[[0, 101]].tolist() == [1.0, 0.0]


@given(low=st.integers(1, 100), more=st.integers(0, 99))
def test_the_band_between_is_ignored(low, more):
    high = min(low + more, 100)
    chosen = method("ignore-band", low=low, high=high)
    target, weight = make_targets(chosen, EVERY_VALUE, REVIEWED)
    for value, y, w in zip(range(101), target.flatten(), weight.flatten(), strict=False):
        assert w == (value < low or value >= high)
        assert y == (value >= high)


def test_smoothed_is_the_published_kernel():
    """Half for the pixel itself, half for its neighbours by a Gaussian of one pixel."""
    planes = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    planes[0, 0, 2, 2] = 90
    target, _ = make_targets(method("smoothed"), planes, REVIEWED)
    side, corner = 0.6065306597, 0.3678794412  # exp(-1/2), exp(-1)
    total = 4 * side + 4 * corner
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = torch.tensor(
        [[corner, side, corner], [side, total, side], [corner, side, corner]]
    ) / (2 * total)
    torch.testing.assert_close(target[0, 0], expected)


def test_smoothed_keeps_every_label_on_its_side():
    planes = torch.randint(0, 101, (4, 2, 16, 16), generator=seeded()).to(torch.uint8)
    reviewed = torch.ones(4, 2).bool()
    hard, _ = make_targets(method("threshold", t=60), planes, reviewed)
    target, _ = make_targets(method("smoothed", t=60), planes, reviewed)
    assert (target[hard == 1] >= 0.5).all()
    assert (target[hard == 0] <= 0.5).all()


NESTED = torch.zeros(1, 1, 12, 20, dtype=torch.uint8)
NESTED[..., 1:8, 1:8] = 40  # a doubtful rim
NESTED[..., 3:6, 3:6] = 80  # around a surer core
NESTED[..., 2:9, 12:18] = 40  # and another finding


def test_what_is_sampled_is_the_confidence_on_average():
    draws = torch.stack(
        [make_targets(method("sampled"), NESTED, REVIEWED, seeded(i))[0] for i in range(2000)]
    )
    # Three standard errors of a share of 2000.
    assert (draws.mean(0) - NESTED / 100).abs().max() < 3.3 * 0.5 / 2000**0.5
    expected, _ = make_targets(method("sampled"), NESTED, REVIEWED)
    torch.testing.assert_close(expected, NESTED / 100)


def test_what_is_sampled_is_constant_within_a_region_and_never_a_rim_without_its_core():
    rims = []
    for i in range(200):
        target, _ = make_targets(method("sampled"), NESTED, REVIEWED, seeded(i))
        core, rim = target[0, 0, 3:6, 3:6], target[0, 0, 1:8, 1:8][(NESTED == 40)[0, 0, 1:8, 1:8]]
        other = target[0, 0, 2:9, 12:18]
        for region in (core, rim, other):
            assert region.unique().numel() == 1
        assert core[0, 0] >= rim[0]
        rims.append((int(rim[0]), int(other[0, 0])))
    assert set(rims) == {(0, 0), (0, 1), (1, 0), (1, 1)}  # findings are drawn apart


def test_planes_do_not_share_a_draw():
    planes = torch.full((40, 2, 3, 3), 50, dtype=torch.uint8)
    target, _ = make_targets(method("sampled"), planes, torch.ones(40, 2).bool(), seeded())
    drawn = target[:, :, 0, 0]
    assert (target == drawn[:, :, None, None]).all()
    assert 25 < drawn.sum() < 55
    assert not torch.equal(drawn[:, 0], drawn[:, 1])


@pytest.mark.parametrize("n", [2, 5, 20])
def test_ordinal_levels_are_thresholds_and_their_mean_the_confidence(n):
    target, weight = make_targets(method("ordinal", n=n), EVERY_VALUE, REVIEWED)
    assert target.shape == weight.shape == (1, n, 1, 102)
    for k in range(n):
        t = -(-100 * (2 * k + 1) // (2 * n))  # the least whole percent from (k + 0.5) / n
        single, _ = make_targets(method("threshold", t=t), EVERY_VALUE, REVIEWED)
        assert torch.equal(target[:, k], single[:, 0])
    values = torch.arange(101) / 100
    assert ((target.mean(1).flatten()[:101] - values).abs() <= 0.5 / n + 0.005).all()


# ---- how a method is written ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("soft", "soft"),
        ("threshold", "threshold(t=60)"),
        ("threshold:t=55", "threshold(t=55)"),
        ("ignore-band:low=20,high=80", "ignore-band(low=20, high=80)"),
        ("threshold:t=70+semimetric", "threshold(t=70) + semimetric"),
        ("ordinal+adaptive-wing", "ordinal(n=5) + adaptive-wing"),
    ],
)
def test_methods_are_read(text, shown):
    assert str(Method.parse(text)) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("majority", "no method 'majority'; use relative-threshold, threshold"),
        ("threshold:level=60", "no parameter 'level'; it takes t"),
        ("soft:t=60", "no parameter 't'; it takes none"),
        ("threshold:t=0", "t of method 'threshold' is 0; use 1 to 100"),
        ("threshold:t", r"can't be read; write e\.g\. threshold:t=60 or soft\+semimetric"),
        ("ignore-band:low=80", "low above its high: 80 and 70"),
        ("soft+hinge", "no loss 'hinge'; use cross-entropy-dice"),
        ("soft+overlap+stated", "asks for overlap and for stated"),
    ],
)
def test_a_wrong_method_is_refused_in_words(text, words):
    with pytest.raises((ValidationError, ValueError), match=words):
        Method.parse(text)
