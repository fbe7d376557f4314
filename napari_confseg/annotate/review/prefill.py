"""Prefill of an adjudication: edits that copy what all raters agree on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_confseg.agreement.rater_view import planes_of, rater_views
from napari_confseg.annotate.patches import patch_between
from napari_confseg.annotate.review.decisions import TOOL, agreed_plane
from napari_confseg.store import Edit, Patch, Status, StatusChange

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_confseg.annotate.review.decisions import DecisionBasis
    from napari_confseg.store import Clip


LARGEST: Final = 16 * 2**20
"""Bytes of patches from which on a further edit is begun: one is packed as a whole."""


def prefill_edits(
    clip: Clip,
    basis: DecisionBasis,
    frames: NDArray[np.bool_],
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Edit] | None:
    """Return the edits that copy what all raters agree on, by class; None if cancelled.

    Frames with nothing to decide become reviewed, the others "in progress".

    Parameters
    ----------
    clip : Clip
        Read only.
    basis : DecisionBasis
        Raters and settings of the comparison.
    frames : ndarray of bool (T, C)
        Where to: compared, and not touched by the adjudicator yet.
    progress : callable, optional
        Called with (frames done, frames).
    cancelled : callable, optional
        Checked before each frame.
    """
    views = rater_views(clip, basis.raters)
    total, done = int(frames.sum()), 0
    edits: list[Edit] = []
    for c in np.flatnonzero(frames.any(axis=0)).tolist():
        builder = _EditBuilder(basis, c)
        for frame in np.flatnonzero(frames[:, c]).tolist():
            if cancelled and cancelled():
                return None
            if progress:
                progress(done, total)
            done += 1
            planes = planes_of(views, frame, c, clip.shape[1:])
            plane, undecided = agreed_plane(planes, basis.threshold, basis.narrowest)
            builder.add(frame, _patches(c, frame, plane), undecided)
        edits += builder.edits()
    return edits


def _patches(c: int, frame: int, plane: NDArray[np.uint8]) -> list[Patch]:
    """Return a patch for each connected part."""
    # Parts far apart would make one patch of mostly nothing.
    whole = patch_between(c, frame, np.zeros_like(plane), plane)
    if whole is None:
        return []
    labels, n = ndimage.label(whole.after)
    found = []
    for number, place in enumerate(ndimage.find_objects(labels, n), 1):
        after = np.where(labels[place] == number, whole.after[place], np.uint8(0))
        y, x = whole.y + place[0].start, whole.x + place[1].start
        found.append(Patch(c, frame, y, x, np.zeros_like(after), after))
    return found


class _EditBuilder:
    """Collects patches and statuses of one class into edits of limited size."""

    def __init__(self, basis: DecisionBasis, class_index: int) -> None:
        self._decision = basis.decision("begin")
        self._class = class_index
        self._edits: list[Edit] = []
        self._patches: list[Patch] = []
        self._status: list[StatusChange] = []
        self._bytes = 0

    def add(self, frame: int, patches: list[Patch], undecided: bool) -> None:
        after = Status.IN_PROGRESS if undecided else Status.REVIEWED
        self._status.append(StatusChange(frame, self._class, Status.UNTOUCHED, after))
        self._patches += patches
        self._bytes += 2 * sum(p.after.size for p in patches)
        if self._bytes > LARGEST:
            self._cut()

    def _cut(self) -> None:
        if self._status:
            self._edits.append(
                Edit(
                    tuple(self._patches),
                    0,
                    TOOL.format("begin"),
                    self._class,
                    self._status[0].frame,
                    tuple(self._status),
                    self._decision,
                )
            )
        self._patches, self._status, self._bytes = [], [], 0

    def edits(self) -> list[Edit]:
        self._cut()
        return self._edits


def only_untouched(edit: Edit, status: NDArray[np.uint8]) -> Edit | None:
    """Return `edit` without frames that were touched since it was made; None if none is left."""
    changes = tuple(s for s in edit.status if status[s.frame, s.class_index] == Status.UNTOUCHED)
    frames = {s.frame for s in changes}
    patches = tuple(p for p in edit.patches if p.frame in frames)
    return replace(edit, patches=patches, status=changes, frame=min(frames)) if frames else None
