"""The journal: every edit, undo and redo of one rater on one clip, safe on the local disk.

SQLite in WAL mode with ``synchronous=FULL``: what :meth:`Journal.append` has taken survives
``kill -9`` and a power cut. It lives on the local disk only; WAL does not work on network drives.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, Self
from uuid import uuid4

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from napari_confseg.store.durable import fsync_folder, make_folders
from napari_confseg.store.edits import Edit, unpack
from napari_confseg.store.strokes import Stroke

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEEP = 2000
"""Edits that stay undoable after closing; older ones are pruned once they are in the store."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,     -- edit, undo or redo
    edit INTEGER NOT NULL,   -- id of the edit's own entry
    stroke TEXT,            -- of edits: the line of the record
    data BLOB               -- of edits: what `pack` made
);
"""


def journal_folder() -> Path:
    """Return where journals live: ``$CONFSEG_STATE_DIR``, or the user's state folder."""
    root = os.environ.get("CONFSEG_STATE_DIR")
    return Path(root) if root else user_state_path("napari-confseg", appauthor=False)


def journal_path(root: Path, cohort_id: str, clip: str, rater: str, place: str) -> Path:
    """Return the file of a journal.

    The place counts too: what waits for a cohort on a drive that is away must not end in the copy
    on the laptop.
    """
    where = hashlib.sha256(place.encode()).hexdigest()[:12]
    return root / "journals" / cohort_id / clip / f"{rater}.{where}.sqlite"


@dataclass(frozen=True)
class Entry:
    """One line of the journal, with the edit it is about.

    Attributes
    ----------
    id : int
        Order in the journal.
    kind : {"edit", "undo", "redo"}
        What happened.
    edit_id : int
        Entry in which the edit was committed; `id` itself for an edit.
    stroke : Stroke
        The edit's line in the record.
    data : bytes
        The packed edit.
    """

    id: int
    kind: Literal["edit", "undo", "redo"]
    edit_id: int
    stroke: Stroke
    data: bytes

    def effect(self) -> Edit:
        """Return what this entry does to the planes: the edit, or its inverse for an undo."""
        edit = unpack(self.data)
        return edit.inverted() if self.kind == "undo" else edit

    def record(self) -> Stroke:
        """Return the edit's line in the record as it is after this entry."""
        return self.stroke.model_copy(update={"undone": self.kind == "undo"})


class JournalHeldError(Exception):
    """Another program has this journal open."""


