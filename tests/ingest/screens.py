"""Made-up scanner screens with a scan of known shape, letters, a grey bar, a clock and an ECG.

``SCREENS`` are plain. ``HARD`` names what makes a sector hard to find; :func:`hard_screen` makes
any number of each, as different as their seeds: size, probe, depth, gain, compression, margins.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
            return np.asarray((y > y0) & (y < y1) & (x > x0) & (x < x1))
        angle, radius = self._polar(y, x)
        inside = (angle > self.angles[0]) & (angle < self.angles[1])
        return np.asarray(inside & (radius > self.radii[0]) & (radius < self.radii[1]))

    def _polar(self, y: NDArray[Any], x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
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


# -- hard ones

HARD = (
    "plain",
    "fills the frame",
    "dark band",
    "one side dark",
    "two regions",
    "rotated",
    "letters on tissue",
)
"""What makes a screen hard; ``plain`` is for comparison."""


@dataclass(frozen=True)
class HardScreen:
    """A screen made by :func:`hard_screen`.

    Attributes
    ----------
    kind : str
        Of the probe; ``"unknown"`` where the frame shows none of its outline.
    truth : ndarray
        ``bool (Y, X)``, where the scan is.
    gain : ndarray
        ``float (Y, X)``, mean brightness of tissue.
    overlay : ndarray
        ``float (Y, X)``, letters and the like, NaN where the picture shows through.
    """

    kind: str
    truth: NDArray[np.bool_]
    gain: NDArray[np.float64]
    overlay: NDArray[np.float64]
    noise: float
    still: float
    quality: int
    seed: int

    def frames(self, n: int = 8) -> Iterator[NDArray[np.uint8]]:
        """Yield frames: layers that stay, speckle that does not, compressed as JPEG."""
        rng = np.random.default_rng(self.seed)
        shape = self.truth.shape
        layers = ndimage.gaussian_filter(rng.standard_normal(shape), (1.5, 12))
        layers = np.exp(0.8 * layers / layers.std())
        grain = self._speckle(rng)
        for t in range(n):
            moved = np.roll(layers, round(2 * np.sin(t)), axis=0)
            speckle = self.still * grain + (1 - self.still) * self._speckle(rng)
            frame = self.gain * moved * speckle
            frame = np.where(np.isnan(self.overlay), frame, self.overlay)
            frame += rng.normal(0, self.noise, shape) if self.noise else 0
            packed = io.BytesIO()
            Image.fromarray(frame.clip(0, 255).astype(np.uint8)).save(
                packed, "JPEG", quality=self.quality
            )
            yield np.asarray(Image.open(packed))

    def _speckle(self, rng: np.random.Generator) -> NDArray[np.float64]:
        speckle = rng.rayleigh(1, self.truth.shape)
        return np.asarray(ndimage.gaussian_filter(speckle, (0.6, 1.2)))


def hard_screen(what: str, seed: int) -> HardScreen:
    """Return a screen of the kind `what` of ``HARD``; the same seed makes the same one."""
    rng = np.random.default_rng([HARD.index(what), seed])
    shape = (int(rng.integers(240, 420)), int(rng.integers(260, 480)))
    kind = str(rng.choice(["curved", "linear", "phased"], p=[0.5, 0.3, 0.2]))
    if what == "fills the frame":
        kind = "unknown"
    truth, depth, across = _scan(rng, kind, shape, tilt=_tilt(rng) if what == "rotated" else 0.0)
    if what == "two regions":
        truth, depth, across = (_side_by_side(a) for a in (truth, depth, across))
    gain = rng.uniform(50, 110) * np.exp(-rng.uniform(0.5, 2.5) * depth)
    for _ in range(rng.integers(0, 3)):  # shadows of ribs
        where, width = rng.uniform(0.1, 0.9), rng.uniform(0.03, 0.1)
        behind = 1 / (1 + np.exp(-(depth - rng.uniform(0.1, 0.4)) * 40))
        gain = gain * (1 - 0.95 * np.exp(-(((across - where) / width) ** 2)) * behind)
    if what == "dark band":
        top, thick = rng.uniform(0.1, 0.25), rng.uniform(0.1, 0.3)
        inside = (depth > top) & (depth < top + thick)
        gain = np.where(inside, gain * rng.uniform(0, 0.03), gain)
    if what == "one side dark":
        edge = rng.uniform(0.25, 0.45)
        lost = 1 / (1 + np.exp(-(edge - across) * 60))
        ring = rng.uniform(0.02, 0.12) if rng.random() < 0.7 else 0.0  # the near field still rings
        lost = np.where(depth < ring, 0.0, lost)
        lost = lost[:, ::-1] if rng.random() < 0.5 and _symmetric(truth) else lost
        gain = gain * (1 - rng.uniform(0.97, 1.0) * lost)
    gain = np.where(truth, gain, 0.0)
    overlay = np.full(shape, np.nan)
    if what != "fills the frame" and rng.random() < 0.7:
        _write_around(rng, overlay, truth)
    if what == "letters on tissue":
        _write_on(rng, overlay, truth)
    return HardScreen(
        kind,
        truth,
        gain,
        overlay,
        noise=float(rng.choice([0, 0, 1.5, 3])),
        still=float(rng.uniform(0, 0.7)),
        quality=int(rng.integers(55, 96)),
        seed=seed,
    )


def _symmetric(truth: NDArray[np.bool_]) -> bool:
    return bool((truth == truth[:, ::-1]).mean() > 0.98)


def _tilt(rng: np.random.Generator) -> float:
    return float(rng.choice([rng.uniform(10, 35), rng.uniform(-35, -10), 90, 180]))


Maps = tuple["NDArray[np.bool_]", "NDArray[np.float64]", "NDArray[np.float64]"]


def _scan(rng: np.random.Generator, kind: str, shape: tuple[int, int], tilt: float) -> Maps:
    """Return where a scan is, and how deep and how far across each pixel lies in it, 0..1."""
    height, width = shape
    y, x = np.mgrid[:height, :width] + 0.5
    if kind == "unknown":
        return np.ones(shape, bool), y / height, x / width
    if tilt:
        angle, cy, cx = np.radians(tilt), height / 2, width / 2
        dy, dx = y - cy, x - cx
        y = cy + np.cos(angle) * dy - np.sin(angle) * dx
        x = cx + np.sin(angle) * dy + np.cos(angle) * dx
    top, middle = rng.uniform(0.02, 0.15) * height, rng.uniform(0.45, 0.55) * width
    if kind == "linear":
        half, bottom = rng.uniform(0.2, 0.4) * width, rng.uniform(0.75, 0.97) * height
        depth, across = (y - top) / (bottom - top), (x - middle) / (2 * half) + 0.5
    else:
        half = np.radians(rng.uniform(25, 36) if kind == "curved" else rng.uniform(35, 45))
        reach = rng.uniform(0.75, 1.0) * height  # of the outer arc, from the top
        inner = rng.uniform(0.15, 0.5) * reach if kind == "curved" else 0.01 * reach
        apex = top - inner
        radius, angle = np.hypot(y - apex, x - middle), np.arctan2(x - middle, y - apex)
        depth, across = (radius - inner) / reach, angle / (2 * half) + 0.5
    truth = (depth > 0) & (depth < 1) & (across > 0) & (across < 1)
    return truth, depth.clip(0, 1), across.clip(0, 1)


def _side_by_side(full: NDArray[Any]) -> NDArray[Any]:
    half = full[:, ::2]
    return np.concatenate([half, half], axis=1)[:, : full.shape[1]]


def _write_around(
    rng: np.random.Generator, overlay: NDArray[Any], truth: NDArray[np.bool_]
) -> None:
    """Write a name, settings and a grey bar where there is no scan."""
    image = Image.new("L", overlay.shape[::-1])
    draw = ImageDraw.Draw(image)
    height, width = overlay.shape
    draw.text((4, 2), NAME, fill=230)
    draw.text((width - 60, height // 2), "MI 0.7\nTIS 0.1\nLUNG", fill=200)
    for row in range(60, height - 60):
        draw.line([(3, row), (9, row)], fill=255 - 200 * row // height)
    for row in range(30, height, 30):
        draw.line([(width - 6, row), (width - 2, row)], fill=int(rng.integers(150, 255)))
    written = np.asarray(image).astype(float)
    apart = (written > 0) & ~ndimage.binary_dilation(truth, iterations=2)
    overlay[apart] = written[apart]


def _write_on(rng: np.random.Generator, overlay: NDArray[Any], truth: NDArray[np.bool_]) -> None:
    """Write words and callipers over the scan, some of them outlined in black."""
    image = Image.new("LA", overlay.shape[::-1])
    draw = ImageDraw.Draw(image)
    rows, columns = np.nonzero(truth)
    for text in ("R3 LUNG", "+ 4.2 cm", "B-LINES", "CLINIC NORTH 07"):
        i = rng.integers(len(rows))
        at = (int(columns[i]) - 20, int(rows[i]))
        draw.text(
            at, text, fill=(235, 255), stroke_width=int(rng.integers(0, 2)), stroke_fill=(0, 255)
        )
    written = np.asarray(image)
    overlay[written[..., 1] > 128] = written[..., 0][written[..., 1] > 128]
