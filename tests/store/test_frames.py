"""Frames read past zarr are what zarr reads, and what is damaged or too large is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from numcodecs import zstd

from napari_confseg.store import Cohort, StoreError
from napari_confseg.store.codec import content_size
from tests.conftest import add_clip, clip_meta


@pytest.fixture
def long_cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    made = Cohort.create(tmp_path / "long.zarr", name="long")
    add_clip(made, n_frames=70, shape=(20, 30))
    return made


@pytest.mark.parametrize(
    "key",
    [
        0,
        69,
        -1,
        slice(None),
        slice(30, 35),
        slice(60, 2, -7),
        [5, 3, 64, 3],
        np.array([1, 33]),
        slice(4, 4),
        (3, slice(2, 9)),
        (slice(31, 33), 4, slice(None, None, 2)),
        Ellipsis,
        (Ellipsis, 7),
    ],
    ids=str,
)
def test_slicing_is_numpys(long_cohort: Cohort, key: object) -> None:
    frames = long_cohort.clip("clip-1").frames
    whole = zarr.open_array(long_cohort.store, path="clip-1/0", mode="r")[:]
    np.testing.assert_array_equal(frames[key], whole[key])  # type: ignore[index]
    assert frames[key].shape == whole[key].shape  # type: ignore[index]
    assert (len(frames), frames.ndim, frames.dtype) == (70, 3, np.uint8)


def test_out_of_range(long_cohort: Cohort) -> None:
    with pytest.raises(IndexError):
        long_cohort.clip("clip-1").frames[70]


def test_flipped_bits_in_a_shard_never_pass(long_cohort: Cohort, tmp_path: Path) -> None:
    shard = tmp_path / "long.zarr/clip-1/0/c/1/0/0"
    good = shard.read_bytes()
    rng = np.random.default_rng(0)
    for bit in rng.choice(len(good) * 8, 60, replace=False):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        shard.write_bytes(bad)
        with pytest.raises(StoreError, match=r"chunk-corrupt|chunk-size"):
            long_cohort.clip("clip-1").frames[32:64]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65535, 65536, 70000, 2**20])
def test_content_size_is_read_from_the_header_alone(size: int) -> None:
    data = zstd.compress(np.zeros(size, np.uint8), 3, True)
    assert content_size(data[:18]) == size
    assert content_size(b"not zstd at all") is None
    assert content_size(data[:4]) is None


def test_a_clip_exists_once_it_is_finished(cohort: Cohort) -> None:
    frame = np.zeros((8, 8), np.uint8)
    begun = cohort.new_clip("clip-3", shape=(8, 8)).__enter__()
    begun.append(frame)
    assert cohort.clips() == ["clip-1", "clip-2"]
    # As after a crash: nobody left the writer, and the name is free all the same.
    with cohort.new_clip("clip-3", shape=(8, 8)) as again:
        again.append(frame)
        again.finish(clip_meta(1))
    assert cohort.clips() == ["clip-1", "clip-2", "clip-3"]
    with pytest.raises(StoreError, match="exists"):
        cohort.new_clip("clip-3", shape=(8, 8))


def test_making_a_rater_writes_nothing_above_it(cohort: Cohort) -> None:
    cohort.clip("clip-1").create_rater("bob", kind="human")
    root = Path(cohort.location)
    above = [root, root / "clip-1"]
    times = [folder.stat().st_mtime_ns for folder in above]  # a file made and removed changes it
    cohort.clip("clip-1").create_rater("ada", kind="human")
    assert [folder.stat().st_mtime_ns for folder in above] == times
