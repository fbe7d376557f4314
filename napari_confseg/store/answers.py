"""Answers about clips that were worked out before, in the person's own cache folder.

Only ever a saving: a cache that is missing, damaged, locked or on a full disk costs time and
nothing else.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 256 * 2**20
"""What the cache holds at most; the questions that were asked longest ago go first."""

_TABLES = """
CREATE TABLE IF NOT EXISTS question (id TEXT PRIMARY KEY, asked INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS answer (
    question TEXT NOT NULL, clip TEXT NOT NULL, signature TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (question, clip)
) WITHOUT ROWID;
"""


def cache_folder() -> Path:
    """Return the folder of the cache: ``$CONFSEG_CACHE_DIR``, or the user's."""
    given = os.environ.get("CONFSEG_CACHE_DIR")
    return Path(given) if given else user_cache_path("napari-confseg", appauthor=False)


class Answers:
    """Answers to one question about the clips of one cohort.

    Parameters
    ----------
    question : str
        What tells the question, its options and the cohort from all others.
    """

    def __init__(self, question: str) -> None:
        self._question = question
        self._known: dict[str, tuple[str, bytes]] = {}
        self._path = cache_folder() / "answers.sqlite"
        try:
            with closing(self._open()) as db, db:
                rows = db.execute(
                    "SELECT clip, signature, value FROM answer WHERE question = ?", (question,)
                )
                self._known = {clip: (signature, value) for clip, signature, value in rows}
        except (sqlite3.Error, OSError, TypeError, ValueError):
            self._known = {}

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Private from the first byte: readers' notes are among the answers.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(self._path, timeout=2)
        try:
            db.executescript(_TABLES)
        except sqlite3.DatabaseError:
            db.close()
            with suppress(OSError):  # damaged: a fresh one next time
                self._path.unlink()
            raise
        return db

    def find(self, clip: str, signature: str) -> bytes | None:
        """Return the answer about `clip` as it is now, or None."""
        known = self._known.get(clip)
        if known is None or known[0] != signature:
            return None
        try:
            return zlib.decompress(known[1])
        except (zlib.error, TypeError):
            return None

    def keep(self, found: Iterable[tuple[str, str, bytes]]) -> None:
        """Remember (clip, signature, answer) of each, and forget what is too much."""
        rows = [(self._question, *row[:2], zlib.compress(row[2], 1)) for row in found]
        with suppress(sqlite3.Error, OSError), closing(self._open()) as db, db:
            db.execute(
                "INSERT OR REPLACE INTO question "
                "VALUES (?, (SELECT COALESCE(MAX(asked), 0) + 1 FROM question))",
                (self._question,),
            )
            db.executemany("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", rows)
            self._forget(db)

    def _forget(self, db: sqlite3.Connection) -> None:
        sizes = db.execute(
            "SELECT question, SUM(LENGTH(value)), (SELECT asked FROM question WHERE id = question) "
            "FROM answer GROUP BY question"
        ).fetchall()
        total = sum(size for _, size, _ in sizes)
        for question, size, _ in sorted(sizes, key=lambda row: row[2] or 0):
            if total <= MOST_BYTES:
                break
            db.execute("DELETE FROM answer WHERE question = ?", (question,))
            db.execute("DELETE FROM question WHERE id = ?", (question,))
            total -= size
