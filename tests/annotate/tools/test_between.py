"""Interpolation: exact at both ends, the same from either side, less sure halfway."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_confseg.annotate.tools.interpolation import between, blended
from napari_confseg.store import EXCLUDED
from tests.annotate.tools.pictures import dice, disc

SHAPE = (60, 80)


@st.composite
def blobs(draw: st.DrawFn) -> np.ndarray:
    plane = np.zeros(SHAPE, np.uint8)
    for _ in range(draw(st.integers(0, 3))):
        centre = draw(st.tuples(st.integers(0, 59), st.integers(0, 79)))
        value = draw(st.sampled_from([20, 30, 60, 90, 100]))
        plane = np.maximum(plane, disc(SHAPE, centre, draw(st.integers(1, 14)), value))
    return plane


@settings(max_examples=30, deadline=None)
@given(blobs(), blobs())
def test_it_is_exact_at_both_ends(first: np.ndarray, last: np.ndarray) -> None:
    np.testing.assert_array_equal(blended(first, last, 0), first)
    np.testing.assert_array_equal(blended(first, last, 1), last)


@settings(max_examples=30, deadline=None)
@given(blobs(), blobs(), st.sampled_from([0.25, 0.5, 0.8]))
def test_it_is_the_same_from_either_side(first: np.ndarray, last: np.ndarray, s: float) -> None:
    there, back = blended(first, last, s).astype(int), blended(last, first, 1 - s).astype(int)
    # A pixel right on an edge may fall to either side by rounding.
    assert ((np.abs(there - back) > 1).sum()) <= 0.02 * max((there > 0).sum(), 50)


@settings(max_examples=20, deadline=None)
@given(blobs(), st.integers(2, 7))
def test_between_equal_planes_only_confidence_changes(plane: np.ndarray, gap: int) -> None:
    found = list(between(plane, plane, gap))
    assert len(found) == gap - 1
    for p in found:
        np.testing.assert_array_equal(p > 0, plane > 0)
        assert (p[plane > 0] < plane[plane > 0]).all()
    tops = [int(p.max()) for p in found]
    assert tops == tops[::-1]
    assert min(tops) == tops[len(tops) // 2]


def test_a_growing_disc_has_the_radius_between() -> None:
    first, last = disc(SHAPE, (30, 40), 6, 90), disc(SHAPE, (30, 40), 18, 90)
    assert dice(blended(first, last, 0.5) > 0, disc(SHAPE, (30, 40), 12) > 0) > 0.97


def test_what_slides_further_than_it_is_wide_moves_instead_of_vanishing() -> None:
    first, last = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    first[5:55, 20:26], last[5:55, 36:42] = 90, 60
    half = blended(first, last, 0.5)
    expected = np.zeros(SHAPE, np.bool_)
    expected[5:55, 28:34] = True
    assert dice(half > 0, expected) > 0.95
    assert np.unique(half).tolist() == [0, 75]


def test_each_level_goes_to_its_like() -> None:
    first = np.maximum(disc(SHAPE, (30, 30), 14, 30), disc(SHAPE, (30, 30), 6, 90))
    last = np.maximum(disc(SHAPE, (30, 40), 14, 50), disc(SHAPE, (30, 40), 10, 100))
    half = blended(first, last, 0.5)
    assert np.unique(half).tolist() == [0, 40, 95]
    assert dice(half > 0, disc(SHAPE, (30, 35), 14) > 0) > 0.95
    assert dice(half == 95, disc(SHAPE, (30, 35), 8) > 0) > 0.93


def test_what_is_on_one_frame_only_stays_and_fades() -> None:
    plane, nothing = disc(SHAPE, (30, 40), 9, 80), np.zeros(SHAPE, np.uint8)
    fading = list(between(plane, nothing, 5))
    for p in fading[:-1]:
        np.testing.assert_array_equal(p > 0, plane > 0)
    tops = [int(p.max()) for p in fading]
    assert tops == sorted(tops, reverse=True)
    assert tops == [int(p.max()) for p in between(nothing, plane, 5)][::-1]


def test_excluded_pixels_and_what_is_outside_are_not_interpolated() -> None:
    plane = disc(SHAPE, (30, 40), 9, 80)
    plane[30, 40] = EXCLUDED
    inside = np.zeros(SHAPE, np.bool_)
    inside[:, 40:] = True
    (found,) = between(plane, plane, 2, inside=inside)
    assert found[30, 40] == 0
    assert not found[~inside].any()
    assert found[inside].any()


def test_many_levels_of_a_model_are_rounded_down_to_few() -> None:
    ramp = np.tile(np.arange(80, dtype=np.uint8), (60, 1))
    found = blended(ramp, ramp, 0.5)
    assert len(np.unique(found)) == 11
    assert (found <= ramp).all()


def test_wrong_gaps_and_shapes_are_refused() -> None:
    plane = np.zeros(SHAPE, np.uint8)
    with pytest.raises(ValueError, match="0 frames apart"):
        list(between(plane, plane, 0))
    with pytest.raises(ValueError, match="one shape"):
        list(between(plane, plane[:5], 2))
