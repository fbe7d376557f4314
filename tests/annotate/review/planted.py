"""A toy cohort whose raters differ in planted ways, and what is to become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import DEFAULT_CLASSES, Cohort, Status
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.annotate.review.model import Review

B_LINE = 2
SHAPE = (96, 128)
AGREED = np.s_[10:30, 10:20]  # frames 0..4: ada 90, bo 70
MISSED = [np.s_[40:60, 20 + t : 30 + t] for t in range(6)]  # frames 1..3: ada 80 alone
LARGE, SMALL = np.s_[50:80, 80:110], np.s_[58:72, 88:102]  # frame 4: ada 60, bo 100
"""Where things are, (y, x). Frame 5 was reviewed by ada alone."""


def planted_cohort(folder: Path, *, clips: int = 2) -> Cohort:
    """Two readers of B-lines who reviewed everything but bo's last frame."""
    cohort = Cohort.create(folder / "cohort.zarr", name="toy", classes=DEFAULT_CLASSES[:3])
    for number in range(1, clips + 1):
        add_clip(cohort, f"clip-{number}", shape=SHAPE, patient=f"p{number}")
        mark(cohort, f"clip-{number}")
    return cohort


def mark(cohort: Cohort, clip_name: str) -> None:
    """Let ada and bo read a clip."""
    clip = cohort.clip(clip_name)
    for name, sure, label in (("ada", 90, "Dr. Ada"), ("bo", 70, "Dr. Bo")):
        rater = clip.create_rater(name, kind="human", label=label)
        for frame in range(5):
            plane = np.zeros(SHAPE, np.uint8)
            plane[AGREED] = sure
            if name == "ada" and 1 <= frame <= 3:
                plane[MISSED[frame]] = 80
            if frame == 4:
                plane[LARGE if name == "ada" else SMALL] = 60 if name == "ada" else 100
            rater.write_plane(frame, B_LINE, plane)
        status = np.full((6, 3), Status.REVIEWED, np.uint8)
        if name == "bo":
            status[5] = Status.UNTOUCHED
        rater.write_status(status)


def begun_planes() -> np.ndarray:
    """What is there, ``(T, C, Y, X)``, once what both agree on is copied at its mean."""
    planes = np.zeros((6, 3, *SHAPE), np.uint8)
    planes[:5, B_LINE][:, *AGREED] = 80
    planes[4, B_LINE][SMALL] = 80
    return planes


def finish(review: Review) -> None:
    """Do in this thread what is pending."""
    while (pending := review.state.pending) is not None:
        job = review.job()
        assert job is not None
        review.finish_job(pending, job(lambda *_: None, lambda: False))
