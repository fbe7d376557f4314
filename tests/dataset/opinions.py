"""Raters for the tests: planes that differ in known ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
