"""The fit: one loop of logging, validation, checkpoint, preview and optimiser step.

Each step's randomness (which samples, how augmented) is a function of the seed and the step, so
there is no hidden state: same seed, same bits; and a fit that was killed and resumed equals one
that was not, bit for bit on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from napari_confseg.job import Result
from trainer.augment import augment
from trainer.checkpoint import (
    Progressed,
    damaged_state,
    load_state,
    save_checkpoint,
    save_state,
)
from trainer.compute import autocast, set_threads
from trainer.errors import TrainError
from trainer.fine_tuning import take_over
from trainer.live_preview import LivePreview
from trainer.losses import loss_of
from trainer.metrics_log import MetricsLog
from trainer.network import SIZES
from trainer.optimizer import AdamW
from trainer.output_scaling import HeldOutCounts
from trainer.parallel import SINGLE, SingleProcess, current_group
from trainer.prefetch import Prefetch
from trainer.prepare import facts, prepare, prevalence
from trainer.targets import make_targets
from trainer.tensorboard import TensorBoardLog
from trainer.validate import score, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from napari_confseg.job import FitRequest, RunFolder
    from trainer.network import Segmenter
    from trainer.prepare import FitContext
    from trainer.progress import Reporter

Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""From frames, planes and a generator to those that are learnt from; see :mod:`trainer.augment`."""

_EVALUATIONS, _LOGS = 12, 150  # per fit
_AVERAGE = 0.99  # what the averaged weights keep of themselves per step
_WARM_UP = 0.05  # share of the steps in which the learning rate rises
_LARGEST_GRADIENT = 5.0
_SAVE_SECONDS = 30.0  # at most so much is lost when a fit is killed between two evaluations


def fit(folder: RunFolder, request: FitRequest, report: Reporter) -> Result:
    """Execute `request`: fit a network, or resume the fit.

    Leaves ``config.json``, ``checkpoint.safetensors`` (the averaged weights with the best
    validation score), ``state.pt`` (to resume from), ``metrics.csv`` and TensorBoard's event files
    in the folder.

    Raises
    ------
    TrainError, StoreError
        If the request can't be met.
    """
    set_threads(request.threads)
    context = prepare(folder, request, report)
    preview = LivePreview(folder, context, request, report)
    return learn(folder, context, report, preview=preview, compiled=request.compile)


