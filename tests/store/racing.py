"""Two leads add a class to one cohort at the same moment, each in a process of its own.

``python -m tests.store.racing 100`` runs that many rounds; nothing may be lost without a word.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from napari_confseg.store import ClassSpec, Cohort, StoreError

COLORS = {"ann": "#112233", "bea": "#445566"}


def lead(name: str) -> None:
    """Add a class to each cohort that is named on standard input, when told to go."""
    for line in sys.stdin:
        cohort = Cohort.open(line.strip())
        print("ready", flush=True)
        sys.stdin.readline()
        spec = ClassSpec(
            index=len(cohort.meta.classes), name=name, label=name, color=COLORS[name], key=None
        )
        try:
            cohort.update_meta(classes=(*cohort.meta.classes, spec))
            print("made", flush=True)
        except StoreError:
            print("told", flush=True)


def race(folder: Path, rounds: int) -> list[tuple[set[str], set[str]]]:
    """Return, for each round, who was told of success and whose class is there."""
    leads = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.store.racing", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in COLORS
    }
    found = []
    try:
        for n in range(rounds):
            root = folder / f"{n}.zarr"
            Cohort.create(root, name="race")
            for what, answer in ((str(root), "ready"), ("go", "")):
                answers = {}
                for process in leads.values():
                    assert process.stdin is not None
                    process.stdin.write(f"{what}\n")
                    process.stdin.flush()
                for name, process in leads.items():
                    assert process.stdout is not None
                    answers[name] = process.stdout.readline().strip()
                assert not answer or set(answers.values()) == {answer}
            there = {c.name for c in Cohort.open(root).meta.classes} & set(COLORS)
            found.append(({name for name, said in answers.items() if said == "made"}, there))
    finally:
        for process in leads.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()
    return found


if __name__ == "__main__":
    if sys.argv[1] in COLORS:
        lead(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as scratch:
            results = race(Path(scratch), int(sys.argv[1]))
        lost = sum(not made <= there for made, there in results)
        both = sum(len(made) == 2 for made, _ in results)
        print(f"{len(results)} races: both succeeded in {both}, a class was lost in {lost}")
