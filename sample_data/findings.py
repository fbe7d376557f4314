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
from typing import TYPE_CHECKING, Protocol

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
BREAK_EDGE_MM = 0.3
CORTEX_MM = 2.6
SHADOW_EDGE_MM = 0.8


class Likely(Protocol):
    """What a finding is of: how likely it is to be one, given its looks, and whether it is."""

    @property
    def likely(self) -> float:
        """Probability, 0..1."""

    @property
    def real(self) -> bool:
        """What is so."""


@dataclass(frozen=True)
class _Evident:
    likely: float = 0.99
    real: bool = True


EVIDENT = _Evident()
"""Ribs and the pleural line are always there; readers may still hesitate a little."""


@dataclass(frozen=True)
class Finding:
    """One thing to mark in one frame, at the pixels where there is anything to doubt.

    Attributes
    ----------
    class_index : int
    key : str
        The same in every frame of the clip.
    likely : float
        Probability that it is real, given how it looks.
    real : bool
        Whether it is.
    pixels : ndarray
        Indices into the (flattened) coordinates, ``int64 (n,)``; elsewhere the margin is below
        ``-REACH`` and the probability under 0.2 %.
    margin : ndarray
        See the module; ``float32 (n,)``.
    seen : ndarray
        How visible it is there, 0..1, ``float32 (n,)``.
    """

    class_index: int
    key: str
    likely: float
    real: bool
    pixels: NDArray[np.int64]
    margin: NDArray[np.float32]
    seen: NDArray[np.float32]


def _finding(
    class_index: int,
    key: str,
    thing: Likely,
    margin: NDArray[np.floating],
    seen: NDArray[np.floating] | float = 1.0,
) -> Finding:
    pixels = np.flatnonzero(margin > -REACH)
    visible = np.broadcast_to(np.asarray(seen, np.float32), margin.shape).ravel()[pixels]
    return Finding(
        class_index,
        key,
        thing.likely,
        thing.real,
        pixels,
        np.asarray(margin.ravel()[pixels], np.float32),
        visible,
    )


def findings(
    anatomy: Anatomy, pose: Pose, z: NDArray[np.float32], u: NDArray[np.float32]
) -> list[Finding]:
    """Return the findings at coordinates `z`, `u` (mm, one shape) under `pose`."""
    pleura, gap, solid = (f(u, pose) for f in (anatomy.pleura, anatomy.gap, anatomy.solid))
    surface = pleura + gap + solid
    clear = clearance(anatomy, u, pose)
    if anatomy.organ is not None:  # where it lies there is no lung to show anything
        clear = np.minimum(clear, -anatomy.organ.cover(z, u, pose))
    sheet = np.minimum(_band(z, pleura, anatomy.pleura_thickness, 0.4), clear / SHADOW_EDGE_MM)
    if anatomy.breaks:
        sheet = np.minimum(sheet, anatomy.unbroken(u, pose) / BREAK_EDGE_MM)
    found = [_finding(PLEURA, "pleura", EVIDENT, sheet)]
    found += [
        _finding(RIB, f"rib-{i}", EVIDENT, _cortex_margin(rib, pose, z, u))
        for i, rib in enumerate(anatomy.ribs)
    ]
    found += _a_lines(anatomy, pose, z, u, clear)
    for i, line in enumerate(anatomy.b_lines):
        margin = np.minimum(b_margin(line, pose, z, u), clear / SHADOW_EDGE_MM)
        margin = np.where(z >= surface, margin, NEVER)
        seen = line.strength * np.exp(-np.maximum(z - surface, 0) / line.fade)
        found.append(_finding(B_LINE, f"b-{i}", line, margin, seen))
    if anatomy.consolidation is not None:
        top = z - pleura - np.maximum(gap, anatomy.pleura_thickness / 2)
        margin = np.minimum(np.minimum(top / 0.4, (surface - z) / 0.9), clear / SHADOW_EDGE_MM)
        margin = np.where(solid > 0, margin, NEVER)
        found.append(_finding(CONSOLIDATION, "consolidation", anatomy.consolidation, margin))
    if anatomy.effusion is not None:
        top = z - pleura - anatomy.pleura_thickness / 2
        margin = np.minimum(np.minimum(top / 0.4, (pleura + gap - z) / 0.7), clear / SHADOW_EDGE_MM)
        margin = np.where(gap > 0, margin, NEVER)
        found.append(_finding(EFFUSION, "effusion", anatomy.effusion, margin))
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
    arch = 1.3 * across**2 + 0.7 * across**4 + 0.5 * rib.shape.at(u - pose.jitter)
    return np.asarray(rib.depth + arch, np.float32)


def b_margin(
    line: BLine, pose: Pose, z: NDArray[np.float32], u: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the lateral margin of a B-line: soft where it is faint and deep."""
    half = line.half_width * (1 + 0.004 * z)
    softness = half * (0.12 + 0.14 * (1 - line.strength * np.exp(-z / line.fade)))
    return np.asarray((half - np.abs(u - pose.slide - line.u)) / softness, np.float32)


def a_visibility(anatomy: Anatomy, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
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
    return [
        _finding(
            A_LINE,
            f"a-{a.order}",
            a,
            np.minimum(_band(z, a.order * pleura, anatomy.pleura_thickness, 0.45), free),
            a.strength,
        )
        for a in anatomy.a_lines
    ]


def _cortex_margin(
    rib: Rib, pose: Pose, z: NDArray[np.float32], u: NDArray[np.float32]
) -> NDArray[np.float32]:
    middle = cortex(rib, u, pose) + CORTEX_MM / 2 - 0.5
    aside = (rib.half_width - np.abs(u - pose.jitter - rib.u)) / 0.6
    return np.asarray(np.minimum(_band(z, middle, CORTEX_MM, 0.45), aside), np.float32)


def _band(
    z: NDArray[np.float32], middle: NDArray[np.float32], thickness: float, softness: float
) -> NDArray[np.float32]:
    return np.asarray((thickness / 2 - np.abs(z - middle)) / softness, np.float32)


def latent(found: list[Finding], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the probability of each class, ``float32`` of `shape` (classes, coordinates)."""
    absent = np.ones(shape, np.float32)
    for f in found:
        absent[f.class_index, f.pixels] *= 1 - np.float32(f.likely) * ndtr(f.margin)
    return np.asarray(1 - absent, np.float32)


def truth(
    anatomy: Anatomy,
    found: list[Finding],
    pose: Pose,
    z: NDArray[np.float32],
    u: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return the exact truth, ``bool (classes, n)``, at the ``n`` coordinates of `found`."""
    out = np.zeros((len(anatomy.edges), z.size), bool)
    for f in found:
        if not f.real:
            continue
        out[f.class_index, f.pixels[f.margin >= REACH]] = True
        doubt = f.margin < REACH
        pixels = f.pixels[doubt]
        # The true edge moves with what it belongs to.
        sideways = pose.jitter if f.class_index == RIB else pose.slide
        edge = anatomy.edges[f.class_index].at(
            z.ravel()[pixels] - pose.descent, u.ravel()[pixels] - sideways
        )
        inside = f.margin[doubt] + np.clip(edge, -REACH, REACH) > 0
        out[f.class_index, pixels[inside]] = True
    return out
