"""Let a fitted network mark clips: its probabilities, in percent, become a rater's planes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_confseg.job import Result
from napari_confseg.store import MAX_CONFIDENCE, Cohort, Status
from trainer.checkpoint import RunConfig, load_checkpoint, load_config
from trainer.compute import autocast, choose_device, set_threads
from trainer.data import class_indices, fit_frames, unfit
from trainer.problems import TrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_confseg.job import PredictRequest, RunFolder
    from napari_confseg.store import Clip, Rater
    from trainer.network import Segmenter
    from trainer.progress import Reporter

_FRAMES = 8  # at a time: a batch of full-size probabilities stays below 100 MB


@dataclass(frozen=True)
class Predictor:
    """A network and what it takes to use it on frames of any size.

    Attributes
    ----------
    network : Segmenter
        In evaluation mode, on `device`.
    config : RunConfig
        Of its run.
    device : torch.device
        Where it computes.
    """

    network: Segmenter
    config: RunConfig
    device: torch.device

    @classmethod
    def load(cls, run: Path, device: str = "auto") -> Predictor:
        """Return the best network of the run in the folder `run`; else a :class:`TrainError`."""
        config = load_config(run)
        place = choose_device(device)
        network, _ = load_checkpoint(run, config)
        return cls(network.place(place), config, place)

    @torch.inference_mode()
    def percent(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the probability of each class in percent, ``uint8 (T, C, Y, X)``."""
        images = fit_frames(frames, self.config.canvas).to(self.device)[:, None].float() / 255
        with autocast(self.device, self.config.precision):
            probability = self.network.probability(
                images.contiguous(memory_format=torch.channels_last)
            )
        full = unfit(probability, (frames.shape[1], frames.shape[2])) * MAX_CONFIDENCE
        return full.round_().clamp_(0, MAX_CONFIDENCE).to(torch.uint8).cpu().numpy()

    def blocks(self, clip: Clip) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (first frame, percent of some frames) over the whole clip."""
        for first in range(0, clip.shape[0], _FRAMES):
            yield first, self.percent(np.asarray(clip.frames[first : first + _FRAMES]))


def model_rater(clip: Clip, name: str, run: str) -> Rater:
    """Return the model's rater on `clip`, made if missing.

    Raises
    ------
    TrainError
        If a rater of that name is a person: their planes are never overwritten.
    """
    if name not in clip.raters():
        return clip.create_rater(name, kind="model", run=run)
    rater = clip.rater(name)
    if rater.meta.kind != "model":
        raise TrainError(
            f"{clip.name} has a {rater.meta.kind} rater called {name!r}: a model must not "
            "overwrite their planes",
            "Choose another name for the model.",
        )
    rater.update_meta(run=run, created=datetime.now(UTC))
    return rater


def predict_clip(
    predictor: Predictor,
    clip: Clip,
    rater_name: str,
    run: str,
    indices: list[int],
    *,
    go_on: Callable[[int], bool] = lambda _: True,
) -> bool:
    """Write the model's planes for every frame of `clip`; an earlier prediction is replaced.

    Parameters
    ----------
    predictor : Predictor
        The network.
    clip : Clip
        The clip to mark.
    rater_name, run : str
        The rater to write as, and the run that made it.
    indices : list of int
        Index in the cohort of each class of the network. All other classes stay untouched.
    go_on : callable
        Asked after each block with the frames done; False stops, leaving the clip's status at
        'in progress' on what has been written.

    Returns
    -------
    bool
        Whether the clip was finished.
    """
    rater = model_rater(clip, rater_name, run)
    status = rater.read_status()
    fresh = np.full(status.shape, Status.UNTOUCHED, np.uint8)
    fresh[:, indices] = Status.IN_PROGRESS
    rater.write_status(fresh)
    for first, percent in predictor.blocks(clip):
        for t, planes in enumerate(percent):
            for c, index in enumerate(indices):
                rater.write_plane(first + t, index, planes[c])
        if not go_on(first + len(percent)):
            return False
    # Last: a crash half-way must not leave half a prediction that says it is whole.
    fresh[:, indices] = Status.REVIEWED
    rater.write_status(fresh)
    return True


def predict(folder: RunFolder, request: PredictRequest, report: Reporter) -> Result:
    """Carry out `request`: mark its clips, or all.

    Raises
    ------
    TrainError, StoreError
        If the model or the cohort can't be used as asked.
    """
    set_threads(request.threads)
    cohort = Cohort.open(request.cohort)
    run = Path(request.run)
    predictor = Predictor.load(run, request.device)
    indices = class_indices(cohort, predictor.config.classes)
    clips = [cohort.clip(name) for name in request.clips or cohort.clips()]
    total = sum(clip.shape[0] for clip in clips)
    report.started(device=str(predictor.device), classes=", ".join(predictor.config.classes),
                   clips=len(clips), frames=total)  # fmt: skip
    done: list[str] = []
    before = 0
    for clip in clips:

        def go_on(frames: int, clip: Clip = clip, before: int = before) -> bool:
            report.progress(before + frames, total, f"Marking {clip.name}")
            return not folder.cancelled()

        if not predict_clip(predictor, clip, request.rater, run.name, indices, go_on=go_on):
            return Result(stopped=True, clips=tuple(done))
        before += clip.shape[0]
        done.append(clip.name)
        report.preview(0, clip.name, request.rater)
        if folder.cancelled() and len(done) < len(clips):
            return Result(stopped=True, clips=tuple(done))
    return Result(clips=tuple(done))
