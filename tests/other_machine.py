"""Another machine that writes the same rater: its lease, then its strokes."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_confseg.annotate.patches import patch_between
from napari_confseg.store import Edit, RaterWriter, Status, StatusChange

if TYPE_CHECKING:
    import numpy as np

    from napari_confseg.store import Cohort

Box = tuple[int, int, int, int]


class OtherMachine:
    """Takes over a rater of a clip, and may paint there; it has a journal of its own.

    Parameters
    ----------
    cohort : Cohort
        In a folder.
    clip, rater : str
        What it writes.
    journals : Path
        Its state folder.
    """

    def __init__(self, cohort: Cohort, clip: str, rater: str, journals: Path) -> None:
        self._cohort, self._clip, self._rater = cohort, clip, rater
        self._journals = journals
        self._lease: Path | None = None

    def take_over(self, name: str = "ann", host: str = "ward-7") -> None:
        """Claim the next number, as a machine that found our heartbeat to be old."""
        folder = Path(self._cohort.location) / self._clip / "raters" / self._rater / "record"
        taken = [int(p.name.split(".")[0].split("-")[0]) for p in folder.iterdir()]
        self._lease = folder / f"{max(taken, default=0) + 1:06d}.lease"
        says = {"name": name, "host": host, "pid": 1, "since": datetime.now(UTC).isoformat()}
        new = self._lease.with_name("new.partial")  # whole or not at all, as a writer would
        new.write_text(json.dumps(says | {"session": "a" * 32, "beats": 0}))
        new.replace(self._lease)

    def leave(self) -> None:
        """Give the lease back."""
        if self._lease is not None:
            self._lease.unlink()
            self._lease = None

    def paint(
        self, frame: int, box: Box, value: int, class_index: int = 0, *, reviewed: bool = False
    ) -> None:
        """Set a box (y0, x0, y1, x1) of one frame to `value`, and leave."""
        self.leave()
        with RaterWriter.open(
            self._cohort, self._clip, self._rater, journal_root=self._journals
        ) as writer:
            before = writer.load_planes(class_index)[frame]
            after = before.copy()
            after[box[0] : box[2], box[1] : box[3]] = value
            patch = patch_between(class_index, frame, before, after)
            assert patch is not None
            was = int(writer.load_status()[frame, class_index])
            now = Status.REVIEWED if reviewed else Status.IN_PROGRESS
            status = (StatusChange(frame, class_index, was, int(now)),) if was != now else ()
            writer.commit(Edit((patch,), value, "brush", class_index, frame, status))
            assert writer.flush(20)


def stored(cohort: Cohort, clip: str, rater: str, frame: int, class_index: int = 0) -> np.ndarray:
    """One plane of one frame as it is in the store."""
    return cohort.clip(clip).rater(rater).read_plane(frame, class_index)


def wait_for(true: object, seconds: float = 30) -> None:
    """Wait until `true()`; a thread of the store is to notice something."""
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
