"""What the road leaves on disk, read with zarr, json and file systems alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_confseg.store import Cohort

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = ("pleura", "a-line", "b-line", "consolidation", "effusion", "rib")
PLEURA, B_LINE = CLASSES.index("pleura"), CLASSES.index("b-line")


def attributes(group: Path) -> Any:
    """The `confseg` attributes of a zarr group."""
    node = json.loads((group / "zarr.json").read_text())
    return node["attributes"]["confseg"]


def array(path: Path) -> NDArray[np.uint8]:
    """The whole of a zarr array."""
    return np.asarray(zarr.open_array(path, mode="r")[:])


def frames(clip: Path) -> NDArray[np.uint8]:
    """The frames ``uint8 (T, Y, X)`` of a clip."""
    return array(clip / "0")


def planes(clip: Path, rater: str) -> NDArray[np.uint8]:
    """The planes ``uint8 (T, C, Y, X)`` of a rater on a clip."""
    return array(clip / "raters" / rater / "0")


def reviewed(clip: Path, rater: str) -> NDArray[np.bool_]:
    """Which ``(T, C)`` a rater has reviewed on a clip."""
    return array(clip / "raters" / rater / "status") == 2


def record(clip: Path, rater: str) -> list[Any]:
    """The strokes of a rater on a clip, oldest first."""
    strokes = Cohort.open(clip.parent).clip(clip.name).rater(rater).read_strokes()
    return [s.model_dump(mode="json") for s in strokes]


def json_lines(path: Path) -> list[Any]:
    """The JSON objects of a file, one a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def dice(a: NDArray[np.uint8], b: NDArray[np.uint8], percent: int) -> float:
    """The Dice coefficient of two planes cut at a confidence."""
    first, second = a >= percent, b >= percent
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))
