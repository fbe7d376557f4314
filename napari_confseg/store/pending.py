"""Pending edits: committed, not in the store yet, safe in the journal."""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from threading import Condition, RLock
from typing import TYPE_CHECKING

from napari_confseg.store.backend import place
from napari_confseg.store.clip_notes import ClipNotes, parse_changes
from napari_confseg.store.conflict import Conflict, as_on_line, meet, newer_than, touched
from napari_confseg.store.errors import sentence
from napari_confseg.store.history import History
from napari_confseg.store.journal import Journal, JournalHeldError, journal_folder, journal_path
from napari_confseg.store.segments import Entry, EntryId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.lease import Holder
    from napari_confseg.store.record import Line
    from napari_confseg.store.segments import Kind, Position
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
    taken_over : bool
        Whether `holder` has taken over from us, rather than having been there first.
    may_pass : bool
        Whether commits are refused for what may pass by itself, as a full disk does.
    conflict : Conflict or None
        Older strokes that met newer ones: nothing can be painted until a person has decided.
    """

    saved_at: datetime | None = None
    waiting: int = 0
    problem: str | None = None
    unsaved: int = 0
    read_only: bool = False
    holder: Holder | None = None
    taken_over: bool = False
    may_pass: bool = False
    conflict: Conflict | None = None


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
    conflict : Conflict or None
        What a person has to decide before anything is brought to the store.
    """

    def __init__(self, path: Path) -> None:
        self.lock = RLock()
        self.wake = Condition(self.lock)
        self.pending: deque[Entry] = deque()
        self.history = History()
        self.problem: str | None = None
        self.saved_at: datetime | None = None
        self.notes = ClipNotes()
        self.conflict: Conflict | None = None
        self._session, self._count = "", 0
        self._notes_changes: set[str] = set()
        self._notes_number = 0
        self._path = path
        self._journal: Journal | None = None
        self._unsaved: list[Entry] = []
        self._refused = False

    @property
    def unsaved(self) -> int:
        """How many entries neither journal nor store has."""
        waiting = {e.id for e in self.pending}
        return sum(e.id in waiting for e in self._unsaved) if self._unsaved else 0

    @property
    def lags(self) -> bool:
        """Whether the journal lacks anything, or refused what came last."""
        return bool(self._unsaved) or self._refused

    def open(self, line: Line) -> bool:
        """Open the journal; return False if another program of this account has it.

        Parameters
        ----------
        line : Line
            The record in the store: a cohort that was moved finds its journal by it.
        """
        if self._journal is None:
            try:
                self._journal = Journal.open_or_adopt(self._path, line)
            except JournalHeldError:
                return False
            except (OSError, sqlite3.Error) as error:
                self.problem = f"the journal can't be opened: {sentence(error)}"
                return True
            if self._journal.set_aside:
                n = self._journal.rescued
                kept = f"{n} strokes were rescued from it" if n else "nothing in it could be read"
                self.problem = (
                    f"the journal was damaged, {kept}; it is kept as {self._journal.set_aside}"
                )
        return True

    def load(self, line: Line, notes: ClipNotes, session: str | None) -> None:
        """Find out what waits, what can be undone, and whether a person has to decide.

        Parameters
        ----------
        line : Line
            The record in the store.
        notes : ClipNotes
            The notes in the store.
        session : str or None
            Ours, if we are the writer from here on; None only looks.
        """
        self._load_notes(notes)
        on = line.ids
        self._session = session or self._session
        held = [] if self._journal is None else self._journal.entries()
        mine = as_on_line([e for e in held if e.id not in on], line)
        base = None if self._journal is None else self._journal.tip
        self.conflict = meet(mine, newer_than(line, base), {e.id for e in held}) if mine else None
        pending = [] if self.conflict else mine
        if self.conflict is None:
            pending += self._stranded(line, on, mine)
        if session and self._journal is not None:
            with suppress(OSError, sqlite3.Error):
                if not self.conflict:
                    self._journal.replace(pending, tip=line.tip)
                elif len(mine) < len(held):
                    self._journal.replace(mine)
        self.history = History.of([*line.entries(), *pending])
        self.pending = deque(pending)
        times = [s.time for s in self.history.strokes.values()]
        self.saved_at = max(times, default=None)

    def _stranded(self, line: Line, on: set[EntryId], mine: Sequence[Entry]) -> list[Entry]:
        """Return what sessions wrote that had lost their right, if it meets nothing newer.

        Else it becomes the conflict. What meets `mine`, or what another such session wrote, waits
        for the next opening: it is compared with the line when those are on it.
        """
        known = on | {e.id for e in mine}
        taken, found = touched(mine), list[Entry]()
        for _, group in groupby(line.stranded, key=lambda s: s.position.epoch):
            segments = list(group)
            left = [e for s in segments for e in s.entries if e.id not in known]
            planes = touched(left)
            if planes & taken:
                taken |= planes
                continue
            taken |= planes
            conflict = meet(left, newer_than(line, segments[0].parent), known=set())
            if conflict is None:
                found += as_on_line(left, line)
            else:
                self.conflict = self.conflict or conflict
        return found

    def decide(self, entries: Sequence[Entry], tip: Position | None) -> None:
        """Put `entries` in the place of what was in conflict; they wait for the store then.

        Raises
        ------
        OSError, sqlite3.Error
            If the journal can't be written; nothing is decided then.
        """
        if self._journal is not None:
            self._journal.replace(entries, tip=tip)
        for entry in entries:
            self.history.append(entry)
        self.pending.extend(entries)
        self.conflict = None
        self.wake.notify_all()

    def _load_notes(self, notes: ClipNotes) -> None:
        self.notes, self._notes_changes = notes, set()
        waits = self._journal.fact("notes") if self._journal is not None else None
        if waits:
            with suppress(ValueError):  # notes of another version must not cost the strokes
                changes = parse_changes(waits)
                self.notes, self._notes_changes = notes.changed(changes), set(changes)

    def new_id(self) -> EntryId:
        """Return the identity of the next entry."""
        self._count += 1
        return EntryId(self._session, self._count)

    def commit(self, kind: Kind, stroke: Stroke, data: bytes, of: EntryId | None = None) -> Entry:
        """Append an entry; it is safe on return unless `unsaved` counts it."""
        entry = Entry(self.new_id(), kind, stroke, data, of)
        self.history.append(entry)
        self.pending.append(entry)
        self._unsaved.append(entry)
        self.save()
        self.wake.notify_all()
        return entry

    def save(self) -> bool:
        """Try to get what is unsaved into the journal; return whether all of it is there."""
        if not self.lags:
            return True
        try:
            if self._journal is None:
                self._journal = self._late_journal()
            if self._unsaved:
                self._journal.append(self._unsaved)
            else:  # the store has it meanwhile: find out whether the journal works again
                self._journal.note(tried=1)
        except (OSError, sqlite3.Error, JournalHeldError) as error:
            self.problem = f"the journal can't be written: {sentence(error)}"
            self._refused = True
            return not self._unsaved
        if self._unsaved:
            self._unsaved.clear()
            self.saved_at = datetime.now(UTC)
        self._refused = False
        self.problem = None
        return True

    def _late_journal(self) -> Journal:
        """Open a journal that couldn't be opened in the beginning."""
        journal = Journal(self._path)
        if journal.entries():
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
                self._journal.note(notes=self.notes.excerpt(self._notes_changes))
        self.wake.notify_all()

    @property
    def unsaved_notes(self) -> tuple[int, Entry] | None:
        """The number of the notes that the store has not got, and their entry; None if it has."""
        if not self._notes_changes:
            return None
        changes = self.notes.excerpt(self._notes_changes).encode()
        return self._notes_number, Entry(self.new_id(), "notes", None, changes)

    def notes_saved(self, number: int) -> None:
        """Strike off the notes of `number`, which the store has; newer ones stay pending."""
        if number == self._notes_number:
            self._notes_changes = set()
            if self._journal is not None:
                # Not noted, they are written once more at the next opening, which changes nothing.
                with suppress(OSError, sqlite3.Error):
                    self._journal.note(notes=None)
        self.wake.notify_all()

    @property
    def idle(self) -> bool:
        """Whether the store has everything."""
        return not self.pending and not self._notes_changes

    def applied(self, n: int, tip: Position) -> None:
        """Strike off the first `n` entries, which the store has in the segment `tip`."""
        batch = [self.pending.popleft() for _ in range(n)]
        if batch and self._unsaved and batch[-1].id == self._unsaved[-1].id:
            self.saved_at = datetime.now(UTC)  # safe in the store if not in the journal
        gone = {e.id for e in batch}
        if self._unsaved:
            self._unsaved = [e for e in self._unsaved if e.id not in gone]
        if self._journal is not None:
            # Not noted, they are found in the record at the next opening.
            with suppress(OSError, sqlite3.Error):
                self._journal.forget(batch, tip)
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
    path = journal_path(root, cohort.meta.cohort_id, clip, rater, "")
    if not path.parent.is_dir():
        return 0  # as for most of thousands; to tell the place of the store takes longer
    path = journal_path(root, cohort.meta.cohort_id, clip, rater, place(cohort.store))
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT COUNT(*) FROM entry").fetchone()[0])
    except sqlite3.Error:  # damaged: the writer sets it aside and says so
        return 0