def learn(
    folder: RunFolder,
    context: FitContext,
    report: Reporter,
    *,
    augmented: Augment = augment,
    preview: LivePreview | None = None,
    compiled: bool = False,
) -> Result:
    """Learn from the samples of `context`, or resume; the files are those of :func:`fit`.

    Parameters
    ----------
    folder : RunFolder
        The run, held by this process.
    context : FitContext
        Samples, network and device.
    report : Reporter
        Gets progress and metrics.
    augmented : callable
        Makes a batch's frames and planes more different.
    preview : LivePreview or None
        Predicts the clip on screen along the way.
    compiled : bool
        Whether the network is compiled.
    """
    config, device = context.config, context.device
    network = config.network()
    network.set_statistics(context.samples.frames, prevalence(context))
    if context.start is not None:
        take_over(network, context.start, config)
    network.place(device)
    average = deepcopy(network).eval()
    group = current_group()
    group.prepare(network, config.batch)
    optimizer = AdamW(network.parameters())
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    smooth = torch.zeros((), device=device)
    resumable: dict[str, Any] = {
        "network": network,
        "average": average,
        "optimizer": optimizer,
        "scaler": scaler,
    }
    at = Progressed()
    if (saved := load_state(folder.path, device)) is not None:
        at, tensors = saved
        try:
            smooth.copy_(tensors["smooth"])
            for name, part in resumable.items():
                part.load_state_dict(tensors[name])
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise damaged_state(folder.path, error) from error
    model: nn.Module = network
    if compiled:
        model.compile()
    log = MetricsLog(folder.path, metrics_of(config.classes), at.step)
    board = TensorBoardLog(folder.path, at.step)
    evaluate_every, log_every = -(-config.steps // _EVALUATIONS), -(-config.steps // _LOGS)
    report.started(**facts(context, at.step))
    begun, saved_at = at.step, time.monotonic()
    # A GPU has its own time to augment, and no memory to give to batches that wait.
    drawn = partial(draw_batch, augmented=augmented)
    ahead = gather if device.type == "cuda" else drawn
    with Prefetch(partial(ahead, context), at.step, config.steps) as batches:
        while True:
            due = at.step > begun and (at.step % evaluate_every == 0 or at.step == config.steps)
            # Where it begins is a candidate as well: a few marks may teach less than was known.
            first = at.step == 0 and config.base is not None
            rate = learning_rate(at.step, config.steps, SIZES[config.size].learning_rate)
            values: dict[str, float | None] = {}
            if due or (at.step > begun and at.step % log_every == 0):
                values = {"loss": finite(smooth, at.step), "learning_rate": rate}
                report.progress(at.step, config.steps, "Learning")
            if due or first:
                values |= evaluate(average, context)
                if score(values) > at.best_score:
                    at.best_score, at.best_step, at.best = score(values), at.step, values
                    save_checkpoint(folder.path, average, at.step)
            if values:
                log.add(at.step, values)
                board.add(at.step, values)
                report.metrics(at.step, values)
                if preview is not None:
                    preview.refresh(at.kept)
            stop = group.any(folder.cancelled())
            if due or stop or (at.step > begun and time.monotonic() - saved_at > _SAVE_SECONDS):
                parts = {name: part.state_dict() for name, part in resumable.items()}
                save_state(folder.path, at, parts | {"smooth": smooth})
                saved_at = time.monotonic()
            if stop or at.step == config.steps:
                break
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate
            taken = batches.take()
            batch = taken if isinstance(taken, Batch) else drawn(context, at.step, taken)
            torch.manual_seed(step_seed(config.seed, at.step))  # dropout draws numbers itself
            loss = learn_from(batch, model, context, optimizer, scaler, group)
            at.step += 1
            update_average(average, network, at.step)
            smooth.lerp_(loss, max(0.05, 1 / at.step))
    if at.best is None:  # stopped before the first validation: better these weights than none
        save_checkpoint(folder.path, average, at.step)
    if preview is not None and not stop:
        preview.finish(at.kept)
    return Result(
        stopped=stop,
        steps=at.step,
        best_step=at.step if at.kept is None else at.kept,
        scores=at.best or {},
        clips=preview.clips if preview is not None else (),
    )


def metrics_of(classes: Sequence[str]) -> list[str]:
    """Return the columns of ``metrics.csv`` after the step."""
    return ["loss", "learning_rate", "val_loss", "val_dice", *(f"val_dice/{c}" for c in classes)]


def evaluate(average: Segmenter, context: FitContext) -> dict[str, float | None]:
    """Return the validation scores of the averaged weights, and set their outputs."""
    two = context.config.method.written_as == "overlap"
    counts = HeldOutCounts(len(context.config.classes)) if two else None
    values = validate(average, context, counts)
    if counts is not None:
        probability = counts.probability()
        average.set_outputs(probability, probability.inverse().then(counts.contour()))
    return values


def learn_from(
    batch: Batch,
    model: nn.Module,
    context: FitContext,
    optimizer: AdamW,
    scaler: torch.amp.GradScaler,
    group: SingleProcess = SINGLE,
) -> Tensor:
    """Take one optimiser step and return its loss, detached and still on the device."""
    images, rater = group.share(batch.images, batch.rater)
    with autocast(context.device, context.config.precision):
        logits = group.gather(model(images, rater))
    loss = loss_of(context.config.method)(logits, batch.target, batch.weight)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    group.add_gradients(model)
    scaler.unscale_(optimizer)  # type: ignore[arg-type]
    torch.nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
    scaler.step(optimizer)  # type: ignore[arg-type]
    scaler.update()
    optimizer.zero_grad()
    return loss.detach()


class Batch(NamedTuple):
    """The batch of one step.

    Attributes
    ----------
    images : float tensor, shape (B, 1, H, W)
        In 0..1, channels last.
    target, weight : float tensors, shape (B, C * L, H, W)
        As the method has them.
    rater : int64 tensor, shape (B,)
        Rater of each sample.
    """

    images: Tensor
    target: Tensor
    weight: Tensor
    rater: Tensor


def gather(context: FitContext, step: int) -> tuple[Tensor, ...]:
    """Return frames, planes, reviewed and rater of one step's samples, as they are."""
    rows = context.train[
        batch_rows(len(context.train), step, context.config.batch, context.config.seed)
    ]
    drawn = context.samples.batch(rows)
    if context.device.type == "cuda" and drawn[0].device.type == "cpu":
        return tuple(t.pin_memory() for t in drawn)  # else the copy to the GPU would be waited for
    return drawn


def draw_batch(
    context: FitContext,
    step: int,
    gathered: tuple[Tensor, ...] | None = None,
    *,
    augmented: Augment = augment,
) -> Batch:
    """Return the batch of one step, augmented; a function of the seed and the step.

    Parameters
    ----------
    context : FitContext
        The fit.
    step : int
        Which.
    gathered : tuple of tensor or None
        From :func:`gather`, if that has been done already.
    augmented : callable
        Makes frames and planes more different.
    """
    config = context.config
    generator = torch.Generator(context.device).manual_seed(step_seed(config.seed, step))
    drawn = gathered or gather(context, step)
    frames, planes, reviewed, rater = (t.to(context.device, non_blocking=True) for t in drawn)
    images, planes = augmented(frames, planes, generator)
    target, weight = make_targets(config.method, planes, reviewed, generator)
    return Batch(images.contiguous(memory_format=torch.channels_last), target, weight, rater)


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step's random numbers."""
    return (seed * 1_000_003 + step) % 2**63


def batch_rows(n: int, step: int, batch: int, seed: int) -> Tensor:
    """Return the rows of `n` samples in the batch of a step, from shuffled passes.

    Passes follow each other without a gap, so no batch is smaller and no sample is left out.
    """
    positions = torch.arange(step * batch, (step + 1) * batch)
    rows = torch.empty(batch, dtype=torch.int64)
    for epoch in range(step * batch // n, ((step + 1) * batch - 1) // n + 1):
        order = _order(n, epoch, seed)
        inside = positions // n == epoch
        rows[inside] = order[positions[inside] % n]
    return rows


@lru_cache(maxsize=2)
def _order(n: int, epoch: int, seed: int) -> Tensor:
    """Return the order of one pass."""
    # Cached: to shuffle 300,000 samples takes milliseconds.
    generator = torch.Generator().manual_seed((seed * 7919 + epoch) % 2**63)
    return torch.randperm(n, generator=generator)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Rise linearly to `peak`, then fall along a cosine to a hundredth of it."""
    warm = max(1, round(steps * _WARM_UP))
    if step < warm:
        return peak * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int) -> None:
    """Update the averaged weights."""
    # Quickly at first: an old average lags behind.
    share = 1 - min(_AVERAGE, (1 + step) / (10 + step))
    mine, theirs = average.state_dict(), network.state_dict()
    floats = [name for name, value in mine.items() if value.is_floating_point()]
    torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], share)


def finite(loss: Tensor, step: int) -> float:
    """Return the loss as a number; NaN or infinity is a :class:`TrainError`."""
    value = float(loss)
    if not math.isfinite(value):
        raise TrainError(
            f"Loss became NaN at step {step}; training stopped",
            "Begin a new run with another seed; the best checkpoint so far is kept.",
        )
    return value
