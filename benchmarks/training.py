"""A training step against its compute floor, and where the rest goes.

``python -m benchmarks.training [--size normal] [--method soft ordinal] [--steps 6] [--json]``

On a GPU also with a batch of 64 on canvases of 256 and 512.

``python -m benchmarks.training --frames 100000 [--folder DIR] [--size normal] [--json]``

So many frames of 256 x 256 with six classes, each marked by three raters, are made on disk (14 GB
with the file that is learnt from, for 100,000; removed at the end) and learnt from: how long it
takes to the first step, step over floor with batches that a thread gathers ahead, and the peak
memory of the process that learns.

The floor is forward, loss, backward and optimiser on a batch already in memory. Floor and whole
steps take turns, and processor time of one thread is counted, so that whatever else runs on the
machine touches both alike.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F  # noqa: N812

from benchmarks._large import make_large_cohort
from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.methods import Method
from napari_confseg.store import ClipMeta, Cohort, Provenance, Status
from trainer.augment import augment
from trainer.fit import draw_batch, gather, learn_from, update_average
from trainer.metrics_log import MetricsLog
from trainer.optimizer import AdamW
from trainer.prefetch import Prefetch
from trainer.prepare import prepare, prevalence
from trainer.progress import Reporter
from trainer.targets import make_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.prepare import FitContext

CLASSES = ("pleura", "a-line", "b-line", "consolidation", "effusion", "rib")
LARGE_BATCH, LARGE_SIDES = 64, (256, 512)  # measured on a GPU
LOG_EVERY = 10  # steps; a fit logs 150 times in all


def make_cohort(folder: Path) -> Cohort:
    """Two patients, 16 frames of 480 x 640 each, all classes marked: what is in them is noise."""
    cohort = Cohort.create(folder / "noise.zarr", name="noise")
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        with cohort.new_clip(name, shape=(480, 640)) as new:
            for _ in range(16):
                new.append(rng.integers(0, 256, (480, 640), dtype=np.uint8))
            times = tuple(i / 20 for i in range(16))
            provenance = Provenance(source_sha256="0" * 64, decoder="noise")
            new.finish(ClipMeta(patient=name, frame_times=times, provenance=provenance))
        rater = cohort.clip(name).create_rater("reader", kind="human")
        for t in range(16):
            for c in range(6):
                plane = np.zeros((480, 640), np.uint8)
                y, x = rng.integers(0, 300, 2)
                plane[y : y + 120, x : x + 120] = rng.integers(30, 101)
                rater.write_plane(t, c, plane)
        rater.write_status(np.full((16, 6), Status.REVIEWED, np.uint8))
    return cohort


def enlarged(context: FitContext, side: int, batch: int) -> FitContext:
    """Return `context` with its samples on a square canvas, in larger batches."""
    whole = context.samples.unpacked(context.device)
    assert isinstance(whole.frames, torch.Tensor)
    assert isinstance(whole.planes, torch.Tensor)
    frames = F.interpolate(whole.frames[:, None].float(), (side, side))[:, 0]
    planes = F.interpolate(whole.planes.float(), (side, side))
    samples = replace(whole, frames=frames.to(torch.uint8), planes=planes.to(torch.uint8))
    changes = {"canvas": (side, side), "batch": batch}
    return replace(context, samples=samples, config=context.config.model_copy(update=changes))


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time `work`: processor time on a CPU, wall time until the end on a GPU."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - begin


def measure(context: FitContext, folder: RunFolder, steps: int) -> dict[str, Any]:
    """Return medians in seconds: floor, whole step, and the parts of what is between them."""
    config, device = context.config, context.device
    network = config.network()
    network.set_statistics(context.samples.frames, prevalence(context))
    network.place(device)
    average = deepcopy(network).eval()
    optimizer = AdamW(network.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    curve, report = MetricsLog(folder.path, ["loss"], 0), Reporter(folder)
    fixed = draw_batch(context, 0)
    smooth = torch.zeros((), device=device)
    frames, planes, reviewed, _ = (
        t.to(device) for t in context.samples.batch(context.train[: config.batch])
    )
    generator = torch.Generator(device).manual_seed(0)

    def log() -> None:
        value: dict[str, float | None] = {"loss": float(smooth)}
        curve.add(1, value)
        report.metrics(1, value)
        folder.cancelled()

    def whole(step: int) -> None:
        smooth.lerp_(
            learn_from(draw_batch(context, step), network, context, optimizer, scaler), 0.05
        )
        update_average(average, network, step + 1)
        if step % LOG_EVERY == 0:
            log()

    parts: dict[str, Callable[[], object]] = {
        "floor": lambda: learn_from(fixed, network, context, optimizer, scaler),
        "gather": lambda: context.samples.batch(context.train[: config.batch]),
        "augment": lambda: augment(frames, planes, generator),
        "targets": lambda: make_targets(config.method, planes, reviewed),
        "average": lambda: update_average(average, network, 5),
        "log": log,
    }
    for warm in (parts["floor"], lambda: whole(0)):
        warm()
    taken: dict[str, list[float]] = {name: [] for name in ("whole", *parts)}
    for step in range(steps):
        taken["whole"].append(seconds(lambda step=step: whole(step), device))  # type: ignore[misc]
        for name, part in parts.items():
            taken[name].append(seconds(part, device))
    found = {name: median(values) for name, values in taken.items()}
    found["log"] /= LOG_EVERY
    return found


def measure_ahead(context: FitContext, steps: int) -> dict[str, float]:
    """Return step and floor, with batches that a thread gathers ahead.

    The two take turns, so that whatever else runs touches both alike. Processor time counts the
    thread's, too.
    """
    config, device = context.config, context.device
    network = config.network()
    network.set_statistics(context.samples.frames, prevalence(context))
    network.place(device)
    average = deepcopy(network).eval()
    optimizer = AdamW(network.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    fixed = draw_batch(context, 0)
    learn_from(fixed, network, context, optimizer, scaler)
    taken: dict[str, list[float]] = {"whole": [], "floor": []}
    with Prefetch(partial(gather, context), 0, steps) as batches:
        for step in range(steps):

            def whole(step: int = step) -> None:
                batch = draw_batch(context, step, batches.take())
                learn_from(batch, network, context, optimizer, scaler)
                update_average(average, network, step + 1)

            taken["whole"].append(seconds(whole, device))
            taken["floor"].append(
                seconds(lambda: learn_from(fixed, network, context, optimizer, scaler), device)
            )
    ahead = [seconds(lambda s=s: gather(context, s), device) for s in range(steps)]  # type: ignore[misc]
    return {name: median(values) for name, values in taken.items()} | {"gather": median(ahead)}


def peak_memory() -> float:
    """Return the most memory that this process has had, in GiB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 2**20 if sys.platform != "darwin" else kib / 2**30


