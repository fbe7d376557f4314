"""The pleural line's shape against lines drawn from formulas, and against the phantom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import brentq

from napari_confseg.readouts import Beams, frame_readouts, sum_up
from napari_confseg.readouts.pleura import (
    CUT_OFF_MM,
    ENUMERATED,
    INDENT_MM,
    PIXELS,
    PleuralLine,
    pleural_line,
)
from napari_confseg.store import EXCLUDED, Sector, Spacing
from sample_data.anatomy import Break
from sample_data.cohort import draw_motion, draw_scan
from sample_data.disease import draw_anatomy, draw_breaks
from sample_data.findings import PLEURA, RIB, findings, latent
from tests.readouts.geometry import APEX, MM, SHAPE, box_sector, fan_corners, polar, sector

if TYPE_CHECKING:
    from collections.abc import Callable

    from sample_data.anatomy import Anatomy, Pose
    from sample_data.scan import Scan

PHASED_APEX = (4.0, 200.0)
PHASED_CORNERS = fan_corners(apex=PHASED_APEX, radii=(8.0, 340.0), half=0.6)
BEAMS = {
    "linear": Beams.fit(box_sector(right=420), MM, SHAPE),
    "curved": Beams.fit(sector(fan_corners()), MM, SHAPE),
    "phased": Beams.fit(sector(PHASED_CORNERS, "phased"), MM, SHAPE),
}
# Depth that a line is drawn at, its half extent (columns or radians), and the middle beam.
PLACES = {"linear": (150.0, 160.0, 220.0), "curved": (260.0, 0.4, 0.0), "phased": (220.0, 0.5, 0.0)}
PIXEL = 0.5  # mm


def places(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Depth in pixels, and the way from the middle beam in columns or radians, of each pixel."""
    if kind == "linear":
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        return y.astype(float), x - PLACES[kind][2]
    return polar(APEX if kind == "curved" else PHASED_APEX)


def along(kind: str) -> np.ndarray:
    """Way from the middle beam along the line, in mm."""
    return places(kind)[1] * PIXEL * (1 if kind == "linear" else PLACES[kind][0])


def band(
    kind: str, thickness: float = 3.0, deeper: Callable[[np.ndarray], np.ndarray] = np.zeros_like
) -> np.ndarray:
    """A line `thickness` mm thick along the beam, whose middle lies `deeper` mm than PLACES."""
    depth, aside = places(kind)
    level, half, _ = PLACES[kind]
    # Off the grid, so that no pixel's middle lies on an edge.
    middle = level + 0.25 + deeper(along(kind)) / PIXEL
    return (np.abs(depth - middle) < thickness / PIXEL / 2) & (np.abs(aside) < half)


def measured(mask: np.ndarray, kind: str, confidence: int = 100) -> PleuralLine:
    return pleural_line(mask * np.uint8(confidence), BEAMS[kind])


def filter_width() -> float:
    """Standard deviation of a Gaussian whose second-order filter passes half at the cut-off."""
    a = brentq(lambda a: (1 + a) * np.exp(-a) - 0.5, 0.1, 10)
    return CUT_OFF_MM * np.sqrt(a / 2) / np.pi


def roughness(x: np.ndarray, c: np.ndarray, level: float | None = None) -> float:
    """Rms distance of ``c(x)`` from a parabola fitted around each place by numpy's polyfit.

    With `level` (mm), `c` is a radius, and `x` an angle times `level`.
    """
    out = []
    for here, depth in zip(x[::3], c[::3], strict=True):
        weight = np.exp(-0.25 * ((x - here) / filter_width()) ** 2)  # polyfit squares it
        _, slope, value = np.polyfit(x - here, c, 2, w=weight)
        stretch = 1.0 if level is None else depth / level
        out.append((depth - value) / np.hypot(1, slope / stretch))
    return float(np.sqrt(np.mean(np.square(out))))


@pytest.mark.parametrize("kind", list(BEAMS))
@pytest.mark.parametrize("thickness", [1.5, 3.0, 6.0])
def test_a_line_across_the_beams_is_as_thick_as_it_was_drawn(kind: str, thickness: float) -> None:
    found = measured(band(kind, thickness), kind)
    assert found.thickness.value == pytest.approx(thickness, abs=0.1 * PIXEL)
    assert found.thickness_p90.value == pytest.approx(thickness, abs=0.25 * PIXEL)
    assert found.thickness.unit == "mm"
    assert found.thickness.low == found.thickness.high
    assert (found.breaks.value, found.interrupted.value, found.doubled.value) == (0, 0, 0)
    # What the stairs of pixels leave: nothing on columns, a third of a pixel at most on rays.
    assert found.irregularity.value <= (1e-9 if kind == "linear" else PIXEL / 3)
    assert found.indentations.value == 0


