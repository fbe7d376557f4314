"""Files of a run: configuration, best weights and state to resume from."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_confseg.dataset.holdout import HoldOut
from napari_confseg.job import CHECKPOINT, CONFIG
from napari_confseg.methods import Method
from trainer.calibrate import Calibration
from trainer.compute import Precision
from trainer.errors import TrainError
from trainer.network import Segmenter
from trainer.sources import Origin
from trainer.targets import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATE = "state.pt"


class RunConfig(BaseModel):
    """Content of ``config.json``, for prediction, scores and resuming.

    Attributes
    ----------
    origin : Origin
        Source of the samples, with its hash.
    classes, raters : tuple of str
        What was learnt, and from which raters.
    method : Method
        How confidence reached the model.
    size : str
        Key of :data:`trainer.network.SIZES`.
    channels, units, dropout : tuple of int, int, float
        Of the network.
    canvas : (int, int)
        Height and width of the network's input.
    precision : {"fp32", "bf16", "fp16"}
        Chosen where the fit began, and kept when it is resumed.
    seed, steps, batch : int
        Of the fit.
    split : HoldOut
        The hold-out.
    calibration : Calibration or None
        Calibration of the raters, if the method has one.
    versions : dict
        Of the libraries that affect results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: Literal[2] = 2
    origin: Origin
    classes: tuple[str, ...]
    raters: tuple[str, ...]
    method: Method
    size: str
    channels: tuple[int, ...]
    units: int
    dropout: float = 0
    canvas: tuple[int, int]
    precision: Precision
    seed: int
    steps: int
    batch: int
    split: HoldOut
    calibration: Calibration | None = None
    versions: dict[str, str]

    def network(self) -> Segmenter:
        """Return the network, its weights not yet learnt; the same for the same seed."""
        torch.manual_seed(self.seed)
        recipe = RECIPES[self.method.name]
        outputs = recipe.head.outputs or round(self.method.settings["n"])
        n_raters = len(self.raters) if recipe.per_rater else 0
        return Segmenter(
            self.channels,
            self.units,
            len(self.classes),
            recipe.head,
            outputs,
            n_raters,
            self.dropout,
        )


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that affect results."""
    return {name: version(name) for name in ("napari-confseg", "torch")}


@dataclass
class Progressed:
    """Progress of a fit, without its tensors.

    Attributes
    ----------
    step : int
        Optimiser steps done.
    best_score : float
        Validation score of the kept checkpoint; below any score while there is none.
    best_step : int
        Its step.
    best : dict
        All its validation values.
    """

    step: int = 0
    best_score: float = -1.0
    best_step: int = 0
    best: dict[str, float | None] | None = None


def save_config(folder: Path, config: RunConfig) -> None:
    """Write ``config.json``, whole or not at all."""
    text = config.model_dump_json(indent=2)
    _atomically(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))


def load_config(folder: Path) -> RunConfig:
    """Read ``config.json``.

    Raises
    ------
    TrainError
        If there is none or it was written by another version.
    """
    try:
        return RunConfig.model_validate_json((folder / CONFIG).read_bytes())
    except FileNotFoundError as error:
        raise TrainError(
            f"{folder} holds no fitted model: no {CONFIG} in it",
            "Choose the folder of a run that has begun to learn.",
        ) from error
    except ValidationError as error:
        raise TrainError(
            f"{folder / CONFIG} can't be used: {error}",
            "Use the version of the trainer that wrote it, or fit again.",
        ) from error


def save_checkpoint(folder: Path, weights: Segmenter, step: int) -> None:
    """Write the weights as the run's best, whole or not at all."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in weights.state_dict().items()}
    metadata = {"step": str(step)}
    _atomically(folder / CHECKPOINT, lambda path: save_file(tensors, path, metadata))


def load_checkpoint(folder: Path, config: RunConfig) -> tuple[Segmenter, int]:
    """Return the best network, ready to predict on the CPU, and its step.

    Raises
    ------
    TrainError
        If there is no checkpoint or it can't be read.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        raise TrainError(
            f"{folder} holds no checkpoint yet", "Let the fit run until its first validation."
        )
    network = config.network()
    try:
        with safe_open(path, framework="pt") as f:
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
            step = int((f.metadata() or {}).get("step", 0))
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise TrainError(f"{path} can't be read: {error}", "Resume or repeat the fit.") from error
    return network.eval(), step


def save_state(folder: Path, progressed: Progressed, tensors: dict[str, Any]) -> None:
    """Write the state to resume from, whole or not at all."""
    # Augmentation and data order are functions of seed and step (see fit.py), so the step stands
    # for all generators and for the place in the data.
    _atomically(
        folder / STATE, lambda path: torch.save({"progressed": asdict(progressed), **tensors}, path)
    )


def load_state(folder: Path, device: torch.device) -> tuple[Progressed, dict[str, Any]] | None:
    """Return the saved state, or None if there is none yet."""
    try:
        tensors = torch.load(folder / STATE, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    return Progressed(**tensors.pop("progressed")), tensors


def _atomically(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_name(path.name + ".partial")
    write(partial)
    with partial.open("rb+") as f:
        os.fsync(f.fileno())
    partial.replace(path)
