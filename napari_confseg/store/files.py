"""Regular files, read within bounds, and the common forms of what they hold.

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
from typing import TYPE_CHECKING, Any, Final

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

from napari_confseg.store.errors import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

    from zarr.abc.store import ByteRequest

MIB: Final = 2**20
# Absent on Windows, which has no pipes among its files.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


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
    _check(os.stat(path), str(path), limit)


def _check(found: os.stat_result, where: str, limit: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _no_file(where, found.st_mode)
    if limit is not None and found.st_size > limit:
        raise too_large(where, limit, found.st_size)


def _no_file(where: str, mode: int) -> StoreError:
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    return StoreError(Problem("file-kind", where, f"This is {kind}, not a file; it was not read"))


def too_large(where: str, limit: int, size: int) -> StoreError:
    """Return the refusal of something of `size` bytes at `where`, of which `limit` are the most."""
    expected, hint = f"at most {limit:,} bytes", "It was not read. Is it the right file?"
    return StoreError(Problem.mismatch("file-size", where, expected, f"{size:,}", hint))


def _open(
    path: str | Path,
    found: os.stat_result,
    where: str,
    limit: int | None,
    dir_fd: int | None = None,
) -> int:
    """Return the descriptor of the file at `path`, where `found` was; see :func:`check_file`."""
    _check(found, where, limit)  # before it is opened, which some devices take for a command
    fd = os.open(path, os.O_RDONLY | _AT_ONCE, dir_fd=dir_fd)
    try:
        _check(os.fstat(fd), where, limit)  # something else may stand there by now
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_file(path: Path, limit: int) -> BufferedReader:
    """Open a regular file of at most `limit` bytes for reading; see :func:`check_file`."""
    return open(_open(path, os.stat(path), str(path), limit), "rb")


def read_file(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; see :func:`check_file`."""
    with open_file(path, limit) as file:
        # No more than it holds now: it may grow without an end. And not up to the limit, for which
        # Python would set memory aside.
        return file.read(os.fstat(file.fileno()).st_size)


def read_key(
    path: str | Path,
    key: str,
    *,
    limit: int | None = None,
    part: ByteRequest | None = None,
    dir_fd: int | None = None,
) -> bytes | None:
    """Return the bytes of a file of a store, or None if there is none.

    Parameters
    ----------
    path : str or Path
        The file; from the folder `dir_fd` on, if that is given.
    key : str
        What errors call it.
    limit : int, optional
        Bytes at most; a larger file is not read at all.
    part : ByteRequest, optional
        Read this part alone, however large the file.

    Raises
    ------
    StoreError
        ``file-kind`` for a pipe, socket or device, ``file-size`` for a larger file.
    """
    try:
        found = os.stat(path, dir_fd=dir_fd)
        if stat.S_ISDIR(found.st_mode):
            return None
        fd = _open(path, found, key, limit if part is None else None, dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(fd, "rb", buffering=0) as file:
        start, stop = span_of(part, os.fstat(fd).st_size)
        file.seek(start)
        return _read_all(file, stop - start)


def _read_all(file: io.FileIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) == size:
        return data
    pieces = [data]
    while data and (size := size - len(data)):  # the system gives 2 GB at most in one go
        pieces.append(data := file.read(size))
    return b"".join(pieces)


def span_of(part: ByteRequest | None, size: int) -> tuple[int, int]:
    """Return the first byte and the end of `part` of something of `size` bytes."""
    if isinstance(part, RangeByteRequest):
        return min(part.start, size), max(min(part.end, size), min(part.start, size))
    if isinstance(part, SuffixByteRequest):
        return max(0, size - part.suffix), size
    if isinstance(part, OffsetByteRequest):
        return min(part.offset, size), size
    return 0, size


def regular_or_absent(path: Path, *, below: Path) -> Path:
    """Return `path` if it is a regular file or nothing, reached without a link from `below`.

    For files that others open by their path and might truncate, as lock files are.

    Raises
    ------
    StoreError
        With code ``outside`` for a link among the parts of `path` below the folder `below`, with
        ``file-kind`` for a folder, pipe or device.
    """
    for step in _steps(path, below):
        try:
            mode = os.lstat(step).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return path
        if stat.S_ISLNK(mode):
            raise StoreError(
                Problem(
                    "outside",
                    step.relative_to(below).as_posix(),
                    "A link stands where a file of the cohort belongs",
                    hint="Remove the link; nothing was read or written there.",
                )
            )
    if not stat.S_ISREG(mode):
        raise _no_file(path.relative_to(below).as_posix(), mode)
    return path


def _steps(path: Path, below: Path) -> Iterator[Path]:
    step = below
    for part in path.relative_to(below).parts:
        step = step / part
        yield step


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
        raise too_large(where, limit + limit // 64 + MIB, packed_size)
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
