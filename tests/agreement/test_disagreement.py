"""Disagreements against scikit-image and brute force, and over a clip in the store."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_confseg.agreement.disagreement import (
    Region,
    find_disagreements,
    linked,
    overlap,
    regions_of,
    split_vote,
    wide_regions,
)
from napari_confseg.agreement.maps import entropy, spread, votes
from napari_confseg.store import EXCLUDED, Cohort, Status

VALUES = np.array([0, 0, 0, 30, 59, 60, 90, EXCLUDED], np.uint8)


def some_planes(seed: int, raters: int = 3, shape: tuple[int, int] = (14, 17)) -> np.ndarray:
    """Blocky planes, so that regions have some width."""
    rng = np.random.default_rng(seed)
    small = VALUES[rng.integers(0, len(VALUES), (raters, shape[0] // 3 + 1, shape[1] // 3 + 1))]
    return np.repeat(np.repeat(small, 3, 1), 3, 2)[:, : shape[0], : shape[1]]


def by_name(planes: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip("abcd", planes, strict=False))


def test_maps_pixel_by_pixel() -> None:
    planes = some_planes(1)
    counted, apart, undecided = votes(planes, 60), spread(planes), entropy(planes)
    for y, x in product(*map(range, planes.shape[1:])):
        known = [int(v) for v in planes[:, y, x] if v != EXCLUDED]
        if len(known) < 2:
            assert (counted[y, x], apart[y, x], undecided[y, x]) == (0, 0, 0)
            continue
        assert counted[y, x] == sum(v >= 60 for v in known)
        assert apart[y, x] == max(known) - min(known)
        p = sum(known) / len(known) / 100
        bits = -sum(q * np.log2(q) for q in (p, 1 - p) if q > 0)
        assert abs(int(undecided[y, x]) - 100 * bits) <= 0.5 + 1e-6


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([1, 31, 60, 100]))
def test_regions_are_those_of_scikit_image(seed: int, narrowest: int, threshold: int) -> None:
    planes = some_planes(seed)
    split = np.zeros(planes.shape[1:], bool)
    for y, x in product(*map(range, split.shape)):
        known = [int(v) for v in planes[:, y, x] if v != EXCLUDED]
        split[y, x] = len({v >= threshold for v in known}) == 2
    assert np.array_equal(split_vote(planes, threshold), split)
    expected = label(split, connectivity=2)
    squares = {
        int(expected[y, x])
        for y, x in product(*(range(n - narrowest + 1) for n in split.shape))
        if split[y : y + narrowest, x : x + narrowest].all()
    }
    found = regions_of(by_name(planes), 7, threshold, narrowest)
    masks = [_whole(r, split.shape) for r in found]
    assert {m.tobytes() for m in masks} == {(expected == i).tobytes() for i in squares}
    assert wide_regions(split, narrowest)[1] == len(squares)
    for region, mask in zip(found, masks, strict=True):
        _check_region(region, mask, planes, threshold)


def _whole(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape, bool)
    y0, x0, y1, x1 = region.box
    out[y0:y1, x0:x1] = region.mask
    return out


def _check_region(region: Region, mask: np.ndarray, planes: np.ndarray, threshold: int) -> None:
    pixels = np.argwhere(mask)
    assert (region.frame, region.area) == (7, len(pixels))
    gaps = []
    for y, x in pixels:
        known = [int(v) for v in planes[:, y, x] if v != EXCLUDED]
        gaps.append(max(known) - min(known))
    assert region.size == pytest.approx(sum(gaps) / 100)
    for name, plane in by_name(planes).items():
        inside = [int(v) for v in plane[mask] if v != EXCLUDED]
        assert region.stated.get(name) == (pytest.approx(np.mean(inside)) if inside else None)
        near = {
            int(plane[y + dy, x + dx])
            for (y, x), dy, dx in product(pixels.tolist(), (-1, 0, 1), (-1, 0, 1))
            if 0 <= y + dy < plane.shape[0] and 0 <= x + dx < plane.shape[1]
        }
        omits = bool(inside) and not any(threshold <= v <= 100 for v in near)
        assert (name in region.omitted_by) == omits
    assert mask[region.anchor]
    assert region.holds(*region.anchor)
    outside = np.argwhere(~mask)
    assert not any(region.holds(y, x) for y, x in outside.tolist())


def square(frame: int, y: int, x: int, side: int = 4) -> Region:
    plane = np.zeros((40, 40), np.uint8)
    plane[y : y + side, x : x + side] = 80
    (region,) = regions_of({"a": plane, "b": np.zeros_like(plane)}, frame, 60)
    return region


def test_a_moving_thing_is_one_event_and_a_jump_is_two() -> None:
    moving = [[square(t, 5 + 2 * t, 5)] for t in range(5)]
    jump = [[square(5, 30, 30)], []]
    events = linked(moving + jump, 2)
    assert [e.frames for e in events] == [(0, 1, 2, 3, 4), (5,)]
    assert events[0].class_index == 2
    assert events[0].size == pytest.approx(5 * 16 * 0.8)
    assert events[0].stated == {"a": pytest.approx(80), "b": 0}


def test_a_region_that_splits_goes_on_as_its_larger_part() -> None:
    whole, large, small = square(0, 10, 10, 9), square(1, 10, 10, 5), square(1, 10, 16, 3)
    events = linked([[whole], [small, large]], 0)
    assert {e.frames for e in events} == {(0, 1), (1,)}
    assert next(e for e in events if len(e.regions) == 2).regions[1] is large
    merging = linked([[small, large], [whole]], 0)
    assert sorted(len(e.regions) for e in merging) == [1, 2]


@given(*[st.integers(0, 12)] * 4)
def test_overlap_by_counting(y: int, x: int, y2: int, x2: int) -> None:
    a, b = square(0, y, x, 5), square(1, y2, x2, 7)
    both = _whole(a, (40, 40)) & _whole(b, (40, 40))
    assert overlap(a, b) == overlap(b, a) == both.sum()


def test_edge_and_presence() -> None:
    big, small = np.zeros((2, 30, 30), np.uint8)
    big[5:20, 5:20], small[9:16, 9:16] = 90, 90
    (ring,) = regions_of({"a": big, "b": small}, 0, 60)
    assert ring.omitted_by == frozenset()
    (thing,) = regions_of({"a": big, "b": np.zeros_like(big)}, 0, 60)
    assert thing.omitted_by == {"b"}
    assert regions_of({"a": big}, 0, 60) == []


def test_over_a_clip_only_what_two_reviewed_counts(cohort: Cohort) -> None:
    clip = cohort.clip("clip-1")
    plane = np.zeros(clip.shape[1:], np.uint8)
    plane[10:20, 10:30] = 90
    status = np.zeros((6, 6), np.uint8)
    status[:4, 2] = Status.REVIEWED
    ada, bo = (clip.create_rater(n, kind="human") for n in ("ada", "bo"))
    for frame in range(6):
        ada.write_plane(frame, 2, plane)
    bo.write_plane(1, 2, plane)
    ada.write_status(status)
    status[0, 2] = Status.IN_PROGRESS
    bo.write_status(status)
    steps: list[tuple[int, int]] = []
    found = find_disagreements(
        clip, ["ada", "bo", "nobody"], [1, 2], 60, progress=lambda *s: steps.append(s)
    )
    assert found is not None
    assert found.raters == ("ada", "bo")
    assert np.argwhere(found.compared).tolist() == [[1, 2], [2, 2], [3, 2]]
    (event,) = found.events
    assert event.frames == (2, 3)
    assert event.presence
    assert event.worst.omitted_by == {"bo"}
    assert steps == [(0, 3), (1, 3), (2, 3)]
    assert find_disagreements(clip, ["ada", "bo"], [2], 60, cancelled=lambda: True) is None
    alone = find_disagreements(clip, ["ada"], [2], 60)
    assert alone is not None
    assert (alone.events, alone.compared.any()) == ((), np.False_)
