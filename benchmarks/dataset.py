"""A frozen dataset: time to read it against the bare codec, time and memory to build it.

Reading is compared with decompressing the same chunks by zstd alone, from the same files; building
with decoding what goes in. Memory is the peak of a process that builds a long clip, above one that
builds a short one: it is bounded by a shard, not by the clip.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numcodecs import zstd
from zarr.storage import LocalStore

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.dataset.packing import source_digests
from napari_confseg.store import ClipMeta, Cohort, Provenance, Status

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from napari_confseg.dataset.frozen import Dataset

SHAPE = (256, 320)


def make(location: Path, n_frames: int) -> None:
    """Make a cohort of one clip: noise, and a disc that moves, in two of six classes."""
    cohort = Cohort.create(LocalStore(location), name="long")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, SHAPE, np.uint8)
    times = tuple(i / 20 for i in range(n_frames))
    with cohort.new_clip("clip", shape=SHAPE) as new:
        for i in range(n_frames):
            new.append(np.roll(noise, i, 1) >> 2 << 2)
        source = Provenance(source_sha256="0" * 64, decoder="none")
        new.finish(ClipMeta(patient="p", frame_times=times, provenance=source))
    rater = cohort.clip("clip").create_rater("anna", kind="human")
    y, x = np.indices(SHAPE)
    for i in range(n_frames):
        for c in (0, 2):
            fall = 100 - np.hypot(y - 100 - 20 * c, x - (3 * i) % 320) * 2
            rater.write_plane(i, c, np.clip(fall, 0, 90).astype(np.uint8) // 10 * 10)
    rater.write_status(np.full((n_frames, 6), Status.REVIEWED, np.uint8))


def read(dataset: Dataset) -> int:
    """Read all of it through zarr."""
    return sum(dataset.frames(c).nbytes + dataset.planes(c, "anna").nbytes for c in dataset.clips())


def bare(dataset: Dataset) -> int:
    """Decompress the chunks of its shards and do nothing else."""
    total = 0
    for path in ("frames", "raters/anna/planes"):
        array = dataset.array(f"clip/{path}")
        chunk = int(np.prod(array.chunks))
        per_shard = array.shards[0] // array.chunks[0]
        folder = dataset.folder / "data.zarr" / "clip" / path / "c"
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            data = file.read_bytes()
            # The index at the end: offset and length of each chunk, and a checksum.
            index = np.frombuffer(data[-16 * per_shard - 4 : -4], "<u8").reshape(-1, 2)
            for offset, length in index.tolist():
                if length < 2**63:
                    out = np.empty(chunk, np.uint8)
                    zstd.decompress(data[offset : offset + length], out)
                    total += out.nbytes
    return total


def _peak(location: Path, out: Path, pipe: Connection) -> None:
    build(Cohort.open(location, read_only=True), REQUEST, out)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


REQUEST = BuildRequest(name="long", parts={"train": 1.0})


def peak(location: Path, out: Path) -> float:
    """Return the peak memory in MiB of a fresh process that builds."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_peak, args=(location, out, theirs))
    process.start()
    found: float = ours.recv()
    process.join()
    return found


def best(work: object, argument: object, repeats: int = 3) -> float:
    """Return the shortest of some runs in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work(argument)  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root / "long.zarr", args.frames)
        make(root / "short.zarr", args.frames // 5)
        cohort = Cohort.open(root / "long.zarr", read_only=True)
        start = time.perf_counter()
        dataset = build(cohort, REQUEST, root / "out")
        building = time.perf_counter() - start
        decoding = best(lambda c: source_digests(c, dataset.manifest.request, "clip"), cohort, 1)
        reading, floor = best(read, dataset), best(bare, dataset)
        memory = [peak(root / f"{n}.zarr", root / f"peak-{n}") for n in ("short", "long")]
    found = {
        "frames": args.frames, "read_s": reading, "codec_s": floor, "read_ratio": reading / floor,
        "build_s": building, "decode_and_hash_s": decoding, "build_ratio": building / decoding,
        "peak_short_mib": memory[0], "peak_long_mib": memory[1],
    }  # fmt: skip
    if args.json:
        print(json.dumps(found))
        return
    print(f"reading {args.frames} frames and planes: {reading:.2f} s, bare zstd {floor:.2f} s, "
          f"ratio {reading / floor:.2f}")  # fmt: skip
    print(f"building: {building:.2f} s, decoding and hashing the source {decoding:.2f} s, "
          f"ratio {building / decoding:.2f}")  # fmt: skip
    print(f"peak memory: {memory[0]:.0f} MiB for {args.frames // 5} frames, {memory[1]:.0f} MiB "
          f"for {args.frames}")  # fmt: skip


if __name__ == "__main__":
    main()
