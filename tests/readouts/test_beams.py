"""Beam coordinates follow from the sector's outline alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_confseg.readouts import Beams, insonated
from napari_confseg.readouts.beams import find_apex
from napari_confseg.store import Sector, Spacing
from tests.conftest import clip_meta
from tests.readouts.geometry import (
    APEX,
    BOTTOM,
    FACE,
    HALF,
    MM,
    SHAPE,
    box_sector,
    fan_corners,
    polar,
    sector,
)


def cut(corners: np.ndarray, left: float, right: float) -> np.ndarray:
    """Cut a convex outline at two verticals, as a scanner does that shows only the middle."""
    for limit, side in ((right, 1), (left, -1)):
        out = []
        for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            p_in, q_in = (p[1] - limit) * side <= 0, (q[1] - limit) * side <= 0
            if p_in:
                out.append(p)
            if p_in != q_in:
                out.append(p + (q - p) * (limit - p[1]) / (q[1] - p[1]))
        corners = np.array(out)
    return corners


@pytest.mark.parametrize("n", [2, 3, 5, 24])
@pytest.mark.parametrize("borders", [(-1e3, 1e3), (60, 340), (90, 310)])
def test_apex_of_a_fan_is_found_even_when_its_sides_are_cut_off(
    n: int, borders: tuple[float, float]
) -> None:
    found = find_apex(cut(fan_corners(n), *borders))
    assert found is not None
    assert found[0] == pytest.approx(APEX, abs=1.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_apex_survives_corners_dragged_by_hand(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, (32, 2))
    shaken = find_apex(fan_corners(16) + noise)
    assert shaken is not None
    assert np.hypot(*np.subtract(shaken[0], APEX)) < 15  # 3 % of the sector's depth


def test_rectangles_have_no_apex() -> None:
    assert find_apex(np.array([(0, 0), (0, 100), (200, 100), (200, 0.0)])) is None
    for kind in ("unknown", "linear", "curved"):
        shape = box_sector().model_copy(update={"kind": kind})
        assert Beams.fit(shape, None, SHAPE).kind == "linear"


def test_unknown_kind_is_told_by_the_outline() -> None:
    assert Beams.fit(sector(fan_corners(), "unknown"), None, SHAPE).kind == "curved"


def test_depth_and_angle_are_the_polar_coordinates_about_the_apex() -> None:
    beams = Beams.fit(sector(fan_corners()), None, SHAPE)
    r, a = polar()
    np.testing.assert_allclose(beams.depth[beams.inside], r[beams.inside], atol=0.2)
    np.testing.assert_allclose(beams.lateral[beams.inside], a[beams.inside], atol=2e-3)
    # the polygon's chords cut a little off the bottom's arc, and leave a little of the face's
    away = 3.0
    sure = (r > FACE + away) & (r < BOTTOM - away) & (np.abs(a) < HALF - 0.02)
    assert beams.inside[sure].all()
    far = (r < FACE - away) | (r > BOTTOM + away) | (np.abs(a) > HALF + 0.02)
    assert not beams.inside[far].any()


@pytest.mark.parametrize("spacing", [None, MM, Spacing(y=0.3, x=0.4, source="manual")])
@pytest.mark.parametrize("shape", [sector(fan_corners()), box_sector(), None])
def test_place_undoes_locate(shape: Sector | None, spacing: Spacing | None) -> None:
    beams = Beams.fit(shape, spacing, SHAPE)
    y, x = np.array([12.0, 200.5, 340.0]), np.array([210.0, 100.25, 180.0])
    np.testing.assert_allclose(beams.place(*beams.locate(y, x)), [y, x], atol=1e-6)


@pytest.mark.parametrize("shape", [None, box_sector(), sector(fan_corners())])
def test_depths_and_laterals_make_a_grid(shape: Sector | None) -> None:
    y, x = Beams.fit(shape, None, SHAPE).place(np.arange(3.0)[:, None], np.arange(4.0)[None])
    assert y.shape == x.shape == (3, 4)


def test_unequal_spacing_is_undone_before_angles_are_taken() -> None:
    # The same fan, seen by pixels twice as wide as high.
    squeezed = fan_corners() * [1.0, 0.5]
    spacing = Spacing(y=0.5, x=1.0, source="manual")
    beams = Beams.fit(sector(squeezed), spacing, (SHAPE[0], SHAPE[1] // 2))
    assert beams.apex == pytest.approx((APEX[0], APEX[1] / 2), abs=0.5)
    assert np.ptp(beams.lateral[beams.inside]) == pytest.approx(2 * HALF, abs=0.02)


def test_without_a_sector_the_beams_are_columns_of_the_whole_frame() -> None:
    beams = Beams.of(clip_meta(3), (3, *SHAPE))
    assert (beams.kind, beams.unit) == ("linear", "px")
    assert beams.inside.all()
    assert beams.lateral[5, 7] == 7


def test_a_doubtful_sector_bounds_nothing_before_a_person_looked_at_it() -> None:
    found = sector(fan_corners()).model_copy(update={"trust": 0.2, "confirmed": False})
    beams = Beams.fit(found, MM, SHAPE)
    unknown = Beams.fit(None, MM, SHAPE)
    assert (beams.apex, beams.step, beams.unit) == (unknown.apex, unknown.step, unknown.unit)
    assert beams.inside.all()
    looked_at = found.model_copy(update={"confirmed": True})
    assert not Beams.fit(looked_at, MM, SHAPE).inside.all()
    assert np.array_equal(Beams.fit(looked_at, MM, SHAPE).inside, insonated(looked_at, SHAPE))


def test_samples_leave_no_wide_gap_in_a_thin_slanting_line() -> None:
    beams = Beams.fit(sector(fan_corners()), None, SHAPE)
    line = np.zeros(SHAPE, np.uint8)
    columns = np.arange(110, 290)
    line[(150 + 0.3 * (columns - 200)).astype(int), columns] = 1
    seen = beams.samples.take(line).any(axis=0)
    # The line's pixels touch at corners, where single beams slip through.
    assert np.diff(np.flatnonzero(seen)).max() <= 2
