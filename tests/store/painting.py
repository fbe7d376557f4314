"""A rater made of plain numpy: what the planes, the status and the record ought to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Edit, Patch, RaterWriter, StatusChange

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store import Cohort
    from napari_confseg.store.segments import EntryId


def on_machine(cohort: Cohort, folder: Path) -> RaterWriter:
    """Open the rater with journals of its own, as another machine would."""
    return RaterWriter.open(cohort, "clip-1", "reader-a", journal_root=folder)


def seen(writer: RaterWriter) -> set[EntryId]:
    """Return the acts that a window which takes everything from `writer` now shows."""
    pending = writer._pending_edits
    with pending.lock:
        access = writer._write_access
        known = set(access.line.ids) | {e.id for e in pending.pending}
        if access.rater is not None:  # what has reached the store since
            for segment in access.rater.record.read().segments:
                if segment.session == access._lease.session:
                    known |= {e.id for e in segment.entries}
    return known


@dataclass
class Painter:
    """Paints through a writer, as the panel does, and keeps a list of states as the oracle.

    `states[k]` is what planes and status are after k edits that stand; undo and redo move
    `position` along it.
    """

    writer: RaterWriter
    planes: NDArray[np.uint8] = field(init=False)
    status: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.reload()

    def reload(self) -> None:
        """Take planes and status from the writer."""
        classes = range(self.writer.shape[1])
        self.planes = np.stack([self.writer.load_planes(c) for c in classes], axis=1)
        self.status = self.writer.load_status()

    def rectangle(
        self, frame: int, class_index: int, y: int, x: int, h: int, w: int, value: int
    ) -> Edit:
        """Paint a rectangle here and return the act for it."""
        box = self.planes[frame, class_index, y : y + h, x : x + w]
        before = box.copy()
        box[:] = value
        mark = self.status[frame, class_index]
        self.status[frame, class_index] = 1
        change = () if mark == 1 else (StatusChange(frame, class_index, int(mark), 1),)
        patch = Patch(class_index, frame, y, x, before, box.copy())
        tool = "brush" if value else "erase"
        return Edit((patch,), value, tool, class_index, frame, change)

    def random(self, rng: np.random.Generator) -> Edit:
        """Paint something anywhere and return the act for it."""
        t, c, height, width = self.planes.shape
        y, x = int(rng.integers(height - 1)), int(rng.integers(width - 1))
        h, w = int(rng.integers(1, height - y + 1)), int(rng.integers(1, width - x + 1))
        value = int(rng.choice([0, 30, 60, 90, 100, 255]))
        return self.rectangle(int(rng.integers(t)), int(rng.integers(c)), y, x, h, w, value)

    def apply(self, edit: Edit | None) -> None:
        """Apply what undo or redo gave."""
        if edit is None:
            return
        for patch in edit.patches:
            patch.apply(self.planes[patch.frame, patch.class_index])
        for change in edit.status:
            self.status[change.frame, change.class_index] = change.after

    def assert_stored(self, cohort: Cohort, clip: str, rater: str) -> None:
        """Compare what another reader finds in the store with what is here."""
        stored = cohort.clip(clip).rater(rater)
        for c in range(self.planes.shape[1]):
            np.testing.assert_array_equal(stored.read_planes(c), self.planes[:, c])
        np.testing.assert_array_equal(stored.read_status(), self.status)
        assert stored.read_strokes() == self.writer.strokes()
