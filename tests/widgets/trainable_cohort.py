"""A cohort that a small network learns in seconds: bright bars and discs in noise, reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Cohort, Status
from tests.conftest import clip_meta

if TYPE_CHECKING:
    from pathlib import Path


def make(
    location: Path, *, patients: int = 4, n_frames: int = 6, shape: tuple[int, int] = (96, 128)
) -> Cohort:
    """Make a cohort with one clip a patient: a bright bar is pleura, a bright disc a B-line.

    Rater ``ann`` has marked and reviewed all of it, the discs at 90 %, every third one at 40 %.
    """
    rng = np.random.default_rng(7)
    cohort = Cohort.create(location, name=location.name.removesuffix(".zarr"))
    names = [c.name for c in cohort.meta.classes]
    pleura, b_line = names.index("pleura"), names.index("b-line")
    s = shape[0] / 96
    y, x = (axis / s for axis in np.ogrid[: shape[0], : shape[1]])
    for p in range(patients):
        clip = f"clip-{p + 1}"
        bars, discs = [], []
        with cohort.new_clip(clip, shape=shape) as new:
            for t in range(n_frames):
                top, cy, cx = 15 + 2 * t + 3 * p, 60 + 2 * t, 30 + 12 * t + 5 * p
                bar = (y >= top) & (y < top + 8) & (x > 8) & (x < 120)
                disc = (y - cy) ** 2 + (x - cx) ** 2 < 14**2
                frame = rng.normal(50, 12, shape) + 90 * bar + 150 * disc
                new.append(frame.clip(0, 255).astype(np.uint8))
                bars.append(bar)
                discs.append(disc)
            new.finish(clip_meta(n_frames, patient=f"p{p + 1}"))
        rater = cohort.clip(clip).create_rater("ann", kind="human", label="Ann")
        for t in range(n_frames):
            rater.write_plane(t, pleura, (bars[t] * np.uint8(80)).astype(np.uint8))
            disc_at = np.uint8(40 if t % 3 == 2 else 90)
            rater.write_plane(t, b_line, (discs[t] * disc_at).astype(np.uint8))
        status = rater.read_status()
        status[:, [pleura, b_line]] = Status.REVIEWED
        rater.write_status(status)
    return cohort
