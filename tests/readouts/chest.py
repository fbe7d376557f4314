"""A cohort of one patient examined twice, whose findings are boxes of known size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Cohort, Status
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (48, 64)
N_FRAMES = 3

Marks = dict[str, tuple[int, int, int, int]]
"""By class a box (y0, x0, y1, x1)."""

PLEURA = (10, 0, 13, 64)


def b_line(left: int, right: int) -> tuple[int, int, int, int]:
    return (13, left, 48, right)


def make(
    location: Path, clips: dict[str, tuple[str, str, Marks]], rater: str = "ada", reviewed: int = 2
) -> Cohort:
    """Clips by name: zone, tag, and what is marked at 100 % on the reviewed frames."""
    cohort = Cohort.create(location, name="toy")
    for name, (zone, tag, _) in clips.items():
        add_clip(cohort, name, n_frames=N_FRAMES, shape=SHAPE)
        cohort.clip(name).update_meta(zone=zone or None, tags=(tag,) if tag else ())
    read(cohort, {name: marks for name, (_, _, marks) in clips.items()}, rater, reviewed)
    return Cohort.open(location)


def read(cohort: Cohort, marks: dict[str, Marks], rater: str, reviewed: int = 2) -> None:
    """Let a rater mark clips, and review the first frames of each."""
    for name, boxes in marks.items():
        made = cohort.clip(name).create_rater(rater, kind="human", label=rater.capitalize())
        status = made.read_status()
        status[:reviewed] = Status.REVIEWED
        for frame in range(reviewed):
            for class_name, (y0, x0, y1, x1) in boxes.items():
                plane = np.zeros(SHAPE, np.uint8)
                plane[y0:y1, x0:x1] = 100
                made.write_plane(frame, cohort.meta.class_index(class_name), plane)
        made.write_status(status)


CLIPS: dict[str, tuple[str, str, Marks]] = {
    "r1-old": ("R1", "day 0", {"pleura": PLEURA, "b-line": b_line(0, 8)}),
    "r1-new": ("R1", "day 3", {"pleura": PLEURA, "b-line": b_line(0, 48)}),
    "l4-old": ("L4", "day 0", {"pleura": PLEURA}),
    "l4-new": ("L4", "day 3", {"pleura": PLEURA, "consolidation": (20, 20, 30, 30)}),
    "l4-again": ("L4", "day 3", {"pleura": PLEURA}),
    "l2-new": ("L2", "day 3", {"pleura": PLEURA}),
    "nowhere": ("", "day 3", {}),
}
"""12 % of the pleura becomes 75 %, a consolidation comes up, one zone is new, one clip has none."""
