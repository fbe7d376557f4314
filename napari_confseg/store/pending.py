"""Pending edits: committed, not in the store yet, safe in the journal."""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Condition, RLock
from typing import TYPE_CHECKING

from napari_confseg.store.backend import place
from napari_confseg.store.clip_notes import ClipNotes, parse_changes
from napari_confseg.store.errors import sentence
from napari_confseg.store.history import History
from napari_confseg.store.journal import (
    Entry,
    Journal,
    JournalHeldError,
    journal_folder,
    journal_path,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.lease import Holder
    from napari_confseg.store.strokes import Stroke


@dataclass(frozen=True)
class SaveState:
    """What is safe, and where.

    Attributes
    ----------
    saved_at : datetime or None
        When the last edit became safe.
    waiting : int
        Edits, undos and redos that are safe in the journal and not yet in the store.
    problem : str or None
        Why the store or the journal can't be reached, in one sentence.
    unsaved : int
        Edits that neither journal nor store could take yet: lost if the program ends now.
    read_only : bool
        Whether commits are refused, or wait until another writer is done.
    holder : Holder or None
        Who writes instead of us.
    """

    saved_at: datetime | None = None
    waiting: int = 0
    problem: str | None = None
    unsaved: int = 0
    read_only: bool = False
    holder: Holder | None = None


class PendingEdits:
    """Entries in order: first the journal, then the store, and until then in memory.

    Attributes
    ----------
    lock, wake : threading.RLock, threading.Condition
        Guard everything here; whoever appends, applies or stops notifies `wake`.
    pending : deque of Entry
        What the store has not got.
    history : History
        What can be undone, and the record of strokes.
    problem : str or None
        Why the journal can't be written.
    saved_at : datetime or None
        When the last entry became safe, in the journal or else in the store.
    notes : ClipNotes
        The reader's notes on the clip, the store's with pending changes.
    """

    def __init__(self, path: Path) -> None:
        self.lock = RLock()
        self.wake = Condition(self.lock)
        self.pending: deque[Entry] = deque()
        self.history = History()
        self.problem: str | None = None
        self.saved_at: datetime | None = None
        self.notes = ClipNotes()
        self._notes_changes: set[str] = set()
        self._notes_number = 0
        self._path = path
        self._journal: Journal | None = None
        self._unsaved: list[Entry] = []

    @property
    def unsaved(self) -> int:
        """How many entries neither journal nor store has."""
        first = self.pending[0].id if self.pending else self.history.next_id
        return sum(e.id >= first for e in self._unsaved)

    @property
    def lags(self) -> bool:
        """Whether the journal lacks anything, be it in the store or not."""
        return bool(self._unsaved)

    def open(self, session: str | None) -> bool:
        """Open the journal; return False if another program of this account has it.

        Parameters
        ----------
        session : str or None
            The store's last writer: a cohort that was moved finds its journal by it.
        """
        if self._journal is None:
            try:
                self._journal = Journal.open_or_adopt(self._path, session)
            except JournalHeldError:
                return False
            except (OSError, sqlite3.Error) as error:
                self.problem = f"the journal can't be opened: {sentence(error)}"
                return True
            if self._journal.set_aside:
                self.problem = (
                    f"the journal was damaged and is set aside: {self._journal.set_aside}"
                )
        return True

    def load(
        self, record: Sequence[Stroke], notes: ClipNotes, session: str | None, *, become: str | None
    ) -> None:
        """Find out what waits and what can be undone; see :meth:`History.load`."""
        self.notes, self._notes_changes = notes, set()
        waits = self._journal.fact("notes") if self._journal is not None else None
        if waits:
            with suppress(ValueError):  # notes of another version must not cost the strokes
                changes = parse_changes(waits)
                self.notes, self._notes_changes = notes.changed(changes), set(changes)
        if self._journal is not None and become:
            with suppress(OSError, sqlite3.Error):
                self._journal.prune()
        self.history, waiting = History.load(self._journal, record, session, become=become)
        self.pending = deque(waiting)
        self.saved_at = max((s.time for s in self.history.strokes.values()), default=None)

    def append(self, entry: Entry) -> None:
        """Append `entry`; it is safe on return unless `unsaved` counts it."""
        self.history.append(entry)
        self.pending.append(entry)
        self._unsaved.append(entry)
        self.save()
        self.wake.notify_all()

    def save(self) -> bool:
        """Try to get what is unsaved into the journal; return whether all of it is there."""
        if not self._unsaved:
            return True
        try:
            if self._journal is None:
                self._journal = self._late_journal()
            self._journal.append(self._unsaved)
        except (OSError, sqlite3.Error, JournalHeldError) as error:
            self.problem = f"the journal can't be written: {sentence(error)}"
            return False
        self._unsaved.clear()
        self.problem = None
        self.saved_at = datetime.now(UTC)
        return True

    def _late_journal(self) -> Journal:
        """Open a journal that couldn't be opened in the beginning."""
        journal = Journal(self._path)
        if journal.outline():
            journal.close()
            raise OSError("it holds strokes of an earlier time: open this clip anew")
        return journal

    def change_notes(self, changes: Mapping[str, object]) -> None:
        """Change the reader's notes; the journal has them on return, if it can.

        Raises
        ------
        ValueError
            If a field breaks its rule.
        """
        self.notes = self.notes.changed(changes)
        self._notes_changes |= changes.keys()
        self._notes_number += 1
        if self._journal is not None:
            # A disk that refuses costs the detour only: the store gets it in a moment.
            with suppress(OSError, sqlite3.Error):
                self._journal.rewrite(notes=self.notes.excerpt(self._notes_changes))
        self.wake.notify_all()

    @property
    def unsaved_notes(self) -> tuple[int, ClipNotes] | None:
        """The number and the notes that the store has not got; None if it has all."""
        return (self._notes_number, self.notes) if self._notes_changes else None

    def notes_saved(self, number: int) -> None:
        """Strike off the notes of `number`, which the store has; newer ones stay pending."""
        if number == self._notes_number:
            self._notes_changes = set()
            if self._journal is not None:
                # Not noted, they are written once more at the next opening, which changes nothing.
                with suppress(OSError, sqlite3.Error):
                    self._journal.rewrite(notes=None)
        self.wake.notify_all()

    @property
    def idle(self) -> bool:
        """Whether the store has everything."""
        return not self.pending and not self._notes_changes

    def find(self, edit_id: int) -> Entry:
        """Return the entry of an edit; ``KeyError`` if it was pruned."""
        for entry in self._unsaved:
            if entry.id == edit_id:
                return entry
        if self._journal is None:
            raise KeyError(edit_id)
        return self._journal.edit(edit_id)

    def applied(self, batch: Sequence[Entry], session: str) -> None:
        """Strike off `batch`, which `session` has brought to the store."""
        for _ in batch:
            self.pending.popleft()
        if self._unsaved and self._unsaved[-1].id <= batch[-1].id:
            self.saved_at = datetime.now(UTC)  # safe in the store if not in the journal
        if self._journal is not None:
            # Not noted, they are applied once more at the next opening, which changes nothing.
            with suppress(OSError, sqlite3.Error):
                self._journal.mark_applied(batch[-1].id, session)
        self.wake.notify_all()

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def waiting(cohort: Cohort, clip: str, rater: str, *, journal_root: Path | None = None) -> int:
    """Return how many edits, undos and redos of `rater` on `clip` are not in the store yet.

    They are safe in the journal, and reach the store when the rater next opens the clip here.
    """
    root = journal_root or journal_folder()
    path = journal_path(root, cohort.meta.cohort_id, clip, rater, place(cohort.store))
    if not path.is_file():
        return 0
    sql = (
        "SELECT COUNT(*) FROM entry WHERE id > "
        "COALESCE((SELECT CAST(value AS INTEGER) FROM fact WHERE name = 'applied'), 0)"
    )
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return int(db.execute(sql).fetchone()[0])
    except sqlite3.Error:  # damaged: the writer sets it aside and says so
        return 0
