"""Mending of a rater's files, by its one writer: what the record comes to is put in their place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store.codec import encode
from napari_confseg.store.segments import strokes_of
from napari_confseg.store.view import View, dump_snapshot

if TYPE_CHECKING:
    from napari_confseg.store.rater import Rater
    from napari_confseg.store.segments import Position


def mend(rater: Rater, epoch: int, session: str) -> list[str]:
    """Make planes, status, notes and view what the record comes to; return what was wrong.

    Planes without a record are taken as they are if they have no view yet.

    Parameters
    ----------
    rater : Rater
        Whose.
    epoch, session : int, str
        Of the writer, which the view then names.

    Raises
    ------
    StoreError
        If the record does not go back far enough to tell what they should be.
    """
    files = rater.files
    if files.now(fresh=True) is None:
        files.put_view(replace(files.as_they_are(), session=session), epoch)
        return []
    wrong = files.faults()
    if wrong:
        state, line = files.state(), rater.record.read()
        sums = np.zeros(rater.shape[:2], np.uint32)
        # An empty plane has no file: what is stored beyond the record goes.
        planes = dict.fromkeys(files.chunks(), np.zeros(rater.shape[2:], np.uint8)) | state.planes
        for key, value in rater.put_planes(planes.items()).items():
            sums[key] = value
        standing = sum(not s.undone for s in strokes_of(line.entries()))
        notes, status = rater.put_notes(state.notes), rater.put_status(state.status)
        files.put_view(View(session, line.tip, standing, sums, status, notes), epoch)
    return wrong


def accept_files(rater: Rater) -> None:
    """Take planes, status and notes as they are; for raters whose record can't tell."""
    names, view = rater.files.look()
    strokes = 0 if view is None else view.strokes
    rater.files.put_view(replace(rater.files.as_they_are(), tip=names.tip, strokes=strokes))


def put_snapshot(rater: Rater, position: Position) -> None:
    """Keep all planes, status and notes as they are at `position` of the record."""
    # Plane by plane: a whole state may be larger than memory.
    chunks = {(t, c): encode(rater.read_plane(t, c)) for t, c in rater.stored_chunks()}
    data = dump_snapshot(chunks, rater.read_status(), rater.read_clip_notes())
    rater.record.put_snapshot(position, data)
    rater.files.forget()
