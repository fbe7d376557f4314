"""What a decoder hands over, whatever the file was: a head, frames one by one, a tail.

Nothing here or in the decoders imports the store: they run in a process of their own
(:mod:`napari_confseg.ingest.decoder`), which should start fast and be safe to kill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


MAX_SIDE = 16_384
MAX_FRAMES = 100_000
"""Bounds on what is imported; the store opens no more."""

ASSUMED_RATE = 25.0
"""Frames a second where neither the source nor the person says how fast it was."""

RATE_ASSUMED = "frame-rate-assumed"
"""Tag of a clip whose frame rate is that."""


ProbeKind = Literal["convex", "linear", "phased"]


class IngestError(Exception):
    """A source that cannot become a clip; one sentence says why and what to do."""


@dataclass(frozen=True)
class Source:
    """What becomes one clip.

    Attributes
    ----------
    kind : {"video", "images", "dicom"}
        Which decoder reads it.
    paths : tuple of str
        One file, or the images of a clip in order.
    """

    kind: Literal["video", "images", "dicom"]
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Head:
    """What is known before the first frame.

    Attributes
    ----------
    shape : tuple of int
        (Y, X) of every frame.
    decoder : str
        Name and version of what decodes, and how colour becomes grey.
    n_frames : int or None
        How many frames to expect; None if the source doesn't say.
    rate : float or None
        Average frames a second, if the source says.
    tags : tuple of str
        Warnings that stay with the clip.
    spacing : tuple of float or None
        Millimetres per pixel (y, x), if the source truly knows.
    probe : {"convex", "linear", "phased"} or None
        What the source says of it.
    identity : str or None
        What tells the patient from others. It becomes a code; it is never stored.
    """

    shape: tuple[int, int]
    decoder: str
    n_frames: int | None = None
    rate: float | None = None
    tags: tuple[str, ...] = ()
    spacing: tuple[float, float] | None = None
    probe: ProbeKind | None = None
    identity: str | None = None


@dataclass(frozen=True)
class Frame:
    """One frame: ``uint8 (Y, X)`` and its time in seconds, None if the source doesn't say."""

    pixels: NDArray[np.uint8]
    seconds: float | None = None


def check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return `shape` (Y, X) if frames of it can be imported.

    Raises
    ------
    IngestError
        If a side is 0 or longer than ``MAX_SIDE``.
    """
    if not all(0 < side <= MAX_SIDE for side in shape):
        raise IngestError(
            f"its frames are {shape[0]} x {shape[1]} pixels, sides of 1 to {MAX_SIDE} can be used"
        )
    return shape


# Rec. ITU-R BT.601-7, 2.5.1: Y = 0.299 R + 0.587 G + 0.114 B, in 256ths that sum to 256.
_RED, _GREEN, _BLUE = 77, 150, 29

# Video range (BT.601-7, 2.5.3) keeps black at 16 and white at 235; grey here is 0..255.
_FULL = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the BT.601 luma of `rgb` ``uint8 (Y, X, 3)`` as ``uint8 (Y, X)``."""
    total = rgb[..., 0] * np.uint16(_RED)
    total += rgb[..., 1] * np.uint16(_GREEN)
    total += rgb[..., 2] * np.uint16(_BLUE)
    total += np.uint16(128)
    return (total >> 8).astype(np.uint8)


def on_black(grey: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `grey` before black: what is transparent hides whatever colour its writer left."""
    if alpha.min(initial=255) == 255:
        return grey
    seen = grey * np.uint16(1) * alpha + np.uint16(127)
    return (seen // 255).astype(np.uint8)


def full_range(y: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return video-range luma 16..235 stretched to 0..255; what lies outside is clipped."""
    stretched: NDArray[np.uint8] = _FULL[y]
    return stretched
