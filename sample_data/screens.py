"""What becomes of a scanner's picture until somebody opens it: crops, screens, compression.

A clip may be cut tightly out of its sector, so that no black is left around it, or show the whole
screen with its texts, scales and buttons; it was compressed, often more than once, and scaled.
"""

from __future__ import annotations

import io
import string
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from sample_data.variety import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIGHT, WHOLE = 0.45, 0.35
"""How often the sector is cut out, and how often the whole screen is shown; else as it is."""


def on_screen(rng: np.random.Generator, view: View) -> View:
    """Return the view as it might reach a reader: cropped or on a screen, marked, compressed."""
    fate = rng.random()
    if fate < TIGHT:
        view = cropped(rng, view)
    elif fate < TIGHT + WHOLE:
        view = framed(rng, view)
    if rng.random() < 0.35:
        view = View(marked(rng, view.frame), view.percent, view.inside)
    return View(compressed(rng, view.frame), view.percent, view.inside)


def cropped(rng: np.random.Generator, view: View) -> View:
    """Return a part that holds most of the sector, often squarely within it."""
    rows, columns = (np.flatnonzero(view.inside.any(axis)) for axis in (1, 0))
    box = []
    for places, least in ((rows, 0.1), (columns, 0.22)):
        size = places[-1] - places[0] + 1
        # Never much above, where the pleura is.
        first = places[0] + int(size * rng.uniform(-0.03, least))
        last = places[-1] + 1 - int(size * rng.uniform(-0.03, 0.22))
        box.append(slice(max(0, first), last))
    y, x = box
    return View(view.frame[y, x], view.percent[:, y, x], view.inside[y, x])


def framed(rng: np.random.Generator, view: View) -> View:
    """Return the view on a larger screen, with texts, a scale and boxes around the sector."""
    height, width = view.frame.shape
    above, below, left, right = (
        int(rng.uniform(0, 0.3) * s) for s in (height, height, width, width)
    )
    shape = height + above + below, width + left + right
    y, x = slice(above, above + height), slice(left, left + width)
    inside = np.zeros(shape, bool)
    inside[y, x] = view.inside
    percent = np.zeros((len(view.percent), *shape), np.uint8)
    percent[:, y, x] = view.percent
    ground = int(rng.choice([0, 0, 0, 12, 30, 60]))
    picture = Image.new("L", shape[::-1], ground)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.poisson(6)):
        text(rng, draw, shape)
    for _ in range(rng.poisson(1.5)):
        x0, y0 = int(rng.uniform(0, shape[1])), int(rng.uniform(0, shape[0]))
        size = rng.uniform(4, 60, 2)
        corner = (x0 + int(size[0]), y0 + int(size[1]))
        draw.rectangle((x0, y0, *corner), int(rng.uniform(20, 255)))
    grey = np.array(picture)
    if rng.random() < 0.4:  # the bar of grey values
        x0, wide = int(rng.uniform(0, shape[1] - 8)), int(rng.uniform(3, 8))
        y0, y1 = np.sort(rng.uniform(0, shape[0], 2)).astype(int)
        grey[y0:y1, x0 : x0 + wide] = np.linspace(255, 0, y1 - y0).astype(np.uint8)[:, None]
    black = rng.random() < 0.5  # the picture's own rectangle is black, or the screen shows through
    shown = view.inside | black
    grey[y, x] = np.where(shown, view.frame, grey[y, x])
    grey[inside] = view.frame[view.inside]
    return View(grey, percent, inside)


def marked(rng: np.random.Generator, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame with what is drawn over the sector: a scale, focus marks, calipers."""
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture)
    height, width = frame.shape
    white = int(rng.uniform(90, 255))
    if rng.random() < 0.6:  # a scale of depth, at a side
        x = int(rng.choice([rng.uniform(0, 0.1), rng.uniform(0.9, 1)]) * width)
        step = rng.uniform(0.04, 0.2) * height
        for y in np.arange(rng.uniform(0, 0.1) * height, height, step):
            draw.line((x, y, x + int(rng.uniform(1, 6)), y), white)
    if rng.random() < 0.5:
        text(rng, draw, frame.shape)
    for _ in range(rng.poisson(0.6)):
        at, down, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1.5, 5)
        draw.line((at - r, down, at + r, down), white)
        draw.line((at, down - r, at, down + r), white)
    if rng.random() < 0.25:  # the mark of the probe's side
        at, down, r = rng.uniform(0.1, 0.9) * width, rng.uniform(0, 0.1) * height, rng.uniform(2, 6)
        draw.ellipse((at - r, down - r, at + r, down + r), white)
    return np.array(picture)


def text(rng: np.random.Generator, draw: ImageDraw.ImageDraw, shape: tuple[int, ...]) -> None:
    """Write letters and digits somewhere."""
    letters = rng.choice(
        list(string.ascii_letters + string.digits + " .:%"), int(rng.integers(2, 14))
    )
    place = (rng.uniform(-0.05, 0.95) * shape[1], rng.uniform(0, 0.97) * shape[0])
    size = float(rng.uniform(6, 16))
    draw.text(place, "".join(letters), int(rng.uniform(80, 255)), font_size=size)


def compressed(rng: np.random.Generator, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame after scaling there and back, and a codec's blocks; often unchanged."""
    picture = Image.fromarray(frame)
    if rng.random() < 0.3:
        share = rng.uniform(0.4, 0.9)
        width, height = picture.size
        small = picture.resize(
            (max(16, round(width * share)), max(16, round(height * share))),
            Image.Resampling.BILINEAR,
        )
        picture = small.resize((width, height), Image.Resampling.BICUBIC)
    if rng.random() < 0.6:
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=int(rng.integers(8, 85)))
        picture = Image.open(packed)
    return np.array(picture)
