"""A cohort of any size on disk, quickly made: noise, and boxes that three raters marked."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import ClipMeta, Cohort, Provenance, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

RATERS = ("anna", "ben", "chris")
FRAMES_PER_CLIP = 500
MARKED = 1  # class of six that a rater marks on each frame
PROCESSES = 2
_PLANES = 64  # different ones a clip


def make_large_cohort(folder: Path, n_frames: int, shape: tuple[int, int] = (256, 256)) -> Cohort:
    """Make `n_frames` frames of several patients, each marked by three raters, in processes."""
    cohort = Cohort.create(folder / "large.zarr", name="large")
    n_clips = max(4, -(-n_frames // FRAMES_PER_CLIP))
    lengths = [n_frames * (i + 1) // n_clips - n_frames * i // n_clips for i in range(n_clips)]
    jobs = [(cohort.location, i, length, shape) for i, length in enumerate(lengths) if length]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.starmap(_make_clip, jobs, chunksize=1)
    return Cohort.open(cohort.location)


def _make_clip(location: str, number: int, n_frames: int, shape: tuple[int, int]) -> None:
    cohort, rng = Cohort.open(location), np.random.default_rng(number)
    name = f"clip-{number:05}"
    # Sixteen grey values, so that a frame packs to half its size, as ultrasound does.
    noise = rng.integers(0, 16, (16, *shape), dtype=np.uint8) * 16
    with cohort.new_clip(name, shape=shape) as new:
        for t in range(n_frames):
            new.append(np.roll(noise[t % 16], t, axis=0))
        times = tuple(t / 20 for t in range(n_frames))
        provenance = Provenance(source_sha256=f"{number:064x}", decoder="noise")
        new.finish(ClipMeta(patient=f"p{number:05}", frame_times=times, provenance=provenance))
    clip = cohort.clip(name)
    planes = [_ellipse(shape, rng) for _ in range(_PLANES)]
    for rater_name in RATERS:
        rater = clip.create_rater(rater_name, kind="human")
        rater.write_each(_marks(n_frames, rater.shape[1], planes, rng))
        rater.write_status(np.full(rater.shape[:2], Status.REVIEWED, np.uint8))


def _marks(
    n_frames: int, n_classes: int, planes: list[NDArray[np.uint8]], rng: np.random.Generator
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield a plane for each marked class of each frame."""
    for t in range(n_frames):
        for c in rng.permutation(n_classes)[:MARKED].tolist():
            yield t, c, planes[rng.integers(len(planes))]


def _ellipse(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a plane with an ellipse that has a rim of less confidence."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    cy, cx = rng.uniform(0.2, 0.8, 2) * shape
    ry, rx = rng.uniform(0.04, 0.2, 2) * shape
    away = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2
    plane = np.zeros(shape, np.uint8)
    plane[away < 1] = 50
    plane[away < 0.6] = rng.integers(6, 11) * 10
    return plane
