"""A rater's files, each compared with what the record says of it before it is believed."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_confseg.store.clip_notes import NOTES
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.layout import PLANES, STATUS, chunk_key
from napari_confseg.store.record import Names, Record, view_name
from napari_confseg.store.view import MAX_VIEW, State, View, checksum, parse_view, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_confseg.store.backend import KeyValueStore
    from napari_confseg.store.segments import Position

T = TypeVar("T")
MAX_NOTES = 4 * 2**20
"""Bytes of a reader's notes: seconds on each of 100,000 frames."""


class CheckedFiles:
    """Planes, status, notes and view of one rater as files, and the record that tells of them.

    Parameters
    ----------
    keys : KeyValueStore
        The cohort's storage.
    path : str
        The rater's group.
    shape : tuple of int
        (T, C, Y, X).

    Attributes
    ----------
    record : Record
        What was done, edit by edit.
    max_file : int
        Bytes; no file of planes, status or notes is larger.
    """

    def __init__(self, keys: KeyValueStore, path: str, shape: tuple[int, int, int, int]) -> None:
        self._keys = keys
        self._path, self._shape = path, shape
        self._lock = RLock()
        self._view: View | None = None
        self._names: Names | None = None
        self._state: tuple[Position | None, State] | None = None
        self.record = Record(keys, path)
        size = max(math.prod(shape[2:]), math.prod(shape[:2]), MAX_NOTES)
        self.max_file = size + size // 128 + 1024  # zstd grows what it can't compress by less

    # -- what holds

    def now(self, *, fresh: bool = False) -> View | State | None:
        """Return the view if it follows from the record, else the state that the record comes to.

        None if there is neither: then the files are all that there is.
        """
        with self._lock:
            if fresh or self._names is None:
                self._names, self._view = self.look()
            tip = self._names.tip
            if self._view is not None and self._view.tip == tip:
                return self._view
            if tip is None and self._view is None:
                return None
            return self.state()

    def view(self) -> View:
        """Return the view, which must follow from the record: for the rater's one writer.

        Raises
        ------
        StoreError
            If it does not.
        """
        now = self.now(fresh=True)
        if not isinstance(now, View):
            raise StoreError(
                Problem("plane-changed", self._path, "Somebody else is writing these planes")
            )
        return now

    def look(self) -> tuple[Names, View | None]:
        """Return what files of the record there are, and the newest view, be it right or not."""
        names = self.record.names()
        for epoch in reversed(names.views):
            key = self.record.key(view_name(epoch))
            data = self._keys.get(key, limit=MAX_VIEW)
            if data is not None:  # else its writer has just put a newer one in its place
                # Damaged, it says nothing: the record does then, or the files, whose codec has a
                # checksum of its own. `validate` names it.
                with suppress(StoreError):
                    return names, parse_view(data, key, self._shape[:2])
                return names, None
        if names.tip is None:
            self._keys.check_there(self._path)
        return names, None

    def state(self) -> State:
        """Return what the record comes to.

        Raises
        ------
        StoreError
            If it does not go back far enough to tell.
        """
        with self._lock:
            line = self.record.read()
            if self._state is not None and self._state[0] == line.tip:
                return self._state[1]
            state = replay(self.record, line, self._shape)
            if state is None or not (line.segments or line.names.snapshots):
                self._keys.check_there(self._path)
                raise StoreError(
                    Problem(
                        "plane-changed",
                        self._path,
                        "Planes or status are not what this rater's writer left, and the record "
                        "does not hold what they were",
                        hint="Run the program that made them again, or take them as they are with "
                        "`confseg validate --repair --accept-changed`.",
                    )
                )
            self._state = line.tip, state
            return state

    # -- files

    def chunks(self) -> list[tuple[int, int]]:
        """Return the sorted (frame, class index) pairs that have a file."""
        n_frames, n_classes = self._shape[:2]
        found = self._keys.chunks(f"{self._path}/{PLANES}")
        return [(t, c) for t, c in found if t < n_frames and c < n_classes]

    def fetch(self, key: str) -> bytes | None:
        """Return a file as it is; what is too large or no file at all reads as damaged."""
        try:
            return self._keys.get(key, limit=self.max_file)
        except StoreError:
            if self._names is None or self._names.tip is None:
                raise
            return b""  # the record says what should be there

    def sum_of(self, key: str) -> int:
        """Return the checksum of a file as it is; 0 if there is none."""
        return checksum(self.fetch(key))

    def read(
        self, key: str, expected: Callable[[View], int | None], parse: Callable[[bytes | None], T]
    ) -> T | State:
        """Return what `parse` makes of a file, or the record's state if the file is another's.

        `expected` tells the checksum that it should have; None for whatever is there.
        """
        for fresh in (False, True):  # somebody may have written since we looked
            now = self.now(fresh=fresh)
            if isinstance(now, State):
                return now
            data = self.fetch(key)
            if now is None or (wanted := expected(now)) is None or checksum(data) == wanted:
                return parse(data)
        if self._names is not None and self._names.tip is None:
            parse(data)  # there is no record: this says so if it is damaged
        return self.state()

    def faults(self, sums: Mapping[str, int] | None = None) -> list[str]:
        """Return the keys of files that are not what the view says.

        Parameters
        ----------
        sums : mapping of str to int, optional
            Checksums of chunks that were just read; all others are read for it.
        """
        read = sums or {}
        now = self.now(fresh=True)
        if isinstance(now, State):
            return [self.record.path]
        if now is None:
            return []
        expected = {(int(t), int(c)) for t, c in np.argwhere(now.planes)}
        wrong = []
        for t, c in sorted({*self.chunks()} | expected):
            key = chunk_key(self._path, t, c)
            if (read[key] if key in read else self.sum_of(key)) != now.planes[t, c]:
                wrong.append(key)
        status, notes = f"{self._path}/{STATUS}", f"{self._path}/{NOTES}"
        if self.sum_of(status) != now.status:
            wrong.append(status)
        if now.tip is not None and self.sum_of(notes) != now.notes:
            wrong.append(notes)
        return wrong

    # -- the view, for the rater's one writer

    def as_they_are(self) -> View:
        """Return the view that takes all files as they are."""
        view = View.empty(self._shape[:2])
        for t, c in self.chunks():
            view.planes[t, c] = self.sum_of(chunk_key(self._path, t, c))
        status, notes = (self.sum_of(f"{self._path}/{name}") for name in (STATUS, NOTES))
        return replace(view, status=status, notes=notes)

    def put_view(self, view: View, epoch: int | None = None) -> None:
        """Write the view file of a session: that of `epoch`, else of the newest one."""
        with self._lock:
            if epoch is None:
                names = self._names or self.record.names()
                epoch = max((*names.views, *(p[0] for p in names.packs)), default=0)
            self._keys.set(self.record.key(view_name(epoch)), view.dump())
            self.forget()

    def forget(self) -> None:
        """Look at the files anew before the next answer."""
        self._names = self._view = None
