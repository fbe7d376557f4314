"""Merging: laws of the three rules, and edits that take planes from before to after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_confseg.annotate.tools.merging import Change, Merge, edit_from, merged
from napari_confseg.annotate.tools.placing import Snippet, clipped, copied, pasted
from napari_confseg.store import EXCLUDED

SHAPE = (5, 6)
PLANES = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 30, 60, 100, EXCLUDED]))
PROPOSALS = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 30, 60, 100]))
RULES = st.sampled_from(list(Merge))


@given(PLANES, PROPOSALS, RULES)
def test_merging_twice_is_merging_once(plane: np.ndarray, new: np.ndarray, rule: Merge) -> None:
    once = merged(plane, new, rule)
    np.testing.assert_array_equal(merged(once, new, rule), once)


@given(PLANES, PROPOSALS, PROPOSALS, st.sampled_from([Merge.RAISE, Merge.LOWER]))
def test_raising_and_lowering_do_not_depend_on_the_order(
    plane: np.ndarray, a: np.ndarray, b: np.ndarray, rule: Merge
) -> None:
    np.testing.assert_array_equal(
        merged(merged(plane, a, rule), b, rule), merged(merged(plane, b, rule), a, rule)
    )


@given(PLANES, PROPOSALS, RULES)
def test_rules_hold_pixel_by_pixel(plane: np.ndarray, new: np.ndarray, rule: Merge) -> None:
    after = merged(plane, new, rule)
    for p, n, a in zip(plane.ravel(), new.ravel(), after.ravel(), strict=True):
        if n == 0 or p == EXCLUDED:
            assert a == p
        else:
            assert a == {"replace": n, "raise": max(p, n), "lower": min(p, n)}[rule]


def test_what_does_not_fit_is_refused() -> None:
    plane = np.zeros(SHAPE, np.uint8)
    with pytest.raises(ValueError, match=r"expected shape \(5, 6\)"):
        merged(plane, plane[:2])
    with pytest.raises(ValueError, match=r"found .* up to 255"):
        merged(plane, plane + np.uint8(EXCLUDED))


@given(st.lists(st.tuples(PLANES, PLANES), min_size=1, max_size=4), st.sets(st.integers(0, 3)))
def test_an_edit_takes_every_plane_there_and_back_and_leaves_locked_ones(
    pairs: list[tuple[np.ndarray, np.ndarray]], locked: set[int]
) -> None:
    changes = [Change(c, 2, before, after) for c, (before, after) in enumerate(pairs)]
    edit = edit_from(changes, confidence=60, tool="t", class_index=0, frame=2, locked=locked)
    touched = {p.class_index for p in edit.patches} if edit else set()
    assert not touched & locked
    for c, (before, after) in enumerate(pairs):
        plane = before.copy()
        for patch in edit.patches if edit else ():
            if patch.class_index == c:
                patch.apply(plane)
        np.testing.assert_array_equal(plane, before if c in locked else after)
        for patch in edit.inverted().patches if edit else ():
            if patch.class_index == c:
                patch.apply(plane)
        np.testing.assert_array_equal(plane, before)


@given(PLANES)
def test_paste_puts_back_what_copy_took(plane: np.ndarray) -> None:
    snippet = copied(plane)
    marks = np.where(plane == EXCLUDED, np.uint8(0), plane)
    if snippet is None:
        assert not marks.any()
    else:
        np.testing.assert_array_equal(pasted(snippet, SHAPE), marks)


@given(PLANES, st.integers(-7, 7), st.integers(-7, 7))
def test_paste_moves_and_cuts_off_at_the_border(plane: np.ndarray, dy: int, dx: int) -> None:
    snippet = copied(plane)
    if snippet is None:
        return
    found = pasted(snippet, SHAPE, dy=dy, dx=dx)
    for y, x in np.ndindex(SHAPE):
        inside = 0 <= y - dy < SHAPE[0] and 0 <= x - dx < SHAPE[1]
        source = plane[y - dy, x - dx] if inside else 0
        assert found[y, x] == (0 if source == EXCLUDED else source)


def test_copy_can_be_kept_to_a_region() -> None:
    plane = np.zeros(SHAPE, np.uint8)
    plane[1, 1], plane[3, 4] = 30, 60
    region = np.zeros(SHAPE, np.bool_)
    region[3] = True
    snippet = copied(plane, region)
    assert isinstance(snippet, Snippet)
    assert (snippet.y, snippet.x, snippet.values.tolist()) == (3, 4, [[60]])


@given(PLANES, arrays(np.bool_, SHAPE))
def test_clipping_clears_marks_outside_and_nothing_else(
    plane: np.ndarray, inside: np.ndarray
) -> None:
    after = clipped(plane, inside)
    kept = inside | (plane == EXCLUDED)
    np.testing.assert_array_equal(after[kept], plane[kept])
    assert not after[~kept].any()
