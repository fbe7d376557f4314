"""What may have leaked from one part of a split into another."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.fft import dctn

from napari_confseg.dataset.manifest import Leakage, Suspect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


ALIKE = 0.9
"""Correlation of thumbnails, the mean frame taken away, from which two frames count as one."""
MOST = 200
"""How many near-duplicates are listed."""


class Hashed(Protocol):
    """A clip of which source and frames are known by their hashes."""

    @property
    def clip(self) -> str:
        """Its name."""

    @property
    def patient(self) -> str:
        """Whose it is."""

    @property
    def video_sha256(self) -> str:
        """Of the file it was imported from."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers of the frames taken."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Perceptual hash of each of them."""


def find_leakage(
    clips: Sequence[Hashed],
    part_of: dict[str, str],
    frame: Callable[[str, int], NDArray[np.uint8]],
) -> Leakage:
    """Look for patients, videos and frames that are in two parts.

    Parameters
    ----------
    clips : sequence of Hashed
        All clips.
    part_of : dict
        Clip -> part.
    frame : callable
        From (clip, position within it) to the frame, ``uint8 (Y, X)``; asked for those whose
        perceptual hashes are near, and for one of each clip.
    """
    patients: dict[str, set[str]] = defaultdict(set)
    videos: dict[str, list[str]] = defaultdict(list)
    for record in clips:
        patients[record.patient].add(part_of[record.clip])
        videos[record.video_sha256].append(record.clip)
    shared = [
        tuple(sorted(names)) for names in videos.values() if len({part_of[n] for n in names}) > 1
    ]
    return Leakage(
        patients=tuple(sorted(p for p, parts in patients.items() if len(parts) > 1)),
        videos=tuple(sorted(shared)),
        frames=tuple(_near_duplicates(clips, part_of, frame)),
    )


def _near_duplicates(
    clips: Sequence[Hashed],
    part_of: dict[str, str],
    frame: Callable[[str, int], NDArray[np.uint8]],
) -> list[Suspect]:
    places = [(c.clip, i) for c in clips for i in range(len(c.frames))]
    if not places:
        return []
    hashes = np.array([int(h, 16) for c in clips for h in c.fingerprints], np.uint64)
    mean = np.mean([thumbnail(frame(c.clip, 0)) for c in clips], axis=0)

    @lru_cache(maxsize=2**12)
    def small(place: int) -> NDArray[np.float32]:
        return thumbnail(frame(*places[place]))

    suspects = []
    near = near_pairs(hashes, [part_of[clip] for clip, _ in places])
    for i, j, bits in sorted(near):  # clip by clip
        alike = likeness(small(i), small(j), mean)
        if alike >= ALIKE:
            a, b = (f"{clip}/{position}" for clip, position in (places[i], places[j]))
            suspects.append(Suspect(a=a, b=b, distance=bits, likeness=round(alike, 4)))
    suspects.sort(key=lambda s: (-s.likeness, s.distance, s.a, s.b))
    return suspects[:MOST]
