"""Made-up scanner screens with a scan of known shape, letters, a grey bar, a clock and an ECG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

HEIGHT, WIDTH = 360, 480
NAME = "MUSTER, ERIKA 1964-08-12"


@dataclass(frozen=True)
class Screen:
    """A fan around `apex` (y, x), or a slab if `angles` is None; frame-grabber noise on request."""

    kind: str
    apex: tuple[float, float] = (0, 0)
    angles: tuple[float, float] | None = None
    radii: tuple[float, float] = (0, 0)
    slab: tuple[int, int, int, int] = (0, 0, 0, 0)
    fade: float = 1.0
    noise: float = 0.0
    shadow: float | None = None

    def truth(self) -> NDArray[np.bool_]:
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        if self.angles is None:
            y0, x0, y1, x1 = self.slab
            return (y > y0) & (y < y1) & (x > x0) & (x < x1)
        angle, radius = self._polar(y, x)
        inside = (angle > self.angles[0]) & (angle < self.angles[1])
        return inside & (radius > self.radii[0]) & (radius < self.radii[1])

    def _polar(self, y: NDArray, x: NDArray) -> tuple[NDArray, NDArray]:
        dy, dx = y - self.apex[0], x - self.apex[1]
        return np.degrees(np.arctan2(dx, dy)), np.hypot(dy, dx)

    def frames(self, n: int = 12) -> Iterator[NDArray[np.uint8]]:
        rng = np.random.default_rng(1)
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        truth = self.truth()
        depth = (y - y[truth].min()) / np.ptp(y[truth])
        gain = 90 * np.exp(-self.fade * 2 * depth)
        if self.shadow is not None:
            across = self._polar(y, x)[0] if self.angles else x
            gain = gain * (1 - 0.97 * np.exp(-((across - self.shadow) ** 2) / 40) * (depth > 0.2))
        for t in range(n):
            speckle = ndimage.gaussian_filter(rng.rayleigh(1, truth.shape), (0.6, 1.2))
            frame = np.where(truth, gain * speckle, 0) + self._overlay(t)
            frame += rng.normal(0, self.noise, frame.shape)
            yield frame.clip(0, 255).astype(np.uint8)

    def _overlay(self, t: int) -> NDArray[np.float64]:
        image = Image.new("L", (WIDTH, HEIGHT))
        draw = ImageDraw.Draw(image)
        draw.text((6, 4), NAME, fill=230)
        draw.text((WIDTH - 70, 4), "MI 0.7\nTIS 0.1\nLUNG", fill=200)
        draw.text((WIDTH - 60, HEIGHT - 12), f"00:{t:02d}", fill=200)  # a running clock
        for row in range(60, 300):  # the grey bar
            draw.line([(8, row), (15, row)], fill=255 - (row - 60))
        for row in range(30, 330, 30):  # depth marks
            draw.line([(WIDTH - 14, row), (WIDTH - 10, row)], fill=220)
        trace = [(60 + i, HEIGHT - 8 - (8 if (i + 7 * t) % 60 < 3 else 0)) for i in range(300)]
        draw.line(trace, fill=180)
        return np.asarray(image).astype(float)


SCREENS = {
    "curved": Screen("curved", (-60, 240), (-32, 32), (90, 385)),
    "curved, dark depth": Screen("curved", (-60, 240), (-32, 32), (90, 385), fade=2.2),
    "curved, rib shadow at the edge": Screen(
        "curved", (-60, 240), (-32, 32), (90, 385), shadow=-28
    ),
    "curved, off centre": Screen("curved", (-40, 200), (-28, 30), (70, 370)),
    "phased": Screen("phased", (14, 240), (-42, 42), (4, 315)),
    "phased, grabbed": Screen("phased", (14, 240), (-42, 42), (4, 315), noise=3),
    "linear": Screen("linear", slab=(30, 120, 330, 360)),
    "linear, shadow": Screen("linear", slab=(30, 120, 330, 360), shadow=180),
    "linear, grabbed": Screen("linear", slab=(30, 120, 330, 360), noise=3),
    "curved, grabbed": Screen("curved", (-60, 240), (-32, 32), (90, 385), noise=3),
}
