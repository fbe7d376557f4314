"""Everything a fit needs before its first step, read and decided once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_confseg.store import Cohort
from trainer.calibrate import apply
from trainer.checkpoint import CONFIG, RunConfig, library_versions, load_config, save_config
from trainer.compute import choose_device, choose_precision
from trainer.data import (
    choose_canvas,
    class_indices,
    find_sources,
    read_samples,
)
from trainer.errors import TrainError
from trainer.network import SIZES
from trainer.predict import check_same_run
from trainer.split import make_split
from trainer.targets import RECIPES, make_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_confseg.job import FitRequest, RunFolder
    from trainer.data import Source
    from trainer.progress import Reporter
    from trainer.samples import Samples

_VALIDATION = {"study": 64, "quick": 64, "normal": 512}
"""Samples to validate on, evenly spaced: enough to choose by, few enough to do often."""

_AT_ONCE = 16  # samples whose targets are counted together: as floats they are large


@dataclass(frozen=True)
class Plan:
    """What a fit works with.

    Attributes
    ----------
    cohort : Cohort
        Where it learns from and marks the clip on screen.
    indices : list of int
        Index in the cohort of each class.
    config : RunConfig
        All decisions, as stored.
    samples : Samples
        All that is learnt from and validated on, on the device if it fits there.
    train, validation : int64 tensor
        Rows of `samples`.
    device : torch.device
        Where it computes.
    """

    cohort: Cohort
    indices: list[int]
    config: RunConfig
    samples: Samples
    train: Tensor
    validation: Tensor
    device: torch.device


def prepare(folder: RunFolder, request: FitRequest, report: Reporter) -> Plan:
    """Read the cohort and decide about split, canvas and precision, or keep to what was decided.

    Raises
    ------
    TrainError
        If the request can't be met; says why and what to do.
    """
    device = choose_device(request.device)
    cohort = Cohort.open(request.cohort)
    cohort.check_name(request.rater, "model")
    if request.preview_clip in cohort.clips():
        check_same_run(cohort.clip(request.preview_clip), request.rater, folder.path.name)
    indices = class_indices(cohort, request.classes)
    resumed = load_config(folder.path) if (folder.path / CONFIG).exists() else None
    known = (*resumed.split.train, *resumed.split.validation) if resumed else ()
    sources = find_sources(cohort, request.classes, request.raters, sorted(set(known)))
    if request.held_out:
        sources = _kept_apart(cohort, sources, request.held_out)
    config = resumed or _decide(cohort, request, sources, indices, device)
    samples = read_samples(
        sources, indices, config.canvas, scratch=folder.path, tell=report.progress
    )
    where = list(zip(samples.clips, samples.times, strict=True))
    train = [i for i, at in enumerate(where) if config.split.is_train(*at)]
    held = [i for i, at in enumerate(where) if config.split.is_validation(*at)]
    if not train or not held:
        raise TrainError(
            "The frames that this run began with are no longer marked as reviewed",
            "Mark them again, or begin a new run.",
        )
    held = held[:: -(-len(held) // _VALIDATION[config.size])]
    if calibrates := RECIPES[config.method.name].calibrates:
        found = config.calibration or calibrates(samples, train, config.classes)
        config = config.model_copy(update={"calibration": found})
        samples = apply(found, samples, config.classes)
    if resumed is None:
        save_config(folder.path, config)
    return Plan(
        cohort,
        indices,
        config,
        _place(samples, device),
        torch.tensor(train),
        torch.tensor(held),
        device,
    )


def _kept_apart(cohort: Cohort, sources: Sequence[Source], held_out: Sequence[str]) -> list[Source]:
    """Return the sources of all other patients than those that are kept for a test."""
    everybody = {cohort.clip(name).meta.patient for name in cohort.clips()}
    if unknown := sorted(set(held_out) - everybody):
        raise TrainError(
            f"{cohort.meta.name} has no patient called {', '.join(unknown)} to hold out",
            f"It has {', '.join(sorted(everybody))}.",
        )
    left = [s for s in sources if s.clip.meta.patient not in held_out]
    if not left:
        raise TrainError("Every patient with reviewed frames is held out", "Hold out fewer.")
    return left


def _decide(
    cohort: Cohort,
    request: FitRequest,
    sources: Sequence[Source],
    indices: Sequence[int],
    device: torch.device,
) -> RunConfig:
    size = SIZES[request.size]
    canvas = choose_canvas([s.clip.shape[1:] for s in sources], size.longest)
    split = make_split(
        [s.clip.name for s in sources],
        [s.clip.meta.patient for s in sources],
        [s.frames() for s in sources],
        [s.marked(indices) for s in sources],
        seed=request.seed,
    )
    return RunConfig(
        cohort_id=cohort.meta.cohort_id,
        cohort=cohort.meta.name,
        classes=request.classes,
        raters=tuple(sorted({r.name for s in sources for r in s.raters})),
        method=request.method,
        size=request.size,
        channels=size.channels,
        units=size.units,
        dropout=request.dropout,
        canvas=canvas,
        precision=choose_precision(device, small=request.size == "study")
        if request.precision == "auto"
        else request.precision,
        seed=request.seed,
        steps=request.steps or size.steps,
        batch=size.batch,
        split=split,
        versions=library_versions(),
    )


def _place(samples: Samples, device: torch.device) -> Samples:
    """Move the samples to a GPU that has room for them twice; else they stay packed."""
    if device.type == "cuda" and samples.nbytes * 2 < torch.cuda.mem_get_info(device)[0]:
        return samples.unpacked(device)
    return samples


def facts(plan: Plan, step: int) -> dict[str, str | int | float | bool]:
    """Return what a person should know of a fit that begins, the warning first."""
    config, samples = plan.config, plan.samples
    clips = {samples.clips[i] for i in plan.train.tolist()}
    found: dict[str, str | int | float | bool] = {}
    if config.split.warning:
        found["warning"] = config.split.warning
    if config.calibration is not None:
        found["calibration"] = config.calibration.note
    return found | {
        "device": torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "method": str(config.method),
        "classes": ", ".join(config.classes),
        "raters": ", ".join(config.raters),
        "train": f"{len(plan.train)} samples of {len(clips)} clips",
        "validation": f"{len(plan.validation)} samples of {len(config.split.validation)} clips, "
        f"split by {config.split.level}",
        "canvas": f"{config.canvas[1]} x {config.canvas[0]}",
        "steps": config.steps,
        "begins at step": step,
    }


def prevalence(plan: Plan) -> Tensor:
    """Return each class's mean target over what is known of it in the training samples, (C,)."""
    config = plan.config
    rows = plan.train[:: max(1, len(plan.train) // 256)]
    present, known = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for some in torch.split(rows, _AT_ONCE):
        _, planes, reviewed, _ = plan.samples.batch(some)
        target, weight = make_targets(config.method, planes, reviewed)
        present = present + (target * weight).sum((0, 2, 3), dtype=torch.float64).cpu()
        known = known + weight.sum((0, 2, 3), dtype=torch.float64).cpu()
    share = (present / known.clamp_min(1)).float()
    # With several thresholds per class, of the lowest.
    return share.view(len(config.classes), -1)[:, 0]
