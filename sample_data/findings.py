"""What there is to mark: the findings of a frame, how likely each pixel, and the exact truth.

For every finding a *margin* says how far a pixel lies within it, in units of what a reader can't
tell (the edge's softness): 0 on the likely edge, positive inside. The true edge lies beside the
likely one by a smooth random field g of variance 1, so a pixel is inside with probability
Phi(margin); and the finding as a whole is real with probability `likely`. So

    p = likely * Phi(margin),        truth = real and (margin + g > 0),

and who states p is calibrated by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.anatomy import Anatomy, BLine, Pose, Rib

PLEURA, A_LINE, B_LINE, CONSOLIDATION, EFFUSION, RIB = range(6)
"""Indices of ``napari_confseg.store.DEFAULT_CLASSES``."""
REACH = 3.0
"""Margins beyond this are certain; the edge field is cut off there too (once in 370)."""
NEVER = np.float32(-9.0)
CORTEX_MM = 2.6
SHADOW_EDGE_MM = 0.8


@dataclass(frozen=True)
class Finding:
    """One thing to mark in one frame.

    Attributes
    ----------
    class_index : int
    key : str
        The same in every frame of the clip.
    likely : float
        Probability that it is real, given how it looks.
    real : bool
        Whether it is.
    margin : ndarray
        See the module; ``float32`` of the coordinates' shape.
    seen : ndarray
        How visible it is at each pixel, 0..1; same shape.
    """

    class_index: int
    key: str
    likely: float
    real: bool
    margin: NDArray[np.float32]
    seen: NDArray[np.float32]

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """The rectangle outside of which there is nothing to doubt: probability under 0.2 %."""
        near = self.margin > -REACH
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if not len(rows):
            return slice(0, 0), slice(0, 0)
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def findings(
    anatomy: Anatomy, pose: Pose, z: NDArray[np.float32], u: NDArray[np.float32]
) -> list[Finding]:
    """Return the findings at coordinates `z`, `u` (mm, one shape) under `pose`."""
    pleura, gap, solid = (f(u, pose) for f in (anatomy.pleura, anatomy.gap, anatomy.solid))
    surface = pleura + gap + solid
    clear = clearance(anatomy, u, pose)
    full = np.ones_like(z)
    sheet = np.minimum(_band(z, pleura, anatomy.pleura_thickness, 0.4), clear / SHADOW_EDGE_MM)
    found = [Finding(PLEURA, "pleura", 0.99, True, _single(sheet), full)]
    found += [_rib(i, rib, pose, z, u) for i, rib in enumerate(anatomy.ribs)]
    found += _a_lines(anatomy, pose, z, u, clear)
    for i, line in enumerate(anatomy.b_lines):
        margin = np.minimum(b_margin(line, pose, z, u), clear / SHADOW_EDGE_MM)
        margin = np.where(z >= surface, margin, NEVER)
        seen = line.strength * np.exp(-np.maximum(z - surface, 0) / line.fade)
        found.append(Finding(B_LINE, f"b-{i}", line.likely, line.real, margin, _single(seen)))
    c = anatomy.consolidation
    if c is not None:
        top = z - pleura - np.maximum(gap, anatomy.pleura_thickness / 2)
        margin = np.minimum(np.minimum(top / 0.4, (surface - z) / 0.9), clear / SHADOW_EDGE_MM)
        margin = np.where(solid > 0, margin, NEVER)
        found.append(Finding(CONSOLIDATION, "consolidation", c.likely, c.real, margin, full))
    e = anatomy.effusion
    if e is not None:
        top = z - pleura - anatomy.pleura_thickness / 2
        margin = np.minimum(np.minimum(top / 0.4, (pleura + gap - z) / 0.7), clear / SHADOW_EDGE_MM)
        margin = np.where(gap > 0, margin, NEVER)
        found.append(Finding(EFFUSION, "effusion", e.likely, e.real, margin, full))
    return found


def clearance(anatomy: Anatomy, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
    """Return the distance along the face to the nearest rib's shadow, negative inside, in mm."""
    out = np.full(u.shape, 99.0, np.float32)
    for rib in anatomy.ribs:
        out = np.minimum(out, np.abs(u - pose.jitter - rib.u) - rib.half_width)
    return out


