"""One import at a time into a cohort: two would give one file two names, or one name two files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_confseg.store.backend import local_root
from napari_confseg.store.problems import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.store.cohort import Cohort

IMPORT_LOCK = "import.lock"


@contextmanager
def only_import(cohort: Cohort) -> Iterator[None]:
    """Keep other imports out of `cohort` meanwhile; the system lets go when a program dies.

    Folders only: an object store has no such lock.

    Raises
    ------
    StoreError
        If another import is under way.
    """
    root = local_root(cohort.store)
    if root is None:
        yield
        return
    lock = FileLock(root / IMPORT_LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(
            Problem("held", cohort.location, "one import into a cohort at a time",
                    "another one under way", "Import again when it is done.")
        ) from None  # fmt: skip
    try:
        yield
    finally:
        lock.release()
