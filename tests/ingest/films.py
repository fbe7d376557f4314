"""Videos made up for tests, and the real ones that are at hand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    p for p in (_ROOT / "sample_data" / "clips").iterdir() if p.suffix in (".mpeg", ".mp4")
)
_SHARED = _ROOT.parent / "shared" / "clips"
REAL = sorted(p for p in _SHARED.glob("*") if p.suffix in (".mpeg", ".mp4", ".mov")) or SHIPPED
"""All the real clips where they lie beside the checkout, else those that come with it."""

CODECS = {".mp4": "libx264", ".mov": "libx264", ".avi": "mpeg4", ".mpeg": "mpeg2video"}


def moving(n: int, shape: tuple[int, int] = (48, 64)) -> list[NDArray[np.uint8]]:
    """Return frames that all differ: a bright square that wanders over a slope."""
    frames = []
    for i in range(n):
        frame = np.tile(np.linspace(20, 120, shape[1]).astype(np.uint8), (shape[0], 1))
        y, x = i % (shape[0] - 8), (3 * i) % (shape[1] - 8)
        frame[y : y + 8, x : x + 8] = 200
        frames.append(frame)
    return frames


def film(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    rate: int = 25,
    times: Sequence[float] | None = None,
    codec: str | None = None,
    pix_fmt: str = "yuv420p",
    encoder: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> Path:
    """Write `frames`, grey or RGB, as a video; `times` in seconds makes its rate variable."""
    with av.open(str(path), "w", options=muxer or {}) as out:
        stream = out.add_stream(codec or CODECS[path.suffix], rate=rate, options=encoder or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for i, pixels in enumerate(frames):
            kind = "gray" if pixels.ndim == 2 else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, kind)
            if pix_fmt != "rgb24":
                frame = frame.reformat(format=pix_fmt)
            frame.pts = i if times is None else round(times[i] * 1000)
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def gif(path: Path, frames: Sequence[NDArray[np.uint8]], *, milliseconds: list[int]) -> Path:
    """Write `frames` as a GIF with a duration for each."""
    from PIL import Image

    images = [Image.fromarray(f) for f in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return path


def independent(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Decode by another way than the product's: whole pictures, range stretched in floats."""
    stretched = np.floor(((np.arange(256) - 16) * 255 / 219).clip(0, 255) + 0.5).astype(np.uint8)
    pixels, seconds = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray()[: frame.height]  # yuv420p: luma on top of the rest
            pixels.append(luma if frame.color_range == 2 else stretched[luma])
            seconds.append(frame.time)
    return np.stack(pixels), np.array(seconds) - seconds[0]