@pytest.mark.parametrize("degrees", [8, 20, 35])
def test_a_tilted_line_is_measured_square_to_itself(degrees: float) -> None:
    mask = band(
        "linear", 3.0 / np.cos(np.deg2rad(degrees)), lambda x: x * np.tan(np.deg2rad(degrees))
    )
    length = 2 * PLACES["linear"][1] * PIXEL / np.cos(np.deg2rad(degrees))
    drawn = mask.sum() * PIXEL**2 / length
    assert drawn == pytest.approx(3.0, abs=0.05)
    found = measured(mask, "linear")
    assert found.thickness.value == pytest.approx(drawn, abs=0.05 * PIXEL)
    assert found.irregularity.value < PIXEL / 3


@pytest.mark.parametrize("kind", ["curved", "phased"])
def test_a_flat_sheet_under_rays_is_as_thick_at_the_sides_and_smooth(kind: str) -> None:
    y, _ = np.mgrid[: SHAPE[0], : SHAPE[1]]
    half = PLACES[kind][1]
    mask = (np.abs(y - 120.5) < 3) & (np.abs(places(kind)[1]) < 0.9 * half)
    found = measured(mask, kind)
    assert found.thickness.value == pytest.approx(3.0, abs=0.1 * PIXEL)
    assert found.thickness_p90.value == pytest.approx(3.0, abs=0.5 * PIXEL)
    assert found.irregularity.value < PIXEL / 3
    assert found.breaks.value == 0


def test_thickness_varies_along_the_line_as_drawn() -> None:
    """A fifth of the line is 5 mm thick, the rest 2 mm: the 90th percentile is of the fifth."""
    x = along("linear")
    mask = np.where(np.abs(x) < 16, band("linear", 5.0), band("linear", 2.0))
    found = measured(mask, "linear")
    assert found.thickness.value == pytest.approx(2.0, abs=1e-6)
    assert found.thickness_p90.value == pytest.approx(5.0, abs=1e-6)


@pytest.mark.parametrize("kind", list(BEAMS))
@pytest.mark.parametrize(
    "gaps", [[(0.2, 0.3)], [(0.1, 0.15), (0.4, 0.6), (0.8, 0.9)], []], ids=["one", "three", "none"]
)
def test_breaks_are_counted_and_their_extent_shared(
    kind: str, gaps: list[tuple[float, float]]
) -> None:
    share = places(kind)[1] / (2 * PLACES[kind][1]) + 0.5
    mask = band(kind)
    for start, stop in gaps:
        mask &= (share < start) | (share >= stop)
    found = measured(mask, kind)
    beam = 100 / (2 * PLACES[kind][1] * (1 if kind == "linear" else PLACES[kind][0]))
    assert found.breaks.value == len(gaps)
    assert found.interrupted.value == pytest.approx(
        100 * sum(b - a for a, b in gaps), abs=2 * beam * (len(gaps) + 1)
    )
    assert found.thickness.value == pytest.approx(3.0, abs=0.1 * PIXEL)


def test_a_slit_of_two_columns_is_no_break_and_an_end_is_none() -> None:
    mask = band("linear")
    mask[:, 200:202] = False
    assert measured(mask, "linear").breaks.value == 0
    mask[:, 200:204] = False
    assert measured(mask, "linear").breaks.value == 1
    mask[:, :200] = False
    assert measured(mask, "linear").breaks.value == 0


@pytest.mark.parametrize("kind", ["linear", "curved"])
@pytest.mark.parametrize(("height", "wave"), [(0.8, 8.0), (1.2, 16.0), (2.0, 25.0)])
def test_irregularity_is_that_of_the_wave_that_was_drawn(
    kind: str, height: float, wave: float
) -> None:
    mask = band(kind, 3.0, lambda x: height * np.sin(2 * np.pi * x / wave))
    level, half, _ = PLACES[kind]
    extent = half * PIXEL * (1 if kind == "linear" else level)
    x = np.arange(-extent + PIXEL / 2, extent, PIXEL)
    c = level * PIXEL + height * np.sin(2 * np.pi * x / wave)
    drawn = roughness(x, c, None if kind == "linear" else level * PIXEL)
    found = measured(mask, kind).irregularity
    assert found.value == pytest.approx(drawn, rel=0.03, abs=0.1 * PIXEL)
    # In the middle of an endless line the filter's own formula says what is left of a wave.
    a = 2 * (np.pi * filter_width() / wave) ** 2
    assert found.value == pytest.approx(
        height / np.sqrt(2) * (1 - (1 + a) * np.exp(-a)), rel=0.15, abs=0.1 * PIXEL
    )


