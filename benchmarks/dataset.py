"""A frozen dataset: time to read it against the bare codec, time and memory to build it.

Reading is compared with decompressing the same chunks by zstd alone, from the same files, once
thrown away and once to where they belong, and with taking fresh memory of that size; building
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
import mmap
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs import zstd
from zarr.storage import LocalStore

from napari_confseg.dataset.build import build
from napari_confseg.dataset.frozen import Dataset
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.dataset.packing import source_digests
from napari_confseg.dataset.shards import chunks_in, decode_into
from napari_confseg.store import ClipMeta, Cohort, Provenance, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

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
            new.append(np.roll(noise, i, 1) & np.uint8(0xFC))
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


def shards(dataset: Dataset) -> Iterator[tuple[Any, int, Path]]:
    """Yield array, number and file of each shard of frames and planes."""
    for place in (f"{c}/{p}" for c in dataset.clips() for p in ("frames", "raters/anna/planes")):
        array = dataset.array(place)
        for file in (dataset.folder / "data.zarr" / place / "c").rglob("*"):
            if file.is_file():
                number = file.relative_to(dataset.folder / "data.zarr" / place / "c").parts[0]
                yield array, int(number), file


def bare(dataset: Dataset) -> int:
    """Decompress the chunks of its shards and do nothing else."""
    total = 0
    for array, _, file in shards(dataset):
        chunk = int(np.prod(array.chunks))
        per_shard = array.shards[0] // array.chunks[0]
        data = file.read_bytes()
        # The index at the end: offset and length of each chunk, and a checksum.
        index = np.frombuffer(data[-16 * per_shard - 4 : -4], "<u8").reshape(-1, 2)
        for offset, length in index.tolist():
            if length < 2**63:
                out = np.empty(chunk, np.uint8)
                zstd.decompress(data[offset : offset + length], out)
                total += out.nbytes
    return total


class Kept:
    """Decodes every chunk to its place in memory that is there already, in one thread."""

    def __init__(self) -> None:
        self._memory: dict[tuple[int, ...], NDArray[np.uint8]] = {}

    def __call__(self, dataset: Dataset) -> None:
        """Decode all of it."""
        for array, number, file in shards(dataset):
            if array.shape not in self._memory:
                self._memory[array.shape] = np.ones(array.shape, np.uint8)
            step, shard = array.chunks[0], array.shards[0]
            out = self._memory[array.shape][number * shard : (number + 1) * shard]
            for coded, place in chunks_in(file.read_bytes(), out, step, shard, ""):
                decode_into(coded, place, step, "")


def fresh(dataset: Dataset) -> None:
    """Ask for the memory that reading it takes, clip by clip, and touch each page once."""
    for array, number, _ in shards(dataset):
        if number == 0:
            np.zeros(array.shape, np.uint8).reshape(-1)[:: mmap.PAGESIZE] = 1


def reading(dataset: Dataset, repeats: int) -> dict[str, float]:
    """Measure reading, and where its time goes: the codec, its bytes to memory, fresh memory."""
    ours, floor = best(read, dataset, repeats), best(bare, dataset, repeats)
    processor = {
        "read": least(read, dataset, repeats),
        "codec": least(bare, dataset, repeats),
        "codec_in_place": least(Kept(), dataset, repeats),
        "fresh": least(fresh, dataset, repeats),
    }
    found = {"read_s": ours, "read_codec_s": floor, "read_ratio": ours / floor}
    return found | {f"{name}_cpu_s": seconds for name, seconds in processor.items()}


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
    theirs.close()  # so that a process that fails ends the waiting
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
        build(
            Cohort.open(location, read_only=True), PARTED, out, scheduler=cluster.scheduler_address
        )
        return time.perf_counter() - start


def best(work: object, argument: object, repeats: int = 3) -> float:
    """Return the shortest of some runs in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work(argument)  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return min(times)


def least(work: object, argument: object, repeats: int = 3) -> float:
    """Return the least processor time of some runs in seconds: other programs don't count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work(argument)  # type: ignore[operator]
        times.append(time.process_time() - start)
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
    memory = [peak(root / f"{n}.zarr", root / f"peak-{n}", ONE)[1] for n in ("short", "long")]
    return {
        "frames": frames,
        **reading(dataset, 3),
        "build_s": building,
        "decode_and_hash_s": decoding,
        "build_ratio": building / decoding,
        "peak_short_mib": memory[0],
        "peak_long_mib": memory[1],
    }


def compare_cohorts(root: Path, frames: int, clips: int, workers: int) -> dict[str, float]:
    """Measure a whole cohort: time against the codec, memory against a tenth of it, dask."""
    make(root / "all.zarr", frames // clips, clips)
    make(root / "tenth.zarr", frames // clips, max(3, clips // 10))
    small = peak(root / "tenth.zarr", root / "ds-tenth", PARTED)
    large = peak(root / "all.zarr", root / "ds-all", PARTED)
    cohort = Cohort.open(root / "all.zarr", read_only=True)
    dataset = Dataset.open(root / "ds-all")
    floor = codec_floor(cohort, dataset)
    found = {
        "frames": frames,
        "clips": clips,
        "build_s": large[0],
        "codec_s": floor,
        "build_ratio": large[0] / floor,
        **reading(dataset, 3),
        "peak_tenth_mib": small[1],
        "peak_all_mib": large[1],
    }
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
