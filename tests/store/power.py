"""Power cuts: ``python -m tests.store.power FOLDER ROUNDS SEED`` prints a summary (needs root).

Journal and store live on an ext4 file system in a file. While edits go on, that file is copied at
a random moment: what had not been synced is not in the copy. The copy is mounted in its place, as
after a power cut, and judged.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from tests.store.killing import OPENED, SAVED, Script, in_child, judge, make, paint, succeeded

SIZE = 48 * 2**20


def _run(*command: str | Path) -> str:
    return subprocess.run(
        [str(c) for c in command], check=True, capture_output=True, text=True
    ).stdout


def _writes(device: str) -> str:
    """Return the counters of the block device: they stand still while nothing is written."""
    return Path(f"/sys/block/{Path(device).name}/stat").read_text()


def _copy_when_still(disk: Path, copy: Path, device: str) -> None:
    """Copy the disk; again if the kernel wrote to it meanwhile, which no power cut would mix."""
    for _ in range(50):
        before = _writes(device)
        shutil.copyfile(disk, copy)
        if _writes(device) == before:
            return
    raise RuntimeError("the disk is never still")


def one_round(root: Path, mount: Path, seed: int, rng: np.random.Generator) -> int:
    """Paint, cut the power at a random moment, return how many edits were acknowledged."""
    disk, copy = root / "disk", root / "copy"
    device = _run("findmnt", "-n", "-o", "SOURCE", mount).strip()
    listen, said = os.pipe()
    pid = in_child(lambda: paint(root / "script", mount / "cohort.zarr", seed, said))
    os.close(said)
    heard = os.read(listen, 1)
    assert heard == OPENED, "the painter did not begin"
    time.sleep(rng.uniform(0, 0.25))
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    _copy_when_still(disk, copy, device)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while data := os.read(listen, 65536):
        heard += data
    os.close(listen)
    _run("umount", mount)
    copy.replace(disk)
    _run("mount", "-o", "loop", disk, mount)
    return heard.count(SAVED)


def main(folder: str, rounds: str, seed: str, synced: str = "yes") -> None:
    """Cut the power `rounds` times and print how it went; "no" takes fsync away, as a control."""
    if synced == "no":
        os.fsync = lambda fd: None
    root, n = Path(folder), int(rounds)
    mount = root / "mount"
    mount.mkdir()
    with (root / "disk").open("wb") as f:
        f.truncate(SIZE)
    _run("mkfs.ext4", "-q", "-F", root / "disk")
    _run("mount", "-o", "loop", root / "disk", mount)
    os.environ["CONFSEG_STATE_DIR"] = str(mount / "state")
    cuts = edits = failures = 0
    try:
        assert succeeded(in_child(lambda: make(mount / "cohort.zarr")))
        (root / "script").write_bytes(pickle.dumps(Script()))
        rng = np.random.default_rng(int(seed))
        for i in range(n):
            acknowledged = one_round(root, mount, i, rng)
            cuts, edits = cuts + 1, edits + acknowledged
            if not succeeded(
                in_child(partial(judge, root / "script", mount / "cohort.zarr", i, acknowledged))
            ):
                failures += 1
                break
    finally:
        _run("umount", "-l", mount)
    print(json.dumps({"cuts": cuts, "edits": edits, "failures": failures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
