"""Confidence without colour: denser ink and more contours where it is surer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from napari_confseg.annotate.confidence_words import word_for
from napari_confseg.annotate.contours import anchor_index, contoured, hatched
from napari_confseg.store import DEFAULT_ANCHORS, EXCLUDED


def test_levels_are_the_anchors_words() -> None:
    plane = np.array([[0, 1, 29, 30, 59, 60, 89, 90, 100, EXCLUDED]], np.uint8)
    levels = anchor_index(plane, DEFAULT_ANCHORS)
    assert levels.tolist() == [[0, 1, 1, 2, 2, 3, 3, 4, 4, 0]]
    for value, level in zip(plane[0, 1:9], levels[0, 1:9], strict=True):
        word = DEFAULT_ANCHORS[level - 2].word if level > 1 else "less than possible"
        assert word_for(int(value), DEFAULT_ANCHORS) == word


def test_hatching_is_nested_and_denser_the_surer() -> None:
    shape = (64, 64)
    inks = [hatched(np.full(shape, v, np.uint8), DEFAULT_ANCHORS) for v in (10, 30, 60, 90)]
    for lower, higher in pairwise(inks):
        assert (higher >= lower).all()
        assert higher.mean() >= 1.9 * lower.mean()
    assert not hatched(np.zeros(shape, np.uint8), DEFAULT_ANCHORS).any()
    assert not hatched(np.full(shape, EXCLUDED, np.uint8), DEFAULT_ANCHORS).any()
    leaning = hatched(np.full(shape, 60, np.uint8), DEFAULT_ANCHORS, rising=False)
    assert (leaning != inks[2]).any()


def test_contours_can_be_counted_from_outside() -> None:
    def lines(plane: np.ndarray) -> int:
        middle = contoured(plane, DEFAULT_ANCHORS)[20, :20]
        return int((np.diff(middle.astype(int)) == 1).sum())

    for value, n in ((30, 1), (59, 1), (60, 2), (90, 3), (100, 3)):
        plane = np.zeros((40, 40), np.uint8)
        plane[4:36, 4:36] = value
        ink = contoured(plane, DEFAULT_ANCHORS)
        assert lines(plane) == n, value
        assert not ink[plane == 0].any()
    core = np.zeros((40, 40), np.uint8)
    core[4:36, 4:36], core[14:26, 14:26] = 40, 95
    ink = contoured(core, DEFAULT_ANCHORS)
    assert lines(core) == 3
    assert ink[14, 14:26].all()  # a surer core is bounded where it begins
    faint = np.zeros((40, 40), np.uint8)
    faint[4:36, 4:36] = 10
    dotted = contoured(faint, DEFAULT_ANCHORS)[4, 4:36]
    assert 0.4 < dotted.mean() < 0.6
    empty = np.full((4, 4), EXCLUDED, np.uint8)
    assert not contoured(empty, DEFAULT_ANCHORS).any()
