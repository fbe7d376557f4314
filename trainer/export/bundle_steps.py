"""Steps of a bundle's ``inference.json`` before and behind the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from .percent import on_canvas, to_percent


def read(item: dict[str, Any], canvas: list[int]) -> dict[str, Any]:
    """Return the frame in the file ``item["image"]``, and the network's input (1, H, W)."""
    frame = np.load(item["image"])
    if frame.dtype != np.uint8 or frame.ndim != 2:
        raise ValueError(
            f"{item['image']}: expected uint8 (Y, X), found {frame.dtype} {frame.shape}"
        )
    fitted = torch.from_numpy(on_canvas(frame, (canvas[0], canvas[1]))[None])
    return {"image": fitted, "frame": frame, "name": Path(item["image"]).name}


def save(
    item: dict[str, Any], folder: str, scaling: dict[str, list[float]] | None
) -> dict[str, Any]:
    """Write a frame's percents, ``uint8 (C, Y, X)``, under the name of its file."""
    probability = np.asarray(item["pred"].cpu())[None]
    np.save(Path(folder) / item["name"], to_percent(probability, item["frame"].shape, scaling)[0])
    return item
