"""Where a curved sector's beams come from: the apex, found from the outline alone.

Of a curved or phased sector's outline, the sides are rays: their lines pass through the apex.
The face and the bottom are arcs about the apex: the perpendicular bisector of any chord passes
through it. What follows the picture's border, where a scanner cut the sector off, does neither.
So every edge of the outline votes with two lines, and the apex is the point that explains the
greatest length of outline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 48
"""Edges that may propose an apex; all of them judge it."""

TOLERANCE = np.deg2rad(2.0)
"""Angle by which a long edge may miss the apex and still half count."""

SLIP = 0.001
"""Share of the outline's length by which corners may be misplaced: short edges turn more."""

UPRIGHT = np.deg2rad(4.0)
"""Edges this near to the vertical say nothing: mostly the picture's border cut the sector off."""

NARROWEST = np.deg2rad(6.0)
"""A sector that opens less than this is taken for a linear one."""


def find_apex(polygon: NDArray[np.float64]) -> tuple[tuple[float, float], float] | None:
    """Return the apex of an outline and the share of the outline that it explains.

    Parameters
    ----------
    polygon : ndarray of float (N, 2)
        Corners (y, x) in units that are the same both ways; y points down.

    Returns
    -------
    tuple of (apex, share) or None
        `apex` (y, x) lies above the outline's middle; `share` is 0..1. None if no point above
        sees the outline within less than 180 degrees and more than ``NARROWEST``.
    """
    edges = np.roll(polygon, -1, axis=0) - polygon
    length = np.hypot(*edges.T)
    upright = np.abs(edges[:, 1]) < np.sin(UPRIGHT) * length
    keep = (length > 1e-9) & ~upright
    level = np.abs(edges[:, 0]) < np.sin(UPRIGHT) * length
    if (keep & ~level).sum() < 2:  # a rectangle: nothing fans out
        return None
    middle = (polygon + edges / 2)[keep]
    length = length[keep]
    along = edges[keep] / length[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    top = np.argsort(-length, kind="stable")[:LONGEST]
    points = np.concatenate([middle[top], middle[top]])
    proposals = _crossings(points, np.concatenate([along[top], across[top]]))
    proposals = proposals[[_sees(polygon, p) for p in proposals]]
    if not len(proposals):
        return None
    tolerance = np.sin(TOLERANCE) + SLIP * length.sum() / length
    votes = _votes(proposals, middle, along, length, tolerance)
    apex = _refined(proposals[int(np.argmax(votes))], middle, along, length, tolerance)
    if not _sees(polygon, apex):
        apex = proposals[int(np.argmax(votes))]
    share = float(_votes(apex[None], middle, along, length, tolerance)[0] / length.sum())
    return (float(apex[0]), float(apex[1])), share


def _crossings(points: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each pair of lines crosses, ``(M, 2)``; pairs nearly parallel are left out."""
    i, j = np.triu_indices(len(points), 1)
    normal = np.stack([-directions[:, 1], directions[:, 0]], axis=1)
    offset = (normal * points).sum(axis=1)
    det = normal[i, 0] * normal[j, 1] - normal[i, 1] * normal[j, 0]
    ok = np.abs(det) > np.sin(NARROWEST / 2)
    i, j, det = i[ok], j[ok], det[ok]
    y = (offset[i] * normal[j, 1] - offset[j] * normal[i, 1]) / det
    x = (normal[i, 0] * offset[j] - normal[j, 0] * offset[i]) / det
    return np.stack([y, x], axis=1)


def _sees(polygon: NDArray[np.float64], apex: NDArray[np.float64]) -> bool:
    """Whether the beams from `apex` run down, and open as a sector's do."""
    down, right = (polygon - apex).T
    if (down < -1e-6).any() or down.max() <= 0 or right.min() >= 0 or right.max() <= 0:
        return False
    angles = np.arctan2(right, down)[np.hypot(down, right) > 1e-6]
    return bool(np.ptp(angles) > NARROWEST)


def _missed_by(
    apex: NDArray[np.float64], middle: NDArray[np.float64], along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sine and cosine of the angle between each edge and the beam through its middle."""
    beam = middle - apex
    distance = np.maximum(np.hypot(beam[..., 0], beam[..., 1]), 1e-9)
    cos = np.abs((beam * along).sum(axis=-1)) / distance
    sin = np.abs(beam[..., 0] * along[:, 1] - beam[..., 1] * along[:, 0]) / distance
    return sin, cos


def _votes(
    apexes: NDArray[np.float64],
    middle: NDArray[np.float64],
    along: NDArray[np.float64],
    length: NDArray[np.float64],
    tolerance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the length of outline that is a ray of, or an arc about, each of `apexes`."""
    sin, cos = _missed_by(apexes[:, None], middle, along)
    miss = np.minimum(sin, cos) / tolerance
    return np.asarray((length / (1 + miss**4)).sum(axis=1))


def _refined(
    apex: NDArray[np.float64],
    middle: NDArray[np.float64],
    along: NDArray[np.float64],
    length: NDArray[np.float64],
    tolerance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the point nearest to all lines that agree on `apex`, by least squares."""
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    for _ in range(5):
        sin, cos = _missed_by(apex, middle, along)
        ray = sin < cos
        miss = np.minimum(sin, cos) / tolerance
        # The line of a ray runs along the edge; that of an arc across it.
        line = np.where(ray[:, None], along, across)
        normal = np.stack([-line[:, 1], line[:, 0]], axis=1)
        distance = np.maximum(np.hypot(*(middle - apex).T), 1e-9)
        # A short chord says less about where its bisector runs: its error grows as 1 / length.
        weight = length / distance / (1 + miss**4)
        a, b = normal * weight[:, None], (normal * middle).sum(axis=1) * weight
        apex = np.linalg.lstsq(a, b, rcond=None)[0]
    return apex
