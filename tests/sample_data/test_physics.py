"""Speckle, scan conversion and pictures against what theory says of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from skimage.draw import polygon2mask

from sample_data.anatomy import Pose
from sample_data.disease import draw_anatomy
from sample_data.fields import Curve, Texture
from sample_data.imaging import Scanner, Settings
from sample_data.scan import Probe, Scan
from sample_data.speckle import Beam, Decorrelating, Grid, draw_speckle, shift

CONVEX = Probe("convex", 30.0, 100.0, 52.0)
LINEAR = Probe("linear", 20.0, 45.0)
BEAM = Beam(0.3, 0.7, 40, 30)


def speckle(seed: int = 0, probe: Probe = CONVEX) -> np.ndarray:
    return draw_speckle(np.random.default_rng(seed), Grid(probe, 512, 256), BEAM)


@pytest.mark.parametrize("probe", [CONVEX, LINEAR])
def test_envelope_is_rayleigh(probe: Probe) -> None:
    # Fully developed speckle: mean / standard deviation = sqrt(pi / (4 - pi)) = 1.913.
    envelope = np.abs(np.concatenate([speckle(s, probe) for s in range(6)]))
    assert envelope.mean() / envelope.std() == pytest.approx(1.913, abs=0.03)
    apart = envelope[::16, ::32].ravel()  # farther than the point-spread: independent
    scale = np.sqrt((apart**2).mean() / 2)
    assert stats.kstest(apart, stats.rayleigh(scale=scale).cdf).pvalue > 0.01


def test_speckle_widens_away_from_the_focus() -> None:
    field = np.stack([speckle(s, LINEAR) for s in range(8)])

    def lateral(rows: slice) -> float:
        part = field[:, rows]
        return abs((part * np.roll(part, -4, 2).conj()).mean()) / (np.abs(part) ** 2).mean()

    at_focus, shallow = lateral(slice(440, 500)), lateral(slice(0, 60))
    assert shallow > at_focus + 0.1


def test_point_spread_has_the_stated_axial_width() -> None:
    grid = Grid(LINEAR, 512, 256)
    field = np.stack([speckle(s, LINEAR) for s in range(8)])
    lag = 4
    measured = abs((field * np.roll(field, -lag, 1).conj()).mean()) / (np.abs(field) ** 2).mean()
    expected = np.exp(-((lag * grid.step[0]) ** 2) / (4 * BEAM.axial**2))
    assert measured == pytest.approx(expected, abs=0.03)


def test_decorrelation_is_as_asked_and_leaves_the_statistics_alone() -> None:
    rng = np.random.default_rng(0)
    walk = Decorrelating(rng, [speckle(s) for s in range(3)], 0.9)
    frames = [walk.step() for _ in range(40)]
    power = [np.abs(np.vdot(f, f)) / f.size for f in frames]
    assert np.allclose(power, 1, atol=0.1)
    follow = [
        abs(np.vdot(a, b)) / np.sqrt(abs(np.vdot(a, a) * np.vdot(b, b)))
        for a, b in pairwise(frames)
    ]
    assert np.mean(follow) == pytest.approx(0.9, abs=0.03)


def test_shift_moves_and_comes_back() -> None:
    field = speckle()
    assert np.array_equal(shift(shift(field, (3, -5)), (-3, 5)), field)
    assert np.array_equal(shift(field, (3, -5)), np.roll(field, (3, -5), (0, 1)))


def test_random_fields_have_unit_variance_and_their_length() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0, 5000, 40001, dtype=np.float32)
    values = Curve.draw(rng, 8.0, 5000).at(x)
    assert values.std() == pytest.approx(1, abs=0.06)
    assert np.corrcoef(values[:-40], values[40:])[0, 1] > 0.6  # 5 mm on
    assert abs(np.corrcoef(values[:-400], values[400:])[0, 1]) < 0.15  # 50 mm on
    z, u = np.mgrid[0:180:0.5, 0:120:0.5].astype(np.float32)
    assert Texture.draw(rng, (5.0, 5.0)).at(z, u).std() == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("probe", [CONVEX, LINEAR])
def test_scan_coordinates_agree_with_the_probe(probe: Probe) -> None:
    scan = Scan.fit(probe, (200, 240))
    down, right = probe.place(scan.z.astype(float), scan.u.astype(float))
    y, x = np.mgrid[:200, :240]
    at_y, at_x = down / scan.spacing + scan.origin[0], right / scan.spacing + scan.origin[1]
    assert np.abs(at_y - y)[scan.inside].max() < 1e-2
    assert np.abs(at_x - x)[scan.inside].max() < 1e-2


@pytest.mark.parametrize(
    ("probe", "crop", "trim"), [(CONVEX, 1, 0), (CONVEX, 0.6, 1), (LINEAR, 1, 0)]
)
def test_polygon_encloses_the_sector(probe: Probe, crop: float, trim: float) -> None:
    scan = Scan.fit(probe, (200, 240), crop, trim)
    drawn = polygon2mask(scan.shape, scan.polygon())
    overlap = (drawn & scan.inside).sum() / (drawn | scan.inside).sum()
    assert overlap > 0.98


def test_pictures_are_black_outside_and_grey_inside() -> None:
    rng = np.random.default_rng(3)
    scan = Scan.fit(CONVEX, (128, 160))
    anatomy = draw_anatomy(rng, CONVEX, 0.3, "R1")
    scanner = Scanner(rng, scan, anatomy, Settings.draw(rng))
    frames = [scanner.frame(Pose(0.1 * t, 0.0, 0.0, 0.0)) for t in range(3)]
    assert not frames[0][~scan.inside].any()
    inside = frames[0][scan.inside]
    assert 30 < np.median(inside) < 140
    assert (inside == 255).mean() < 0.05
    # Cine: the next frame is nearly the same, and not the same.
    follow = np.corrcoef(frames[1][scan.inside], frames[2][scan.inside])[0, 1]
    assert 0.9 < follow < 0.9999


def test_air_ends_what_the_beam_sees() -> None:
    """A rib's shadow is darker than the lung beside it, at the same depth."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        anatomy = draw_anatomy(rng, LINEAR, 0.1, "R1")
        if anatomy.ribs and not anatomy.consolidation and not anatomy.effusion:
            break
    scan = Scan.fit(LINEAR, (160, 160))
    frame = Scanner(rng, scan, anatomy, Settings.draw(rng)).frame(Pose(0, 0, 0, 0))
    aside = np.min([np.abs(scan.u - r.u) - r.half_width for r in anatomy.ribs], axis=0)
    deep = scan.inside & (scan.z > anatomy.pleura_depth + 4) & (np.abs(scan.u) < 16)
    assert frame[deep & (aside < -1)].mean() < 0.75 * frame[deep & (aside > 1)].mean()
