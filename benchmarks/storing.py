"""Time until a stroke is safe, until it is stored, and until a failure is reported.

``python -m benchmarks.storing [--json]``

``python -m benchmarks.storing --strokes 20000 [--json]``

So many strokes on one clip: whether the last thousand cost more than the first, and what opening it
again takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_confseg.store import ClipMeta, Cohort, Edit, Patch, Provenance, RaterWriter
from napari_confseg.store.edits import pack

FRAME, N_FRAMES, N = (768, 1024), 8, 100
THOUSAND = 1000


def make(folder: Path) -> Cohort:
    """Make a cohort of one clip."""
    cohort = Cohort.create(folder / "cohort.zarr", name="bench")
    with cohort.new_clip("clip", shape=FRAME) as new:
        for _ in range(N_FRAMES):
            new.append(np.zeros(FRAME, np.uint8))
        times = tuple(i / 20 for i in range(N_FRAMES))
        provenance = Provenance(source_sha256="0" * 64, decoder="-")
        new.finish(ClipMeta(patient="p", frame_times=times, provenance=provenance))
    return cohort


def stroke(planes: np.ndarray, rng: np.random.Generator, frame: int) -> Edit:
    """Return a brush stroke: a thick line in a box of 60 x 200 pixels."""
    y, x = int(rng.integers(FRAME[0] - 60)), int(rng.integers(FRAME[1] - 200))
    box = planes[frame, y : y + 60, x : x + 200]
    before = box.copy()
    yy, xx = np.mgrid[:60, :200]
    box[abs(yy - 10 - 0.2 * xx) < 8] = int(rng.choice([30, 60, 90]))
    return Edit((Patch(0, frame, y, x, before, box.copy()),), 60, "brush", 0, frame)


def _milliseconds(took: list[float]) -> dict[str, float]:
    return {"median": 1e3 * float(np.median(took)), "p95": 1e3 * float(np.percentile(took, 95))}


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Return milliseconds, median and 95th percentile."""
    cohort = make(folder)
    rng = np.random.default_rng(0)
    planes = np.zeros((N_FRAMES, *FRAME), np.uint8)
    edits = [stroke(planes, rng, k % N_FRAMES) for k in range(N)]
    writer = RaterWriter.open(cohort, "clip", "r", journal_root=folder / "state")
    safe, undone, stored = [], [], []
    for edit in edits:
        began = time.perf_counter()
        writer.commit(edit)
        safe.append(time.perf_counter() - began)
        writer.flush(60)
        stored.append(time.perf_counter() - began)
    for _ in range(N // 2):
        began = time.perf_counter()
        writer.undo()
        undone.append(time.perf_counter() - began)
    writer.flush(60)
    began = time.perf_counter()
    second = RaterWriter.open(cohort, "clip", "r", journal_root=folder / "other-account")
    refused = time.perf_counter() - began
    second.close()
    # A file where a folder must be made: no store can be written there, on any system.
    place = folder / "cohort.zarr/clip/raters/r/0/c/7"
    shutil.rmtree(place, ignore_errors=True)
    place.touch()
    began = time.perf_counter()
    writer.commit(stroke(planes, rng, 7))
    while writer.state.problem is None:
        time.sleep(0.001)
    reported = time.perf_counter() - began
    place.unlink()
    writer.close(10)
    began = time.perf_counter()
    RaterWriter.open(cohort, "clip", "r", journal_root=folder / "state").close()
    opened = time.perf_counter() - began
    return {
        "SQLite alone: the same bytes, WAL, FULL": _milliseconds(bare(folder, edits)),
        "commit: safe in the journal": _milliseconds(safe),
        "undo: safe in the journal": _milliseconds(undone),
        "commit until durable in the store": _milliseconds(stored),
        "until a second writer is refused": _milliseconds([refused]),
        "until a failing store is reported": _milliseconds([reported]),
        "close, and open with 100 strokes": _milliseconds([opened]),
    }


def many(folder: Path, n: int) -> dict[str, float]:
    """Return milliseconds of the first and of the last thousand strokes, and of opening."""
    cohort = make(folder)
    rng = np.random.default_rng(0)
    planes = np.zeros((N_FRAMES, *FRAME), np.uint8)
    safe, stored = [], []
    with RaterWriter.open(cohort, "clip", "r", journal_root=folder / "state") as writer:
        for k in range(n):
            edit = stroke(planes, rng, k % N_FRAMES)
            began = time.perf_counter()
            writer.commit(edit)
            safe.append(1e3 * (time.perf_counter() - began))
            # One at a time in the thousands that are compared, as people paint.
            if k < THOUSAND or k >= n - THOUSAND or k % 64 == 63:
                writer.flush(60)
                stored.append(1e3 * (time.perf_counter() - began))
        writer.flush(600)
    began = time.perf_counter()
    again = RaterWriter.open(cohort, "clip", "r", journal_root=folder / "state")
    opened = time.perf_counter() - began
    again.load_planes(0)
    loaded = time.perf_counter() - began
    again.close()
    record = folder / "cohort.zarr/clip/raters/r/record"
    shutil.rmtree(record.parent / "0/c")
    began = time.perf_counter()
    found = cohort.clip("clip").rater("r").read_planes(0)
    replayed = time.perf_counter() - began
    assert np.array_equal(found, planes)
    sizes = [p.stat().st_size for p in record.iterdir()]
    result: dict[str, float] = {}
    for name, took in (("safe", safe), ("stored", stored)):
        for percentile in (50, 99):
            first, last = (
                float(np.percentile(part, percentile))
                for part in (took[:THOUSAND], took[-THOUSAND:])
            )
            result |= {
                f"{name}, p{percentile} of the first thousand, ms": first,
                f"{name}, p{percentile} of the last thousand, ms": last,
                f"{name}, p{percentile}, last over first": last / first,
            }
    return result | {
        "open again, ms": 1e3 * opened,
        "open and read all planes, ms": 1e3 * loaded,
        "read after all planes were lost, ms": 1e3 * replayed,
        "files of the record": len(sizes),
        "KiB of the record a stroke": sum(sizes) / n / 1024,
    }


def bare(folder: Path, edits: list[Edit]) -> list[float]:
    """Insert the same bytes with SQLite alone."""
    db = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")
    took = []
    for data in [pack(edit) for edit in edits]:
        began = time.perf_counter()
        db.execute("INSERT INTO t (data) VALUES (?)", (data,))
        took.append(time.perf_counter() - began)
    db.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--strokes", type=int, default=0, metavar="N", help="so many on one clip")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.strokes:
            found = many(Path(folder), max(arguments.strokes, 2 * THOUSAND))
            if arguments.json:
                print(json.dumps(found))
                return
            print("| what | value |\n|---|---|")
            for name, value in found.items():
                print(f"| {name} | {value:.3g} |")
            return
        result = measure(Path(folder))
    if arguments.json:
        print(json.dumps(result))
        return
    base = result["SQLite alone: the same bytes, WAL, FULL"]["median"]
    print(f"strokes of 60 x 200 pixels on planes of {FRAME[0]} x {FRAME[1]}\n")
    print("| what | median ms | p95 ms | x SQLite alone |\n|---|---|---|---|")
    for name, ms in result.items():
        print(f"| {name} | {ms['median']:.2f} | {ms['p95']:.2f} | {ms['median'] / base:.1f} |")


if __name__ == "__main__":
    main()
