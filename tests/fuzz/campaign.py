"""Rounds of one kind, in child processes that may crash, hang or run out of memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

GOOD = ("read", "refused")
ROOT = Path(__file__).parents[2]


@dataclass
class Tally:
    """What came of the rounds of one kind."""

    kind: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, object]] = field(default_factory=list)
    peak_mib: float = 0
    slowest: str = ""

    def __str__(self) -> str:
        wrong = {k: n for k, n in self.counts.items() if k not in GOOD}
        told = ", ".join(f"{n} {k}" for k, n in sorted(wrong.items())) or "nothing"
        return (
            f"{self.kind}: {self.counts.total()} rounds, {self.counts['read']} read, "
            f"{self.counts['refused']} refused by name; went wrong: {told}; "
            f"peak memory {self.peak_mib:.0f} MiB"
        )


def run(kind: str, rounds: int, *, seed: str = "0", first: int = 0) -> Tally:
    """Read `rounds` damaged files of a kind."""
    tally = Tally(kind)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{kind}-") as place:
        begin, end = first, first + rounds
        while begin < end:
            begin = _batch(kind, seed, begin, end, Path(place), tally)
    return tally


def _batch(kind: str, seed: str, begin: int, end: int, place: Path, tally: Tally) -> int:
    """Run one process as far as it gets; return the round after its last."""
    command = [sys.executable, "-m", "tests.fuzz.worker", kind, seed, str(begin), str(end), place]
    with tempfile.TemporaryFile("w+b") as errors:
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, text=True
        )
        assert process.stdout is not None
        current, finished = begin, False
        with process.stdout:
            for line in process.stdout:
                told = json.loads(line)
                current, finished = told["round"], "outcome" in told
                if finished:
                    _note(told, tally)
        code = process.wait()
        if code == 0 and finished:
            return current + 1
        _note(_ended(current, code, errors), tally)
    return current + 1


def _ended(number: int, code: int, errors: IO[bytes]) -> dict[str, object]:
    errors.seek(0)
    text = errors.read().decode(errors="replace")
    hung = "Timeout (" in text
    return {
        "round": number,
        "outcome": "hang" if hung else "crash",
        "detail": f"exit code {code}: {text[-1500:]}",  # the main thread comes last
    }


def _note(told: dict[str, object], tally: Tally) -> None:
    outcome = str(told["outcome"])
    tally.counts[outcome] += 1
    kib = told.get("kib", 0)
    tally.peak_mib = max(tally.peak_mib, float(str(kib)) / 1024)
    if outcome not in GOOD:
        tally.faults.append(told)
