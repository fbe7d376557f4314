"""What may have leaked from one part of a split into another."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_confseg.dataset.fingerprint import likeness, near_pairs, thumbnail
from napari_confseg.dataset.manifest import Leakage, Suspect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

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
