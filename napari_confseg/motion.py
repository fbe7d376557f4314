"""Motion of the picture from frame to frame.

Speckle changes from frame to frame where the tissue does not move, and a flow at full size
follows it. Block means of a few pixels average it away, and are many times faster. Which method
and sizes were chosen, and by what figures, is in ``docs/how-to/tools.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.registration import optical_flow_ilk
from skimage.transform import downscale_local_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 128
"""Pixels of the longer side of the small frames, at most."""

RADIUS = 4
"""Half the window, in small pixels, within which the flow is held to be constant."""

WARPS = 5
"""Rounds of refinement at each scale; twice as many cost twice the time and gained nothing."""

SMOOTH = 2.0
"""Width in small pixels by which the flow is smoothed: marks keep whole edges where speckle
boils, and come no further from the truth."""

MATCH_SIGMA = 4.0
"""Width in small pixels of the window in which two frames are compared."""


def small(frame: NDArray[np.uint8]) -> tuple[NDArray[np.float32], int]:
    """Return `frame` reduced by block means, 0..1, and by how much each way."""
    factor = max(1, -(-int(max(frame.shape)) // LONGEST))
    reduced = downscale_local_mean(frame, (factor, factor)) if factor > 1 else frame
    return np.asarray(reduced / 255.0, np.float32), factor


def match(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the local correlation of two small frames, 0 (none or inverse) to 1 (the same).

    Normalised by local contrast, with a noise floor: two patches without any contrast match.
    """
    mean_a, mean_b, aa, bb, ab = (
        gaussian_filter(v, MATCH_SIGMA, mode="nearest") for v in (a, b, a * a, b * b, a * b)
    )
    floor = 2e-4  # variance of grey values (0..1) that means nothing: about 4 of 255
    var_a, var_b = np.maximum(aa - mean_a**2, 0) + floor, np.maximum(bb - mean_b**2, 0) + floor
    cov = ab - mean_a * mean_b + floor
    return np.asarray(np.clip(cov / np.sqrt(var_a * var_b), 0, 1), np.float32)


TEARING = 0.7
"""Change of shift per pixel at which a step is hardly believed."""

KEPT_PER_STEP = 0.99
"""Share of confidence that a step keeps where the picture matches perfectly.

Fitted: of what a plane carried on synthetic clips marks after 1, 8, 16 and 24 steps, 97, 87, 77
and 76 % is true; this and the match together say 98, 89, 77 and 69 %.
"""


def kept(steps: int, quality: NDArray[np.floating] | float) -> NDArray[np.floating]:
    """Return how likely a mark still holds after some steps, 0..1, by the match on the way."""
    return np.asarray(KEPT_PER_STEP**steps * np.asarray(quality))


def flow(following: NDArray[np.float32], latest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where each pixel of a small frame was on the one before, float32 (2, h, w)."""
    return np.asarray(
        optical_flow_ilk(following, latest, radius=RADIUS, num_warp=WARPS, dtype=np.float32),
        np.float32,
    )


@dataclass(frozen=True, eq=False)
class Track:
    """Where each small pixel of a frame came from in the frame that tracking began with."""

    origin: NDArray[np.float32]  # the first small frame, float32 (h, w)
    latest: NDArray[np.float32]  # the latest one, float32 (h, w)
    factor: int  # pixels of a frame per small pixel
    # Added to a small pixel's (y, x) gives its place in the first frame, float32 (2, h, w).
    shift: NDArray[np.float32]
    # The worst match of that place on the way, 0..1, float32 (h, w).
    quality: NDArray[np.float32]

    @classmethod
    def begin(cls, frame: NDArray[np.uint8]) -> Track:
        """Begin at `frame`, ``uint8 (Y, X)``."""
        return cls.begin_small(*small(frame))

    @classmethod
    def begin_small(cls, reduced: NDArray[np.float32], factor: int) -> Track:
        """Begin at a frame that :func:`small` reduced, by `factor` each way."""
        shift = np.zeros((2, *reduced.shape), np.float32)
        return cls(reduced, reduced, factor, shift, np.ones_like(reduced))

    def follow(self, frame: NDArray[np.uint8]) -> Track:
        """Return the track one frame on.

        Shifts are composed, never planes resampled again and again: edges stay as they were.
        """
        following, _ = small(frame)
        return self.follow_small(following, flow(following, self.latest))

    def follow_small(self, following: NDArray[np.float32], moved: NDArray[np.float32]) -> Track:
        """Return the track one small frame on, along the :func:`flow` to it."""
        plausible = _plausible(moved)
        smooth = np.stack([gaussian_filter(v, SMOOTH) for v in moved])
        grid = np.indices(following.shape, np.float32)
        at = grid + smooth
        shift = smooth + np.stack([_at(s, at) for s in self.shift])
        seen = match(_at(self.origin, grid + shift), following) * plausible
        quality = np.minimum(_at(self.quality, at), seen)
        return Track(self.origin, following, self.factor, shift, quality)

    def carry(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return `plane` ``(Y, X)`` of the first frame as it lies on the latest; values stay."""
        dy, dx = (self._full(s, plane.shape) * self.factor for s in self.shift)
        y = np.rint(np.arange(plane.shape[0])[:, None] + dy).astype(np.intp)
        x = np.rint(np.arange(plane.shape[1])[None] + dx).astype(np.intp)
        seen = (y >= 0) & (y < plane.shape[0]) & (x >= 0) & (x < plane.shape[1])
        out = np.zeros_like(plane)
        out[seen] = plane[y[seen], x[seen]]
        return out

    def quality_at_full_size(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return `quality` for every pixel of a frame of `shape`."""
        return self._full(self.quality, shape)

    def _full(self, field: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        if self.factor == 1:
            return field
        # centre of block i is pixel i * factor + (factor - 1) / 2
        y, x = ((np.arange(n) - (self.factor - 1) / 2) / self.factor for n in shape)
        return _at(field, np.stack(np.meshgrid(y, x, indexing="ij")))


def _plausible(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far tissue may deform like this in one step, 1 (surely) to 0 (it tears).

    A flow bends any picture into any other; what gives it away is that it stretches and folds.
    """
    strain = np.sqrt(sum(g**2 for v in flow for g in np.gradient(v)))
    believed = np.exp(-((strain / TEARING) ** 4))
    return np.asarray(gaussian_filter(believed, MATCH_SIGMA, mode="nearest"), np.float32)


def _at(field: NDArray[np.float32], places: NDArray[np.floating]) -> NDArray[np.float32]:
    """Look up `field` at fractional places ``(2, ...)``."""
    out: NDArray[np.float32] = map_coordinates(field, places, order=1, mode="nearest")
    return out
