"""The chest wall's echoes: skin, fat with septa, muscle with striations, sheets of fascia."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from sample_data.fields import Curve, Texture
from sample_data.findings import a_visibility, cortex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.anatomy import Anatomy, Ghost, Pose, Rib
    from sample_data.speckle import Grid


def decibel(level: float | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the amplitude of `level` dB."""
    return np.asarray(10 ** (np.asarray(level, np.float32) / 20), np.float32)


@dataclass(frozen=True)
class Wall:
    """Amplitudes along the beams at rest, ``float32 (depths, lines)``, as if there were no lung.

    Attributes
    ----------
    diffuse : ndarray
        Multiplies speckle.
    sheets : ndarray
        Echoes of smooth sheets, which interfere little: added as they are.
    """

    diffuse: NDArray[np.float32]
    sheets: NDArray[np.float32]

    @classmethod
    def draw(cls, rng: np.random.Generator, grid: Grid, anatomy: Anatomy) -> Wall:
        """Draw the wall above the pleura of `anatomy` on `grid`."""
        z, u = grid.z, grid.u
        fine = 1.0 if grid.probe.kind == "convex" else 0.5
        depth = anatomy.pleura_at_rest(u)
        # Everything is bent a little, each layer its own way: nothing in a body is a clean arc.
        bent = z + 0.9 * fine * Curve.draw(rng, 16).at(u) + 0.06 * rng.standard_normal() * u
        fat = anatomy.fat_fraction * depth + 1.2 * Curve.draw(rng, 18).at(u)
        septa = Texture.draw(rng, (1.0 * fine, 7.0)).at(bent, u)
        slant = 0.09 * rng.standard_normal()
        strands = Texture.draw(rng, (0.5 * fine, 5.0)).at(bent + slant * u, u)
        patches = Texture.draw(rng, (4.0, 8.0)).at(bent, u)
        fatty = -34 + 4 * septa + 6 * np.maximum(septa - 0.8, 0)
        fibrous = -33 + 4 * strands + 9 * np.maximum(strands - 0.8, 0)
        level = np.where(z < fat, fatty, fibrous) + 3.5 * patches
        skin = np.exp(-(((z - 0.9) / 0.8) ** 2))
        diffuse = decibel(level) + decibel(-17) * skin
        sheets = np.zeros((grid.depths, grid.lines), np.float32)
        for f in anatomy.fascia:
            middle = f.fraction * depth + 0.7 * f.shape.at(u) + f.tilt * u
            width = (0.17 + 0.2 * f.strength) * (0.5 + 0.5 * fine)
            patchy = decibel(7 * f.gaps.at(u) - 19) * f.strength
            sheets += patchy * np.exp(-(((z - middle) / width) ** 2) / 2)
        return cls(diffuse.astype(np.float32), sheets)


