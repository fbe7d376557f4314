"""Nothing that was acknowledged is lost by kill -9 or a power cut, and the store stays sound."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(module: str, *arguments: object) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, int] = json.loads(done.stdout)
    return result | {"stderr": done.stderr}  # type: ignore[dict-item]


def why_no_loop_mount() -> str | None:
    """Return why this machine can't mount a file system in a file, or None if it can."""
    if sys.platform != "linux":
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root to mount"
    missing = [c for c in ("mkfs.ext4", "mount", "umount", "findmnt") if not shutil.which(c)]
    if missing:
        return f"needs {', '.join(missing)}"
    return None if Path("/dev/loop0").exists() else "needs loop devices"


needs_loop = pytest.mark.skipif(why_no_loop_mount() is not None, reason=str(why_no_loop_mount()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    result = _run("tests.store.killing", tmp_path, 60, 0)
    assert result["failures"] == 0, result["stderr"]
    assert result["kills"] == 60
    assert result["edits"] > 60  # they were not all killed before they began


@pytest.mark.skipif(sys.platform != "linux", reason="needs SIGSTOP, and folders moved while open")
def test_three_machines_that_are_stopped_and_cut_off_lose_nothing(tmp_path: Path) -> None:
    result = _run("tests.store.nemesis", tmp_path, "--rounds", 2)
    assert result["faults"] == 0
    assert result["acts"] > 20


@needs_loop
def test_power_cuts_lose_nothing(tmp_path: Path) -> None:
    result = _run("tests.store.power", tmp_path, 10, 0)
    assert result["failures"] == 0, result["stderr"]
    assert result["cuts"] == 10
    assert result["edits"] > 10


@needs_loop
def test_without_fsync_the_same_power_cuts_do_lose(tmp_path: Path) -> None:
    """The control: were this to pass, the simulation would prove nothing."""
    assert _run("tests.store.power", tmp_path, 20, 0, "no")["failures"] == 1
