"""Propagation of planes along the picture's motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.motion import Track, kept
from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

LEAST = 10
"""Confidence below which nothing is proposed any more."""


@dataclass(frozen=True, eq=False)
class Carried:
    """One frame's proposals."""

    frame: int
    proposals: Mapping[int, NDArray[np.uint8]]  # by class index, uint8 (Y, X)
    match: float  # mean match with the painted frame over all that was marked, 0..1

    @property
    def lost(self) -> bool:
        """Whether nothing is left of what was carried."""
        return not any(p.any() for p in self.proposals.values())


def faded(
    plane: NDArray[np.uint8], steps: int, quality: NDArray[np.floating] | float
) -> NDArray[np.uint8]:
    """Return `plane` with the confidence that is left after `steps` steps.

    ``c * kept(steps, quality)``, rounded down, and at least one less for each step;
    0 below ``LEAST``.
    """
    left = np.floor(plane * kept(steps, quality) + 1e-6)
    left = np.minimum(left, plane.astype(float) - steps)
    return np.where(left >= LEAST, left, 0).astype(np.uint8)


def carried(
    frames: ArrayLike,
    planes: Mapping[int, NDArray[np.uint8]],
    start: int,
    *,
    steps: int,
    direction: int = 1,
    inside: NDArray[np.bool_] | None = None,
) -> Iterator[Carried]:
    """Carry the planes of one frame on to the next ones.

    One frame at a time, so that a caller can show progress and stop. Ends at the clip's end,
    and with the first frame on which no confidence is left.

    Parameters
    ----------
    frames : array-like of uint8 (T, Y, X)
        The clip; indexed by frame, so it may be lazy.
    planes : mapping of int to ndarray of uint8 (Y, X)
        Planes of frame `start`, by class index; all move with the same picture.
    start : int
        The frame that was painted.
    steps : int
        How many frames to go on, at most.
    direction : {1, -1}
        Forward or backward.
    inside : ndarray of bool (Y, X), optional
        The sector; nothing is proposed outside it.

    Yields
    ------
    Carried
        Proposals; excluded pixels are not carried.
    """
    planes = {c: np.where(p == EXCLUDED, np.uint8(0), p) for c, p in planes.items()}
    n_frames = len(frames)  # type: ignore[arg-type]
    track = Track.begin(np.asarray(frames[start]))  # type: ignore[index]
    for k in range(1, steps + 1):
        frame = start + direction * k
        if not 0 <= frame < n_frames:
            return
        track = track.follow(np.asarray(frames[frame]))  # type: ignore[index]
        moved = {c: track.carry(p) for c, p in planes.items()}
        if inside is not None:
            moved = {c: np.where(inside, p, np.uint8(0)) for c, p in moved.items()}
        marked = np.any([p > 0 for p in moved.values()], axis=0)
        if not marked.any():  # moved out of sight
            return
        quality = track.quality_at_full_size(marked.shape)
        proposals = {c: faded(p, k, quality) for c, p in moved.items()}
        step = Carried(frame, proposals, float(quality[marked].mean()))
        yield step
        if step.lost:
            return
