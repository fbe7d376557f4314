"""From anatomy to the picture: echoes along the beams, then what a scanner makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from sample_data.echoes import Lung, lit, rib_cortex
from sample_data.fields import Curve
from sample_data.speckle import Beam, Decorrelating, Grid, draw_speckle, shift
from sample_data.wall import Wall, decibel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_data.anatomy import Anatomy, Pose
    from sample_data.scan import Scan

LINES = 176


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
    """

    dynamic_range: float
    gain: float
    attenuation: float
    noise: float
    persistence: float
    gamma: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Settings:
        """Draw settings, as operators and machines differ."""
        return cls(
            dynamic_range=float(rng.uniform(56, 66)),
            gain=float(rng.uniform(-2, 4)),
            attenuation=float(rng.uniform(0.03, 0.14)),
            noise=float(rng.uniform(-64, -56)),
            persistence=float(rng.uniform(0.15, 0.4)),
            gamma=float(rng.uniform(0.95, 1.2)),
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
    """

    def __init__(
        self, rng: np.random.Generator, scan: Scan, anatomy: Anatomy, settings: Settings
    ) -> None:
        convex = scan.probe.kind == "convex"
        self.grid = Grid(scan.probe, int(scan.probe.depth / (0.3 if convex else 0.16)), LINES)
        self._scan, self._anatomy, self._settings, self._rng = scan, anatomy, settings, rng
        beam = Beam(0.42, 0.75, 40, 30) if convex else Beam(0.18, 0.3, 22, 18)

        def speckle(fields: int, keep: float) -> Decorrelating:
            return Decorrelating(rng, [draw_speckle(rng, self.grid, beam) for _ in range(fields)],
                                 keep)  # fmt: skip

        self._wall = Wall.draw(rng, self.grid, anatomy)
        self._lung = Lung.draw(rng, anatomy)
        self._wall_speckle = speckle(2, 0.995)
        self._lung_speckle = speckle(3, 0.9)
        self._b_speckle = speckle(2, 0.93)
        # Noise does not come through the lens: as fine across as the lines are.
        self._noise = draw_speckle(rng, self.grid, Beam(beam.axial * 0.7, 0.02, 40, 1e4))
        self._streaks = Curve.draw(rng, 1.6)
        self._contact = Curve.draw(rng, 12)
        self._last: NDArray[np.float32] | None = None

    def frame(self, pose: Pose) -> NDArray[np.uint8]:
        """Return the picture under `pose`, ``uint8 (Y, X)``, black outside of the sector."""
        s = self._settings
        level = 20 * np.log10(np.abs(self._received(pose)) + 1e-6) + s.gain + s.dynamic_range
        grey = np.clip(level / s.dynamic_range, 0, 1) ** s.gamma * 255
        picture = self._scan.convert(grey.astype(np.float32))
        if self._last is not None:
            picture = (1 - s.persistence) * picture + s.persistence * self._last
        self._last = picture
        return np.asarray(np.rint(picture), np.uint8)

    def _received(self, pose: Pose) -> NDArray[np.complex64]:
        """Return what the beams bring back, with losses, gain and noise."""
        grid, s = self.grid, self._settings
        z, u = grid.z, grid.u
        on_skin = u - pose.jitter
        # Contact with the skin and loss in fat differ from beam to beam: faint streaks downwards.
        level = 0.8 * self._streaks.at(on_skin) * (0.3 + z / 50) + 1.5 * self._contact.at(on_skin)
        level -= 12 * np.clip(np.abs(u) / grid.probe.half_width - 0.85, 0, 1) / 0.15
        noise = np.roll(self._noise, self._rng.integers(0, self._noise.shape), (0, 1))
        received = self._echo(pose) * decibel(level - s.attenuation * z)
        return np.asarray(received + noise * decibel(s.noise + 0.06 * z), np.complex64)

    def _echo(self, pose: Pose) -> NDArray[np.complex64]:
        grid, anatomy, lung = self.grid, self._anatomy, self._lung
        z, u = grid.z, grid.u
        down, across = pose.descent / grid.step[0], 1 / grid.step[1]
        tissue = self._wall_speckle.step()
        breathing = shift(self._lung_speckle.step(), (down, pose.slide * across))
        ringing = shift(self._b_speckle.step(), (0, pose.slide * across))
        near = shift(
            self._wall.diffuse * tissue + self._wall.sheets * (0.75 + 0.3 * tissue),
            (0, pose.jitter * across),
        )
        pleura = anatomy.pleura(u, pose)
        above = expit((pleura - z) / 0.15)
        b_lines, left = lung.b_lines(z, u, pose)
        covered = (anatomy.gap(u, pose) + anatomy.solid(u, pose)) > 0.5
        repeats = self._repeats(near, pleura) + lung.a_lines(z, u, pose) * (0.75 + 0.35 * breathing)
        below = (
            lung.pleura(z, u, pose) * (0.7 + 0.45 * breathing)
            + repeats * left * np.where(covered, np.float32(0.25), np.float32(1))
            + (lung.air(z, u, pose) + lung.filled(z, u, pose)) * breathing
            + b_lines * ringing
        )
        echo = near * above + below * lit(anatomy, z, u, pose) * (1 - 0.5 * above)
        echo *= np.sqrt(lit(anatomy, z, u, pose))
        for rib in anatomy.ribs:
            echo = echo + rib_cortex(rib, z, u, pose) * (0.65 + 0.5 * tissue)
        return np.asarray(echo, np.complex64)

    def _repeats(
        self, near: NDArray[np.complex64], pleura: NDArray[np.float32]
    ) -> NDArray[np.complex64]:
        """Reverberation between skin and pleura: the wall's echoes once more below, fainter."""
        z = self.grid.z
        order = np.floor(z / pleura)
        rows = np.rint((z - order * pleura) / self.grid.step[0]).astype(np.int64)
        again = np.take_along_axis(near, np.clip(rows, 0, self.grid.depths - 1), axis=0)
        return np.asarray(again * np.where(order > 0, decibel(-8 - 6 * order), 0), np.complex64)
