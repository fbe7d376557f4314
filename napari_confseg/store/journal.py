"""The journal: what one rater did on one clip, safe on the local disk until the store has it.

SQLite in WAL mode with ``synchronous=FULL``: what :meth:`Journal.append` has taken survives
``kill -9`` and a power cut. It lives on the local disk only; WAL does not work on network drives.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from napari_confseg.store.durable import fsync_folder, make_private_folder
from napari_confseg.store.segments import Entry, EntryId, Position
from napari_confseg.store.strokes import Stroke

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.store.record import Line

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, -- order
    session TEXT NOT NULL,  -- with number: the identity
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    of_session TEXT,        -- with of_number: the edit that is undone or redone
    of_number INTEGER,
    stroke TEXT,
    data BLOB NOT NULL
);
"""
_COLUMNS = "session, number, kind, of_session, of_number, stroke, data"


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
        make_private_folder(path.parent)
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise JournalHeldError(str(path)) from error
        self.set_aside: Path | None = None
        self.rescued = 0
        try:
            try:
                self._db = self._open()
            except sqlite3.OperationalError:
                raise  # a full or read-only disk: nothing is wrong with the file
            except sqlite3.DatabaseError:
                self.set_aside = self._put_aside()
                self._db = self._open()
                rescued = rescue(self.set_aside)
                self.append(rescued)
                self.rescued = len(rescued)
        except BaseException:
            self._lock.release()
            raise

    def _put_aside(self) -> Path:
        """Rename a file that is no journal, with its write-ahead log; the writer tells where.

        Nothing is deleted: the log may hold strokes that were never brought to the store.
        """
        aside = self.path.with_name(f"{self.path.name}.unreadable-{uuid4().hex}")
        for suffix in ("-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
        return self.path.replace(aside)

    @classmethod
    def open_or_adopt(cls, path: Path, line: Line) -> Self:
        """Open the journal at `path`; if there is none, begin with a copy of one that follows on.

        A cohort that was moved or copied has its journal under another name. The one that was
        last in step with `line`, the record in the store, is right for this place as well.
        """
        if not path.exists():
            rater = path.name.split(".")[0]
            for other in sorted(path.parent.glob(f"{rater}.*.sqlite")):
                with suppress(OSError, sqlite3.Error, JournalHeldError):
                    cls._copy_if_in_step(other, path, line)
                if path.exists():
                    break
        return cls(path)

    @classmethod
    def _copy_if_in_step(cls, other: Path, path: Path, line: Line) -> None:
        journal = cls(other)
        try:
            newest = {e.id for e in line.segments[-1].entries} if line.segments else set()
            # It may have ended before it could note what had reached the store.
            if journal.tip == line.tip or newest & {e.id for e in journal.entries()}:
                partial = path.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                _make_private(partial)
                copy = sqlite3.connect(partial)
                journal._db.backup(copy)
                copy.close()
                partial.replace(path)
        finally:
            journal.close()

    def _open(self) -> sqlite3.Connection:
        _make_private(self.path)
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("pages of it are damaged")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            # A write, so that the WAL file exists before its folder is synced.
            db.execute("INSERT OR REPLACE INTO fact VALUES ('schema', '2')")
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
        with self._transaction():
            self._insert(entries)

    def _insert(self, entries: Sequence[Entry]) -> None:
        rows = [
            (
                *e.id,
                e.kind,
                *(e.of or (None, None)),
                None if e.stroke is None else e.stroke.model_dump_json(),
                e.data,
            )
            for e in entries
        ]
        sql = f"INSERT INTO entry ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._db.executemany(sql, rows)

    def entries(self) -> list[Entry]:
        """Return what the store has not got, in order."""
        with self._mutex:
            return list(_read_entries(self._db))

    def forget(self, entries: Sequence[Entry], tip: Position) -> None:
        """Remove `entries`, which the store has since `tip` and which were read back there.

        Not synced: should a power cut take this note, they are found in the record by their
        identity, and left out.
        """
        with self._mutex:
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(
                    "DELETE FROM entry WHERE session = ? AND number = ?", [e.id for e in entries]
                )
                self._db.execute("INSERT OR REPLACE INTO fact VALUES ('tip', ?)", (str(tip),))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._db.execute("PRAGMA synchronous=FULL")

    def replace(self, entries: Sequence[Entry], **facts: object) -> None:
        """Hold `entries` in place of all others, and note facts; all or none."""
        with self._transaction():
            self._db.execute("DELETE FROM entry")
            self._insert(entries)
            self._note(facts)

    def note(self, **facts: object) -> None:
        """Note facts durably; None forgets one."""
        with self._transaction():
            self._note(facts)

    def _note(self, facts: dict[str, object]) -> None:
        for name, value in facts.items():
            self._db.execute("DELETE FROM fact WHERE name = ?", (name,))
            if value is not None:
                self._db.execute("INSERT INTO fact VALUES (?, ?)", (name, str(value)))

    def fact(self, name: str) -> str | None:
        """Return what is noted under `name`."""
        with self._mutex:
            row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    @property
    def tip(self) -> Position | None:
        """The segment of the store that what is held here was made after; None if unknown."""
        epoch, _, number = (self.fact("tip") or "").partition("-")
        return Position(int(epoch), int(number)) if epoch.isdigit() and number.isdigit() else None

    def close(self) -> None:
        """Let go of the journal."""
        try:
            self._db.close()
        finally:
            self._lock.release()


def _read_entries(db: sqlite3.Connection) -> Iterator[Entry]:
    sql = f"SELECT {_COLUMNS} FROM entry ORDER BY id"
    for session, number, kind, of_session, of_number, stroke, data in db.execute(sql):
        yield Entry(
            EntryId(session, number),
            kind,
            None if stroke is None else Stroke.model_validate_json(stroke),
            data,
            None if of_session is None else EntryId(of_session, of_number),
        )


def rescue(path: Path) -> list[Entry]:
    """Return the entries that can still be read from a damaged journal.

    As it is first; then from its write-ahead log alone, which holds whole pages: of a journal that
    was never written back it holds all.
    """
    best: list[Entry] = []
    for blank in (False, True):
        work = path.with_name(f"{path.name}.rescue")
        parts = [work.with_name(work.name + suffix) for suffix in ("", "-wal", "-shm")]
        try:
            work.write_bytes(b"" if blank else path.read_bytes())
            wal = path.with_name(f"{path.name}-wal")
            if wal.exists():
                parts[1].write_bytes(wal.read_bytes())
            found: list[Entry] = []
            with suppress(sqlite3.Error, ValueError), closing(sqlite3.connect(work)) as db:
                for entry in _read_entries(db):
                    found.append(entry)  # one by one: up to where the damage is
            best = max(best, found, key=len)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
    return best


def _make_private(path: Path) -> None:
    """Make an empty file that this account alone can read, unless it is there."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
