"""B-line and pleura tools: bands along the beams, never outside the sector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_confseg.annotate.tools.bands import b_line_band, pleura_band
from napari_confseg.readouts import Beams, frame_readouts
from tests.readouts.geometry import APEX, MM, SHAPE, box_sector, fan_corners, polar, sector

FAN = Beams.fit(sector(fan_corners()), None, SHAPE)
FAN_MM = Beams.fit(sector(fan_corners()), MM, SHAPE)
BOX = Beams.fit(box_sector(), None, SHAPE)
R, A = polar()


def at(radius: float, angle: float) -> tuple[float, float]:
    return APEX[0] + radius * np.cos(angle), APEX[1] + radius * np.sin(angle)


@settings(max_examples=25, deadline=None)
@given(st.floats(140, 330), st.floats(-0.35, 0.35), st.floats(4, 20))
def test_a_b_line_is_the_fan_between_two_rays_below_the_click(
    depth: float, angle: float, width: float
) -> None:
    found = b_line_band(FAN, at(depth, angle), width=width, confidence=70)
    half, pixel = width / depth / 2, 1.5 / R
    inner = FAN.inside & (depth + 1 < R) & (np.abs(A - angle) < half - pixel)
    outer = FAN.inside & (depth - 1 <= R) & (np.abs(A - angle) <= half + pixel)
    assert (found[inner] == 70).all()
    assert not found[~outer].any()
    # down to the sector's bottom: the deepest pixel on the click's own beam is in
    on_beam = FAN.inside & (np.abs(A - angle) < 1.0 / R) & (depth + 1 < R)
    assert found[on_beam].all()


def test_a_b_line_in_a_linear_sector_is_a_straight_column() -> None:
    found = b_line_band(BOX, (100, 60), width=9, confidence=90)
    expected = np.zeros(SHAPE, np.uint8)
    expected[100:301, 56:65] = 90
    np.testing.assert_array_equal(found, expected)


def test_a_second_click_at_that_depth_is_the_other_edge() -> None:
    found = b_line_band(BOX, (100, 60), (104, 90), width=5, confidence=90)
    columns = np.flatnonzero(found[200])
    assert (columns[0], columns[-1]) == (60, 90)
    assert np.flatnonzero(found[:, 75])[0] == 102  # halfway between the two clicks' depths


def test_edges_on_a_sloping_pleura_give_a_sloping_top() -> None:
    found = b_line_band(BOX, (100, 60), (140, 80), width=5, confidence=90) > 0
    for x in (60, 65, 70, 75, 80):
        assert np.flatnonzero(found[:, x])[0] == pytest.approx(100 + 2 * (x - 60), abs=1)
    assert np.flatnonzero(found.any(axis=0))[[0, -1]].tolist() == [60, 80]


def test_a_second_click_below_leans_the_band_through_both() -> None:
    found = b_line_band(BOX, (100, 60), (200, 80), width=9, confidence=90)
    for y, x in ((100, 60), (200, 80), (150, 70), (250, 90)):
        columns = np.flatnonzero(found[y])
        assert columns.mean() == pytest.approx(x, abs=0.6)
        assert len(columns) == pytest.approx(9, abs=1)


def test_widths_in_millimetres_are_those_of_the_picture() -> None:
    # 0.5 mm a pixel: 6 mm are 12 px.
    mm = b_line_band(FAN_MM, at(200, 0.1), width=6, confidence=50)
    px = b_line_band(FAN, at(200, 0.1), width=12, confidence=50)
    assert ((mm > 0) != (px > 0)).sum() < 0.01 * (px > 0).sum()


@settings(max_examples=25, deadline=None)
@given(st.floats(150, 300), st.floats(150, 300), st.floats(0.05, 0.35), st.floats(3, 12))
def test_a_pleural_line_goes_evenly_from_beam_to_beam(
    left: float, right: float, half: float, width: float
) -> None:
    left = right + np.clip(left - right, -300 * half, 300 * half)  # no steeper than 45 degrees
    found = pleura_band(FAN, at(right, half), at(left, -half), width=width, confidence=80)
    ramp = np.clip((A + half) / (2 * half), 0, 1)
    line = left + ramp * (right - left)
    inner = FAN.inside & (np.abs(R - line) < width / 2 - 1.5) & (np.abs(A) < half - 0.01)
    outer = FAN.inside & (np.abs(R - line) < width / 2 + 1.5) & (np.abs(A) < half + 0.01)
    assert found[inner].all()
    assert not found[~outer].any()
    order = pleura_band(FAN, at(left, -half), at(right, half), width=width, confidence=80)
    np.testing.assert_array_equal(found, order)


def test_the_pleura_tool_follows_a_bright_line_that_sags() -> None:
    sag = 200 + 6 * np.cos(A / 0.3 * np.pi / 2)
    picture = np.uint8(60 + 150 * np.exp(-(((R - sag) / 2) ** 2)))
    picture = np.clip(picture + np.random.default_rng(0).normal(0, 20, SHAPE), 0, 255)
    clicks = at(200, -0.3), at(200, 0.3)
    truth = (np.abs(R - sag) <= 2.5) & (np.abs(A) < 0.3)

    def found(frame: np.ndarray | None) -> float:
        band = pleura_band(FAN, *clicks, width=5, confidence=90, frame=frame) > 0
        return float(2 * (band & truth).sum() / (band.sum() + truth.sum()))

    assert found(picture.astype(np.uint8)) > 0.9
    assert found(None) < 0.5


def test_the_pleura_tool_follows_a_bright_line_in_a_linear_sector_too() -> None:
    frame = np.full(SHAPE, 40, np.uint8)
    y, x = np.indices(SHAPE)
    middle = 150 + 6 * np.sin((x - 100) / 200 * np.pi)  # sags by 6 px between its ends
    frame[np.abs(y - middle) < 3] = 220
    ends = (150.0, 100.0), (150.0, 300.0)
    band = pleura_band(BOX, *ends, width=5, confidence=90, frame=frame) > 0
    level = pleura_band(BOX, *ends, width=5, confidence=90) > 0
    assert band[156, 200]
    assert not level[156, 200]
    assert (np.abs(y - middle)[band] < 5).mean() > 0.97


def test_tools_and_read_outs_agree_on_the_beams() -> None:
    planes = {
        "pleura": pleura_band(FAN, at(200, -0.4), at(200, 0.4), width=5, confidence=100),
        "b-line": b_line_band(FAN, at(200, 0.1), at(200, 0.3), width=1, confidence=100),
    }
    assert frame_readouts(planes, FAN).pleura_percentage.value == pytest.approx(25, abs=1.5)


@settings(max_examples=20, deadline=None)
@given(*[st.floats(-50, 500)] * 4)
def test_nothing_is_proposed_outside_the_sector(y0: float, x0: float, y1: float, x1: float) -> None:
    for beams in (FAN, BOX):
        for found in (
            b_line_band(beams, (y0, x0), (y1, x1), width=8, confidence=100),
            pleura_band(beams, (y0, x0), (y1, x1), width=8, confidence=100),
        ):
            assert not found[~beams.inside].any()


def test_widths_must_be_positive() -> None:
    with pytest.raises(ValueError, match="above 0 px, found 0"):
        b_line_band(FAN, (100, 200), width=0, confidence=50)
    with pytest.raises(ValueError, match="above 0 mm, found -1"):
        pleura_band(FAN_MM, (100, 150), (100, 200), width=-1, confidence=50)
