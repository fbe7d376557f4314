"""Files of a run: configuration, best weights and state to resume from."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_confseg import __version__
from napari_confseg.dataset.holdout import HoldOut
from napari_confseg.job import CHECKPOINT, CONFIG
from napari_confseg.job.active_model import MOST_WEIGHTS
from napari_confseg.methods import Method
from napari_confseg.store import StoreError
from napari_confseg.store.durable import write_durably
from napari_confseg.store.errors import field_problems
from napari_confseg.store.files import MIB, check_file, check_zip, read_file
from trainer.calibrate import Calibration
from trainer.compute import Precision
from trainer.errors import TrainError
from trainer.network import Segmenter
from trainer.sources import Origin
from trainer.targets import RECIPES

if TYPE_CHECKING:
    from pathlib import Path

STATE = "state.pt"
_MOST_CONFIG = 64 * MIB  # it names every patient
_LARGEST_SIDE = 4096


Side = Annotated[int, Field(ge=1, le=_LARGEST_SIDE)]


class Base(BaseModel):
    """The run whose weights another begins from; a part of ``config.json``.

    Attributes
    ----------
    name : str
        Of its folder.
    sha256 : str
        Of its ``checkpoint.safetensors``.
    cohort_id : str
        Identity of the cohort that it learnt from; empty for phantoms.
    taken, fresh : tuple of str
        Classes whose outputs were taken over, and those that begin anew.
    learnt : tuple of str
        Clips of that cohort that it has learnt from, and what it began from before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    sha256: str
    cohort_id: str
    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    learnt: tuple[str, ...] = ()


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
    base : Base or None
        What the run began from; None if from scratch.
    versions : dict
        Of the libraries that affect results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: Literal[3] = 3
    origin: Origin
    classes: tuple[str, ...]
    raters: tuple[str, ...]
    method: Method
    size: str
    channels: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field(min_length=2, max_length=12)
    units: int = Field(ge=0, le=32)
    dropout: float = Field(default=0, ge=0, lt=1)
    canvas: tuple[Side, Side]
    precision: Precision
    seed: int = Field(ge=0)
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    split: HoldOut
    calibration: Calibration | None = None
    base: Base | None = None
    versions: dict[str, str]

    @property
    def learnt(self) -> tuple[str, ...]:
        """Clips of its cohort that the model has learnt from, by way of what it began from too."""
        before = self.base
        mine = before is not None and before.cohort_id == self.origin.cohort_id
        return (*self.split.train, *(before.learnt if before is not None and mine else ()))

    @property
    def sha256(self) -> str:
        """Hash of all decisions: the same for the same fit, whatever its folder is called."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

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
    return {"napari-confseg": __version__, "torch": version("torch")}


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

    @property
    def kept(self) -> int | None:
        """Step of the kept checkpoint; None while there is none."""
        return None if self.best is None else self.best_step


_PROGRESSED = TypeAdapter(Progressed)


def save_config(folder: Path, config: RunConfig) -> None:
    """Write ``config.json``, whole or not at all."""
    write_durably(folder / CONFIG, config.model_dump_json(indent=2).encode())


def load_config(folder: Path) -> RunConfig:
    """Read ``config.json``.

    Raises
    ------
    TrainError
        If there is none or it was written by another version.
    """
    path = folder / CONFIG
    try:
        return RunConfig.model_validate_json(read_file(path, _MOST_CONFIG))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TrainError(
            f"{folder} holds no fitted model: no {CONFIG} in it",
            "Choose the folder of a run that has begun to learn.",
        ) from error
    except ValidationError as error:
        raise TrainError(
            f"{path} can't be used: {next(field_problems(error, '', '')).message}",
            "Use the version of the trainer that wrote it, or fit again.",
        ) from error


def save_checkpoint(folder: Path, weights: Segmenter, step: int) -> None:
    """Write the weights as the run's best, whole or not at all."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in weights.state_dict().items()}
    # In bytes: of a full disk the library's own writing tells nothing that could be told on.
    write_durably(folder / CHECKPOINT, save(tensors, {"step": str(step)}))


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
    try:
        check_file(path, MOST_WEIGHTS)
        _check_network(config, path.stat().st_size)
        network = config.network()
        with safe_open(path, framework="pt") as f:
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
            step = int((f.metadata() or {}).get("step", 0))
        network.load_state_dict(tensors)
    except (*_DAMAGED, SafetensorError) as error:
        raise TrainError(
            f"{path} can't be read: {_short(error)}", "Resume or repeat the fit."
        ) from error
    return network.eval(), step


def _check_network(config: RunConfig, size: int) -> None:
    """Refuse a configuration whose network is much larger than a file of `size` bytes of weights.

    Raises
    ------
    ValueError
        Before anything of it is allocated.
    """
    with torch.device("meta"):
        largest = sum(p.numel() * p.element_size() for p in config.network().parameters())
    if largest > 2 * size + MIB:
        raise ValueError(
            f"{CONFIG} describes a network of {largest:,} bytes, the file has {size:,}"
        )


def save_state(folder: Path, progressed: Progressed, tensors: dict[str, Any]) -> None:
    """Write the state to resume from, whole or not at all."""
    # Augmentation and data order are functions of seed and step (see fit.py), so the step stands
    # for all generators and for the place in the data.
    packed = io.BytesIO()
    torch.save({"progressed": asdict(progressed), **tensors}, packed)
    write_durably(folder / STATE, packed.getbuffer())


def load_state(folder: Path, device: torch.device) -> tuple[Progressed, dict[str, Any]] | None:
    """Return the saved state, or None if there is none yet.

    Raises
    ------
    TrainError
        If it is damaged.
    """
    path = folder / STATE
    try:
        # Stored as they are, tensors come to no more than the file; only a hostile one packs them.
        check_zip(path, path.stat().st_size)
        tensors = torch.load(path, map_location=device, weights_only=True)
        return _PROGRESSED.validate_python(tensors.pop("progressed")), tensors
    except FileNotFoundError:
        return None
    except torch.OutOfMemoryError:
        raise
    except _DAMAGED as error:
        raise damaged_state(folder, error) from error


def damaged_state(folder: Path, error: Exception) -> TrainError:
    """Return what says that the state to resume from can't be used."""
    return TrainError(
        f"{folder / STATE} can't be read: {_short(error)}",
        "Remove it to begin this fit anew; the best checkpoint so far stays until then.",
    )


# What torch and what follows raise on damaged files.
_DAMAGED = (
    StoreError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    MemoryError,
    OverflowError,
    pickle.UnpicklingError,
)


def _short(error: Exception) -> str:
    if isinstance(error, StoreError):
        return error.problems[0].message
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]
