"""Beliefs: exact for few regions, true to every pixel's confidence for many."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_confseg.readouts.belief import ABSENT, Belief, levels_of, regions, states
from napari_confseg.store import EXCLUDED

LEVELS = st.lists(
    st.lists(st.integers(1, 100), min_size=1, max_size=4, unique=True).map(
        lambda v: np.array(sorted(v))
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(LEVELS)
def test_enumerated_states_are_all_thresholds_counted_one_by_one(levels: list[np.ndarray]) -> None:
    thresholds, weights = states(levels)
    assert weights.sum() == pytest.approx(1)
    # Oracle: which parts of which regions are there, over a random grid of uniform thresholds.
    for k, v in enumerate(levels):
        for c in v:
            assert weights[thresholds[:, k] <= c].sum() == pytest.approx(c / 100)
    for i, j in itertools.combinations(range(len(levels)), 2):
        both = (thresholds[:, i] <= levels[i][0]) & (thresholds[:, j] <= levels[j][-1])
        assert weights[both].sum() == pytest.approx(levels[i][0] * levels[j][-1] / 1e4)


def test_drawn_states_keep_each_confidence_exactly_and_independence_nearly() -> None:
    rng = np.random.default_rng(3)
    levels = [np.unique(rng.integers(1, 101, 20)) for _ in range(6)]
    thresholds, weights = states(levels)
    assert len(weights) < 5000
    for k, v in enumerate(levels):
        for c in v:
            assert weights[thresholds[:, k] <= c].sum() == pytest.approx(c / 100)
    assert np.abs(np.corrcoef(thresholds.T) - np.eye(6)).max() < 0.08
    again, _ = states(levels)
    np.testing.assert_array_equal(thresholds, again)


def test_no_region_has_one_state() -> None:
    thresholds, weights = states([])
    assert thresholds.shape == (1, 0)
    assert weights.tolist() == [1.0]


def test_certain_regions_have_one_state_and_doubtful_ones_may_be_absent() -> None:
    assert states([np.array([100])])[0].tolist() == [[100]]
    assert states([np.array([30])])[0].tolist() == [[30], [ABSENT]]


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 0, 0, 30, 60, 100, EXCLUDED])))
def test_levels_are_those_of_each_region(plane: np.ndarray) -> None:
    labels = regions(plane)
    levels = levels_of(plane, labels)
    assert len(levels) == labels.max(initial=0)
    for k, v in enumerate(levels, start=1):
        assert v.tolist() == np.unique(plane[labels == k]).tolist()
    assert not labels[plane == EXCLUDED].any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 9)), min_size=1, max_size=12))
def test_quantiles_are_those_of_the_repeated_values(pairs: list[tuple[int, int]]) -> None:
    values, counts = (np.array(c, float) for c in zip(*pairs, strict=True))
    belief = Belief.of(values, counts / counts.sum())
    repeated = np.repeat(values, counts.astype(int))
    for q in (0.025, 0.5, 0.975):
        assert belief.quantile(q) == np.quantile(repeated, q, method="inverted_cdf")
    assert belief.expected == pytest.approx(repeated.mean())


def test_undefined_states_are_left_out_and_counted() -> None:
    belief = Belief.of(np.array([np.nan, 1.0, 3.0]), np.array([0.5, 0.25, 0.25]))
    assert belief.defined == 0.5
    assert belief.expected == 2.0
    nothing = Belief.of(np.array([np.nan]), np.ones(1))
    assert nothing.defined == 0
    assert np.isnan(nothing.expected)
    assert np.isnan(nothing.quantile(0.5))
