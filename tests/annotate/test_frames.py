"""The frames as the viewer reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.frames import CachedFrames
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


def test_memory_is_bounded(cohort: Cohort) -> None:
    add_clip(cohort, "long", n_frames=300, shape=(16, 16))
    frames = CachedFrames(cohort.clip("long"), memory=10 * 256)
    for t in range(300):
        frames[t]
    assert len(frames._kept) == 10
    with pytest.raises(ValueError, match="read-only"):
        frames[299][0, 0] = 1
