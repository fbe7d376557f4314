"""What lies under the probe: chest wall, ribs, pleura, and what the lung shows.

Lengths are millimetres in the beam coordinates of :mod:`sample_data.scan`. Depth 0 is the skin.
The wall moves with the probe's jitter, the lung with breathing; :class:`Pose` says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.fields import Curve, Texture
    from sample_data.scan import Probe


@dataclass(frozen=True)
class Pose:
    """Where things are in one frame.

    Attributes
    ----------
    slide : float
        The lung's sideways displacement.
    descent : float
        How much deeper the pleura lies than at rest.
    jitter : float
        The probe's sideways displacement on the skin.
    breath : float
        Phase of breathing, -1 (out) to 1 (in).
    """

    slide: float
    descent: float
    jitter: float
    breath: float


@dataclass(frozen=True)
class Fascia:
    """A bright sheet in the wall at a fraction of the pleura's depth."""

    fraction: float
    strength: float
    tilt: float
    shape: Curve
    gaps: Curve


@dataclass(frozen=True)
class Rib:
    """A rib cut across.

    Attributes
    ----------
    u, half_width : float
        Middle and half width of its shadow.
    depth : float
        Depth of its cortex at the middle.
    leak : float
        Share of the amplitude that still comes from its shadow.
    shape : Curve
        How its surface departs from an arch.
    level : float
        How much brighter its surface is than usual, in dB.
    """

    u: float
    half_width: float
    depth: float
    leak: float
    shape: Curve
    level: float = 0.0


@dataclass(frozen=True)
class BLine:
    """A vertical artefact that may be a B-line.

    Attributes
    ----------
    u, half_width : float
        Place on the lung and half width at the pleura.
    strength : float
        Amplitude beside the strongest, 0..1: how well it can be seen.
    fade : float
        Depth over which its amplitude falls to 1/e.
    likely : float
        Probability that it is a B-line, given how it looks.
    real : bool
        Whether it is.
    """

    u: float
    half_width: float
    strength: float
    fade: float
    likely: float
    real: bool


@dataclass(frozen=True)
class ALine:
    """The `order`-th repeat of the pleura (2 is the first A-line)."""

    order: int
    strength: float
    likely: float
    real: bool


@dataclass(frozen=True)
class Consolidation:
    """Airless lung below the pleura with a ragged lower border."""

    u: float
    half_width: float
    depth: float
    ragged: Curve
    bronchograms: tuple[tuple[float, float, float, float], ...]  # (z below top, u, length, tilt)
    likely: float
    real: bool


@dataclass(frozen=True)
class Effusion:
    """Fluid between the pleural sheets: `thickness` at rest, swinging with breath by `swing`."""

    u: float
    half_width: float
    thickness: float
    swing: float
    shape: Curve
    likely: float
    real: bool


@dataclass(frozen=True)
class Break:
    """A place on the lung where the pleural line is interrupted: `half_width` mm to each side."""

    u: float
    half_width: float


@dataclass(frozen=True)
class Comet:
    """A bright tail below the pleura that ends early, and is no B-line for that.

    Attributes
    ----------
    u, half_width : float
        Place on the lung and half width at the pleura.
    strength : float
        Amplitude, on the scale of a B-line's.
    length : float
        Depth over which its amplitude falls to 1/e.
    """

    u: float
    half_width: float
    strength: float
    length: float


@dataclass(frozen=True)
class Ghost:
    """A short bright echo that lies nowhere in particular: a mirror image, a reverberation.

    Attributes
    ----------
    z, u : float
        Its middle.
    length : float
        Along the face.
    tilt : float
        Millimetres deeper per millimetre along the face.
    level : float
        In dB.
    """

    z: float
    u: float
    length: float
    tilt: float
    level: float


