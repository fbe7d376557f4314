"""Plain-sentence report of a full disk, with what to do."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""The disk, the largest file that it takes, a person's quota."""


@contextmanager
def room_in(place: Path, what_to_do: Callable[[], str]) -> Iterator[None]:
    """Turn the error of a disk that is full into a problem of `place` that says what to do.

    Raises
    ------
    StoreError
        If what is done meanwhile finds no room; its code is ``disk-full``.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        found = (error.strerror or "the disk is full").lower()
        raise StoreError(
            Problem("disk-full", str(place), f"Nothing can be written: {found}", hint=what_to_do())
        ) from error
