"""Smart edge: nearer to the true edge, within the band, and harmless where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_confseg.annotate.tools.snapping import region_of, snapped
from tests.annotate.tools.pictures import dice, disc

SHAPE = (120, 140)


def picture(true: np.ndarray, *, bright: bool, seed: int = 0) -> np.ndarray:
    """Two tissues under multiplicative speckle."""
    rng = np.random.default_rng(seed)
    speckle = gaussian_filter(rng.rayleigh(1.0, SHAPE), 1.0)
    level = np.where(true == bright, 90, 45)
    return np.uint8(np.clip(level * speckle, 0, 255))


@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("radius", [18, 30])
def test_a_rough_polygon_settles_on_the_edge(bright: bool, radius: int) -> None:
    true = disc(SHAPE, (60, 70), 24) > 0
    corners = [(60 + radius * np.cos(t), 70 + radius * np.sin(t)) for t in np.arange(0, 6.2, 0.8)]
    rough = region_of(corners, SHAPE)
    found = snapped(picture(true, bright=bright), rough, band=9, confidence=40) == 40
    assert dice(rough, true) < 0.88
    assert dice(found, true) > 0.95


def test_the_edge_moves_no_further_than_the_band() -> None:
    true = disc(SHAPE, (60, 70), 24) > 0
    rough = disc(SHAPE, (62, 66), 28) > 0
    found = snapped(picture(true, bright=True), rough, band=4, confidence=40) > 0
    moved = distance_transform_edt(rough) + distance_transform_edt(~rough)
    assert moved[found != rough].max() <= 4 + 2  # the contour is smoothed a little


def test_without_an_edge_the_rough_one_stays() -> None:
    rough = disc(SHAPE, (60, 70), 22) > 0
    flat = np.full(SHAPE, 80, np.uint8)
    assert dice(snapped(flat, rough, band=8, confidence=9) > 0, rough) > 0.97


def test_two_regions_settle_each_for_itself() -> None:
    true = (disc(SHAPE, (40, 35), 15) | disc(SHAPE, (70, 100), 18)) > 0
    rough = (disc(SHAPE, (42, 36), 18) | disc(SHAPE, (68, 101), 15)) > 0
    found = snapped(picture(true, bright=False), rough, band=6, confidence=9) > 0
    assert dice(found, true) > dice(rough, true) + 0.02


def test_the_sectors_rim_is_no_edge_and_nothing_lies_beyond() -> None:
    inside = np.zeros(SHAPE, np.bool_)
    inside[30:] = True
    true = disc(SHAPE, (34, 70), 20) > 0
    frame = np.where(inside, picture(true, bright=False), 0).astype(np.uint8)
    rough = disc(SHAPE, (34, 70), 23) > 0
    found = snapped(frame, rough, band=6, confidence=9, inside=inside) > 0
    assert not found[~inside].any()
    assert dice(found, true & inside) > dice(rough & inside, true & inside)


def test_specks_stay_as_they_were_drawn_and_nothing_gives_nothing() -> None:
    speck = np.zeros(SHAPE, np.bool_)
    speck[50:52, 50:52] = True
    frame = picture(speck, bright=True)
    assert (snapped(frame, speck, band=5, confidence=9) > 0).sum() >= 1
    assert not snapped(frame, ~speck & speck, band=5, confidence=9).any()
    with pytest.raises(ValueError, match="above 0 pixels"):
        snapped(frame, speck, band=0, confidence=9)
