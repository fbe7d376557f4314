"""Labels into a cohort: one act a clip, so it comes whole or not at all, and can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import (
    Act,
    Patch,
    Problem,
    RaterWriter,
    Status,
    StatusChange,
    StoreError,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.dataset.imports.common import Labels
    from napari_confseg.store import Clip, Cohort

FLUSH_SECONDS = 120.0


def write_labels(
    cohort: Cohort, clip: Clip, rater: str, labels: Labels, label: str | None = None
) -> None:
    """Commit `labels` as one act of `rater` on `clip`, and wait until the store has it.

    Raises
    ------
    StoreError
        If the rater has marked or reviewed anything there, somebody else holds the planes, or the
        disk refuses; the clip is then as it was.
    """
    _check_untouched(clip, rater)
    if not labels.planes and not labels.reviewed:
        raise StoreError(Problem("nothing-found", clip.name, "a mark or a reviewed frame", "none"))
    act = _act(labels)
    writer = RaterWriter.open(cohort, clip.name, rater, label=label)
    try:
        writer.commit(act)
        if writer.state.unsaved or not writer.flush(FLUSH_SECONDS):
            found = writer.state.problem or "it is still waiting"
            raise StoreError(
                Problem("disk", f"{clip.name}/raters/{rater}", "a store that takes it", found,
                        "What the journal holds comes in when the clip is opened next.")
            )  # fmt: skip
    finally:
        writer.abandon()


def _check_untouched(clip: Clip, rater: str) -> None:
    if rater not in clip.raters():
        return
    there = clip.rater(rater)
    if there.stored_chunks() or there.read_status().any():
        raise StoreError(
            Problem("exists", f"{clip.name}/raters/{rater}", "nothing of this rater yet",
                    "marks or reviewed frames", "Import under another name.")
        )  # fmt: skip


def _act(labels: Labels) -> Act:
    patches = tuple(
        _patch(frame, index, plane) for (frame, index), plane in sorted(labels.planes.items())
    )
    changes = [
        StatusChange(frame, index, Status.UNTOUCHED, Status.REVIEWED)
        for frame, index in sorted(labels.reviewed)
    ]
    changes += [
        StatusChange(frame, index, Status.UNTOUCHED, Status.IN_PROGRESS)
        for frame, index in sorted(labels.planes.keys() - labels.reviewed)
    ]
    frame, index = min([*labels.planes, *labels.reviewed])
    values = {int(p.after.max()) for p in patches}
    confidence = max((v for v in values if v <= 100), default=0)
    return Act(patches, confidence, "import", index, frame, tuple(changes))


def _patch(frame: int, index: int, plane: NDArray[np.uint8]) -> Patch:
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    y, x = int(rows[0]), int(columns[0])
    box = plane[y : rows[-1] + 1, x : columns[-1] + 1]
    return Patch(index, frame, y, x, np.zeros_like(box), box.copy())
