"""One process that reads damaged files: ``python -m tests.fuzz.worker KIND SEED FIRST LAST PLACE``.

It prints a line of JSON before and after each round, so that whoever started it knows in which one
it ended.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import resource
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path
from random import Random

LIMIT_SECONDS = 10.0


def main() -> None:
    """Read some cases and say what came of each."""
    name, seed, first, last, place = sys.argv[1:]
    root = Path(place)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.environ["CONFSEG_STATE_DIR"] = str(root / "state")
    os.environ["HOME"] = str(root / "outside")
    warnings.simplefilter("ignore")
    from tests.fuzz.kinds import KINDS

    kind = KINDS[name]
    outside = root / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "a.txt").write_text("not yours")
    seeds = kind.seeds(root / "seeds")
    limit = kind.memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number in range(int(first), int(last)):
        print(json.dumps({"round": number}), file=out)
        rng = Random(f"{name} {seed} {number}")
        faulthandler.dump_traceback_later(LIMIT_SECONDS + kind.slack, exit=True)
        told = _one(kind, rng, root, seeds)
        faulthandler.cancel_dump_traceback_later()
        mine, theirs = (
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(json.dumps({"round": number, **told, "kib": max(mine, theirs)}), file=out)
    kind.close()


def _one(kind, rng, root: Path, seeds: list[Path]) -> dict[str, object]:  # type: ignore[no-untyped-def]
    from tests.fuzz.mutate import mutate_case

    seed, outside = rng.choice(seeds), root / "outside"
    folder = root / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    case = folder / seed.name
    if seed.is_dir():
        shutil.copytree(seed, case)
    else:
        shutil.copy(seed, case)
    mutate_case(case, rng, outside)
    kind.prepare(case, rng)
    before, begun = snapshot(outside), time.monotonic()
    told: dict[str, object] = {"outcome": "read"}
    try:
        refusal = kind.attempt(case, rng, root)
        if refusal:
            told = {"outcome": "refused", "detail": refusal[:200]}
            if "MemoryError" in refusal:
                told["outcome"] = "memory"
    except MemoryError:
        told = {"outcome": "memory", "detail": traceback.format_exc()[-1500:]}
    except Exception:
        told = {"outcome": "traceback", "detail": traceback.format_exc()[-1500:]}
    if time.monotonic() - begun > LIMIT_SECONDS + kind.slack:
        told = {"outcome": "hang", "detail": f"{time.monotonic() - begun:.1f} s"}
    after = snapshot(outside)
    if before != after:
        told = {"outcome": "outside", "detail": str(sorted(before.items() ^ after.items()))[:500]}
    for entry in outside.iterdir():  # what the damage moved there
        if entry.name != "a.txt":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (outside / "a.txt").write_text("not yours")
    return told | {"seed": seed.name}


def snapshot(folder: Path) -> dict[str, str]:
    """Return what is in a folder, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.stat().st_size < 2**26:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "-"
    return found


if __name__ == "__main__":
    main()
