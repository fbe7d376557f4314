"""Raters for the tests: planes that differ in known ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_confseg.store import Status

if TYPE_CHECKING:
    from napari_confseg.store import Cohort


def truth_blob(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A latent probability 0..1 with a soft edge."""
    y, x = np.indices(shape)
    cy, cx = rng.uniform(0.3, 0.7) * shape[0], rng.uniform(0.3, 0.7) * shape[1]
    r = rng.uniform(0.15, 0.3) * min(shape)
    return 1 / (1 + np.exp((np.hypot(y - cy, x - cx) - r) / (0.2 * r)))


def read_clip(
    cohort: Cohort,
    clip_name: str,
    raters: dict[str, tuple[float, float]],
    *,
    seed: int = 0,
    unreviewed: int = 1,
    classes: int = 2,
) -> None:
    """Let raters, name -> (scale, noise), mark the first `classes` classes of a clip.

    Each leaves out the last `unreviewed` frames, and frame 0 is empty for everybody.
    """
    clip = cohort.clip(clip_name)
    n_frames, *shape = clip.shape
    made = {name: clip.create_rater(name, kind="human") for name in raters}
    for number, (name, (scale, noise)) in enumerate(raters.items()):
        own = np.random.default_rng([seed, number])
        status = np.zeros((n_frames, len(cohort.meta.classes)), np.uint8)
        for c in range(classes):
            shared = np.random.default_rng([seed, c])
            for frame in range(n_frames - unreviewed):
                latent = truth_blob(shared, (shape[0], shape[1]))
                status[frame, c] = Status.REVIEWED
                if frame == 0:
                    continue
                seen = latent + noise * own.standard_normal() * latent * (1 - latent)
                plane = np.clip(100 * scale * seen, 0, 100).astype(np.uint8)
                made[name].write_plane(frame, c, np.where(plane < 5, 0, plane).astype(np.uint8))
        made[name].write_status(status)


def ambiguous_frames(
    seed: int, n: int = 40, shape: tuple[int, int] = (64, 80)
) -> list[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
    """Frames as (truth, latent probability, planes of three raters) with blur all raters share.

    ``a`` uses the scale as it is meant and overlooks 5 % of the things, ``b`` says about 60 % of
    what is meant and overlooks 10 %, ``c`` half as much again and overlooks 25 %.
    """
    rng = np.random.default_rng(seed)
    habits = {"a": (1.0, 0.0, 0.08, 0.05), "b": (0.6, 0.0, 0.1, 0.1), "c": (1.5, 0.15, 0.12, 0.25)}
    y, x = np.indices(shape)

    def smooth(sigma: float) -> np.ndarray:
        noise = gaussian_filter(rng.standard_normal(shape), sigma)
        return noise / noise.std()

    frames = []
    for _ in range(n):
        things = []
        for _ in range(rng.integers(0, 4)):
            cy, cx = rng.uniform(8, shape[0] - 8), rng.uniform(8, shape[1] - 8)
            disc = ((y - cy) * rng.uniform(0.6, 1.6)) ** 2 + (x - cx) ** 2 < rng.uniform(4, 11) ** 2
            things.append(gaussian_filter(disc.astype(float), 2.5) * rng.uniform(0.35, 1))
        latent = np.max(things, 0) if things else np.zeros(shape)
        rank = smooth(4).ravel().argsort().argsort().reshape(shape) / latent.size
        planes = {}
        for name, (gain, offset, spread, overlooks) in habits.items():
            seen = np.zeros(shape)
            for thing in things:
                if rng.random() >= overlooks:
                    doubt = spread * smooth(5) * np.sqrt(4 * thing * (1 - thing))
                    said = gain * (thing + doubt) + offset * (thing > 0.1)
                    seen = np.maximum(seen, np.clip(said, 0, 1))
            planes[name] = (10 * np.round(10 * seen)).astype(np.uint8)
        frames.append((rank < latent, latent, planes))
    return frames
