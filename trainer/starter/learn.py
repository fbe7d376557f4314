"""Training of the starter model: phantoms are made, and then learnt from as any samples are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_confseg.dataset.holdout import HoldOut
from napari_confseg.job import CONFIG, Cancelled, Finished, Result, RunFolder
from napari_confseg.methods import Method
from trainer.checkpoint import RunConfig, library_versions, load_config, save_config
from trainer.compute import choose_device, choose_precision, set_threads
from trainer.errors import TrainError
from trainer.fit import learn
from trainer.network import SIZES
from trainer.prepare import FitContext, place_samples
from trainer.progress import Reporter
from trainer.sources import Origin
from trainer.starter.phantoms import CLASSES, PhantomSet, as_samples
from trainer.starter.randomise import randomise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.job import Event
    from trainer.samples import Samples
    from trainer.starter.request import StarterRequest

SIZE = "starter"
_SIZE = SIZES[SIZE]


def parts_of(request: StarterRequest) -> tuple[PhantomSet, PhantomSet]:
    """Return the phantoms to learn from, and those that choose the checkpoint."""
    canvas = (request.side, request.side)
    held = max(1, min(50, request.phantoms // 20))
    return (
        PhantomSet(request.seed, request.phantoms, canvas),
        PhantomSet(request.seed, held, canvas, "validation"),
    )


def learn_starter(
    path: Path, request: StarterRequest, listen: Callable[[Event], None] = lambda _: None
) -> Result:
    """Train a starter model in the folder `path`, or resume it; its files are those of a run.

    Raises
    ------
    TrainError
        If the folder holds another run, or a file of phantoms is damaged.
    """
    set_threads(request.threads)
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    with folder.hold():
        earlier = folder.result()
        if earlier is not None:
            _refuse_another(path, request)
            if not earlier.stopped:
                listen(Finished())
                return earlier
            folder.clear_cancel()
        report = Reporter(folder, listen)
        result = _learn(folder, request, report)
        folder.finish(result)
        report.emit(Cancelled() if result.stopped else Finished())
        return result


def _learn(folder: RunFolder, request: StarterRequest, report: Reporter) -> Result:
    _refuse_another(folder.path, request)
    parts = parts_of(request)
    for part in parts:
        if not part.make(folder.path, report.progress, folder.cancelled):
            return Result(stopped=True)
    device = choose_device(request.device)
    samples = as_samples([part.load(folder.path) for part in parts])
    if (folder.path / CONFIG).exists():
        config = load_config(folder.path)
    else:
        config = _config(request, samples, device)
        save_config(folder.path, config)
    held = parts[1].frames
    everything = torch.arange(len(samples))
    context = FitContext(
        None,
        [],
        config,
        place_samples(samples, device),
        everything[:-held],
        everything[-held:],
        device,
    )
    return learn(folder, context, report, augmented=randomise)


def _config(request: StarterRequest, samples: Samples, device: torch.device) -> RunConfig:
    return RunConfig(
        origin=_origin(request, samples.content_sha256()),
        classes=CLASSES,
        raters=samples.raters,
        method=Method(name="soft"),
        size=SIZE,
        channels=_SIZE.channels,
        units=_SIZE.units,
        canvas=(request.side, request.side),
        precision=choose_precision(device, small=False),
        seed=request.seed,
        steps=request.steps,
        batch=_SIZE.batch,
        split=HoldOut(level="patient", train=(), validation=()),
        versions=library_versions(),
    )


def _origin(request: StarterRequest, sha256: str) -> Origin:
    name = f"{request.phantoms} phantoms of seed {request.seed}"
    return Origin(kind="phantoms", name=name, cohort_id="", sha256=sha256)


def _refuse_another(path: Path, request: StarterRequest) -> None:
    """Refuse a folder whose run was asked for otherwise."""
    if not (path / CONFIG).exists():
        return
    there = load_config(path)
    same = there.origin == _origin(request, there.origin.sha256) and (
        there.seed,
        there.steps,
        there.canvas[0],
    ) == (request.seed, request.steps, request.side)
    if not same:
        raise TrainError(
            f"{path} holds another run, of {there.origin} and {there.steps} steps",
            "Choose another folder with --out, or give the same options to resume that one.",
        )
