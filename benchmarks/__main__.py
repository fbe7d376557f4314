"""Run every benchmark, each in a process of its own, and print its table."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

LONG = {"guarantee", "labels", "study", "uncertainty"}
"""What takes so long that it is run by its own name only."""


def main() -> int:
    """Return 0 if every benchmark ran, else the number that did not."""
    names = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])]
    failed = []
    for name in sorted(n for n in names if not n.startswith("_") and n not in LONG):
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\ndid not run: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
