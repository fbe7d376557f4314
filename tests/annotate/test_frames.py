"""The frames as the viewer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.frames import AHEAD, CachedFrames
from napari_confseg.store import StoreError
from tests.conftest import add_clip

if TYPE_CHECKING:
    from napari_confseg.store import Cohort


@pytest.mark.parametrize("memory", [0, 3 * 48 * 64, 10**9])
def test_frames_are_the_clips_whatever_is_kept(cohort: Cohort, memory: int) -> None:
    clip = cohort.clip("clip-1")
    frames = CachedFrames(clip, memory)
    whole = clip.frames[:]
    assert frames.shape == whole.shape
    assert frames.dtype == np.uint8
    assert len(frames) == 6
    for t in (0, 5, 0, 3, -1, np.int64(2)):
        assert np.array_equal(frames[t], whole[t])
    assert np.array_equal(frames[2, 4:8, ::2], whole[2, 4:8, ::2])
    assert np.array_equal(frames[1:4], whole[1:4])
    assert np.array_equal(np.asarray(frames), whole)
    with pytest.raises(IndexError):
        frames[6]


def settle(frames: CachedFrames) -> None:
    """Wait until everything asked for ahead is there, or was given up."""
    frames._thread.submit(int).result()  # one thread, in order


def test_the_next_frames_are_fetched_the_way_one_goes(cohort: Cohort) -> None:
    add_clip(cohort, "long", n_frames=60, shape=(16, 16))
    frames = CachedFrames(cohort.clip("long"), memory=30 * 256)
    frames[20]
    settle(frames)
    assert set(frames._kept) == {20, *range(21, 21 + AHEAD)}
    frames[19]  # and back
    settle(frames)
    assert set(range(19 - AHEAD, 19)) <= set(frames._kept)
    frames[17]  # playing on a slow screen leaves frames out
    assert frames.ahead()[:3] == [15, 13, 11]
    frames[58]  # a jump; the clip goes round its end
    assert frames.ahead() == [59, *range(AHEAD - 1)]
    settle(frames)
    whole = cohort.clip("long").frames[:]
    for t, frame in frames._kept.items():
        assert np.array_equal(frame, whole[t])


def test_a_frame_that_cannot_be_fetched_says_so_when_it_is_looked_at(cohort: Cohort) -> None:
    add_clip(cohort, "long", n_frames=12, shape=(16, 16))
    clip = cohort.clip("long")
    frames = CachedFrames(clip)
    frames[0]
    settle(frames)
    frames._kept.clear()
    for shard in Path(cohort.location, "long", "0", "c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(b"torn")
    clip.frames._indexes.clear()
    frames[0:0]
    frames._fetch_ahead(0)
    settle(frames)
    assert not frames._kept
    with pytest.raises(StoreError, match="damaged"):
        frames[1]


def test_memory_is_bounded(cohort: Cohort) -> None:
    add_clip(cohort, "long", n_frames=300, shape=(16, 16))
    frames = CachedFrames(cohort.clip("long"), memory=10 * 256)
    for t in range(300):
        frames[t]
    settle(frames)
    assert len(frames._kept) == 10
    with pytest.raises(ValueError, match="read-only"):
        frames[299][0, 0] = 1
