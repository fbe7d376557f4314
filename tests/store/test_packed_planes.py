"""Packed planes behave as an array does, and take the memory that their marks need."""

from __future__ import annotations

import tracemalloc
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.store import PackedPlanes, Patch
from napari_confseg.store.codec import encode

SHAPE = (7, 12, 15)

frames = st.integers(-7, 6)
ends = st.tuples(st.integers(0, 14), st.integers(0, 14)).map(sorted)
keys = st.one_of(
    frames,
    st.tuples(frames, ends.map(lambda e: slice(*e)), ends.map(lambda e: slice(*e))),
    st.tuples(frames, st.integers(0, 11), st.integers(-15, 14)),
    st.tuples(st.builds(slice, frames, frames), st.integers(0, 11)),
    st.builds(slice, frames, frames),
    st.just(Ellipsis),
    st.tuples(st.just(Ellipsis), st.integers(0, 14)),
    st.tuples(
        *(st.lists(st.integers(0, n - 1), min_size=4, max_size=4).map(np.array) for n in SHAPE)
    ),
)


@given(st.lists(st.tuples(keys, st.sampled_from((0, 60, 255)), keys), max_size=12))
def test_they_are_indexed_as_an_array_is(changes: list[tuple[Any, int, Any]]) -> None:
    packed = PackedPlanes(SHAPE, room=0)  # two planes stay unpacked: all others come and go
    array = np.zeros(SHAPE, np.uint8)
    for written, value, read in changes:
        array[written] = packed[written] = value
        assert np.array_equal(packed[read], array[read])
        assert np.shape(packed[read]) == np.shape(array[read])
    assert np.array_equal(packed, array)
    assert packed.any() == array.any()


def test_a_patch_reaches_its_frame_and_what_was_packed_stays() -> None:
    plane = np.zeros(SHAPE[1:], np.uint8)
    plane[2:5, 3:6] = 40
    packed = PackedPlanes(SHAPE, {4: encode(plane)}, room=0)
    before, after = plane[2:4, 3:5].copy(), np.full((2, 2), 90, np.uint8)
    packed.apply(Patch(0, 4, 2, 3, before, after))
    for t in (0, 1, 2):  # others need the room
        packed[t] = 1
    plane[2:4, 3:5] = 90
    assert np.array_equal(packed[4], plane)


def test_a_plane_is_not_written_by_looking_at_it() -> None:
    packed = PackedPlanes(SHAPE)
    with pytest.raises(ValueError, match="read-only"):
        packed[0][2, 2] = 60
    packed[1, 2:4, 2:4] += 60
    packed.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        packed[1] = 0
    assert packed[:].sum() == 240


def test_memory_follows_the_marks_and_not_the_frames() -> None:
    shape = (400, 128, 160)  # 8 MB
    tracemalloc.start()
    try:
        packed = PackedPlanes(shape, room=4 * 128 * 160)
        for t in range(400):
            packed[t]
            packed[t, 3:5]
        assert packed.held <= 4 * 128 * 160  # looked at, nothing marked
        for t in range(400):
            packed[t, 20:60, 30:90] = 60
        assert np.count_nonzero(packed[399]) == 2400
        held, in_use = packed.held, tracemalloc.get_traced_memory()[0]
        assert held < 400 * 128 * 160 / 50
        assert in_use < 2 * held
        packed[:] = 0
        assert packed.held <= 4 * 128 * 160  # what was taken away is held no longer
        del packed
        assert tracemalloc.get_traced_memory()[0] < held / 4
    finally:
        tracemalloc.stop()


def test_a_copy_goes_its_own_way() -> None:
    packed = PackedPlanes(SHAPE, room=0)
    for t in range(5):
        packed[t, 2:4, 3:5] = 10 + t
    twin = deepcopy(packed)
    packed[1] = 0
    twin[3, 0, 0] = 99
    assert twin[1, 2, 3] == 11
    assert packed[3, 0, 0] == 0
    assert twin[4, 2, 3] == 14


changes = st.tuples(
    st.sampled_from(("add", "apply", "look", "peek", "copy")),
    st.integers(0, 6),
    st.integers(0, 2**32 - 1),
)


@given(st.lists(changes, max_size=25), st.booleans())
def test_a_patch_that_is_added_is_there_at_once(
    acts: list[tuple[str, int, int]], marked: bool
) -> None:
    """Whether it is applied now or when somebody looks, and what is marked is known before."""
    array = np.zeros(SHAPE, np.uint8)
    array[3, 2:5, 3:6] = 40 * marked
    packed = PackedPlanes(SHAPE, {3: encode(array[3])} if marked else {}, room=0)
    for act, t, seed in acts:
        rng = np.random.default_rng(seed)
        y, x, h, w = *rng.integers(0, 8, 2), *rng.integers(1, 5, 2)
        before = array[t, y : y + h, x : x + w].copy()
        after = rng.choice(np.array([0, 0, 60, 255], np.uint8), (h, w)) * np.uint8(seed % 3 > 0)
        patch = Patch(0, t, int(y), int(x), before, after)
        if act in ("add", "apply"):
            packed.add(patch.packed()) if act == "add" else packed.apply(patch)
            array[t, y : y + h, x : x + w] = after
        elif act == "copy":
            packed = deepcopy(packed)
        else:
            assert np.array_equal(packed[t] if act == "look" else packed.peek(t), array[t])
        assert [packed.is_marked(i) for i in range(7)] == [bool(plane.any()) for plane in array]
    assert packed.any() == array.any()
    assert np.array_equal(packed, array)
