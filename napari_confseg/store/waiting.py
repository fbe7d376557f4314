"""What this machine's journals still hold for a cohort, told without opening or locking them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from napari_confseg.store.backend import place
from napari_confseg.store.journal import journal_folder, journal_path

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store.cohort import Cohort


def waiting(cohort: Cohort, clip: str, rater: str, *, journal_root: Path | None = None) -> int:
    """Return how many acts, undos and redos of `rater` on `clip` are not in the store yet.

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
