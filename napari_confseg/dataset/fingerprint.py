"""Perceptual hashes: frames that look alike have hashes that differ in few bits."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import dctn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIDE = 32
NEAR = 6
"""Bits of 64 within which two frames are looked at more closely."""


def thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the means of the frame's 32 x 32 blocks, ``float32``."""
    edges = [np.arange(SIDE + 1) * n // SIDE for n in frame.shape]
    sums = frame.astype(np.float32)
    for axis, edge in enumerate(edges):
        sums = np.add.reduceat(sums, np.minimum(edge[:-1], frame.shape[axis] - 1), axis=axis)
    area = np.multiply.outer(*(np.maximum(np.diff(edge), 1) for edge in edges))
    small: NDArray[np.float32] = (sums / area).astype(np.float32)
    return small


def fingerprint(frame: NDArray[np.uint8]) -> int:
    """Return the 64-bit hash of a frame: signs of its low frequencies about their median.

    0 for a flat frame, whose frequencies are rounding errors.

    Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), DCT hash.
    """
    small = thumbnail(frame)
    if np.ptp(small) < 1:
        return 0
    low = dctn(small, norm="ortho")[:8, :8].ravel()
    bits = low > np.median(low[1:])  # the mean brightness must not decide
    return int(np.packbits(bits).view(">u8")[0])


def near_pairs(
    hashes: NDArray[np.uint64],
    groups: Sequence[str],
    *,
    within: int = NEAR,
    most: int = 2**14,
    cells: int = 2**22,
) -> list[tuple[int, int, int]]:
    """Return (i, j, bits) of hashes of different groups that differ in at most `within` bits.

    Parameters
    ----------
    hashes : NDArray
        ``uint64``; 0, the hash of a flat frame, is near nothing: black frames are no leak.
    groups : sequence of str
        Group of each.
    within : int
        Bits.
    most : int
        So many pairs at most, the nearest first.
    cells : int
        How many pairs are looked at together, which bounds the memory.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    found: list[tuple[int, int, int]] = []
    start, n = 0, len(hashes)
    while start < n:
        rows = slice(start, start + max(1, cells // (n - start)))
        bits = np.bitwise_count(hashes[rows, None] ^ hashes[None, start:])
        near = (bits <= within) & (group[rows, None] != group[None, start:])
        near &= (hashes[rows, None] != 0) & (hashes[None, start:] != 0)
        i, j = np.nonzero(np.triu(near))
        found += zip((start + i).tolist(), (start + j).tolist(), bits[i, j].tolist(), strict=True)
        if len(found) > 2 * most:
            found = sorted(found, key=itemgetter(2, 0, 1))[:most]
        start = rows.stop
    return sorted(found, key=itemgetter(2, 0, 1))[:most]


def likeness(a: NDArray[np.float32], b: NDArray[np.float32], mean: NDArray[np.float32]) -> float:
    """Return the correlation of two frames' thumbnails after taking away `mean`.

    All frames of a probe share the sector's outline; what is left without it tells them apart.
    """
    x, y = ((p - mean).ravel() for p in (a, b))
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    if norm == 0:
        return 1.0
    return float(x @ y) / norm
