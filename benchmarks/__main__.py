"""Run every benchmark, each in a process of its own, and print its table."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

ALONE = {
    "bars",
    "findings",
    "guarantee",
    "guarantee_people",
    "labels",
    "people",
    "rule",
    "study",
    "uncertainty",
    "worth",
}
"""What is run by its own name only: it takes long, needs pictures, or is a part of another."""


def main() -> int:
    """Return 0 if every benchmark ran, else the number that did not."""
    names = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])]
    failed = []
    for name in sorted(n for n in names if not n.startswith("_") and n not in ALONE):
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\ndid not run: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
