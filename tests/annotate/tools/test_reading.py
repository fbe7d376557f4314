"""Confidence without colour: denser ink and more contours where it is surer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from napari_confseg.annotate.tools.reading import contour_levels, hatched_by_level, level_index
from napari_confseg.annotate.words import word_for
from napari_confseg.store import DEFAULT_ANCHORS, EXCLUDED


def test_levels_are_the_anchors_words() -> None:
    plane = np.array([[0, 1, 29, 30, 59, 60, 89, 90, 100, EXCLUDED]], np.uint8)
    levels = level_index(plane, DEFAULT_ANCHORS)
    assert levels.tolist() == [[0, 1, 1, 2, 2, 3, 3, 4, 4, 0]]
    for value, level in zip(plane[0, 1:9], levels[0, 1:9], strict=True):
        word = DEFAULT_ANCHORS[level - 2].word if level > 1 else "less than possible"
        assert word_for(int(value), DEFAULT_ANCHORS) == word


def test_hatching_is_nested_and_denser_the_surer() -> None:
    shape = (64, 64)
    inks = [
        hatched_by_level(np.full(shape, v, np.uint8), DEFAULT_ANCHORS) for v in (10, 30, 60, 90)
    ]
    for lower, higher in pairwise(inks):
        assert (higher >= lower).all()
        assert higher.mean() >= 1.9 * lower.mean()
    assert not hatched_by_level(np.zeros(shape, np.uint8), DEFAULT_ANCHORS).any()
    assert not hatched_by_level(np.full(shape, EXCLUDED, np.uint8), DEFAULT_ANCHORS).any()
    leaning = hatched_by_level(np.full(shape, 60, np.uint8), DEFAULT_ANCHORS, rising=False)
    assert (leaning != inks[2]).any()


def test_contours_bound_each_level_that_is_reached() -> None:
    plane = np.zeros((20, 20), np.uint8)
    plane[2:18, 2:18], plane[5:15, 5:15] = 40, 95
    found = contour_levels(plane, DEFAULT_ANCHORS)
    assert [v for v, _ in found] == [1, 30, 60, 90]
    for value, edge in found:
        assert (plane[edge] >= value).all()
        region = plane >= value
        assert edge.sum() == 4 * (int(np.sqrt(region.sum())) - 1)
    assert contour_levels(np.zeros((4, 4), np.uint8), DEFAULT_ANCHORS) == []
