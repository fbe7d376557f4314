"""How confidence becomes target and weight."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.job import Method
from napari_confseg.store import EXCLUDED
from trainer.problems import TrainError
from trainer.targets import METHODS, check_method, make_targets

EVERY_VALUE = torch.tensor([*range(101), EXCLUDED], dtype=torch.uint8).view(1, 1, 1, -1)
REVIEWED = torch.tensor([[True]])


def method(name: str, **params: float) -> Method:
    return Method(name=name, params=params)


@given(t=st.integers(1, 100))
def test_threshold_marks_exactly_what_is_at_least_t(t):
    target, weight = make_targets(method("threshold", t=t), EVERY_VALUE, REVIEWED)
    marked = [v for v, y in zip(EVERY_VALUE.flatten().tolist(), target.flatten().tolist(),
                                strict=True) if y == 1]  # fmt: skip
    assert marked == list(range(t, 101))
    assert weight.flatten().tolist() == [1.0] * 101 + [0.0]


@given(t=st.integers(1, 100))
def test_hard_labels_are_equal_for_any_threshold(t):
    planes = torch.tensor([[[[0, 100, 100, 0]]]], dtype=torch.uint8)
    hard = planes.float() / 100
    target, weight = make_targets(method("threshold", t=t), planes, REVIEWED)
    assert torch.equal(target, hard)
    assert torch.equal(weight, torch.ones_like(hard))


@pytest.mark.parametrize("name", METHODS)
def test_full_confidence_is_ordinary_training(name):
    planes = torch.randint(0, 2, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0)) * 100
    target, weight = make_targets(method(name), planes.to(torch.uint8), torch.ones(2, 3).bool())
    assert torch.equal(target, planes / 100)
    assert (weight == 1).all()


@pytest.mark.parametrize("name", METHODS)
def test_not_reviewed_and_excluded_weigh_nothing(name):
    reviewed = torch.tensor([[False]])
    _, weight = make_targets(method(name), EVERY_VALUE, reviewed)
    assert (weight == 0).all()
    _, weight = make_targets(method(name), torch.full_like(EVERY_VALUE, EXCLUDED), REVIEWED)
    assert (weight == 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_reviewed_and_unmarked_is_absent(name):
    target, weight = make_targets(method(name), torch.zeros(1, 1, 2, 2).byte(), REVIEWED)
    assert (target == 0).all()
    assert (weight == 1).all()


def test_soft_is_the_confidence():
    target, _ = make_targets(method("soft"), EVERY_VALUE, REVIEWED)
    torch.testing.assert_close(target.flatten()[:101], torch.arange(101) / 100)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (method("majority"), "no method 'majority'. Use threshold, soft"),
        (method("threshold", level=60), "no parameter 'level'. It takes t."),
        (method("soft", t=60), "no parameter 't'. It takes none."),
        (method("threshold", t=0), "t of method 'threshold' is 0. Use 1 to 100."),
    ],
)
def test_a_wrong_method_is_refused_in_words(wrong, words):
    with pytest.raises(TrainError, match=words):
        check_method(wrong)
