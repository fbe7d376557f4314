"""Files outside the store: read within bounds, private ones private from the first byte.

What other people send may be a pipe that never ends, a device, or a few bytes that stand for
gigabytes. So the kind and the size of a file are looked at before it is opened, and again once it
is open.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import stat
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from napari_confseg.store.durable import PARTIAL, fsync_folder
from napari_confseg.store.errors import Problem, StoreError

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

MIB: Final = 2**20
# Absent on Windows, which has no pipes among its files.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def check_file(path: Path, limit: int) -> None:
    """Refuse `path` unless it is a regular file of at most `limit` bytes; it is not opened.

    Parameters
    ----------
    path : Path
        The file; a link to one will do.
    limit : int
        Bytes.

    Raises
    ------
    StoreError
        ``file-kind`` for a folder, pipe or device, ``file-size`` for a larger file.
    FileNotFoundError
        If there is nothing.
    """
    _check(os.stat(path), path, limit)


def _check(found: os.stat_result, path: Path, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
        raise StoreError(
            Problem("file-kind", str(path), f"This is {kind}, not a file; it was not read")
        )
    if found.st_size > limit:
        raise _too_large(path, limit, found.st_size)


def _too_large(path: Path | str, limit: int, size: int) -> StoreError:
    return StoreError(
        Problem.mismatch(
            "file-size",
            str(path),
            f"at most {limit:,} bytes",
            f"{size:,}",
            "It was not read. Is it the right file?",
        )
    )


def open_file(path: Path, limit: int) -> BufferedReader:
    """Open a regular file of at most `limit` bytes for reading; see :func:`check_file`."""
    check_file(path, limit)  # before it is opened, which some devices take for a command
    fd = os.open(path, os.O_RDONLY | _AT_ONCE)
    try:
        _check(os.fstat(fd), path, limit)  # something else may stand there by now
        return open(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def read_file(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; see :func:`check_file`."""
    with open_file(path, limit) as file:
        # No more than it holds now: it may grow without an end. And not up to the limit, for which
        # Python would set memory aside.
        return file.read(os.fstat(file.fileno()).st_size)


def read_json(path: Path, limit: int) -> Any:
    """Return what a JSON file of at most `limit` bytes holds.

    Raises
    ------
    StoreError
        As :func:`check_file`, and ``json`` if it is none.
    """
    return parse_json(read_file(path, limit), str(path))


def parse_json(data: bytes, where: str) -> Any:
    """Return what `data` holds; `where` is named if it is no JSON, or nested too deeply."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(
            Problem("json", where, f"This is not a JSON file: {str(error)[:120]}")
        ) from error


def read_csv(path: Path, limit: int) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """Return the header of a CSV file in UTF-8, and its rows with the numbers of their lines.

    Cells that are missing at the end of a row are empty.

    Raises
    ------
    StoreError
        As :func:`check_file`, and ``csv`` if it is none.
    """
    try:
        text = read_file(path, limit).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
        header = tuple(reader.fieldnames or ())
        rows = []
        for row in reader:
            if None in row:
                raise csv.Error(f"there are more than {len(header)} cells")
            rows.append((reader.line_num, row))
    except UnicodeDecodeError as error:
        raise StoreError(
            Problem("csv", str(path), "This is no text in UTF-8", hint="Save it as CSV, UTF-8.")
        ) from error
    except csv.Error as error:
        where = f"{path}:{reader.line_num}"
        raise StoreError(Problem("csv", where, f"This is no CSV table: {error}")) from error
    return header, rows


def check_unpacked(packed: BufferedReader, kind: str, limit: int, where: str) -> None:
    """Refuse compressed data that comes to more than `limit` bytes; nothing of it is kept.

    Parameters
    ----------
    packed : BufferedReader
        Read from where it stands to its end.
    kind : {"gzip", "bzip2"}
        How it is compressed.
    limit : int
        Bytes.
    where : str
        What the problem names.

    Raises
    ------
    StoreError
        ``unpacked-size``, or ``packed`` if it is damaged.
    """
    # Packed data are hardly larger than unpacked ones: the rest is padding without an end.
    packed_size = os.fstat(packed.fileno()).st_size
    if packed_size > limit + limit // 64 + MIB:
        raise _too_large(where, limit + limit // 64 + MIB, packed_size)
    archive = (gzip.open if kind == "gzip" else bz2.open)(packed)
    size = 0
    try:
        while block := archive.read(MIB):
            size += len(block)
            if size > limit:
                expected = f"at most {limit:,} bytes once unpacked"
                raise StoreError(
                    Problem.mismatch("unpacked-size", where, expected, "more", "It was not read.")
                )
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise StoreError(Problem("packed", where, f"The file is damaged: {error}")) from error


def check_zip(path: Path, limit: int) -> None:
    """Refuse a zip whose members come to more than `limit` bytes, by what it says of them.

    Raises
    ------
    StoreError
        ``zip-size``, or ``zip`` if it is damaged or none.
    """
    try:
        with open_file(path, limit) as file, zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise StoreError(Problem("zip", str(path), f"The file is damaged: {error}")) from error
    if size > limit:
        raise StoreError(
            Problem.mismatch(
                "zip-size",
                str(path),
                f"at most {limit:,} bytes once unpacked",
                f"{size:,}",
                "It was not unpacked.",
            )
        )


def make_private_folder(folder: Path) -> None:
    """Make `folder` and missing parents, for their owner's eyes alone; those there stay."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        fsync_folder(folder.parent)


def write_private(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    """Write a file that only its owner may read, whole or not at all, durably.

    Parameters
    ----------
    path : Path
        The file; missing folders are made, as private.
    data : bytes
        Its content.
    exclusive : bool
        Refuse to replace: raise ``FileExistsError`` if `path` is there already.
    """
    make_private_folder(path.parent)
    partial = path.with_name(f"{path.name}.{uuid4().hex}{PARTIAL}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(partial, path)
            partial.unlink()
        else:
            partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)