def measure_many(location: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the cohort at `location` as a fit does, and take some steps."""
    begin, before = time.perf_counter(), peak_memory()
    request = FitRequest(
        cohort=location,
        rater="benchmark",
        classes=CLASSES,
        method=Method.parse(arguments.method[0]),
        size=arguments.size[-1],
        device=arguments.device,
    )
    torch.set_num_threads(1)
    run = RunFolder.create(folder / "run", request)
    context = prepare(run, request, Reporter(run))
    read = time.perf_counter() - begin
    found = measure_ahead(context, arguments.steps)
    samples = context.samples
    return {
        "size": request.size,
        "method": str(request.method),
        "device": str(context.device),
        "frames": len(samples.frames),
        "samples": len(samples),
        "canvas": list(context.config.canvas),
        "batch": context.config.batch,
        "data_gib": samples.nbytes / 2**30,
        "packed_gib": samples.packed_bytes / 2**30,
        "on_disk": samples.on_disk,
        "reading": read,
        **found,
        "ratio": found["whole"] / found["floor"],
        "ratio_if_not_ahead": (found["whole"] + found["gather"]) / found["floor"],
        "memory_before_gib": before,
        "peak_memory_gib": peak_memory(),
    }


def many(arguments: argparse.Namespace) -> None:
    """Measure learning from `arguments.frames` frames, and print it."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        begin = time.perf_counter()
        # In other processes, so that their memory is not counted.
        cohort = make_large_cohort(Path(folder), arguments.frames)
        made = time.perf_counter() - begin
        row = measure_many(cohort.location, Path(folder), arguments) | {"making": made}
    if arguments.json:
        print(json.dumps([row]))
        return
    table = Table(
        "",
        "",
        title=(
            f"{row['frames']} frames, {row['samples']} samples, {row['size']}, {row['method']} on "
            f"{row['device']}, batch {row['batch']}, {row['canvas'][1]} x {row['canvas'][0]}"
        ),
    )
    table.add_row("made in", f"{row['making']:.0f} s")
    table.add_row("from the request to the samples", f"{row['reading']:.0f} s")
    where = "in a file" if row["on_disk"] else "in memory"
    table.add_row("the data as one tensor", f"{row['data_gib']:.2f} GiB")
    table.add_row("packed", f"{row['packed_gib']:.2f} GiB, {where}")
    table.add_row("peak memory", f"{row['peak_memory_gib']:.2f} GiB")
    table.add_row("of which before anything is read", f"{row['memory_before_gib']:.2f} GiB")
    table.add_row("step", f"{1000 * row['whole']:.1f} ms")
    table.add_row("its floor", f"{1000 * row['floor']:.1f} ms")
    table.add_row("step over floor", f"{row['ratio']:.3f}")
    table.add_row("gathering a batch, by the thread", f"{1000 * row['gather']:.1f} ms")
    table.add_row("step over floor, were it not ahead", f"{row['ratio_if_not_ahead']:.3f}")
    Console().print(table)


def row_of(context: FitContext, run: RunFolder, size: str, steps: int) -> dict[str, Any]:
    found = measure(context, run, steps)
    return {
        "size": size,
        "method": str(context.config.method),
        "device": str(context.device),
        "precision": context.config.precision,
        "canvas": list(context.config.canvas),
        "batch": context.config.batch,
        "ratio": found["whole"] / found["floor"],
        "samples_per_second": context.config.batch / found["whole"],
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs="+", default=["quick", "normal"])
    parser.add_argument(
        "--method", nargs="+", default=["relative-threshold"], help="as in confseg-train"
    )
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, help="learn from so many frames on disk")
    parser.add_argument("--folder", type=Path, help="where to make them; a temporary folder")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.frames:
        many(arguments)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_cohort(Path(folder))
        for number, (size, method) in enumerate(product(arguments.size, arguments.method)):
            request = FitRequest(
                cohort=cohort.location,
                rater="benchmark",
                classes=CLASSES,
                method=Method.parse(method),
                size=size,
                device=arguments.device,
            )
            torch.set_num_threads(1)
            run = RunFolder.create(Path(folder) / str(number), request)
            context = prepare(run, request, Reporter(run))
            rows.append(row_of(context, run, size, arguments.steps))
            if context.device.type == "cuda":
                larger = (enlarged(context, side, LARGE_BATCH) for side in LARGE_SIDES)
                rows += [row_of(p, run, size, arguments.steps) for p in larger]
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        table = Table(
            "part",
            "ms",
            "share of the step",
            title=(
                f"{row['size']}, {row['method']}: {row['ratio']:.3f} of the floor, "
                f"{row['samples_per_second']:.1f} samples/s ({row['precision']} on "
                f"{row['device']}, batch {row['batch']}, {row['canvas'][1]} x "
                f"{row['canvas'][0]}, one thread)"
            ),
        )
        for part in ("whole", "floor", "gather", "augment", "targets", "average", "log"):
            table.add_row(part, f"{1000 * row[part]:.2f}", f"{row[part] / row['whole']:.1%}")
        Console().print(table)
    if not torch.cuda.is_available():
        sides = " and ".join(map(str, LARGE_SIDES))
        print(f"There is no GPU here: batch {LARGE_BATCH} at {sides} pixels is not measured.")


if __name__ == "__main__":
    main()
