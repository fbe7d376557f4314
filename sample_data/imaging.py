"""From anatomy to the picture: echoes along the beams, then what a scanner makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from sample_data.echoes import (
    Lung,
    Wall,
    decibel,
    ghost_echo,
    lit,
    organ_echo,
    organ_share,
    rib_cortex,
)
from sample_data.fields import Curve
from sample_data.speckle import Beam, Decorrelating, Grid, draw_speckle, shift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sample_data.anatomy import Anatomy, Pose
    from sample_data.scan import Scan

LINES = 176

STANDS, SLIDES = 0.998, 0.86
"""Correlation of speckle from one frame to the next: of what stands still, of a sliding lung."""


@dataclass(frozen=True)
class Settings:
    """How the scanner is set; levels in dB, lengths in mm.

    Attributes
    ----------
    dynamic_range : float
        What the picture's grey levels span.
    gain : float
        Added to everything.
    attenuation : float
        Loss that time gain compensation leaves uncompensated, dB per mm.
    noise : float
        Level of electronic noise at the skin; it grows with the compensation.
    persistence : float
        Share of the last picture that is kept in the next.
    gamma : float
        Exponent of the grey map.
    contact : float
        Standard deviation of the loss between beams, for uneven contact with the skin.
    speckle : float
        Size of the speckle beside that of the probe's usual frequency: a lower one is coarser.
    tgc : tuple of float
        Time gain compensation at evenly spaced depths from the skin to the lower rim; () is none.
    lost : tuple of (float, float, float)
        Beams without contact: from and to which share of the face (-1 to 1), and their loss.
    clutter, clutter_depth : float
        Level at the skin of haze that lies over the near field, and the depth it falls by 9 dB in.
    reverberation : float
        Added to the repeats of the wall below the pleura.
    looks : int
        Pictures from different angles or frequencies that are averaged: speckle gets smoother.
    """

    dynamic_range: float
    gain: float
    attenuation: float
    noise: float
    persistence: float
    gamma: float
    contact: float
    speckle: float = 1.0
    tgc: tuple[float, ...] = ()
    lost: tuple[tuple[float, float, float], ...] = ()
    clutter: float = -math.inf
    clutter_depth: float = 10.0
    reverberation: float = 0.0
    looks: int = 3

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Settings:
        """Draw settings, as operators and machines differ."""
        return cls(
            dynamic_range=float(rng.uniform(56, 66)),
            gain=float(rng.uniform(-2, 4)),
            attenuation=float(rng.uniform(0.06, 0.3)),
            noise=float(rng.uniform(-72, -60)),
            persistence=float(rng.uniform(0.15, 0.4)),
            gamma=float(rng.uniform(0.95, 1.2)),
            contact=float(rng.uniform(0.8, 4)),
        )


class Scanner:
    """Makes the frames of one clip, in order.

    Parameters
    ----------
    rng : Generator
    scan : Scan
        Probe and picture.
    anatomy : Anatomy
    settings : Settings
    still : bool
        Whether its frames are stills, whose speckle need not change from one to the next, and
        need not be finer than their pixels. That is twice as fast.
    lung_keeps : float
        Correlation of the lung's speckle with that of the next frame, apart from how it moves:
        `STANDS` for a lung that does not slide.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        scan: Scan,
        anatomy: Anatomy,
        settings: Settings,
        *,
        still: bool = False,
        lung_keeps: float = SLIDES,
    ) -> None:
        convex = scan.probe.kind == "convex"
        step = 0.26 if convex else 0.14
        if still:
            step = max(step, 0.6 * scan.spacing)
        self.grid = Grid(scan.probe, int(scan.probe.depth / step), LINES)
        self._scan, self._anatomy, self._settings, self._rng = scan, anatomy, settings, rng
        usual = Beam(0.3, 0.7, 40, 30) if convex else Beam(0.14, 0.28, 22, 18)
        beam = replace(
            usual,
            axial=usual.axial * settings.speckle,
            lateral=usual.lateral * settings.speckle,
        )

        def speckle(keep: float) -> list[Decorrelating]:
            n = 1 if still else 2
            looks = range(settings.looks)
            fields = [[draw_speckle(rng, self.grid, beam) for _ in range(n)] for _ in looks]
            return [Decorrelating(rng, mixed, keep) for mixed in fields]

        self._wall = Wall.draw(rng, self.grid, anatomy)
        self._lung = Lung.draw(rng, anatomy)
        self._wall_speckle, self._lung_speckle = speckle(STANDS), speckle(lung_keeps)
        # Noise does not come through the lens: as fine across as the lines are.
        self._noise = draw_speckle(rng, self.grid, Beam(beam.axial * 0.7, 0.02, 40, 1e4))
        self._streaks = Curve.draw(rng, 1.6)
        self._contact = Curve.draw(rng, 9)
        self._sliders = Curve.draw(rng, 22)  # of time gain compensation
        self._last: NDArray[np.float32] | None = None

    def frame(self, pose: Pose) -> NDArray[np.uint8]:
        """Return the picture under `pose`, ``uint8 (Y, X)``, black outside of the sector."""
        s = self._settings
        level = 10 * np.log10(self._power(pose) + 1e-12) + s.gain + s.dynamic_range
        grey = np.clip(level / s.dynamic_range, 0, 1) ** s.gamma * 255
        picture = self._scan.convert(grey.astype(np.float32))
        if self._last is not None:
            picture = (1 - s.persistence) * picture + s.persistence * self._last
        self._last = picture
        return np.asarray(np.rint(picture), np.uint8)

    def _power(self, pose: Pose) -> NDArray[np.float32]:
        """Return the detected power: the mean of several looks, as scanners compound them."""
        grid, s = self.grid, self._settings
        z, u = grid.z, grid.u
        on_skin = u - pose.jitter
        # Contact with the skin and loss in fat differ from beam to beam: faint streaks downwards.
        level = 0.7 * self._streaks.at(on_skin) * (0.3 + z / 50)
        level += s.contact * self._contact.at(on_skin) * (0.4 + z / 60)
        level -= 12 * np.clip(np.abs(u) / grid.probe.half_width - 0.85, 0, 1) / 0.15
        level += 1.5 * self._sliders.at(z)
        if s.tgc:
            level += np.interp(z, np.linspace(0, grid.probe.depth, len(s.tgc)), s.tgc)
        level -= lost_contact(s, u / grid.probe.half_width)
        gain = decibel(level - s.attenuation * z)
        noise = decibel(s.noise + 0.06 * z)
        power = np.zeros((grid.depths, grid.lines), np.float32)
        for echo in self._looks(pose):
            rolls = self._rng.integers(0, self._noise.shape)
            received = echo * gain + np.roll(self._noise, rolls, (0, 1)) * noise
            if s.clutter > -math.inf:
                haze = decibel(s.clutter - 9 * z / s.clutter_depth)
                received += np.roll(self._noise, (rolls[1], rolls[0]), (0, 1)) * haze
            power += received.real**2 + received.imag**2
        # Speckle reduction as scanners do it, a light blur of what was detected.
        return np.asarray(gaussian_filter(power / s.looks, (0.45, 0.5)), np.float32)

    def _looks(self, pose: Pose) -> Iterator[NDArray[np.complex64]]:
        """Yield the echo of each look: the same amplitudes under other speckle."""
        grid, anatomy, lung = self.grid, self._anatomy, self._lung
        z, u = grid.z, grid.u
        down, across = pose.descent / grid.step[0], 1 / grid.step[1]
        pleura = anatomy.pleura(u, pose)
        above = expit((pleura - z) / 0.15)
        b_lines, left = lung.b_lines(z, u, pose)
        covered = (anatomy.gap(u, pose) + anatomy.solid(u, pose)) > 0.5
        left = left * np.where(covered, np.float32(0.25), np.float32(1))
        light = lit(anatomy, z, u, pose)
        line, a_lines = lung.pleura(z, u, pose), lung.a_lines(z, u, pose) * left
        line, a_lines = line * light, a_lines * light  # sharp echoes are lost in shadow first
        steady = (0.7 * line + 0.75 * a_lines) * light
        rough = 0.45 * line + 0.35 * a_lines + b_lines
        rough = (rough + lung.air(z, u, pose) + lung.filled(z, u, pose)) * light
        ribs = sum((rib_cortex(rib, z, u, pose) for rib in anatomy.ribs), np.float32(0))
        rows, fainter = self._mirrored(pleura)
        fainter = fainter * left * light**2 * decibel(self._settings.reverberation)
        above = above * light
        lung_share = 1 - organ_share(anatomy, z, u, pose)
        steady, rough, fainter = steady * lung_share, rough * lung_share, fainter * lung_share
        steady = steady + ghost_echo(anatomy.ghosts, z, u, pose) * light
        rough = rough + organ_echo(anatomy, z, u, pose) * (1 - lung_share) * light
        for tissue, breathing in zip(self._wall_speckle, self._lung_speckle, strict=True):
            moved = shift(tissue.step(), (0, pose.jitter * across))
            near = shift(self._wall.diffuse, (0, pose.jitter * across)) * moved
            near += shift(self._wall.sheets, (0, pose.jitter * across)) * (0.75 + 0.3 * moved)
            again = np.take_along_axis(near, rows, axis=0)
            lung_speckle = shift(breathing.step(), (down, pose.slide * across))
            yield (
                near * above
                + again * fainter
                + steady
                + rough * lung_speckle
                + ribs * (0.65 + 0.5 * moved)
            )

    def _mirrored(
        self, pleura: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Reverberation between skin and pleura shows the wall again below, fainter each time.

        Returns the row of the wall that each sample shows again, and the amplitude left.
        """
        z = self.grid.z
        order = np.floor(z / pleura)
        rows = np.rint((z - order * pleura) / self.grid.step[0]).astype(np.int64)
        left = np.where(order > 0, decibel(-8 - 5 * order), np.float32(0))
        return np.clip(rows, 0, self.grid.depths - 1), left


def lost_contact(settings: Settings, place: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the loss in dB of beams at `place` on the face (-1 to 1) for want of contact."""
    out = np.zeros_like(place)
    for left, right, loss in settings.lost:
        inside = np.minimum(place - left, right - place) / 0.04
        out = np.maximum(out, loss * expit(inside))
    return out
