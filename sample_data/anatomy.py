"""What lies under the probe: chest wall, ribs, pleura, and what the lung shows.

Lengths are millimetres in the beam coordinates of :mod:`sample_data.scan`. Depth 0 is the skin.
The wall moves with the probe's jitter, the lung with breathing; :class:`Pose` says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from sample_data.fields import Curve, Texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.scan import Probe

RAGGED_MM = 2.2
"""Correlation length of a consolidation's shred border."""


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
    """

    u: float
    half_width: float
    depth: float
    leak: float
    shape: Curve


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
class Anatomy:
    """All of it; see the classes above. `pleura_real` and `likely` as in :class:`BLine`."""

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


def draw_anatomy(rng: np.random.Generator, probe: Probe, severity: float, zone: str) -> Anatomy:
    """Draw the anatomy under `probe` in a lung zone of `severity` (0 healthy, 1 worst)."""
    convex = probe.kind == "convex"
    depth = rng.uniform(19, 29) if convex else rng.uniform(13, 18)
    dependent = zone.endswith(("5", "6"))
    ribs = _ribs(rng, probe, depth)
    effusion = _effusion(rng, probe, severity, depth, dependent)
    solid = _consolidation(rng, probe, severity, depth, ribs)
    return Anatomy(
        probe=probe,
        severity=severity,
        pleura_depth=depth,
        pleura_tilt=rng.normal(0, 0.09 if convex else 0.06),
        flatness=rng.uniform(0.1, 0.8),
        pleura_thickness=rng.uniform(1.7, 2.3) * (1 + 0.5 * severity) * (1 if convex else 0.7),
        pleura_bumps=Curve.draw(rng, 15),
        irregularity=0.12 + 0.5 * severity**1.5,
        irregular=Curve.draw(rng, 3.5),
        fascia=_fascia(rng),
        fat_fraction=rng.uniform(0.25, 0.5),
        ribs=ribs,
        a_lines=_a_lines(rng, probe, severity, depth),
        a_visible=Curve.draw(rng, 9),
        b_lines=_b_lines(rng, probe, severity, ribs),
        consolidation=solid,
        effusion=effusion,
        edges=tuple(Texture.draw(rng, (18.0 if c == 2 else 5.0, 6.0)) for c in range(6)),
    )


def _fascia(rng: np.random.Generator) -> tuple[Fascia, ...]:
    fractions = np.sort(rng.uniform(0.1, 0.93, rng.integers(8, 15)))
    return tuple(
        Fascia(float(f), float(rng.uniform(0.25, 1.0)), float(rng.normal(0, 0.03)),
               Curve.draw(rng, rng.uniform(12, 30)), Curve.draw(rng, rng.uniform(2.5, 9)))
        for f in fractions
    )  # fmt: skip


def _ribs(rng: np.random.Generator, probe: Probe, depth: float) -> tuple[Rib, ...]:
    number = int(rng.choice([0, 1, 2], p=[0.2, 0.35, 0.45]))
    if number == 0:
        return ()
    lift = rng.uniform(2.5, 5.5) if probe.kind == "convex" else rng.uniform(2.5, 4.5)
    # Along the face: beams of a convex probe have spread by (r0 + z) / r0 when they reach a rib.
    spread = 1 + depth / probe.radius if probe.kind == "convex" else 1.0
    half = rng.uniform(5.0, 7.5, 2) / spread
    if number == 2:
        between = rng.uniform(14, 19) / spread
        middle = rng.uniform(-0.15, 0.15) * probe.half_width
        places = [middle - between, middle + between]
    else:
        places = [rng.choice([-1, 1]) * rng.uniform(0.3, 0.75) * probe.half_width]
    return tuple(
        Rib(
            float(u),
            float(w),
            depth - lift + rng.uniform(-1, 1),
            float(rng.uniform(0.08, 0.25)),
            Curve.draw(rng, 4.0),
        )
        for u, w in zip(places, half, strict=False)
    )


def _a_lines(
    rng: np.random.Generator, probe: Probe, severity: float, depth: float
) -> tuple[ALine, ...]:
    first = rng.uniform(0.55, 1.0) * (1 - 0.8 * severity)
    fading = rng.uniform(0.5, 0.75)
    lines = []
    for order in range(2, int(probe.depth // depth) + 1):
        strength = float(first * fading ** (order - 2))
        likely = float(expit((strength - 0.16) * 22))
        if likely > 0.03:
            lines.append(ALine(order, strength, likely, bool(rng.random() < likely)))
    return tuple(lines)


def _b_lines(
    rng: np.random.Generator, probe: Probe, severity: float, ribs: tuple[Rib, ...]
) -> tuple[BLine, ...]:
    lines = []
    for _ in range(rng.poisson(0.8 + 6.5 * severity**1.2)):
        u = float(rng.uniform(-1.05, 1.05) * probe.half_width)
        if any(abs(u - rib.u) < rib.half_width for rib in ribs):
            continue  # behind a rib there is nothing to see
        strength = float(np.clip(rng.beta(1.6 + 3 * severity, 1.9), 0.12, 1))
        likely = float(expit((strength - 0.3) * 13))
        lines.append(
            BLine(
                u=u,
                half_width=float(rng.uniform(0.7, 1.6 + 1.6 * severity)),
                strength=strength,
                fade=float(rng.uniform(0.45, 0.8 + 1.2 * strength) * probe.depth),
                likely=likely,
                real=bool(rng.random() < likely),
            )
        )
    return tuple(lines)


def _consolidation(
    rng: np.random.Generator, probe: Probe, severity: float, depth: float, ribs: tuple[Rib, ...]
) -> Consolidation | None:
    if rng.random() > expit(9 * (severity - 0.55)):
        return None
    size = float(rng.uniform(3, 9 + 22 * severity) * (1 if probe.kind == "convex" else 0.6))
    size = min(size, 0.45 * (probe.depth - depth))
    half = float(np.clip(size * rng.uniform(0.5, 1.1), 3, 0.7 * probe.half_width))
    places = rng.uniform(-0.6, 0.6, 12) * probe.half_width
    # Of several places the one farthest from ribs: what is wholly in a shadow nobody knows.
    room = [min((abs(u - r.u) - r.half_width for r in ribs), default=0.0) for u in places]
    u = float(places[int(np.argmax(room))])
    spots = tuple(
        (float(rng.uniform(0.2, 0.85) * size), float(u + rng.uniform(-0.6, 0.6) * half),
         float(rng.uniform(0.8, 3.5)), float(rng.normal(0, 0.5)))
        for _ in range(int(size * half / 22))
    )  # fmt: skip
    likely = float(expit((size - 4.5) * 0.9))
    return Consolidation(u, half, size, Curve.draw(rng, RAGGED_MM), spots, likely,
                         bool(rng.random() < likely))  # fmt: skip


def _effusion(
    rng: np.random.Generator, probe: Probe, severity: float, depth: float, dependent: bool
) -> Effusion | None:
    if rng.random() > expit(8 * (severity - (0.6 if dependent else 1.0))):
        return None
    thickness = float(rng.uniform(3, 8 + 25 * severity) * (1 if probe.kind == "convex" else 0.5))
    thickness = min(thickness, 0.4 * (probe.depth - depth))
    likely = float(expit((thickness - 4) * 1.0))
    return Effusion(
        u=float(rng.uniform(-0.4, 0.4) * probe.half_width),
        half_width=float(rng.uniform(0.8, 1.8) * probe.half_width),
        thickness=thickness,
        swing=float(rng.uniform(0.15, 0.35)),
        shape=Curve.draw(rng, 12),
        likely=likely,
        real=bool(rng.random() < likely),
    )