@dataclass(frozen=True)
class Organ:
    """Solid tissue where the lung might be: liver, spleen or muscle, up to a diaphragm.

    Attributes
    ----------
    u, side : float
        Where it begins, and whether it lies to the right (1) or left (-1) of there.
    swing : float
        How far breathing moves that edge.
    level : float
        Of its echo, in dB.
    grain : Texture
        Its structure.
    vessels : tuple of (z, u, radius)
        Dark holes.
    diaphragm : float
        Depth of a bright sheet that ends it; infinite for none.
    beyond : float
        Level of what shows behind the sheet, in dB.
    shape : Curve
        How edge and sheet are bent.
    """

    u: float
    side: float
    swing: float
    level: float
    grain: Texture
    vessels: tuple[tuple[float, float, float], ...]
    diaphragm: float
    beyond: float
    shape: Curve

    def cover(
        self, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
    ) -> NDArray[np.float32]:
        """Return how far, in mm along the face, a place lies within it; negative outside."""
        edge = self.u + self.swing * pose.breath + 0.8 * self.shape.at(z)
        return np.asarray(self.side * (u - edge), np.float32)

    def sheet(self, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
        """Return the depth of the diaphragm at `u`."""
        bent = 0.02 * (u - self.u) ** 2 + 2.0 * self.shape.at(u)
        return np.asarray(self.diaphragm + bent + 3 * pose.breath, np.float32)


@dataclass(frozen=True)
class Anatomy:
    """All of it; see the classes above. `pleura_real` and `likely` as in :class:`BLine`.

    `haze` (dB) and `haze_fade` (dB per mm) say how bright aerated lung is and how fast that fades.
    """

    probe: Probe
    severity: float
    pleura_depth: float
    pleura_tilt: float
    flatness: float
    pleura_thickness: float
    pleura_bumps: Curve
    irregularity: float
    irregular: Curve
    fascia: tuple[Fascia, ...]
    fat_fraction: float
    ribs: tuple[Rib, ...]
    a_lines: tuple[ALine, ...]
    a_visible: Curve
    b_lines: tuple[BLine, ...]
    consolidation: Consolidation | None
    effusion: Effusion | None
    edges: tuple[Texture, ...]  # one a class: where the truth's edge lies beside the likely one
    haze: float = 0.0
    haze_fade: float = 0.1
    comets: tuple[Comet, ...] = ()
    ghosts: tuple[Ghost, ...] = ()
    organ: Organ | None = None
    breaks: tuple[Break, ...] = ()

    def unbroken(self, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
        """Return the distance along the face to the nearest break, negative inside, in mm."""
        out = np.full(np.shape(u), 99.0, np.float32)
        for b in self.breaks:
            out = np.minimum(out, np.abs(u - pose.slide - b.u) - b.half_width)
        return out

    def pleura(self, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
        """Return the depth of the (parietal) pleural line at `u`."""
        wall, lung = u - pose.jitter, u - pose.slide
        depth = (
            self.pleura_at_rest(wall) + self.irregularity * self.irregular.at(lung) + pose.descent
        )
        return np.asarray(depth, np.float32)

    def pleura_at_rest(self, wall: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the depth of the pleural line at the wall's place `wall`, without breathing."""
        depth = self.pleura_depth + self.pleura_tilt * wall
        if self.probe.kind == "convex":
            # A flat sheet is deeper towards the sides; the probe presses it to an arc in part.
            r0 = self.probe.radius
            flat = (r0 + self.pleura_depth) / np.cos(wall / r0) - r0
            depth = depth + self.flatness * (flat - self.pleura_depth)
        return np.asarray(depth + 0.7 * self.pleura_bumps.at(wall), np.float32)

    def gap(self, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
        """Return the thickness of fluid at `u`; 0 where there is none."""
        e = self.effusion
        if e is None:
            return np.zeros_like(u)
        wall = u - pose.jitter
        dome = np.clip(1 - ((wall - e.u) / e.half_width) ** 2, 0, 1) ** 0.5
        thickness = e.thickness * (1 - e.swing * pose.breath) * dome
        return np.asarray(thickness * (1 + 0.2 * e.shape.at(u - pose.slide)), np.float32)

    def solid(self, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
        """Return the thickness of consolidated lung at `u`; 0 where there is none."""
        c = self.consolidation
        if c is None:
            return np.zeros_like(u)
        lung = u - pose.slide
        dome = np.clip(1 - ((lung - c.u) / c.half_width) ** 4, 0, 1) ** 0.6
        rough = np.clip(1 + 0.28 * c.ragged.at(lung), 0.25, 1.8)
        return np.asarray(c.depth * dome * rough, np.float32)

    def surface(self, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
        """Return the depth at which aerated lung begins: below pleura, fluid and solid lung."""
        return self.pleura(u, pose) + self.gap(u, pose) + self.solid(u, pose)