@pytest.mark.parametrize("kind", list(BEAMS))
def test_indentations_are_the_dips_that_were_drawn(kind: str) -> None:
    """Three dips of 2.5 mm count; a shallow one and an elevation do not."""
    dips = {-40: 2.5, -20: 2.5, 22: 2.5, 0: 0.6, 38: -2.5}
    mask = band(
        kind,
        2.0,
        lambda x: sum(d * np.exp(-0.5 * ((x - at) / 1.5) ** 2) for at, d in dips.items()),
    )
    found = measured(mask, kind)
    assert found.indentations.value == 3
    assert str(found.indentations) == "3 indentations"
    assert INDENT_MM == 1.0


def test_a_rib_or_an_excluded_area_over_a_gap_hides_it() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask = band("linear")
    gaps = [(x >= 100) & (x < 140), (x >= 200) & (x < 240), (x >= 300) & (x < 320)]
    plane = (mask & ~np.any(gaps, axis=0)) * np.uint8(100)
    bare = pleural_line(plane, BEAMS["linear"])
    assert bare.breaks.value == 3
    assert bare.interrupted.value == pytest.approx(100 * 100 / 319, abs=0.4)
    # The rib is a little narrower than the gap, as a shadow's edges make it.
    rib = ((y > 100) & (y < 106) & (x >= 104) & (x < 137)) * np.uint8(100)
    plane[(y > 140) & (y < 160) & gaps[1]] = EXCLUDED
    plane[(y > 200) & gaps[2]] = EXCLUDED  # far below the line: it hides nothing of it
    found = pleural_line(plane, BEAMS["linear"], rib)
    assert found.breaks.value == 1
    assert found.hidden.value == pytest.approx(100 * 80 / 319, abs=0.4)
    assert found.interrupted.value == pytest.approx(100 * 20 / 239, abs=0.4)
    # Whether the rib is there is as doubtful as its mark.
    doubtful = pleural_line(plane, BEAMS["linear"], rib // 100 * np.uint8(60))
    assert doubtful.breaks.belief.values.tolist() == [1, 2]
    assert doubtful.breaks.belief.weights == pytest.approx([0.6, 0.4])


def test_where_an_excluded_area_cuts_into_the_line_its_thickness_is_not_measured() -> None:
    plane = band("linear", 3.0) * np.uint8(100)
    plane[150:, 100:330] = np.where(plane[150:, 100:330] > 0, EXCLUDED, 0)
    found = pleural_line(plane, BEAMS["linear"])
    assert found.thickness.value == pytest.approx(3.0)
    assert found.thickness_p90.value == pytest.approx(3.0)
    assert found.breaks.value == 0


def test_specks_are_left_out_and_counted() -> None:
    plane = band("linear") * np.uint8(100)
    alone = pleural_line(plane, BEAMS["linear"])
    plane[40:44, 30:33] = plane[290:293, 400:402] = 100
    found = pleural_line(plane, BEAMS["linear"])
    assert found.specks.value == 2
    for name in ("thickness", "breaks", "interrupted", "irregularity", "indentations"):
        assert getattr(found, name).value == pytest.approx(getattr(alone, name).value, abs=1e-9)
    only = np.zeros(SHAPE, np.uint8)
    only[40:44, 30:33] = 100
    nothing = pleural_line(only, BEAMS["linear"])
    assert np.isnan(nothing.thickness.value)
    assert nothing.specks.value == 1


def test_of_a_doubled_line_the_upper_is_measured_and_the_share_told() -> None:
    plane = band("linear", 2.0) * np.uint8(100)
    alone = pleural_line(plane, BEAMS["linear"])
    plane[170:180, 100:260] = 100  # thicker, and half as long
    plane[153:155, 70:80] = 100  # so near that it belongs to the line
    found = pleural_line(plane, BEAMS["linear"])
    assert found.doubled.value == pytest.approx(50, abs=0.5)
    assert found.thickness.value == alone.thickness.value
    assert found.irregularity.value == pytest.approx(alone.irregularity.value, abs=0.2)
    assert found.breaks.value == 0


def test_an_empty_plane_and_a_missing_class_have_no_line() -> None:
    for plane in (None, np.zeros(SHAPE, np.uint8), np.full(SHAPE, EXCLUDED, np.uint8)):
        found = pleural_line(plane, BEAMS["curved"])
        for name in PleuralLine.__dataclass_fields__:
            assert np.isnan(getattr(found, name).value)
            assert getattr(found, name).defined == 0


def test_the_interval_is_that_of_the_contours() -> None:
    """Nested contours: each is measured alone, and has the chance of its step in confidence."""
    layers = {30: 6.0, 55: 4.0, 70: 2.0, 100: 1.0}
    plane = np.zeros(SHAPE, np.uint8)
    for confidence, thickness in layers.items():
        plane[band("curved", thickness)] = confidence
    found = pleural_line(plane, BEAMS["curved"]).thickness
    alone = [
        pleural_line((plane >= c) * np.uint8(100), BEAMS["curved"]).thickness.value for c in layers
    ]
    assert found.belief.values == pytest.approx(sorted(alone), rel=0.01)
    assert found.belief.weights == pytest.approx([0.3, 0.15, 0.25, 0.3])
    assert found.value == pytest.approx(alone[1], rel=0.01)  # the contour at 50 %
    assert (found.low, found.high) == pytest.approx((alone[3], alone[0]), rel=0.01)


def test_a_doubtful_piece_makes_a_doubtful_break() -> None:
    plane = band("linear") * np.uint8(100)
    middle = (plane > 0) & (np.abs(along("linear")) < 10)
    plane[middle] = 40
    apart = plane.copy()
    apart[:, 199:201] = apart[:, 239:241] = 0  # a region of its own
    for marks in (plane, apart):
        found = pleural_line(marks, BEAMS["linear"])
        assert found.breaks.belief.values.tolist() == [0, 1]
        assert found.breaks.belief.weights == pytest.approx([0.4, 0.6])
        assert found.breaks.value == 1


def test_without_a_spacing_lengths_are_pixels() -> None:
    bare = Beams.fit(box_sector(right=420), None, SHAPE)
    as_told = Beams.fit(
        box_sector(right=420), Spacing(y=1 / PIXELS, x=1 / PIXELS, source="synthetic"), SHAPE
    )
    mask = band("linear", 3.0, lambda x: 1.5 * np.sin(2 * np.pi * x / 12)) * np.uint8(100)
    mask[:, 150:160] = 0
    found, known = pleural_line(mask, bare), pleural_line(mask, as_told)
    assert found.thickness.unit == found.irregularity.unit == "px"
    for name in ("thickness", "thickness_p90", "irregularity"):
        assert getattr(found, name).value == pytest.approx(PIXELS * getattr(known, name).value)
    for name in ("breaks", "interrupted", "indentations"):
        assert getattr(found, name).value == getattr(known, name).value
    assert str(found.thickness).endswith(" px")


def test_many_confidences_are_read_in_steps_and_keep_the_contour_at_50() -> None:
    thickness = np.linspace(6.0, 1.0, 100)
    plane = np.zeros(SHAPE, np.uint8)
    for confidence, t in enumerate(thickness, start=1):
        plane[band("linear", t)] = confidence
    found = pleural_line(plane, BEAMS["linear"]).thickness
    half = pleural_line((plane >= 50) * np.uint8(100), BEAMS["linear"]).thickness
    assert found.value == half.value
    assert found.low < half.value < found.high


def test_model_like_planes_stay_within_bounds() -> None:
    rng = np.random.default_rng(0)
    plane = (rng.random(SHAPE) ** 4 * 100 * (rng.random(SHAPE) < 0.003)).astype(np.uint8)
    plane = np.maximum(plane, band("phased") * np.uint8(97))
    found = pleural_line(plane, BEAMS["phased"])
    assert len(found.thickness.belief.values) > ENUMERATED / 2
    assert found.thickness.value == pytest.approx(3.0, abs=0.5)
    for f in (found.interrupted, found.doubled, found.hidden):
        assert 0 <= f.low <= f.value <= f.high <= 100


def test_the_frame_and_the_clip_have_them() -> None:
    plane = band("curved") * np.uint8(100)
    one = frame_readouts({"pleura": plane}, BEAMS["curved"])
    assert one.pleura_thickness == pleural_line(plane, BEAMS["curved"]).thickness
    plane[places("curved")[1] > 0.1] = 0
    plane[places("curved")[1] > 0.2] = band("curved", 5.0)[places("curved")[1] > 0.2] * 100
    both = sum_up([one, frame_readouts({"pleura": plane}, BEAMS["curved"])])
    assert both.pleura_breaks.mean.value == 0.5
    assert both.pleura_breaks.peak.value == 1
    assert both.pleura_thickness.frames == 2


def phantom_line(scan: Scan, anatomy: Anatomy, pose: Pose) -> tuple[PleuralLine, np.ndarray]:
    """What the contour at 50 % of the phantom's probability says, and its pixels."""
    z, u = scan.z[scan.inside], scan.u[scan.inside]
    p = latent(findings(anatomy, pose, z, u), (6, z.size))
    pleura, rib = (scan.plane((p[c] >= 0.5) * np.uint8(100)) for c in (PLEURA, RIB))
    kind = "curved" if scan.probe.kind == "convex" else "linear"
    shown = Sector(kind=kind, polygon=scan.polygon())
    spacing = Spacing(y=scan.spacing, x=scan.spacing, source="synthetic")
    return pleural_line(pleura, Beams.fit(shown, spacing, scan.shape), rib), pleura > 0


@pytest.mark.parametrize(("seed", "severity"), [(4, 0.8), (5, 0.95), (12, 0.5), (3, 0.3)])
def test_the_phantoms_line_is_as_thick_and_irregular_as_its_anatomy_says(
    seed: int, severity: float
) -> None:
    """Contour at 50 % of the phantom's probability, against its anatomy's own curve."""
    rng = np.random.default_rng(seed)
    scan = draw_scan(rng, (256, 320))
    anatomy = draw_anatomy(rng, scan.probe, severity, "L1")
    pose = draw_motion(rng, scan.probe, 2, 15, severity)[1]
    found, marked = phantom_line(scan, anatomy, pose)
    convex = scan.probe.kind == "convex"
    free = scan.u[marked]
    at = np.arange(free.min(), free.max(), 0.1)
    depth = anatomy.pleura(at.astype(np.float32), pose).astype(float)
    away = scan.probe.radius + depth if convex else depth
    level = float(np.median(away))
    x = at / scan.probe.radius * level if convex else at
    slope = np.gradient(away, x) / (away / level if convex else 1)
    thickness = np.median(anatomy.pleura_thickness / np.hypot(1, slope))
    assert found.thickness.value == pytest.approx(thickness, abs=0.2 * scan.spacing)
    rough = roughness(x[::5], away[::5], level if convex else None)
    assert found.irregularity.value == pytest.approx(
        np.hypot(rough, 0.2 * scan.spacing), abs=0.2 * scan.spacing
    )
    assert found.breaks.value == 0


@pytest.mark.parametrize("kind", ["linear", "convex"])
def test_the_phantoms_breaks_are_counted_and_as_wide_as_drawn(kind: str) -> None:
    rng = np.random.default_rng(8)
    scan = draw_scan(rng, (256, 320))
    while scan.probe.kind != kind:
        scan = draw_scan(rng, (256, 320))
    body = replace(draw_anatomy(rng, scan.probe, 0.2, "L1"), ribs=(), b_lines=())
    pose = draw_motion(rng, scan.probe, 2, 15, 0.2)[1]
    drawn = draw_breaks(np.random.default_rng(0), scan.probe, 1.0)
    assert len(drawn) == 5
    assert draw_breaks(np.random.default_rng(0), scan.probe, 0.0) == ()
    half = scan.probe.half_width
    breaks = tuple(Break(u * half, 1.5) for u in (-0.5, 0.1, 0.45))
    found, _ = phantom_line(scan, replace(body, breaks=breaks), pose)
    assert found.breaks.value == 3
    whole, marked = phantom_line(scan, body, pose)
    assert whole.breaks.value == 0
    extent = float(np.ptp(scan.u[marked]))
    assert found.interrupted.value == pytest.approx(
        100 * 9 / extent, abs=100 * 3 * scan.spacing / extent
    )
    assert found.thickness.value == pytest.approx(whole.thickness.value, abs=0.2 * scan.spacing)
