"""A frozen dataset: time to read it against the bare codec, time and memory to build it.

Reading is compared with decompressing the same chunks by zstd alone, from the same files; building
with decoding what goes in, and with decoding that and compressing what comes out. Memory is the
peak of a process that builds a long clip beside one that builds a short one, or, with
``--clips``, of one that builds the whole cohort beside one that builds a tenth of it: it is bounded
by a shard. With ``--workers`` the same cohort is also built on a dask cluster of processes, and
the bytes are compared.
"""

from __future__ import annotations

import argparse
import hashlib
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
from napari_confseg.dataset.frozen import Dataset
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.dataset.packing import source_digests
from napari_confseg.store import ClipMeta, Cohort, Provenance, Status

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SHAPE = (256, 320)


def make(location: Path, n_frames: int, n_clips: int = 1) -> None:
    """Make a cohort, one clip a patient: noise, and a disc that moves, in two of six classes."""
    cohort = Cohort.create(LocalStore(location), name="long")
    for number in range(n_clips):
        _add(cohort, number, n_frames)


def _add(cohort: Cohort, number: int, n_frames: int) -> None:
    rng = np.random.default_rng(number)
    noise = rng.integers(0, 255, SHAPE, np.uint8)
    times = tuple(i / 20 for i in range(n_frames))
    name = f"clip-{number:03d}"
    with cohort.new_clip(name, shape=SHAPE) as new:
        for i in range(n_frames):
            new.append(np.roll(noise, i, 1) >> 2 << 2)
        source = Provenance(source_sha256=f"{number:064x}", decoder="none")
        new.finish(ClipMeta(patient=f"p{number}", frame_times=times, provenance=source))
    rater = cohort.clip(name).create_rater("anna", kind="human")
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
    places = [f"{c}/{p}" for c in dataset.clips() for p in ("frames", "raters/anna/planes")]
    for path in places:
        array = dataset.array(path)
        chunk = int(np.prod(array.chunks))
        per_shard = array.shards[0] // array.chunks[0]
        folder = dataset.folder / "data.zarr" / path / "c"
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


def codec_floor(cohort: Cohort, dataset: Dataset) -> float:
    """Return the seconds it takes to decode what goes in and to compress what comes out."""
    seconds = 0.0
    for name in dataset.clips():
        clip = cohort.clip(name)
        rater = clip.rater("anna")
        start = time.perf_counter()
        for frame in range(clip.shape[0]):
            clip.frames[frame]
        for place in rater.stored_chunks():
            rater.read_plane(*place)
        seconds += time.perf_counter() - start
        for path in (f"{name}/frames", f"{name}/raters/anna/planes"):
            step = dataset.array(path).chunks[0]
            data = dataset.frames(name) if path.endswith("frames") else dataset.planes(name, "anna")
            start = time.perf_counter()
            for at in range(0, len(data), step):
                zstd.compress(data[at : at + step], 3, True)
            seconds += time.perf_counter() - start
    return seconds


def _peak(location: Path, out: Path, request: BuildRequest, pipe: Connection) -> None:
    start = time.perf_counter()
    build(Cohort.open(location, read_only=True), request, out)
    seconds = time.perf_counter() - start
    pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


ONE = BuildRequest(name="long", parts={"train": 1.0})
PARTED = BuildRequest(name="long")


def peak(location: Path, out: Path, request: BuildRequest) -> tuple[float, float]:
    """Return the seconds and the peak memory in MiB of a fresh process that builds."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_peak, args=(location, out, request, theirs))
    process.start()
    found: tuple[float, float] = ours.recv()
    process.join()
    return found


def digest(folder: Path) -> str:
    """Return one hash of all files of a version."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(
            str(path.relative_to(folder)).encode() + hashlib.sha256(path.read_bytes()).digest()
        )
    return whole.hexdigest()


def on_cluster(location: Path, out: Path, workers: int) -> float:
    """Build on a dask cluster of processes; return the seconds."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        start = time.perf_counter()
        build(Cohort.open(location, read_only=True), PARTED, out,
              scheduler=cluster.scheduler_address)  # fmt: skip
        return time.perf_counter() - start


def best(work: object, argument: object, repeats: int = 3) -> float:
    """Return the shortest of some runs in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work(argument)  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times)


def compare_lengths(root: Path, frames: int) -> dict[str, float]:
    """Measure one long clip: reading and building against decoding, memory against a short clip."""
    make(root / "long.zarr", frames)
    make(root / "short.zarr", frames // 5)
    cohort = Cohort.open(root / "long.zarr", read_only=True)
    start = time.perf_counter()
    dataset = build(cohort, ONE, root / "out")
    building = time.perf_counter() - start
    decoding = best(lambda c: source_digests(c, dataset.manifest.request, "clip-000"), cohort, 1)
    reading, floor = best(read, dataset), best(bare, dataset)
    memory = [peak(root / f"{n}.zarr", root / f"peak-{n}", ONE)[1] for n in ("short", "long")]
    return {
        "frames": frames, "read_s": reading, "codec_s": floor, "read_ratio": reading / floor,
        "build_s": building, "decode_and_hash_s": decoding, "build_ratio": building / decoding,
        "peak_short_mib": memory[0], "peak_long_mib": memory[1],
    }  # fmt: skip


def compare_cohorts(root: Path, frames: int, clips: int, workers: int) -> dict[str, float]:
    """Measure a whole cohort: time against the codec, memory against a tenth of it, dask."""
    make(root / "all.zarr", frames // clips, clips)
    make(root / "tenth.zarr", frames // clips, max(1, clips // 10))
    small = peak(root / "tenth.zarr", root / "ds-tenth", PARTED)
    large = peak(root / "all.zarr", root / "ds-all", PARTED)
    cohort = Cohort.open(root / "all.zarr", read_only=True)
    dataset = Dataset.open(root / "ds-all")
    floor = codec_floor(cohort, dataset)
    reading, bare_s = best(read, dataset, 2), best(bare, dataset, 2)
    found = {
        "frames": frames, "clips": clips, "build_s": large[0], "codec_s": floor,
        "build_ratio": large[0] / floor, "read_s": reading, "read_codec_s": bare_s,
        "read_ratio": reading / bare_s, "peak_tenth_mib": small[1], "peak_all_mib": large[1],
    }  # fmt: skip
    if workers:
        found["workers"] = workers
        found["dask_s"] = on_cluster(root / "all.zarr", root / "ds-dask", workers)
        found["same_bytes"] = digest(dataset.folder) == digest(root / "ds-dask" / "v1")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--clips", type=int, default=0, help="0: one long clip")
    parser.add_argument("--workers", type=int, default=0, help="of a dask cluster, with --clips")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = (
            compare_cohorts(Path(folder), args.frames, args.clips, args.workers)
            if args.clips
            else compare_lengths(Path(folder), args.frames)
        )
    if args.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:20} {value:.2f}" if isinstance(value, float) else f"{name:20} {value}")


if __name__ == "__main__":
    main()
