"""Frames and planes brought to another size: the one resampler of dataset and trainer.

Frames are averaged over the area of each new pixel: no detail is lost by chance, and speckle is
calmed. Planes are taken at the nearest pixel: a plane's value is a confidence that a rater
*stated*, and averaging 90 with the 0 beside it would state a 45 that nobody said.

All arithmetic is in whole numbers, so a frame has the same bits on every machine, in any batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Size = tuple[int, int]
SizeName = Literal["study", "quick", "normal"]
LONGEST: Final[dict[SizeName, int]] = {"study": 96, "quick": 128, "normal": 256}
"""Longer side, in pixels, of the frames that a network of each size sees."""

STRIDE: Final = 16
"""Sides of a network's frames are multiples of it: networks halve the image four times."""


@dataclass(frozen=True)
class Resampler:
    """Brings pictures of one size onto a canvas: scaled, centred, padded or cut off.

    Attributes
    ----------
    shape : tuple of int
        (Y, X) of the pictures.
    inner : tuple of int
        (Y, X) to which they are scaled.
    canvas : tuple of int
        (Y, X) of the result.
    """

    shape: Size
    inner: Size
    canvas: Size

    @classmethod
    def into(cls, shape: Size, canvas: Size) -> Resampler:
        """Return the resampler of pictures of `shape` (Y, X): alike until they fill `canvas`."""
        return cls(shape, fitted(shape, canvas), canvas)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the result per pixel of the picture, (y, x)."""
        return self.inner[0] / self.shape[0], self.inner[1] / self.shape[1]

    @property
    def offset(self) -> tuple[int, int]:
        """Where the picture's corner lands on the canvas, (y, x); negative if it is cut off."""
        return (self.canvas[0] - self.inner[0]) // 2, (self.canvas[1] - self.inner[1]) // 2

    @property
    def inside(self) -> tuple[slice, slice]:
        """The part of the canvas that the picture takes."""
        return covered(self.offset, self.inner, self.canvas)

    def frames(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return frames ``uint8 (T, Y, X)`` as ``uint8 (T, H, W)``, averaged; the margin is 0.

        Where the picture grows, values are interpolated linearly between pixel centres.
        """
        out = np.zeros((len(frames), *self.canvas), np.uint8)
        for frame, place in zip(frames, out, strict=True):
            self._place(self._scaled(frame), place)
        return out

    def frame(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return one frame ``uint8 (Y, X)`` as ``uint8 (H, W)``; see :meth:`frames`."""
        out: NDArray[np.uint8] = self.frames(frame[None])[0]
        return out

    def plane(self, plane: NDArray[np.uint8], margin: int = EXCLUDED) -> NDArray[np.uint8]:
        """Return a plane ``uint8 (Y, X)`` as ``uint8 (H, W)``, by nearest pixel.

        Parameters
        ----------
        plane : NDArray
            Confidences; none is changed or made up.
        margin : int
            What stands beside the picture.
        """
        out = np.full(self.canvas, margin, np.uint8)
        if self.inner != self.shape:
            rows, columns = map(_nearest, self.shape, self.inner)
            plane = plane[rows][:, columns]  # whole rows first: eight times as fast
        self._place(plane, out)
        return out

    def _scaled(self, frame: NDArray[np.uint8]) -> NDArray[np.integer]:
        if self.inner == self.shape:
            return frame
        (down, by_down), (across, by_across) = map(_weights, self.shape, self.inner)
        whole = by_down * by_across
        # A sum of weighted grey values is at most 255 times the sum of the weights.
        wide = np.int64 if 256 * whole >= 2**31 else np.int32
        rows = down @ frame.astype(np.int32)  # (H, X)
        sums = across.astype(wide) @ np.ascontiguousarray(rows.T, wide)  # (W, H)
        scaled: NDArray[np.integer] = ((sums + whole // 2) // whole).T
        return scaled

    def _place(self, picture: NDArray[np.integer], out: NDArray[np.uint8]) -> None:
        y, x = self.inside
        top, left = (max(-offset, 0) for offset in self.offset)
        out[y, x] = picture[top : top + y.stop - y.start, left : left + x.stop - x.start]


class _Weights(NamedTuple):
    """Weights (new, old) along one axis, and what each row adds up to."""

    matrix: csr_array
    total: int


@lru_cache(maxsize=64)
def _weights(old: int, new: int) -> _Weights:
    """Return whole-number weights that bring `old` pixels to `new`."""
    i = np.arange(new)
    if new <= old:  # how much of each old pixel a new one covers, in parts of 1 / new
        first, last = i * old // new, -(-(i + 1) * old // new)
        row = np.repeat(i, last - first)
        column = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
        ends = np.minimum((row + 1) * old, (column + 1) * new)
        weight = ends - np.maximum(row * old, column * new)
        total = old
    else:  # between the centres of two old pixels, in parts of 1 / (2 new)
        at = np.clip((2 * i + 1) * old - new, 0, 2 * new * (old - 1))
        low = at // (2 * new)
        share = at - low * 2 * new
        row = np.repeat(i, 2)
        column = np.stack([low, np.minimum(low + 1, old - 1)], 1).ravel()
        weight = np.stack([2 * new - share, share], 1).ravel()
        total = 2 * new
    matrix = csr_array((weight.astype(np.int32), (row, column)), shape=(new, old))
    return _Weights(matrix, total)


@lru_cache(maxsize=64)
def _nearest(old: int, new: int) -> NDArray[np.intp]:
    """Return the old pixel under the centre of each new one."""
    return (2 * np.arange(new) + 1) * old // (2 * new)


def fitted(shape: Size, canvas: Size) -> Size:
    """Return the (Y, X) of a picture of `shape` scaled until it fills `canvas`."""
    scale = min(canvas[0] / shape[0], canvas[1] / shape[1])
    return (
        min(canvas[0], max(1, round(shape[0] * scale))),
        min(canvas[1], max(1, round(shape[1] * scale))),
    )


def covered(offset: Size, inner: Size, canvas: Size) -> tuple[slice, slice]:
    """Return which part of a canvas a picture of size `inner` at `offset` takes, as slices."""
    y, x = (slice(max(o, 0), min(o + i, c)) for o, i, c in zip(offset, inner, canvas, strict=True))
    return y, x


def choose_canvas(shapes: Sequence[Size], longest: int) -> Size:
    """Return the (H, W) that every frame fits when its longer side is scaled to `longest`.

    Multiples of 16, and no larger than needed: wide frames waste no margin, and frames smaller
    than `longest` are hardly enlarged.
    """
    sizes = [fitted(shape, (min(longest, max(shape)),) * 2) for shape in shapes]
    height, width = (max(sides) for sides in zip(*sizes, strict=True))
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE
