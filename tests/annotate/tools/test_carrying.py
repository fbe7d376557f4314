"""Propagation: what stands still stays, what moves is followed, doubt grows."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.transform import rotate

from napari_confseg.annotate.tools.propagation import LEAST, carried, faded
from napari_confseg.motion import KEPT_PER_STEP, match, small
from napari_confseg.store import EXCLUDED
from tests.annotate.tools.pictures import dice, disc, texture

SHAPE = (120, 160)


def test_a_still_clip_keeps_the_plane_and_loses_confidence_step_by_step() -> None:
    frames = np.repeat(texture()[None], 6, axis=0)
    plane = np.maximum(disc(SHAPE, (60, 70), 20, 50), disc(SHAPE, (60, 70), 8, 90))
    plane[5, 5] = EXCLUDED
    before = plane
    for k, step in enumerate(carried(frames, {2: plane}, 0, steps=5), start=1):
        found = step.proposals[2]
        assert step.frame == k
        assert step.match == pytest.approx(1)
        np.testing.assert_array_equal(found > 0, (plane > 0) & (plane != EXCLUDED))
        marked = found > 0
        assert (found[marked] < before[marked]).all()
        assert len(np.unique(found[marked])) == 2
        before = found
    assert step.frame == 5
    assert found[60, 70] == int(90 * KEPT_PER_STEP**5)


@pytest.mark.parametrize("shape", [SHAPE, (300, 400)])  # at full size, and reduced
@pytest.mark.parametrize("direction", [1, -1])
def test_a_sliding_clip_moves_the_plane_by_the_slide(
    shape: tuple[int, int], direction: int
) -> None:
    scale = shape[0] // 100
    wide = texture((shape[0] + 60, shape[1] + 60), grain=4.0 * scale)
    frames = np.stack(
        [
            wide[20 + k * scale : 20 + k * scale + shape[0], 40 - 2 * k * scale :][:, : shape[1]]
            for k in range(5)
        ]
    )[::direction]
    centre = (shape[0] / 2, shape[1] / 2)
    start = 0 if direction == 1 else 4
    plane = disc(shape, centre, 12 * scale, 90)
    steps = list(carried(frames, {0: plane}, start, steps=9, direction=direction))
    assert len(steps) == 4
    for k, step in enumerate(steps, start=1):
        assert step.frame == start + k * direction
        expected = disc(shape, (centre[0] - k * scale, centre[1] + 2 * k * scale), 12 * scale)
        assert dice(step.proposals[0] > 0, expected > 0) > 0.95


def test_planes_of_all_classes_move_together_and_keep_apart() -> None:
    frames = np.repeat(texture()[None], 2, axis=0)
    planes = {1: disc(SHAPE, (40, 40), 9, 60), 4: disc(SHAPE, (50, 40), 9, 30)}
    (step,) = carried(frames, planes, 0, steps=1)
    for c, plane in planes.items():
        np.testing.assert_array_equal(step.proposals[c] > 0, plane > 0)


def test_a_poor_match_costs_confidence_and_ends_it() -> None:
    first, other = texture(seed=1), texture(seed=2)
    plane = disc(SHAPE, (60, 80), 25, 90)
    still, cut = np.stack([first, first]), np.stack([first, other])
    (good,) = carried(still, {0: plane}, 0, steps=1)
    bad = list(carried(cut, {0: plane}, 0, steps=1))
    assert good.proposals[0].max() == 89
    if bad:
        assert bad[0].proposals[0].max() < 89
        assert bad[0].proposals[0].sum() < 0.5 * good.proposals[0].sum()
        assert bad[0].match < 0.5


def test_match_is_one_for_the_same_and_blind_to_gain() -> None:
    a, _ = small(texture())
    np.testing.assert_allclose(match(a, a), 1, atol=1e-4)
    np.testing.assert_array_less(0.9, match(a, a * np.float32(0.7))[10:-10, 10:-10].mean())
    turned = rotate(a, 180)
    assert match(a, turned.astype(np.float32)).mean() < 0.4
    flat = np.zeros_like(a)
    np.testing.assert_allclose(match(flat, flat), 1)


def test_doubtful_marks_are_dropped_before_they_reach_nothing() -> None:
    plane = np.array([[0, LEAST, 15, 100]], np.uint8)
    assert faded(plane, 1, 1.0).tolist() == [[0, 0, 14, 99]]
    assert faded(plane, 3, 0.5).tolist() == [[0, 0, 0, 48]]


def test_a_clip_without_marks_gives_nothing_and_so_does_its_end() -> None:
    frames = np.repeat(texture()[None], 3, axis=0)
    assert not list(carried(frames, {0: np.zeros(SHAPE, np.uint8)}, 0, steps=2))
    assert not list(carried(frames, {0: disc(SHAPE, (60, 60), 9, 90)}, 2, steps=2))


def test_nothing_is_carried_out_of_the_sector() -> None:
    frames = np.repeat(texture()[None], 2, axis=0)
    inside = np.zeros(SHAPE, np.bool_)
    inside[:, :70] = True
    plane = disc(SHAPE, (60, 70), 20, 90)
    (step,) = carried(frames, {0: plane}, 0, steps=1, inside=inside)
    np.testing.assert_array_equal(step.proposals[0] > 0, (plane > 0) & inside)
