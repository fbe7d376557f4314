"""Preparation of a fit: samples read, hold-out and network decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.dataset.resample import choose_canvas
from napari_confseg.job import CONFIG
from napari_confseg.store import Cohort
from trainer.calibrate import apply
from trainer.checkpoint import STATE, RunConfig, library_versions, load_config, save_config
from trainer.compute import choose_device, choose_precision
from trainer.data import class_indices, find_sources, read_samples
from trainer.errors import TrainError
from trainer.fine_tuning import caution, in_words, inherited, read_start
from trainer.marking import check_same_run
from trainer.network import SIZES
from trainer.sources import Origin, hold_out, open_source
from trainer.targets import RECIPES, make_targets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from napari_confseg.job import FitRequest, RunFolder
    from napari_confseg.store import Clip
    from trainer.fine_tuning import Start
    from trainer.progress import Reporter
    from trainer.samples import Samples
    from trainer.sources import AnyCohort, Source

_VALIDATION, _MORE = 64, {"normal": 512}
"""Samples to validate on, evenly spaced: enough to choose by, few enough to do often."""

_AT_ONCE = 16  # samples whose targets are counted together: as floats they are large


@dataclass(frozen=True)
class FitContext:
    """Everything that a fit works with.

    Attributes
    ----------
    cohort : Cohort or None
        Where the clip on screen is predicted, if the request names a cohort.
    indices : list of int
        Index in that cohort of each class.
    config : RunConfig
        All decisions, as stored.
    samples : Samples
        Training and validation samples, on the device if they fit there.
    train, validation : int64 tensor
        Rows of `samples`.
    device : torch.device
        Where it computes.
    changed : bool
        Whether marks have changed since the run that is resumed began.
    start : Start or None
        The run whose weights the network begins with; None if it resumes from its own.
    """

    cohort: Cohort | None
    indices: list[int]
    config: RunConfig
    samples: Samples
    train: Tensor
    validation: Tensor
    device: torch.device
    changed: bool = False
    start: Start | None = None


def prepare(folder: RunFolder, request: FitRequest, report: Reporter) -> FitContext:
    """Read cohort or dataset, and decide on hold-out, canvas and precision.

    A resumed run keeps its decisions.

    Raises
    ------
    TrainError
        If the request can't be met.
    """
    device = choose_device(request.device)
    cohort = Cohort.open(request.cohort) if request.cohort else None
    resumed = load_config(folder.path) if (folder.path / CONFIG).exists() else None
    marks: list[int] = []
    if cohort is not None:
        cohort.check_name(request.rater, "model")
        if request.preview_clip in cohort.clips():
            _check_preview(cohort.clip(request.preview_clip), request.rater, folder.path, resumed)
        marks = class_indices(cohort, request.classes)
    source = open_source(request.source)
    if resumed is not None and isinstance(source, FrozenCohort):
        _refuse_another(resumed.origin, _origin(source, None, request.fold))
    start = _start(folder, request, resumed)
    known = (*resumed.split.train, *resumed.split.validation) if resumed else ()
    clips = find_sources(source, request.classes, request.raters, sorted(set(known)))
    indices = class_indices(source, request.classes)
    config = resumed or _decide(source, request, clips, indices, device, start)
    learnt = {*config.split.train, *config.split.validation}
    samples = read_samples(
        [s for s in clips if s.clip.name in learnt],
        indices,
        config.canvas,
        scratch=folder.path,
        on_progress=report.progress,
    )
    where = list(zip(samples.clips, samples.times, strict=True))
    train = [i for i, at in enumerate(where) if config.split.is_train(*at)]
    held = [i for i, at in enumerate(where) if config.split.is_validation(*at)]
    if not train or not held:
        raise TrainError(
            "The frames that this run began with are no longer marked as reviewed",
            "Mark them again, or begin a new run.",
        )
    held = held[:: -(-len(held) // _MORE.get(config.size, _VALIDATION))]
    origin = _origin(source, samples, request.fold)
    if resumed is None:
        config = config.model_copy(update={"origin": origin})
    if calibrates := RECIPES[config.method.name].calibrates:
        found = config.calibration or calibrates(samples, train, config.classes)
        config = config.model_copy(update={"calibration": found})
        samples = apply(found, samples, config.classes)
    if resumed is None:
        save_config(folder.path, config)
    return FitContext(
        cohort,
        marks,
        config,
        place_samples(samples, device),
        torch.tensor(train),
        torch.tensor(held),
        device,
        changed=config.origin != origin,
        start=start,
    )


def _check_preview(clip: Clip, rater: str, folder: Path, resumed: RunConfig | None) -> None:
    """Refuse a name under which another run has marked the clip to preview."""
    sha256 = None if resumed is None else resumed.sha256
    check_same_run(clip, rater, folder.name, sha256, can_replace=False)


def _start(folder: RunFolder, request: FitRequest, resumed: RunConfig | None) -> Start | None:
    """Return the run that is begun from, unless there is a state of one's own to resume from.

    Raises
    ------
    TrainError
        If its weights are not those that the run began with.
    """
    if request.base is None or (folder.path / STATE).exists():
        return None
    start = read_start(request.base)
    begun = resumed.base if resumed is not None else None
    if begun is not None and begun.sha256 != start.sha256:
        raise TrainError(
            f"{begun.name} has other weights than when this run began from it",
            "Bring the old ones back, or begin a new run.",
        )
    return start


def _refuse_another(begun: Origin, found: Origin) -> None:
    if begun != found:
        raise TrainError(
            f"This run began with {begun}, and there is {found} now",
            "Restore the original dataset, or begin a new run.",
        )


def _origin(source: AnyCohort, samples: Samples | None, fold: int | None) -> Origin:
    """Return the origin of the samples; a cohort's hash is that of the samples."""
    if isinstance(source, FrozenCohort):
        sha256 = source.sha256
    else:
        sha256 = "" if samples is None else samples.content_sha256()
    return Origin(
        kind="dataset" if isinstance(source, FrozenCohort) else "cohort",
        name=source.meta.name,
        cohort_id=source.meta.cohort_id,
        sha256=sha256,
        fold=fold,
    )


