"""From an array of grey frames to percents, with numpy and the network's own runtime.

    python percent.py frames.npy percent.npy

``frames.npy`` holds grey values, ``uint8 (T, Y, X)``; ``percent.npy`` gets the confidence of each
class in whole percent, ``uint8 (T, C, Y, X)``, classes in the order of ``model.json``. Beside this
file lie ``model.json`` and ``model.onnx`` (run by onnxruntime) or ``model.ts`` (run by torch).

A frame is fitted onto the network's canvas (H, W) in three steps:

1. It is scaled, both sides alike, until it fills the canvas in one direction.
2. Where it shrinks, each new pixel is the average over its area; where it grows, values are
   interpolated linearly between pixel centres. Results are rounded to whole grey values.
3. It is centred; the margin is 0.

The network takes ``uint8 (N, 1, H, W)`` and returns probabilities ``float32 (N, C, H, W)``. Of
these, the part under the picture is scaled back linearly, and rounded to percent. Where the network
ends in an output scaling of the log odds (``model.json`` has it), that is taken back before and
applied again behind: ``confseg-train predict`` scales back first, and the order matters.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 8


def percent(
    frames: np.ndarray[Any, Any],
    network: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
    facts: dict[str, Any],
) -> np.ndarray[Any, Any]:
    """Return the confidence of each class in percent, ``uint8 (T, C, Y, X)``.

    Parameters
    ----------
    frames : ndarray of uint8, shape (T, Y, X)
        Grey values.
    network : callable
        From ``uint8 (N, 1, H, W)`` to probabilities ``float32 (N, C, H, W)``.
    facts : dict
        Content of ``model.json``.
    """
    height, width = facts["canvas"]
    if frames.dtype != np.uint8 or frames.ndim != 3 or not frames.size:
        raise ValueError(f"frames must be uint8 (T, Y, X), not {frames.dtype} {frames.shape}")
    parts = []
    for first in range(0, len(frames), BATCH):
        batch = frames[first : first + BATCH]
        fitted = np.stack([on_canvas(frame, (height, width)) for frame in batch])
        probability = network(fitted[:, None])
        parts.append(to_percent(probability, batch.shape[1:], facts["output_scaling"]))
    return np.concatenate(parts)


def on_canvas(frame: np.ndarray[Any, Any], canvas: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Return a frame ``uint8 (Y, X)`` on the network's canvas, ``uint8 (H, W)``."""
    (height, width), (top, left) = _inner(frame.shape, canvas)
    scaled = np.asarray(frame, np.int64)
    if (height, width) != frame.shape:
        down, by_down = _scaling(frame.shape[0], height)
        across, by_across = _scaling(frame.shape[1], width)
        # Sums of whole numbers below 2 ** 53 are exact in double precision, and fast.
        sums = (down @ frame.astype(np.float64) @ across.T).astype(np.int64)
        whole = by_down * by_across
        scaled = (sums + whole // 2) // whole
    out = np.zeros(canvas, np.uint8)
    out[top : top + height, left : left + width] = scaled
    return out


def at_frame_size(
    probability: np.ndarray[Any, Any], shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    """Return probabilities (N, C, H, W) on canvases at the size (Y, X) of the frames."""
    canvas = (probability.shape[2], probability.shape[3])
    (height, width), (top, left) = _inner(shape, canvas)
    inside = probability[:, :, top : top + height, left : left + width]
    rows, by_rows = _between_centres(height, shape[0])
    columns, by_columns = _between_centres(width, shape[1])
    down = (rows / by_rows).astype(np.float32)
    across = (columns / by_columns).astype(np.float32)
    scaled: np.ndarray[Any, Any] = down @ (inside @ across.T)
    return scaled


def to_percent(
    probability: np.ndarray[Any, Any],
    shape: tuple[int, ...],
    scaling: dict[str, list[float]] | None,
) -> np.ndarray[Any, Any]:
    """Return the network's output (N, C, H, W) in whole percent of frames, ``uint8 (N, C, Y, X)``.

    Parameters
    ----------
    probability : ndarray of float32, shape (N, C, H, W)
        On canvases.
    shape : tuple of int
        (Y, X) of the frames.
    scaling : dict or None
        ``output_scaling`` of ``model.json``.
    """
    if scaling is None:
        scaled = at_frame_size(probability, shape)
    else:
        slope, shift = (np.array(scaling[k])[:, None, None] for k in ("slope", "shift"))
        plain = _from_odds((_log_odds(probability) - shift) / slope)
        scaled = _from_odds(_log_odds(at_frame_size(plain, shape)) * slope + shift)
    marks: np.ndarray[Any, Any] = np.rint(100 * scaled).clip(0, 100).astype(np.uint8)
    return marks


def _log_odds(probability: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    odds: np.ndarray[Any, Any] = np.log(p / (1 - p))
    return odds


def _from_odds(odds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    p: np.ndarray[Any, Any] = 1 / (1 + np.exp(-odds))
    return p


def _inner(
    shape: tuple[int, ...], canvas: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size of a scaled frame on its canvas, and its first row and column."""
    scale = min(canvas[0] / shape[0], canvas[1] / shape[1])
    height, width = (min(c, max(1, round(s * scale))) for s, c in zip(shape, canvas, strict=True))
    return (height, width), ((canvas[0] - height) // 2, (canvas[1] - width) // 2)


def _scaling(old: int, new: int) -> tuple[np.ndarray[Any, Any], int]:
    """Return weights (new, old) from frame to canvas, whole numbers, and what a row adds up to."""
    if new > old:
        return _between_centres(old, new)
    begin = np.arange(new)[:, None] * old  # of each new pixel, in parts of 1 / new
    first = np.arange(old)[None] * new  # of each old one
    overlap = np.minimum(begin + old, first + new) - np.maximum(begin, first)
    return np.maximum(overlap, 0).astype(np.float64), old


def _between_centres(old: int, new: int) -> tuple[np.ndarray[Any, Any], int]:
    """Return weights (new, old) between the centres of two pixels, in parts of 1 / (2 new)."""
    i = np.arange(new)
    at = np.clip((2 * i + 1) * old - new, 0, 2 * new * (old - 1))
    low = at // (2 * new)
    share = at - low * 2 * new
    weights = np.zeros((new, old))
    weights[i, low] += 2 * new - share
    weights[i, np.minimum(low + 1, old - 1)] += share
    return weights, 2 * new


def load_network(folder: Path) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Return the network in `folder`, run by onnxruntime or torch."""
    if (folder / "model.onnx").exists():
        import onnxruntime

        session = onnxruntime.InferenceSession(
            folder / "model.onnx", providers=["CPUExecutionProvider"]
        )
        return lambda frames: session.run(["probability"], {"frames": frames})[0]
    import torch

    network: Any = torch.jit.load(  # type: ignore[no-untyped-call]
        folder / "model.ts", map_location="cpu"
    )

    def run(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            found: np.ndarray[Any, Any] = network(torch.from_numpy(frames)).numpy()
        return found

    return run


def main(frames: str, out: str) -> None:
    """Read one array and write the other."""
    folder = Path(__file__).parent
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    np.save(out, percent(np.load(frames), load_network(folder), facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