@dataclass(frozen=True)
class Lung:
    """The looks of pleura and lung that vary along them, and their echoes.

    Attributes
    ----------
    anatomy : Anatomy
    glints : tuple of Curve
        Brightness along the pleura, coarse and fine, in dB.
    rays : Curve
        Fine stripes within B-lines, in dB.
    haze : Texture
        Clouds in the haze below.
    solid : Texture
        Structure of consolidated lung.
    """

    anatomy: Anatomy
    glints: tuple[Curve, Curve]
    rays: Curve
    haze: Texture
    solid: Texture

    @classmethod
    def draw(cls, rng: np.random.Generator, anatomy: Anatomy) -> Lung:
        """Draw the looks."""
        return cls(
            anatomy,
            (Curve.draw(rng, 7.0), Curve.draw(rng, 1.4)),
            Curve.draw(rng, 0.7),
            Texture.draw(rng, (5.0, 7.0)),
            Texture.draw(rng, (2.0, 2.5)),
        )

    def glint(self, u: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
        """Return how bright, in dB about 0, the pleura is at `u`."""
        lung = u - pose.slide
        size = 3.0 + 1.5 * self.anatomy.severity
        level = size * (0.8 * self.glints[0].at(lung) + 0.6 * self.glints[1].at(lung))
        return np.asarray(level, np.float32)

    def pleura(
        self, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
    ) -> NDArray[np.float32]:
        """Return the pleural line with the short tail that it drags; fainter over fluid."""
        a = self.anatomy
        depth, gap = a.pleura(u, pose), a.gap(u, pose)
        below = z - depth
        line = np.exp(-((below / (0.4 * a.pleura_thickness)) ** 2))
        tail = np.exp(-np.maximum(below, 0) / 2.2) * (below > 0) * decibel(-17)
        level = self.glint(u, pose) - 6 - 5 * (gap > 0.5)
        if a.breaks:
            level = level - 20 * expit(-a.unbroken(u, pose) / 0.15)
        out = (line + tail) * decibel(level)
        # Behind fluid the lung itself is a second line.
        second = np.exp(-(((below - gap) / 1.1) ** 2)) * (gap > 0.5) * _square(gap, u)
        return np.asarray(out + second * decibel(self.glint(u, pose) - 12), np.float32)

    def a_lines(
        self, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
    ) -> NDArray[np.float32]:
        """Return the repeats of the pleura at the multiples of its depth."""
        a = self.anatomy
        depth = a.pleura(u, pose)
        shown = expit(a_visibility(a, u, pose) / 0.22) * decibel(self.glint(u, pose) - 14)
        out = np.zeros(np.broadcast_shapes(z.shape, u.shape), np.float32)
        for line in a.a_lines:
            width = 0.4 * a.pleura_thickness * (1 + 0.12 * (line.order - 2))
            out += line.strength**1.3 * np.exp(-(((z - line.order * depth) / width) ** 2))
        return np.asarray(out * shown, np.float32)

    def air(
        self, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
    ) -> NDArray[np.float32]:
        """Return the haze of aerated lung: scattered repeats without any place of their own."""
        a = self.anatomy
        surface = a.surface(u, pose)
        below = np.maximum(z - surface, 0)
        cloud = 2.0 * self.haze.at(z - pose.descent, u - pose.slide)
        level = a.haze - 34 + 5 * a.severity + cloud - a.haze_fade * below
        return np.asarray(decibel(level) * expit((z - surface) / 0.3), np.float32)

    def b_lines(
        self, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the B-lines, and what of the A-lines and repeats they leave (1 all, 0 nothing)."""
        a = self.anatomy
        surface = a.surface(u, pose)
        below = np.maximum(z - surface, 0)
        power = np.zeros(np.broadcast_shapes(z.shape, u.shape), np.float32)
        left = np.ones_like(power)
        for line in a.b_lines:
            half = line.half_width * (1 + 0.004 * z)
            profile = np.exp(-(np.abs((u - pose.slide - line.u) / half) ** 3) * 0.7)
            drawn = line.strength**1.2 * profile * np.exp(-below / line.fade)
            power += (drawn * decibel(-17)) ** 2
            left *= 1 - 0.95 * np.minimum(1.6 * line.strength * profile, 1)
        for comet in a.comets:  # it leaves the A-lines below it as they are
            aside = np.abs((u - pose.slide - comet.u) / comet.half_width) ** 3
            drawn = comet.strength**1.2 * np.exp(-0.7 * aside - below / comet.length)
            power += (drawn * decibel(-17)) ** 2
        rays = decibel(1.6 * self.rays.at(u - pose.slide))
        return np.asarray(np.sqrt(power) * rays * expit((z - surface) / 0.3), np.float32), left

    def filled(
        self, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
    ) -> NDArray[np.float32]:
        """Return solid lung with its bronchograms and shredded border; fluid is nearly black."""
        a = self.anatomy
        pleura = a.pleura(u, pose)
        top = pleura + a.gap(u, pose)
        out = np.zeros(np.broadcast_shapes(z.shape, u.shape), np.float32)
        c = a.consolidation
        if c is None:
            return out
        thickness = a.solid(u, pose)
        inside = expit((z - top) / 0.3) * expit((top + thickness - z) / 0.35) * (thickness > 0)
        out += inside * decibel(-35 + 3.0 * self.solid.at(z - pose.descent, u - pose.slide))
        # The border to aerated lung: bright crumbs where it lies square to the beam.
        border = np.exp(-(((z - top - thickness) / 1.2) ** 2)) * (thickness > 0.5)
        out += border * decibel(1.5 * self.glint(u, pose) - 16) * _square(thickness, u)
        for down, aside, length, tilt in c.bronchograms:
            du = u - pose.slide - aside
            dz = z - top - down - tilt * du
            out += decibel(-17) * np.exp(-((dz / 0.8) ** 2) - (du / (0.5 * length)) ** 2) * inside
        return np.asarray(out, np.float32)


def organ_share(
    anatomy: Anatomy, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
) -> NDArray[np.float32]:
    """Return what share of each place below the pleura is organ and not lung, 0..1."""
    if anatomy.organ is None:
        return np.zeros((1, 1), np.float32)
    return np.asarray(expit(anatomy.organ.cover(z, u, pose) / 0.5), np.float32)


def organ_echo(
    anatomy: Anatomy, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
) -> NDArray[np.float32]:
    """Return the echo of the organ below the wall, its vessels, and what lies behind it."""
    o = anatomy.organ
    if o is None:
        return np.zeros((1, 1), np.float32)
    sheet, below = o.sheet(u, pose), expit((z - anatomy.pleura(u, pose)) / 0.3)
    level = o.level + 2.5 * o.grain.at(z - 3 * pose.breath, u - pose.slide)
    for down, aside, radius in o.vessels:
        apart = np.hypot(z - down, u - pose.slide - aside) / radius
        level = level - 14 * expit((1 - apart) / 0.15)
    body = decibel(np.where(z < sheet, level, o.beyond - 0.08 * (z - np.minimum(sheet, z))))
    line = np.exp(-(((z - sheet) / 1.3) ** 2)) * decibel(1.5 * o.shape.at(2 * u) - 9)
    return np.asarray((body + line) * below, np.float32)


def ghost_echo(
    ghosts: tuple[Ghost, ...], z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
) -> NDArray[np.float32]:
    """Return the short bright echoes that belong to nothing."""
    out = np.zeros(np.broadcast_shapes(z.shape, u.shape), np.float32)
    for g in ghosts:
        aside = u - pose.jitter - g.u
        down = z - g.z - g.tilt * aside
        out += decibel(g.level) * np.exp(-((down / 0.8) ** 2) - (2 * aside / g.length) ** 4)
    return out


def _square(thickness: NDArray[np.float32], u: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how squarely a border meets the beam, 0..1: a steep one sends its echo aside."""
    slope = np.gradient(thickness[0], float(u[0, 1] - u[0, 0]))
    return np.asarray(1 / (1 + (1.2 * slope) ** 2), np.float32)[None]


def rib_cortex(
    rib: Rib, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
) -> NDArray[np.float32]:
    """Return the bright arch of a rib, weaker on its flanks, which send the echo aside."""
    across = np.abs(u - pose.jitter - rib.u) / rib.half_width
    below = z - cortex(rib, u, pose)
    line = np.exp(-((np.where(below > 0, below / 1.2, below / 0.8)) ** 2))
    level = rib.level - 9 - 9 * across**2 + 3.5 * rib.shape.at(3 * u)
    return np.asarray(line * decibel(level) * expit((1.0 - across) / 0.1), np.float32)


def lit(
    anatomy: Anatomy, z: NDArray[np.float32], u: NDArray[np.float32], pose: Pose
) -> NDArray[np.float32]:
    """Return what share of the amplitude the ribs let through: 1, or little in their shadow."""
    out = np.ones(np.broadcast_shapes(z.shape, u.shape), np.float32)
    for rib in anatomy.ribs:
        aside = (np.abs(u - pose.jitter - rib.u) - rib.half_width) / (0.45 + 0.016 * z)
        behind = expit((z - cortex(rib, u, pose) - 0.8) / 0.5)
        out *= 1 - behind * expit(-aside) * (1 - rib.leak)
    return out
