"""The sector found equals the one that is there, on made-up screens and on real clips."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask

from napari_confseg.ingest.decoded import Head
from napari_confseg.ingest.sector import crop_box, find_sector, moved
from napari_confseg.ingest.sector_evidence import Survey
from napari_confseg.ingest.video import read_video
from napari_confseg.store.schema import DOUBTFUL
from tests.ingest.films import SHIPPED
from tests.ingest.screens import HARD, HEIGHT, SCREENS, WIDTH, hard_screen

# Corners (y, x) drawn by hand on the brightest pixels over time, at four times the size.
BY_HAND = {
    "lung-convex.mpeg": [
        (0, 101),
        (183, 0),
        (331, 0),
        (345, 46),
        (355, 92),
        (361, 138),
        (363, 185),
        (361, 232),
        (355, 278),
        (345, 324),
        (330, 370),
        (179, 370),
        (0, 271),
    ],
    "lung-linear.mp4": [(2, 0), (2, 204), (242, 204), (242, 0)],
}


def survey(frames, shape):
    gathered = Survey(shape)
    for frame in frames:
        gathered.add(frame)
    return gathered


def survey_video(path):
    head, *frames = read_video(str(path))
    assert isinstance(head, Head)
    return survey((f.pixels for f in frames), head.shape)


def mask_of(sector, shape):
    return polygon2mask(shape, np.array(sector.polygon) - 0.5)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("name", SCREENS)
def test_made_up_screens(name):
    screen = SCREENS[name]
    sector = find_sector(survey(screen.frames(), (HEIGHT, WIDTH)))
    assert sector.kind == screen.kind
    assert not sector.confirmed
    assert sector.trust > 0.65  # least where the lower arc is lost in the dark
    assert overlap(mask_of(sector, (HEIGHT, WIDTH)), screen.truth()) > 0.98


FOUND = ("plain", "fills the frame", "dark band", "letters on tissue")
"""Kinds that are to be found, whatever their trust; the rest is to be found or doubted."""


@pytest.mark.parametrize("what", HARD)
def test_hard_screens_are_found_or_doubted(what):
    """A seed that was never looked at when the search was made; benchmarks.sectors has more."""
    screen = hard_screen(what, 2000)
    sector = find_sector(survey(screen.frames(), screen.truth.shape))
    same = overlap(mask_of(sector, screen.truth.shape), screen.truth)
    assert same > 0.95 or what not in FOUND
    assert same > 0.9 or sector.trust < DOUBTFUL
    assert sector.doubtful or what != "two regions"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_real_clips_against_a_hand(path):
    gathered = survey_video(path)
    sector = find_sector(gathered)
    assert sector.trust > 0.9
    found = mask_of(sector, gathered.shape)
    drawn = polygon2mask(gathered.shape, np.array(BY_HAND[path.name]) - 0.5)
    assert overlap(found, drawn) > 0.985


def test_survey_equals_numpy():
    frames = np.random.default_rng(0).integers(0, 256, (300, 9, 7), dtype=np.uint8)
    gathered = survey(frames, (9, 7))
    np.testing.assert_allclose(gathered.mean, frames.mean(axis=0))
    np.testing.assert_allclose(gathered.spread, frames.std(axis=0))


def test_a_black_or_even_screen_has_no_sector():
    black = np.zeros((40, 50), np.uint8)
    assert find_sector(survey([black] * 5, black.shape)) is None
    assert find_sector(survey([black + 90] * 5, black.shape)) is None


def test_a_still_image_goes_by_brightness():
    screen = SCREENS["curved"]
    sector = find_sector(survey([next(iter(screen.frames(1)))], (HEIGHT, WIDTH)))
    assert overlap(mask_of(sector, (HEIGHT, WIDTH)), screen.truth()) > 0.9
    assert sector.doubtful  # nothing tells tissue from a picture of it


def test_noise_without_shape_is_of_unknown_kind():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :320]
    blob = (y - 150) ** 2 + (x - 160) ** 2 < 120**2
    frames = [
        np.where(blob, rng.integers(20, 90, blob.shape), 0).astype(np.uint8) for _ in range(9)
    ]
    sector = find_sector(survey(frames, blob.shape))
    assert sector.kind == "unknown"
    assert overlap(mask_of(sector, blob.shape), blob) > 0.97


def test_moving_and_cropping_agree():
    sector = find_sector(survey(SCREENS["linear"].frames(), (HEIGHT, WIDTH)))
    y0, x0, y1, x1 = crop_box(sector, (HEIGHT, WIDTH))
    assert (y0, x0, y1, x1) == SCREENS["linear"].slab
    assert crop_box(moved(sector, -y0, -x0), (y1 - y0, x1 - x0)) == (0, 0, y1 - y0, x1 - x0)
