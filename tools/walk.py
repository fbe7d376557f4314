"""Walk a page as a newcomer: each of its shell commands as written, in an empty folder, timed.

::

    python -m tools.walk docs/tutorials/two-readers.md [--folder FOLDER]

Seconds are told by the clock and of the processor (not on Windows), which a busy machine does not
stretch. What opens a window or installs something is left to a person, and said so.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Final

MODULES: Final = {"confseg": "napari_confseg", "confseg-train": "trainer"}
"""Command -> module: what is walked is the work tree, whatever is installed."""


def commands(page: str) -> list[str]:
    """Return the commands of a page's ``sh`` blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def is_for_a_person(command: str) -> bool:
    """Whether a command opens a window or changes what is installed."""
    first, *rest = shlex.split(command, comments=True)
    window = first == "napari" or (first == "confseg" and rest[:1] in (["open"], ["demo"]))
    return window or first in ("pip", ".", "make") or rest[:2] == ["-m", "venv"]


def run(command: str, folder: Path) -> int:
    """Run one command in `folder`; return its exit code."""
    first, *rest = shlex.split(command, comments=True)
    module = ["-m", MODULES[first]] if first in MODULES else []
    start = [sys.executable, *module] if module or first == "python" else [first]
    return subprocess.run([*start, *rest], cwd=folder, check=False).returncode


def processor_seconds() -> float:
    """Return what finished child processes have taken of the processor."""
    return os.times().children_user + os.times().children_system


def main() -> int:
    """Walk; return 1 if a command failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.walk", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--folder", type=Path, help="empty or new; a temporary one if not given")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for command in commands(arguments.page.read_text(encoding="utf-8")):
            print(f"\n$ {command}", flush=True)
            if is_for_a_person(command):
                print("  (for a person)")
                continue
            began, used = monotonic(), processor_seconds()
            code = run(command, folder)
            failed += code != 0
            took = f"{monotonic() - began:.1f} s, processor {processor_seconds() - used:.1f} s"
            print(f"  [{code}] {took}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
