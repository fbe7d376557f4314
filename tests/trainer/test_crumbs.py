"""Crumbs: tiny pieces don't show, what hangs together stays, no hole is left."""

from __future__ import annotations

import numpy as np

from trainer.crumbs import CRUMB, without_crumbs


def test_only_tiny_pieces_are_lowered() -> None:
    percent = np.full((200, 200), 20, np.uint8)
    least = int(CRUMB * percent.size)
    assert least == 8
    percent[10, 10 : 10 + least - 1] = 80  # a crumb
    percent[30, 10 : 10 + least] = 80
    for i in range(least):  # a slanted line hangs together
        percent[50 + i, 10 + i] = 60
    found = without_crumbs(percent, 50)
    assert np.all(found[10, 10 : 10 + least - 1] == 49)
    changed = found != percent
    assert changed.sum() == least - 1
    assert changed[10].sum() == least - 1
    assert np.array_equal(without_crumbs(found, 50), found)
    # From 20 % on all of it is one piece.
    assert np.array_equal(without_crumbs(percent, 20), percent)


def test_nothing_stays_nothing() -> None:
    blank = np.zeros((40, 60), np.uint8)
    assert not without_crumbs(blank, 1).any()
