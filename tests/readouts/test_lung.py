"""Read-outs of frames and clips against plain re-computations and brute force."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_confseg.readouts import Beams, Finding, Presence, clip_readouts, frame_readouts, sum_up
from napari_confseg.readouts.lung import area, presence
from napari_confseg.store import EXCLUDED
from tests.readouts.geometry import (
    BOTTOM,
    FACE,
    MM,
    SHAPE,
    box_sector,
    fan_band,
    fan_corners,
    sector,
)

FAN = Beams.fit(sector(fan_corners()), MM, SHAPE)
BOX = Beams.fit(box_sector(), MM, SHAPE)
SPAN = tuple[float, float]


def planes(beams: Beams, **marks: list[tuple[np.ndarray, int]]) -> dict[str, np.ndarray]:
    out = {
        n: np.zeros(SHAPE, np.uint8)
        for n in ("pleura", "a-line", "b-line", "consolidation", "effusion", "rib")
    }
    for name, regions in marks.items():
        for mask, confidence in regions:
            out[name.replace("_", "-")][mask & beams.inside] = confidence
    return out


def annotate_ultrasound_ratio(pleura: list[SPAN], b_lines: list[SPAN]) -> float:
    """The ratio as AnnotateUltrasound defines it, from lines whose ends have these angles.

    Each line becomes the piece of the fan between the rays through its ends, from the inner to
    the outer radius. Pixels of B-line pieces that lie in no pleura piece are erased; the ratio
    is the count of the B-lines' pixels over that of the pleura's.
    """

    def union(lines: list[SPAN]) -> np.ndarray:
        pieces = [fan_band((FACE, BOTTOM), line) for line in lines]
        return np.any([np.zeros(SHAPE, np.bool_), *pieces], axis=0)

    p, b = union(pleura), union(b_lines)
    return np.count_nonzero(b & p) / np.count_nonzero(p)


def spans(n: int) -> st.SearchStrategy[list[SPAN]]:
    middle, width = st.floats(-0.4, 0.4), st.floats(0.03, 0.2)
    one = st.tuples(middle, width).map(
        lambda mw: (max(mw[0] - mw[1], -0.42), min(mw[0] + mw[1], 0.42))
    )
    return st.lists(one, min_size=1, max_size=n)


@settings(max_examples=20, deadline=None)
@given(spans(2), spans(4), st.floats(150, 250))
@example([(-0.052734375, 0.052734375)], [(-0.05078125, 0.05078125)], 150.0)  # 15 pixels of 17
def test_pleura_percentage_is_annotate_ultrasounds_ratio(
    pleura: list[SPAN], b_lines: list[SPAN], depth: float
) -> None:
    marked = planes(
        FAN,
        pleura=[(fan_band((depth, depth + 5), s), 100) for s in pleura],
        b_line=[(fan_band((depth, BOTTOM), s), 100) for s in b_lines],
    )
    found = frame_readouts(marked, FAN).pleura_percentage
    expected = 100 * annotate_ultrasound_ratio(pleura, b_lines)
    extent = np.unique(np.concatenate([np.arange(a, b, 1e-3) // 1e-3 for a, b in pleura])).size
    # Of pleura as of B-lines: what is divided by is counted in whole pixels, too.
    half_a_pixel_at_each_end = 100 * 1.0 / (depth * extent * 1e-3)
    pieces = len(b_lines) + len(pleura)
    assert found.value == pytest.approx(expected, abs=pieces * half_a_pixel_at_each_end)
    assert found.low == found.high == found.value


def test_in_linear_sectors_extent_is_counted_in_columns() -> None:
    pleura, b = np.zeros(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    pleura[100:104, 40:140] = True
    b[104:300, 60:85] = True  # beneath the line
    b[104:300, 150:200] = True  # beside it
    found = frame_readouts(planes(BOX, pleura=[(pleura, 100)], b_line=[(b, 100)]), BOX)
    assert found.pleura_percentage.value == pytest.approx(25, abs=0.6)
    assert found.artefact_score.value == pytest.approx(25, abs=1.0)
    assert found.b_line_count.value == 2


def test_what_lies_above_the_pleura_is_no_b_line_beneath_it() -> None:
    pleura, above = np.zeros(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    pleura[200:204, 40:140] = True
    above[20:199, 60:85] = True
    found = frame_readouts(planes(BOX, pleura=[(pleura, 100)], b_line=[(above, 100)]), BOX)
    assert found.pleura_percentage.value == 0
    assert found.b_line_count.value == 0


def brute_force(
    pleura: list[tuple[SPAN, int]], b_lines: list[tuple[SPAN, int]], step: float = 0.0005
) -> list[tuple[float, int, float]]:
    """(pleura percentage, B-lines, probability) of every combination of what is there."""
    grid = np.arange(-0.5, 0.5, step)

    def union(chosen: list[SPAN]) -> np.ndarray:
        return np.any([grid * 0 > 1, *((grid >= a) & (grid < b) for a, b in chosen)], axis=0)

    out = []
    everything = pleura + b_lines
    for there in itertools.product([True, False], repeat=len(everything)):
        chance = np.prod(
            [c / 100 if t else 1 - c / 100 for t, (_, c) in zip(there, everything, strict=True)]
        )
        chosen = [s for t, (s, _) in zip(there, everything, strict=True) if t]
        p = union([s for s in chosen if s in [x for x, _ in pleura]])
        b = union([s for s in chosen if s in [x for x, _ in b_lines]])
        share = 100 * (p & b).sum() / p.sum() if p.any() else float("nan")
        out.append((share, int((np.diff(b.astype(int), prepend=0) == 1).sum()), float(chance)))
    return out


def test_intervals_are_those_of_every_combination_of_regions() -> None:
    pleura = [((-0.4, -0.05), 80), ((0.05, 0.4), 95)]
    b_lines = [((-0.3, -0.2), 90), ((0.1, 0.15), 60), ((0.25, 0.33), 30)]
    marked = planes(
        FAN,
        pleura=[(fan_band((200, 206), s), c) for s, c in pleura],
        b_line=[(fan_band((206, BOTTOM), s), c) for s, c in b_lines],
    )
    found = frame_readouts(marked, FAN)
    combos = brute_force(pleura, b_lines)
    shares = np.array([s for s, _, _ in combos])
    lines = np.array([n for _, n, _ in combos])
    chance = np.array([c for _, _, c in combos])
    ok = ~np.isnan(shares)
    percent = found.pleura_percentage
    assert percent.defined == pytest.approx(chance[ok].sum())
    assert percent.expected == pytest.approx(shares[ok] @ chance[ok] / chance[ok].sum(), abs=1.0)
    order = np.argsort(shares[ok])
    reached = np.cumsum(chance[ok][order]) / chance[ok].sum()
    for q, value in ((0.025, percent.low), (0.5, percent.value), (0.975, percent.high)):
        assert value == pytest.approx(shares[ok][order][np.searchsorted(reached, q)], abs=1.0)
    assert found.b_line_count.expected == pytest.approx(lines @ chance)
    poisson_binomial = np.bincount(lines, chance)
    for n, p in enumerate(poisson_binomial):
        belief = found.b_line_count.belief
        assert belief.weights[belief.values == n].sum() == pytest.approx(p)


def test_certain_marks_leave_no_doubt_and_doubt_widens_intervals() -> None:
    def percentage(confidence: int) -> Finding:
        return frame_readouts(
            planes(
                FAN,
                pleura=[(fan_band((200, 206), (-0.4, 0.4)), 100)],
                b_line=[
                    (fan_band((206, BOTTOM), (-0.3, -0.1)), confidence),
                    (fan_band((206, BOTTOM), (0.1, 0.2)), confidence),
                ],
            ),
            FAN,
        ).pleura_percentage

    sure, likely, open_ = percentage(100), percentage(99), percentage(50)
    assert sure.low == sure.high == pytest.approx(37.5, abs=1)
    assert likely.value == sure.value
    assert open_.high - open_.low > 30
    assert open_.expected == pytest.approx(sure.value / 2, abs=0.1)


def test_a_doubtful_margin_is_doubt_of_extent_not_of_presence() -> None:
    margin = fan_band((206, BOTTOM), (-0.1, 0.1))
    core = fan_band((206, BOTTOM), (-0.05, 0.05))
    marked = planes(
        FAN, pleura=[(fan_band((200, 206), (-0.4, 0.4)), 100)], b_line=[(margin, 40), (core, 100)]
    )
    found = frame_readouts(marked, FAN)
    assert (found.b_line_count.low, found.b_line_count.high) == (1, 1)
    assert found.pleura_percentage.low == pytest.approx(12.5, abs=1)
    assert found.pleura_percentage.high == pytest.approx(25, abs=1)


def test_ribs_are_taken_out_of_the_intercostal_space() -> None:
    line = [(fan_band((200, 206), (-0.4, 0.4)), 100)]
    b = [(fan_band((200, BOTTOM), (-0.4, 0.0)), 100)]
    free = frame_readouts(planes(FAN, pleura=line, b_line=b), FAN).artefact_score
    rib = [(fan_band((180, 195), (0.2, 0.4)), 100)]
    beside = frame_readouts(planes(FAN, pleura=line, b_line=b, rib=rib), FAN).artefact_score
    assert free.value == pytest.approx(50, abs=1.5)
    assert beside.value == pytest.approx(100 * 0.4 / 0.6, abs=1.5)


def test_without_a_pleural_line_there_is_no_share_of_it() -> None:
    b = [(fan_band((206, BOTTOM), (-0.1, 0.1)), 100)]
    found = frame_readouts(planes(FAN, b_line=b), FAN)
    assert np.isnan(found.pleura_percentage.value)
    assert found.pleura_percentage.defined == 0
    assert found.b_line_count.value == 1
    assert str(found.pleura_percentage) == "–"


def test_classes_that_a_cohort_does_not_have_are_undefined() -> None:
    found = frame_readouts({"pleura": np.zeros(SHAPE, np.uint8)}, FAN)
    assert np.isnan(found.b_line_count.value)
    assert np.isnan(found.consolidation.value)
    assert np.isnan(found.a_lines.probability)
    assert not found.a_lines.present


def test_areas_are_counted_pixels_and_their_doubt_enumerated() -> None:
    plane = np.zeros(SHAPE, np.uint8)
    plane[100:120, 190:210] = 90
    plane[105:110, 195:205] = 100
    plane[200:210, 150:160] = 30
    plane[0, 0] = 100  # outside the sector
    plane[300, 200] = EXCLUDED
    found = area(plane, FAN)
    mm2 = 0.25
    expected = {
        (400 + 100) * mm2: 0.9 * 0.3,
        400 * mm2: 0.9 * 0.7,
        (50 + 100) * mm2: 0.1 * 0.3,
        50 * mm2: 0.1 * 0.7,
    }
    assert dict(zip(found.belief.values, found.belief.weights, strict=True)) == pytest.approx(
        expected
    )
    assert found.unit == "mm²"
    assert area(plane, Beams.fit(sector(fan_corners()), None, SHAPE)).unit == "px²"


def test_presence_lies_within_frechets_bounds() -> None:
    plane = np.zeros((20, 20), np.uint8)
    plane[2, 2:6], plane[8, 2:6], plane[8, 4], plane[15, 1] = 40, 30, 50, EXCLUDED
    found = presence(plane)
    assert found == Presence(pytest.approx(1 - 0.6 * 0.5), 0.5, 0.9)
    assert found.present
    assert presence(np.zeros((4, 4), np.uint8)) == Presence(0, 0, 0)


def test_a_clip_repeats_its_frames_doubt() -> None:
    b = [(fan_band((206, BOTTOM), (-0.2, 0.2)), 60)]
    line = [(fan_band((200, 206), (-0.4, 0.4)), 100)]
    one = frame_readouts(planes(FAN, pleura=line, b_line=b), FAN)
    bare = frame_readouts(planes(FAN, pleura=line), FAN)
    same = sum_up([one] * 9)
    # Nine frames that show one doubtful line are as doubtful as one frame.
    for summed in (same.pleura_percentage.mean, same.pleura_percentage.peak):
        assert (summed.low, summed.value, summed.high) == pytest.approx(
            (one.pleura_percentage.low, one.pleura_percentage.value, one.pleura_percentage.high)
        )
        assert summed.expected == pytest.approx(one.pleura_percentage.expected, abs=0.2)
    mixed = sum_up([one, bare])
    assert mixed.pleura_percentage.mean.high == pytest.approx(one.pleura_percentage.high / 2)
    assert mixed.b_line_count.peak.high == 1
    assert mixed.b_line_count.mean.expected == pytest.approx(0.3)
    assert mixed.frames == 2


def test_clip_readouts_are_those_of_the_frames_asked_for() -> None:
    line = [(fan_band((200, 206), (-0.4, 0.4)), 100)]
    first = planes(FAN, pleura=line, a_line=[(fan_band((300, 306), (-0.2, 0.2)), 80)])
    second = planes(FAN, pleura=line)
    stacked = {n: np.stack([first[n], second[n]]) for n in first}
    both = clip_readouts(stacked, FAN, [0, 1])
    assert both == sum_up([frame_readouts(first, FAN), frame_readouts(second, FAN)])
    assert both.a_lines == Presence(pytest.approx(0.8), pytest.approx(0.8), pytest.approx(0.8))
    assert clip_readouts(stacked, FAN, [1]).a_lines.probability == 0
    with pytest.raises(ValueError, match="no frame"):
        clip_readouts(stacked, FAN, [])


def test_planes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(360, 440\), found \(2, 2\)"):
        frame_readouts({"pleura": np.zeros((2, 2), np.uint8)}, FAN)


def test_findings_read_well() -> None:
    b = [(fan_band((206, BOTTOM), (-0.2, 0.2)), 60)]
    line = [(fan_band((200, 206), (-0.4, 0.4)), 100)]
    found = frame_readouts(planes(FAN, pleura=line, b_line=b), FAN)
    assert str(found.b_line_count) == "1 line (0 to 1)"
    assert re.fullmatch(r"(49|50)\.\d % \(0\.0 to \1\.\d\)", str(found.pleura_percentage))
    assert str(Presence(0.8, 0.5, 0.9)) == "present, 80 % (50 to 90)"
    assert str(found.effusion) == "0.0 mm²"


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_model_like_planes_give_figures_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    speckled = {
        n: (rng.random(SHAPE) ** 4 * 100 * (rng.random(SHAPE) < 0.004)).astype(np.uint8)
        for n in ("pleura", "b-line")
    }
    speckled["pleura"] |= planes(FAN, pleura=[(fan_band((200, 206), (-0.4, 0.4)), 96)])["pleura"]
    speckled["pleura"] = np.minimum(speckled["pleura"], 100)
    assert label(speckled["b-line"] > 0).max() > 200
    found = frame_readouts(speckled, FAN)
    for f in (found.pleura_percentage, found.artefact_score):
        assert 0 <= f.low <= f.value <= f.high <= 100