def _decide(
    source: AnyCohort,
    request: FitRequest,
    clips: Sequence[Source],
    indices: Sequence[int],
    device: torch.device,
    start: Start | None,
) -> RunConfig:
    """Return all decisions; the hash of the samples is filled in after reading."""
    name = _size_name(request, start)
    size = SIZES[name]
    split = hold_out(source, clips, indices, request)
    if start is not None and not isinstance(source, FrozenCohort):
        split = inherited(split, start, source, clips)
    learnt = [s for s in clips if s.clip.name in (*split.train, *split.validation)]
    before = start.config if start is not None else None
    return RunConfig(
        origin=_origin(source, None, request.fold),
        classes=request.classes,
        raters=tuple(sorted({r.name for s in learnt for r in s.raters})),
        method=request.method,
        size=name,
        channels=before.channels if before else size.channels,
        units=before.units if before else size.units,
        dropout=request.dropout,
        canvas=before.canvas
        if before
        else choose_canvas([s.clip.shape[1:] for s in learnt], size.longest),
        precision=choose_precision(device, small=name == "study")
        if request.precision == "auto"
        else request.precision,
        seed=request.seed,
        steps=request.steps or size.steps,
        batch=size.batch,
        split=split,
        base=start.base(request.classes, request.method) if start else None,
        versions=library_versions(),
    )


def _size_name(request: FitRequest, start: Start | None) -> str:
    """Return the size of the network: that of the run which is begun from, if there is one.

    Raises
    ------
    TrainError
        If another one was asked for.
    """
    if start is None:
        return request.size or "quick"
    if request.size not in (None, start.config.size):
        raise TrainError(
            f"{start.name} is a network of size {start.config.size}, so a run that starts from it "
            f"can't be of size {request.size}",
            "Leave the size out, or start from scratch.",
        )
    return start.config.size


def place_samples(samples: Samples, device: torch.device) -> Samples:
    """Move the samples to a GPU that has room for them twice; else they stay packed."""
    if device.type == "cuda" and samples.nbytes * 2 < torch.cuda.mem_get_info(device)[0]:
        return samples.unpacked(device)
    return samples


def facts(context: FitContext, step: int) -> dict[str, str | int | float | bool]:
    """Return the facts that the start of a fit reports, warnings first."""
    config, samples = context.config, context.samples
    clips = {samples.clips[i] for i in context.train.tolist()}
    found: dict[str, str | int | float | bool] = {}
    if warning := " ".join(filter(None, (config.split.warning, caution(config)))):
        found["warning"] = warning
    if context.changed:
        found["changed"] = "marks have changed since this run began: it resumes with the new ones"
    if config.calibration is not None:
        found["calibration"] = config.calibration.note
    return found | {
        "device": torch.cuda.get_device_name(context.device)
        if context.device.type == "cuda"
        else "cpu",
        "threads": torch.get_num_threads(),
        "precision": config.precision,
        "data": str(config.origin),
        **({"starts from": in_words(config.base)} if config.base else {}),
        "method": str(config.method),
        "classes": ", ".join(config.classes),
        "raters": ", ".join(config.raters),
        "train": f"{len(context.train)} samples of {len(clips)} clips",
        "validation": f"{len(context.validation)} samples of {len(config.split.validation)} clips, "
        f"split by {config.split.level}",
        "canvas": f"{config.canvas[1]} x {config.canvas[0]} pixels",
        "steps": config.steps,
        "begins at step": step,
    }


def prevalence(context: FitContext) -> Tensor:
    """Return each class's mean target over what is known of it in the training samples, (C,)."""
    config = context.config
    rows = context.train[:: max(1, len(context.train) // 256)]
    present, known = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for some in torch.split(rows, _AT_ONCE):
        _, planes, reviewed, _ = context.samples.batch(some)
        target, weight = make_targets(config.method, planes, reviewed)
        present = present + (target * weight).sum((0, 2, 3), dtype=torch.float64).cpu()
        known = known + weight.sum((0, 2, 3), dtype=torch.float64).cpu()
    share = (present / known.clamp_min(1)).float()
    # With several thresholds per class, of the lowest.
    return share.view(len(config.classes), -1)[:, 0]
