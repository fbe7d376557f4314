"""Prediction against its forward floor, and where the rest goes.

``python -m benchmarks.predicting [--size quick] [--steps 80] [--rounds 3] [--json]``
``python -m benchmarks.predicting --run RUN --cohort COHORT [--json]``

The floor is the bare network on the same batches, already on its canvas, in the same process. Floor
and prediction take turns clip by clip, and processor time of all threads is counted beside wall
time, so that whatever else runs on the machine touches both alike. The parts are timed one by one.
At the end the whole command runs in a process of its own, for what starting it takes. Without
``--run`` a synthetic cohort of 480 x 640 pixels is made, and a network fitted to it.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from napari_confseg.dataset.resample import Resampler
from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.store import Cohort, Identity, ProgramWriter
from sample_data.cohort import make_cohort
from trainer.compute import autocast
from trainer.data import class_indices
from trainer.marking import BLOCK, predict_clip
from trainer.predict import Predictor
from trainer.run_job import execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_confseg.store import Clip

RATER = "benchmark"


class Taken:
    """Wall and processor time of calls, by name."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        """Return what `work` returns, and note what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        done = work()
        self.cpu.setdefault(name, []).append(time.process_time() - cpu)
        self.wall.setdefault(name, []).append(time.perf_counter() - wall)
        return done


def canvases(predictor: Predictor, frames: NDArray[np.uint8]) -> Tensor:
    """Return frames as the network's input."""
    shape = frames.shape[1], frames.shape[2]
    fitted = torch.from_numpy(Resampler.into(shape, predictor.config.canvas).frames(frames))
    images = fitted.to(predictor.device)[:, None].float() / 255
    return images.contiguous(memory_format=torch.channels_last)


def forward(predictor: Predictor, batches: list[Tensor]) -> None:
    """Run the bare network on every batch."""
    with torch.inference_mode(), autocast(predictor.device, predictor.config.precision):
        for images in batches:
            predictor.network(images)
    if predictor.device.type == "cuda":
        torch.cuda.synchronize(predictor.device)


def measure_clip(predictor: Predictor, clip: Clip, indices: list[int], taken: Taken) -> None:
    """Time floor, whole and parts of one clip."""
    starts = range(0, clip.shape[0], BLOCK)
    blocks = taken.time("read", lambda: [np.asarray(clip.frames[t : t + BLOCK]) for t in starts])
    batches = taken.time("resample", lambda: [canvases(predictor, b) for b in blocks])
    taken.time("floor", lambda: forward(predictor, batches))
    taken.time("whole", lambda: predict_clip(predictor, clip, RATER, "benchmark", indices))
    percents = taken.time("percents", lambda: [predictor.percent(b) for b in blocks])
    with (
        ProgramWriter(clip, f"{RATER}-2", Identity("model", run="benchmark")) as writer,
        writer.bulk() as put,
    ):

        def write() -> None:
            for first, block in zip(starts, percents, strict=True):
                for t, c in np.ndindex(block.shape[:2]):
                    put(first + t, indices[c], block[t, c])

        taken.time("write", write)


def measure(run: Path, location: str, rounds: int, device: str) -> dict[str, Any]:
    """Return the times in seconds, all clips together, median over rounds."""
    torch.set_num_threads(1)
    cohort, predictor = Cohort.open(location), Predictor.load(run, device)
    indices = class_indices(cohort, predictor.config.classes)
    clips = [cohort.clip(name) for name in cohort.clips()]
    all_taken = []
    for number in range(rounds + 1):
        taken = Taken()
        for clip in clips:
            measure_clip(predictor, clip, indices, taken)
            for name in (RATER, f"{RATER}-2"):
                shutil.rmtree(Path(cohort.location) / clip.name / "raters" / name)
        if number:  # the first warms up
            all_taken.append(taken)
    found: dict[str, Any] = {
        clock: {
            name: median(sum(getattr(taken, clock)[name]) for taken in all_taken)
            for name in all_taken[0].cpu
        }
        for clock in ("wall", "cpu")
    }
    frames = sum(clip.shape[0] for clip in clips)
    return found | {
        "frames": frames,
        "shape": list(clips[0].shape[1:]),
        "classes": len(indices),
        "size": predictor.config.size,
        "precision": predictor.config.precision,
        "device": str(predictor.device),
        "share_wall": found["wall"]["floor"] / found["wall"]["whole"],
        "share_cpu": found["cpu"]["floor"] / found["cpu"]["whole"],
    }


def measure_command(run: Path, location: str, device: str, out: Path) -> dict[str, float]:
    """Return wall and processor time of the whole command."""
    command = [sys.executable, "-m", "trainer", "predict", str(run), location, "--json"]
    options = ["--rater", RATER, "--device", device, "--threads", "1", "--out", str(out)]
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"command_wall": time.perf_counter() - wall, "command_cpu": used}


def prepared(folder: Path, size: str, steps: int) -> tuple[Path, str]:
    """Make a synthetic cohort and a run on it."""
    location = str(folder / "lung.zarr")
    cohort = make_cohort(
        location,
        patients=5,
        clips_per_patient=1,
        frames=32,
        size=(480, 640),
        readers=["calibrated"],
    )
    request = FitRequest(
        cohort=location,
        rater="model",
        classes=tuple(c.name for c in cohort.meta.classes),
        size=size,
        steps=steps,
    )
    run = RunFolder.create(folder / "run", request)
    assert execute(run) is not None
    return run.path, location


def show(found: dict[str, Any]) -> None:
    """Print a table."""
    table = Table(
        "part",
        "wall, ms a frame",
        "processor, ms a frame",
        title=(
            f"{found['frames']} frames of {found['shape'][0]} x {found['shape'][1]}, "
            f"{found['classes']} classes, {found['size']} in {found['precision']} on "
            f"{found['device']}: floor is {found['share_wall']:.0%} of the wall time, "
            f"{found['share_cpu']:.0%} of the processor time"
        ),
    )
    each = 1000 / found["frames"]
    for part in ("whole", "floor", "read", "resample", "percents", "write"):
        wall, cpu = found["wall"][part] * each, found["cpu"][part] * each
        table.add_row(part, f"{wall:.2f}", f"{cpu:.2f}")
    command = found["command_wall"] * each, found["command_cpu"] * each
    table.add_row("command, with its start", f"{command[0]:.2f}", f"{command[1]:.2f}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="quick")
    parser.add_argument("--steps", type=int, default=80, help="of the fit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--run", type=Path, help="a run, instead of a new one")
    parser.add_argument("--cohort", help="the cohort that it marks; marks are removed again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, location = arguments.run, arguments.cohort
        if run is None or location is None:
            run, location = prepared(Path(folder), arguments.size, arguments.steps)
        found = measure(run, location, arguments.rounds, arguments.device)
        found |= measure_command(run, location, arguments.device, Path(folder) / "job")
        cohort = Cohort.open(location)
        for name in cohort.clips():
            shutil.rmtree(Path(cohort.location) / name / "raters" / RATER)
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
