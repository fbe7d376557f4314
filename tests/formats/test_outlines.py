"""Outlines, filled polygons, and the brush of Label Studio: masks there and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.draw import polygon2mask

from napari_confseg.formats import brush_rle, outlines
from tests.formats.test_tools import CASES, RING

if TYPE_CHECKING:
    from typing import Any


def masks(count: int) -> list[np.ndarray]:
    """Masks of all kinds: specks, rings, borders."""
    rng = np.random.default_rng(4)
    made = [rng.random(tuple(rng.integers(1, 20, 2))) < rng.random() for _ in range(count)]
    return [*made, np.ones((3, 4), bool), RING, ~RING]


def test_outlines_and_the_mask_say_the_same() -> None:
    for mask in masks(150):
        again = np.zeros_like(mask)
        for outline in outlines.outlines(mask):
            assert len(outline) >= 3
            again |= outlines.fill(outline, mask.shape)
        assert np.array_equal(again, mask)
        lengths = outlines.runs(mask.ravel())
        assert np.array_equal(outlines.from_runs(lengths, mask.shape), mask)


def test_polygons_are_filled_as_scikit_image_fills_them() -> None:
    rng = np.random.default_rng(5)
    for _ in range(100):
        points = rng.random((rng.integers(3, 9), 2)) * 70 - 8
        filled = outlines.fill(points, (48, 64))
        if filled.sum() > 9:  # fewer may be the pixels of the corners
            assert np.array_equal(filled, polygon2mask((48, 64), points[:, ::-1]))


def test_a_polygon_between_the_centres_of_pixels_marks_where_it_is() -> None:
    thin = [(3.2, 5.2), (3.4, 5.2), (3.4, 5.4)]
    assert np.argwhere(outlines.fill(thin, (10, 10))).tolist() == [[5, 3]]


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([(0, 0), (1, 1)], "3 to"),
        ([(0, 0), (1, 1), (np.nan, 0)], "within"),
        ([(0, 0), (1e6, 1), (0, 1)], "within"),
        ([(0, 0), (9e4, 9e4)] * 50, "no longer"),
        ([0, 1, 2], "found none"),
    ],
)
def test_points_that_lead_astray(points: list[Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        outlines.fill(points, (10, 10))


def test_a_brush_is_packed_as_label_studio_packs_it() -> None:
    rng = np.random.default_rng(6)
    for alpha in (np.where(RING, 255, 0), rng.integers(0, 255, (7, 9)), np.zeros((300, 300))):
        exact = alpha.astype(np.uint8)
        assert np.array_equal(brush_rle.decode(brush_rle.encode(exact), exact.shape), exact)
    task = json.loads((CASES / "label-studio" / "project.json").read_text())[0]
    theirs = task["annotations"][0]["result"][0]["value"]["rle"]
    ours = brush_rle.encode(np.where(RING, 255, 0).astype(np.uint8))
    assert theirs[: len(ours)] == ours
    assert not any(theirs[len(ours) :])


def test_values_of_a_brush_one_by_one() -> None:
    """A block that is not of one value, which our own packing never writes."""
    values = np.arange(16, dtype=np.uint8)  # 1 x 4 pixels of 4 channels
    bits = f"{16:032b}{7:05b}" + "".join(f"{w - 1:04b}" for w in (3, 4, 8, 16))
    bits += "0" + "01" + f"{15:04b}" + "".join(f"{v:08b}" for v in values)
    code = np.packbits([int(b) for b in bits]).tolist()
    assert brush_rle.decode(code, (1, 4)).tolist() == [[3, 7, 11, 15]]
    for wrong, size in ((code[:-2], (1, 4)), (code, (2, 4)), ([-1, *code], (1, 4)), ([], (1, 4))):
        with pytest.raises(ValueError, match="its code"):
            brush_rle.decode(wrong, size)
