"""Make the shipped model of a run of ``confseg-train starter``: half precision, and its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save

from napari_confseg.job import CHECKPOINT, CONFIG
from napari_confseg.store.durable import write_durably
from trainer.checkpoint import load_checkpoint, load_config
from trainer.errors import TrainError

if TYPE_CHECKING:
    from pathlib import Path


def refuse_shipped(out: Path) -> None:
    """Refuse a folder that holds weights already: those that were shipped are never changed.

    Raises
    ------
    TrainError
        If it does.
    """
    if (out / CHECKPOINT).exists():
        raise TrainError(
            f"{out} holds weights already, and what was shipped is never changed",
            "Raise VERSION in trainer/shipped.py.",
        )


def ship(run: Path, out: Path) -> int:
    """Write weights and configuration of `run` to the folder `out`; return bytes of weights.

    Raises
    ------
    TrainError
        If weights of that version are there already.
    """
    refuse_shipped(out)
    config = load_config(run)
    _, step = load_checkpoint(run, config)  # so that what can't be read is refused
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in load_file(run / CHECKPOINT).items()
    }
    if not all(bool(torch.isfinite(value.float()).all()) for value in tensors.values()):
        raise ValueError("a weight is beyond the range of half precision")
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).write_bytes((run / CONFIG).read_bytes())
    packed = save(tensors, {"step": str(step)})
    write_durably(out / CHECKPOINT, packed)
    return len(packed)