class Journal:
    """The open journal of one rater on one clip; one program has it at a time.

    Raises
    ------
    JournalHeldError
        If another program has it open.
    OSError, sqlite3.Error
        If the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = Lock()
        make_folders(path.parent)
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise JournalHeldError(str(path)) from error
        self.set_aside: Path | None = None
        try:
            try:
                self._db = self._open()
            except sqlite3.OperationalError:
                raise  # a full or read-only disk: nothing is wrong with the file
            except sqlite3.DatabaseError:
                self.set_aside = self._put_aside()
                self._db = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _put_aside(self) -> Path:
        """Rename a file that is no journal; the writer tells where it went."""
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        return self.path.replace(self.path.with_name(f"{self.path.name}.unreadable-{uuid4().hex}"))

    @classmethod
    def open_or_adopt(cls, path: Path, session: str | None) -> Self:
        """Open the journal at `path`; if there is none, begin with a copy of one that follows on.

        A cohort that was moved or copied has its journal under another name. The one that was
        last in step with `session`, the store's last writer, is right for this place as well.
        """
        if not path.exists():
            rater = path.name.split(".")[0]
            for other in sorted(path.parent.glob(f"{rater}.*.sqlite")):
                with suppress(OSError, sqlite3.Error, JournalHeldError):
                    cls._copy_if_in_step(other, path, session)
                if path.exists():
                    break
        return cls(path)

    @classmethod
    def _copy_if_in_step(cls, other: Path, path: Path, session: str | None) -> None:
        journal = cls(other)
        try:
            if session in {journal.fact("session"), journal.fact("next_session")}:
                partial = path.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                copy = sqlite3.connect(partial)
                journal._db.backup(copy)
                copy.close()
                partial.replace(path)
        finally:
            journal.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            # A write, so that the WAL file exists before its folder is synced.
            db.execute("INSERT OR REPLACE INTO fact VALUES ('schema', '1')")
            fsync_folder(self.path.parent)
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._mutex:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def append(self, entries: Sequence[Entry]) -> None:
        """Take `entries`, all or none; when this returns they are safe."""
        rows = [
            (
                e.id,
                e.kind,
                e.edit_id,
                *((e.stroke.model_dump_json(), e.data) if e.kind == "edit" else (None, None)),
            )
            for e in entries
        ]
        with self._transaction():
            self._db.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", rows)

    def _entries(self, where: str, *values: int) -> list[Entry]:
        sql = (
            "SELECT e.id, e.kind, a.id, a.stroke, a.data FROM entry e JOIN entry a ON a.id = e.edit"
            f" WHERE {where} ORDER BY e.id"
        )
        with self._mutex:
            rows = self._db.execute(sql, values).fetchall()
        return [Entry(i, k, a, Stroke.model_validate_json(s), d) for i, k, a, s, d in rows]

    def after(self, entry_id: int) -> list[Entry]:
        """Return the entries after `entry_id`, in order, each with its edit."""
        return self._entries("e.id > ?", entry_id)

    def edit(self, edit_id: int) -> Entry:
        """Return the entry of the edit `edit_id`.

        Raises
        ------
        KeyError
            If it was pruned.
        """
        for found in self._entries("e.id = ?", edit_id):
            return found
        raise KeyError(edit_id)

    def outline(self) -> list[tuple[int, str, int, Stroke | None]]:
        """Return (id, kind, edit id, stroke of an edit) of every entry, in order."""
        with self._mutex:
            rows = self._db.execute(
                "SELECT id, kind, edit, stroke FROM entry ORDER BY id"
            ).fetchall()
        return [(i, k, a, Stroke.model_validate_json(s) if s else None) for i, k, a, s in rows]

    def fact(self, name: str) -> str | None:
        """Return what is noted under `name`."""
        with self._mutex:
            row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def mark_applied(self, entry_id: int, session: str) -> None:
        """Note that everything up to `entry_id` is in the store, brought there by `session`.

        Not synced: should a power cut take this note, the entries are applied once more, which
        changes nothing.
        """
        with self._mutex:
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                self._db.executemany(
                    "INSERT OR REPLACE INTO fact VALUES (?, ?)",
                    [("session", session), ("applied", str(entry_id))],
                )
            finally:
                self._db.execute("PRAGMA synchronous=FULL")

    def rewrite(
        self,
        strokes: Iterable[tuple[int, Stroke]] = (),
        drop: Iterable[int] = (),
        **facts: object,
    ) -> None:
        """Give edits (by entry id) new lines of record, drop entries, note facts; all or none."""
        with self._transaction():
            self._db.executemany(
                "UPDATE entry SET stroke = ? WHERE id = ?",
                [(stroke.model_dump_json(), i) for i, stroke in strokes],
            )
            self._db.executemany("DELETE FROM entry WHERE id = ?", [(i,) for i in drop])
            for name, value in facts.items():
                self._db.execute("DELETE FROM fact WHERE name = ?", (name,))
                if value is not None:
                    self._db.execute("INSERT INTO fact VALUES (?, ?)", (name, str(value)))

    def prune(self) -> None:
        """Forget what is in the store and older than the newest ``KEEP`` edits."""
        applied = int(self.fact("applied") or 0)
        newest = "SELECT id FROM entry WHERE kind = 'edit' ORDER BY id DESC LIMIT 1 OFFSET ?"
        with self._transaction():
            row = self._db.execute(newest, (KEEP,)).fetchone()
            if row is not None:
                self._db.execute("DELETE FROM entry WHERE id <= ?", (min(int(row[0]), applied),))

    def close(self) -> None:
        """Let go of the journal."""
        try:
            self._db.close()
        finally:
            self._lock.release()
