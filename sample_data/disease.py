"""Draws the anatomy under a probe from how sick the lung is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from sample_data.anatomy import (
    ALine,
    Anatomy,
    BLine,
    Break,
    Consolidation,
    Effusion,
    Fascia,
    Rib,
)
from sample_data.fields import Curve, Texture

if TYPE_CHECKING:
    from sample_data.scan import Probe

MOST_BREAKS = 5
"""Of a pleural line; all are there at the worst."""
RAGGED_MM = 2.2
"""Correlation length of a consolidation's shred border."""


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


def draw_breaks(rng: np.random.Generator, probe: Probe, severity: float) -> tuple[Break, ...]:
    """Draw where the pleural line is broken: in vain in a healthy lung, often in a sick one.

    Of the same generator a sicker lung has the breaks of a less sick one, and more.
    """
    places = (rng.uniform(-0.95, 0.95, MOST_BREAKS) * probe.half_width).tolist()
    widths = rng.uniform(0.8, 2.0, MOST_BREAKS).tolist()
    there = rng.random(MOST_BREAKS) < severity**1.5
    return tuple(
        Break(*b) for b, t in zip(zip(places, widths, strict=True), there, strict=True) if t
    )


def _fascia(rng: np.random.Generator) -> tuple[Fascia, ...]:
    fractions = np.sort(rng.uniform(0.1, 0.93, rng.integers(8, 15)))
    return tuple(
        Fascia(
            float(f),
            float(rng.uniform(0.25, 1.0)),
            float(rng.normal(0, 0.03)),
            Curve.draw(rng, rng.uniform(12, 30)),
            Curve.draw(rng, rng.uniform(2.5, 9)),
        )
        for f in fractions
    )


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
        (
            float(rng.uniform(0.2, 0.85) * size),
            float(u + rng.uniform(-0.6, 0.6) * half),
            float(rng.uniform(0.8, 3.5)),
            float(rng.normal(0, 0.5)),
        )
        for _ in range(int(size * half / 22))
    )
    likely = float(expit((size - 4.5) * 0.9))
    return Consolidation(
        u, half, size, Curve.draw(rng, RAGGED_MM), spots, likely, bool(rng.random() < likely)
    )


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
