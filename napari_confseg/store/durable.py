"""Files that are whole or absent after a power cut, whatever folder they lie in."""

from __future__ import annotations

import csv
import ctypes
import errno
import io
import math
import os
import sys
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


PARTIAL = ".partial"
"""Ending of a file that is being written; one left behind by a crash is swept on opening."""

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_RENAME_NOREPLACE = 1


def fsync_folder(folder: str | Path, *, dir_fd: int | None = None) -> None:
    """Make what was created, renamed or removed in `folder` survive a power cut."""
    if os.name == "nt":  # Windows has no handle for folders; NTFS journals the rename itself.
        return
    fd = os.open(folder, os.O_RDONLY, dir_fd=dir_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folders(folder: Path) -> None:
    """Create `folder` and its parents, each made durable in its own parent."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        fsync_folder(new.parent)


def partial_name(path: str) -> str:
    """Return a name beside `path` for a file that is to become it."""
    return f"{path}.{uuid.uuid4().hex}{PARTIAL}"


def write_file(
    path: str, data: Any, *, mode: int = 0o666, dir_fd: int | None = None, sync: bool = True
) -> None:
    """Write a file that is not there yet; a failed one is removed again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, mode, dir_fd=dir_fd)
    try:
        with os.fdopen(fd, "wb", buffering=0) as f:
            view = memoryview(data).cast("B")
            while view:  # a disk that fills up takes a part, and raises at the next one
                view = view[f.write(view) :]
            if sync:
                os.fsync(f.fileno())
    except BaseException:
        with suppress(OSError):
            os.unlink(path, dir_fd=dir_fd)
        raise


def put_in_place(partial: str, path: str, *, exclusive: bool, dir_fd: int | None = None) -> None:
    """Let the file `partial` become `path`, whole at once; nothing is left of `partial`.

    Raises
    ------
    FileExistsError
        If `exclusive` and something is at `path`.
    """
    try:
        if not exclusive:
            os.replace(partial, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        elif os.name == "nt":
            os.rename(partial, path)  # refuses to replace there
        else:
            _link_in_place(partial, path, dir_fd)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial, dir_fd=dir_fd)
        raise


def _link_in_place(partial: str, path: str, dir_fd: int | None) -> None:
    try:
        os.link(partial, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except FileExistsError:
        # NFS repeats a request whose answer was lost, and then finds its own link.
        if os.stat(partial, dir_fd=dir_fd, follow_symlinks=False).st_nlink != 2:
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:  # FAT, exFAT and some shares have none
            raise
        if not _rename_exclusively(partial, path, dir_fd):
            _claim_in_place(partial, path, dir_fd)
        return
    os.unlink(partial, dir_fd=dir_fd)


def _rename_exclusively(partial: str, path: str, dir_fd: int | None) -> bool:
    """Rename without replacing, as Linux can on FAT too; return False where it can't be done."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if sys.platform != "linux" or rename is None:
        return False
    at = -100 if dir_fd is None else dir_fd  # AT_FDCWD
    if not rename(at, os.fsencode(partial), at, os.fsencode(path), _RENAME_NOREPLACE):
        return True
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        raise FileExistsError(number, os.strerror(number), path)
    return False


def _claim_in_place(partial: str, path: str, dir_fd: int | None) -> None:
    # The last resort: who makes the empty file wins, and fills it by a rename. An empty file may
    # be seen for a moment, and stays if the power fails just then; never one half-written.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=dir_fd))
    os.replace(partial, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def write_durably(path: Path, data: Any, *, exclusive: bool = False) -> None:
    """Write `data` to `path` so that after a power cut either all of it is there or nothing.

    Temporary file, fsync, rename (or link when `exclusive`), fsync of the folder.

    Parameters
    ----------
    path : Path
        The file; parent folders are made.
    data : bytes-like
        Its content.
    exclusive : bool
        Refuse to replace: raise ``FileExistsError`` if `path` is there already.
    """
    make_folders(path.parent)
    _write(path, data, 0o666, exclusive)


def _write(path: Path, data: Any, mode: int, exclusive: bool) -> None:
    if exclusive and path.exists():
        raise FileExistsError(path)
    partial = partial_name(os.fspath(path))
    write_file(partial, data, mode=mode)
    put_in_place(partial, os.fspath(path), exclusive=exclusive)
    fsync_folder(path.parent)


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table as CSV, durably; fractions to six digits, an undefined one as nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)
    write_durably(path, out.getvalue().encode())


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def make_private_folder(folder: Path) -> None:
    """Make `folder` and missing parents, for their owner's eyes alone; those there stay."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        fsync_folder(folder.parent)


def write_private(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    """Write as :func:`write_durably` does, for its owner's eyes alone from the first byte."""
    make_private_folder(path.parent)
    _write(path, data, 0o600, exclusive)


def sync_file_system(folder: str | Path, *, dir_fd: int | None = None) -> bool:
    """Sync the file system that holds `folder`; return False where that can't be asked for.

    Linux's ``syncfs`` waits and reports errors; ``os.sync`` reports none and waits for every disk.
    """
    if sys.platform != "linux":
        return False
    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        return False
    fd = os.open(folder, os.O_RDONLY, dir_fd=dir_fd)
    try:
        if sync(fd):
            raise OSError(ctypes.get_errno(), "what was written could not be synced", str(folder))
    finally:
        os.close(fd)
    return True
