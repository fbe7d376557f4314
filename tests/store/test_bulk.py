"""Many planes in one call: the same bytes as one by one, all of them or none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from zarr.storage import MemoryStore

from napari_confseg.store import Cohort, StoreError, validate
from napari_confseg.store.backend import KeyValueStore
from tests.conftest import add_clip
from tests.small_disk import CAN_MOUNT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store import Rater

SHAPE = (6, 6, 48, 64)


def planes(seed: int = 0) -> NDArray[np.uint8]:
    """Planes of which a third is empty."""
    rng = np.random.default_rng(seed)
    found = np.zeros(SHAPE, np.uint8)
    found[:, :, 5:20, 10:30] = rng.integers(1, 101, (*SHAPE[:2], 1, 1))
    found[::3] = 0
    return found


def rater_of(cohort: Cohort, name: str) -> Rater:
    return cohort.clip("clip-1").create_rater(name, kind="model", run="run")


def stored(rater: Rater) -> NDArray[np.uint8]:
    return rater.read_classes(range(SHAPE[1])).swapaxes(0, 1)


def files(cohort: Cohort, name: str) -> dict[str, bytes]:
    root = Path(cohort.location) / "clip-1" / "raters" / name / "0" / "c"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_it_equals_writing_one_by_one(cohort):
    together, single = rater_of(cohort, "together"), rater_of(cohort, "single")
    for seed in (1, 2):  # the second replaces the first, and removes what is empty now
        new = np.roll(planes(seed), seed, axis=0)
        together.write_planes(new)
        for t in range(SHAPE[0]):
            for c in range(SHAPE[1]):
                single.write_plane(t, c, new[t, c])
        assert np.array_equal(stored(together), new)
        assert files(cohort, "together") == files(cohort, "single")
    assert validate(cohort.location) == []


def test_what_is_stored_is_listed_alike_everywhere(cohort):
    rater = rater_of(cohort, "model")
    rater.write_planes(planes())
    rater.write_plane(1, 2, np.zeros(SHAPE[2:], np.uint8))  # its folders stay
    chunks = Path(cohort.location) / "clip-1" / "raters" / "model" / "0" / "c"
    (chunks / "007" / "1" / "0").mkdir(parents=True)
    (chunks / "007" / "1" / "0" / "0").touch()
    (chunks / "2" / "stray").touch()
    keys, where = KeyValueStore(cohort.store), f"{rater.path}/0/c"
    listed = keys.chunks(where)
    assert listed == rater.stored_chunks()
    assert listed == [(t, c) for t in range(6) for c in range(6) if t % 3 and (t, c) != (1, 2)]
    (chunks / "4").rename(chunks / "elsewhere")
    (chunks / "4").symlink_to(chunks / "elsewhere")  # links are not followed
    assert keys.chunks(where) == [(t, c) for t, c in listed if t != 4]
    assert rater.stored_chunks() == listed  # as its writer left them
    assert rater_of(cohort, "other").stored_chunks() == []


def test_frames_and_classes_may_be_chosen():
    cohort = Cohort.create(MemoryStore(), name="toy")
    add_clip(cohort)
    rater = rater_of(cohort, "model")
    new = planes()
    rater.write_planes(new[:2, :3], frames=(4, 1), classes=(5, 0, 2))
    expected = np.zeros_like(new)
    expected[np.ix_((4, 1), (5, 0, 2))] = new[:2, :3]
    assert np.array_equal(stored(rater), expected)
    assert rater.stored_chunks() == list(map(tuple, np.argwhere(expected.any((2, 3))).tolist()))


@pytest.mark.parametrize("bad", [101, 254])
def test_one_that_is_refused_leaves_all_as_they_were(cohort, bad):
    rater = rater_of(cohort, "model")
    before = planes()
    rater.write_planes(before)
    new = planes(1)
    new[4, 5, 0, 0] = bad
    with pytest.raises(StoreError, match=r"0/4/5: .*0\.\.100 or 255"):
        rater.write_planes(new)
    with pytest.raises(StoreError, match=r"plane-shape|\(6, 6, 48, 64\)"):
        rater.write_planes(new[:, :, 1:])
    assert np.array_equal(stored(rater), before)
    assert not [name for name in files(cohort, "model") if name.endswith(".partial")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_half_way_nothing_is_to_be_seen(cohort):
    rater = rater_of(cohort, "model")
    before = planes()
    rater.write_planes(before)

    def until_killed():
        for t in range(SHAPE[0]):
            for c in range(SHAPE[1]):
                if (t, c) == (5, 5):
                    os.kill(os.getpid(), signal.SIGKILL)
                yield t, c, planes(1)[t, c]

    pid = os.fork()
    if pid == 0:
        rater.write_each(until_killed())
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert np.array_equal(stored(rater), before)
    assert [name for name in files(cohort, "model") if name.endswith(".partial")]
    rater.sweep()
    assert not [name for name in files(cohort, "model") if name.endswith(".partial")]
    assert np.array_equal(stored(rater), before)


@pytest.mark.skipif(not (CAN_MOUNT and shutil.which("mkfs.ext4")), reason="needs root and ext4")
def test_once_it_returns_a_power_cut_takes_nothing(tmp_path: Path):
    disk, mount = tmp_path / "disk", tmp_path / "mount"
    mount.mkdir()
    with disk.open("wb") as f:
        f.truncate(48 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, mount], check=True)
    try:
        cohort = Cohort.create(mount / "cohort.zarr", name="toy")
        add_clip(cohort)
        rater = rater_of(cohort, "model")
        rater.write_planes(planes())
        # What had not been synced is not in the copy.
        shutil.copyfile(disk, tmp_path / "copy")
    finally:
        subprocess.run(["umount", "-l", mount], check=True)
    subprocess.run(["mount", "-o", "loop", tmp_path / "copy", mount], check=True)
    try:
        rater = Cohort.open(mount / "cohort.zarr").clip("clip-1").rater("model")
        assert np.array_equal(stored(rater), planes())
    finally:
        subprocess.run(["umount", "-l", mount], check=True)