def cortex(rib: Rib, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
    """Return the depth of the rib's surface at `u`: an arch, steeper to its sides."""
    across = (u - pose.jitter - rib.u) / rib.half_width
    arch = 2.2 * across**2 + 0.8 * across**4 + 0.35 * rib.shape.at(u - pose.jitter)
    return np.asarray(rib.depth + arch, np.float32)


def b_margin(
    line: BLine, pose: Pose, z: NDArray[np.float32], u: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the lateral margin of a B-line: soft where it is faint and deep."""
    half = line.half_width * (1 + 0.004 * z)
    softness = half * (0.12 + 0.14 * (1 - line.strength * np.exp(-z / line.fade)))
    return np.asarray((half - np.abs(u - pose.slide - line.u)) / softness, np.float32)


def a_visibility(
    anatomy: Anatomy, u: NDArray[np.float32], pose: Pose
) -> NDArray[np.float32]:  # fmt: skip
    """Return how well repeats show at `u`, about -1..3: best where the beam meets it squarely."""
    square = 1.1 - 1.3 * np.abs(u / anatomy.probe.half_width)
    return np.asarray(square + 1.1 * anatomy.a_visible.at(u - pose.slide), np.float32)


def _a_lines(
    anatomy: Anatomy,
    pose: Pose,
    z: NDArray[np.float32],
    u: NDArray[np.float32],
    clear: NDArray[np.float32],
) -> list[Finding]:
    """A-lines stand at exact multiples of the pleura's depth, where nothing takes their place."""
    pleura = anatomy.pleura(u, pose)
    free = np.minimum(clear / SHADOW_EDGE_MM, a_visibility(anatomy, u, pose) / 0.5)
    covered = anatomy.gap(u, pose) + anatomy.solid(u, pose) > 0
    free = np.where(covered, NEVER, free)
    for line in anatomy.b_lines:
        if line.strength > 0.3:
            free = np.minimum(free, -b_margin(line, pose, z, u) + 1.0)
    thickness = anatomy.pleura_thickness
    return [
        Finding(
            A_LINE, f"a-{a.order}", a.likely, a.real,
            np.minimum(_band(z, a.order * pleura, thickness, 0.45), free),
            np.full_like(z, a.strength),
        )
        for a in anatomy.a_lines
    ]  # fmt: skip


def _rib(
    number: int, rib: Rib, pose: Pose, z: NDArray[np.float32], u: NDArray[np.float32]
) -> Finding:
    surface = cortex(rib, u, pose)
    aside = (rib.half_width - np.abs(u - pose.jitter - rib.u)) / 0.6
    margin = np.minimum(_band(z, surface + CORTEX_MM / 2 - 0.5, CORTEX_MM, 0.45), aside)
    return Finding(RIB, f"rib-{number}", 0.99, True, margin, np.ones_like(z))


def _single(margin: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(margin, np.float32)


def _band(
    z: NDArray[np.float32], middle: NDArray[np.float32], thickness: float, softness: float
) -> NDArray[np.float32]:
    return np.asarray((thickness / 2 - np.abs(z - middle)) / softness, np.float32)


def latent(found: list[Finding], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the probability of each class at each pixel, ``float32`` of `shape` (C, Y, X)."""
    absent = np.ones(shape, np.float32)
    for f in found:
        absent[f.class_index][f.box] *= 1 - np.float32(f.likely) * ndtr(f.margin[f.box])
    return 1 - absent


def truth(
    anatomy: Anatomy,
    found: list[Finding],
    pose: Pose,
    z: NDArray[np.float32],
    u: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return the exact truth of each class, ``bool (C, Y, X)``, at the coordinates of `found`."""
    out = np.zeros((len(anatomy.edges), *z.shape), bool)
    for f in found:
        if f.real:
            # The true edge moves with what it belongs to.
            sideways = pose.jitter if f.class_index == RIB else pose.slide
            edge = anatomy.edges[f.class_index].at(z[f.box] - pose.descent, u[f.box] - sideways)
            inside = f.margin[f.box] + np.clip(edge, -REACH, REACH) > 0
            out[f.class_index][f.box] |= inside
    return out
