"""A disk so small that it fills up: a real one, where the machine lets us mount it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAN_MOUNT = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None
needs_mount = pytest.mark.skipif(not CAN_MOUNT, reason="needs Linux and root to mount a small disk")


def mount(*arguments: object) -> None:
    """Run the system's ``mount``."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


@contextmanager
def disk_of(path: Path, kib: int) -> Iterator[Path]:
    """Make `path` a disk of `kib` KiB for a while."""
    path.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", path)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def enlarge(path: Path, kib: int) -> None:
    """Make room on a small disk."""
    mount("-o", f"remount,size={kib}k", path)


def fill(folder: Path) -> Path:
    """Take all the room that is left in `folder`."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            return filler
