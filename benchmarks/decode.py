"""Reading a cohort's planes and frames: against the bare codec, and against zarr's own path."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import zarr
from numcodecs import zstd

from napari_confseg.store import DEFAULT_CLASSES, ClassSpec, ClipMeta, Cohort, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = (100, 8, 768, 1024)
MARKED = 90  # of 800 planes: people mark few frames
CLASSES = (
    *DEFAULT_CLASSES,
    ClassSpec(index=6, name="g", label="g", color="#808080"),
    ClassSpec(index=7, name="h", label="h", color="#404040"),
)


def make(folder: Path) -> Cohort:
    """Make a cohort of one clip with blobs of confidence on some planes."""
    rng = np.random.default_rng(0)
    cohort = Cohort.create(folder / "cohort.zarr", name="bench", classes=CLASSES)
    times = tuple(i / 20 for i in range(SHAPE[0]))
    speckle = rng.integers(0, 255, SHAPE[2:], dtype=np.uint8)
    with cohort.new_clip("clip", shape=SHAPE[2:]) as new:
        for t in range(SHAPE[0]):
            new.append(np.roll(speckle, t, axis=1) // 16 * 16)
        provenance = Provenance(source_sha256="0" * 64, decoder="-")
        new.finish(ClipMeta(patient="p", frame_times=times, provenance=provenance))
    rater = cohort.clip("clip").create_rater("r", kind="human")
    yy, xx = np.mgrid[: SHAPE[2], : SHAPE[3]]
    for k in rng.choice(SHAPE[0] * SHAPE[1], MARKED, replace=False):
        plane = np.zeros(SHAPE[2:], np.uint8)
        for value in (30, 60, 90):
            y, x, r = rng.integers(0, SHAPE[2]), rng.integers(0, SHAPE[3]), rng.integers(20, 120)
            plane[(yy - y) ** 2 + (xx - x) ** 2 < r**2] = value
        rater.write_plane(int(k) // SHAPE[1], int(k) % SHAPE[1], plane)
    return cohort


def best(work: Callable[[], object], times: int = 5) -> float:
    """Return the best of some runs, in seconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def measure(folder: Path) -> dict[str, float]:
    """Return seconds of each way."""
    cohort = make(folder)
    clip = cohort.clip("clip")
    rater = clip.rater("r")
    root = folder / "cohort.zarr/clip/raters/r/0/c"
    chunks = [root / f"{t}/{c}/0/0" for t, c in rater.stored_chunks()]
    data = [p.read_bytes() for p in chunks]
    out = np.zeros(SHAPE[2:], np.uint8)
    planes = zarr.open_array(cohort.store, path="clip/raters/r/0", mode="r")
    frames = zarr.open_array(cohort.store, path="clip/0", mode="r")

    def bare() -> None:
        for chunk in data:
            zstd.decompress(chunk, out)

    def bare_into_place() -> None:
        target = np.zeros(SHAPE, np.uint8)
        for (t, c), path in zip(rater.stored_chunks(), chunks, strict=True):
            zstd.decompress(path.read_bytes(), target[t, c])

    encoded = [zstd.compress(f, 3, True) for f in np.asarray(clip.frames)]

    def bare_frames() -> None:
        target = np.empty((SHAPE[0], *SHAPE[2:]), np.uint8)
        for frame, place in zip(encoded, target, strict=True):
            zstd.decompress(frame, place)

    return {
        "planes: bare codec, chunks in memory, one target": best(bare),
        "planes: bare codec, files, into place, one thread": best(bare_into_place),
        "planes: ours, all classes at once": best(lambda: rater.read_classes(range(SHAPE[1]))),
        "planes: ours, class by class": best(
            lambda: [rater.read_planes(c) for c in range(SHAPE[1])]
        ),
        "planes: zarr's own path": best(lambda: planes[:], 2),
        "frames: bare codec, chunks in memory, one thread": best(bare_frames, 3),
        "frames: ours": best(lambda: clip.frames[:], 3),
        "frames: zarr's own path": best(lambda: frames[:], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(Path(folder))
    if as_json:
        print(json.dumps(seconds))
        return
    raw = np.prod(SHAPE) / 1e6
    print(f"{MARKED} of {SHAPE[0] * SHAPE[1]} planes stored, {raw:.0f} MB raw; best of some runs\n")
    print("| way | ms | x bare codec into place |\n|---|---|---|")
    for name, s in seconds.items():
        base = "planes: bare codec, files, into place, one thread"
        if name.startswith("frames"):
            base = "frames: bare codec, chunks in memory, one thread"
        print(f"| {name} | {1e3 * s:.1f} | {s / seconds[base]:.2f} |")


if __name__ == "__main__":
    main()
