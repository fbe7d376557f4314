"""A folder as zarr store: durable, kept inside its root, and never mistaken for another."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from napari_confseg.store.durable import (
    fsync_folder,
    not_a_file,
    partial_name,
    put_in_place,
    regular_or_absent,
    sync_file_system,
    write_file,
)
from napari_confseg.store.errors import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


ROOT_METADATA = "zarr.json"
MAX_METADATA_BYTES = 16 * 2**20
"""A ``zarr.json`` larger than this is refused unread: 100,000 frame times take 2 MB."""

# Windows opens by path alone; there the root is checked before and after instead.
_BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.link in os.supports_dir_fd


def read_regular(
    path: str | Path, key: str, *, limit: int | None = None, part: ByteRequest | None = None
) -> bytes | None:
    """Return the bytes of a regular file, or None if there is nothing.

    Parameters
    ----------
    path : str or Path
        The file.
    key : str
        What errors call it.
    limit : int, optional
        Bytes at most; a larger file is not read at all.
    part : ByteRequest, optional
        Read this part alone.

    Raises
    ------
    StoreError
        With code ``file-kind`` for a pipe, socket or device, which may never end; ``file-size``
        for more than `limit`.
    """
    try:
        _check_regular(os.stat(path).st_mode, key)  # before it is opened: that may have effects
        # Without waiting, should it have become a pipe by now.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        fd = os.open(path, flags)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    with os.fdopen(fd, "rb", buffering=0) as f:
        found = os.fstat(fd)
        _check_regular(found.st_mode, key)
        start, stop = span_of(part, found.st_size)
        if limit is not None and stop - start > limit:
            raise StoreError(too_large(key, limit, stop - start))
        f.seek(start)
        return _read_all(f, stop - start)


def _read_all(file: Any, size: int) -> bytes:
    data = file.read(size)
    if len(data) == size:
        return bytes(data)
    pieces = [data]
    while data and (size := size - len(data)):  # the system gives 2 GB at most in one go
        pieces.append(data := file.read(size))
    return b"".join(pieces)


def _check_regular(mode: int, key: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError
    if not stat.S_ISREG(mode):
        raise StoreError(not_a_file(key, mode))


def span_of(part: ByteRequest | None, size: int) -> tuple[int, int]:
    """Return the first byte and the end of `part` of something of `size` bytes."""
    if isinstance(part, RangeByteRequest):
        return min(part.start, size), max(min(part.end, size), min(part.start, size))
    if isinstance(part, SuffixByteRequest):
        return max(0, size - part.suffix), size
    if isinstance(part, OffsetByteRequest):
        return min(part.offset, size), size
    return 0, size


def too_large(key: str, limit: int, size: int) -> Problem:
    """Return the problem of a file of `size` bytes where `limit` is the most."""
    return Problem.mismatch(
        "file-size", key, f"at most {limit:,} bytes", f"{size:,}", "It was not read."
    )


@dataclass
class _Root:
    """The opened root of a store, and the few things that are done below it.

    By descriptor where the system can: a root that is moved meanwhile takes along what is being
    written, and nothing is made where it was.
    """

    path: Path
    fd: int | None

    def at(self, key: str) -> str:
        """Return what names `key` together with :attr:`fd`."""
        return os.fspath(self.path / key) if self.fd is None else key or "."

    def stat(self, key: str) -> os.stat_result:
        return os.stat(self.at(key), dir_fd=self.fd, follow_symlinks=False)

    def is_folder(self, key: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(self.at(key), dir_fd=self.fd).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def make_parents(self, key: str, *, sync: bool) -> None:
        """Make the folders between the root and `key`, never the root: that must be there."""
        missing, folder = [], _parent(key)
        while folder and not self.is_folder(folder):
            missing.append(folder)
            folder = _parent(folder)
        for folder in reversed(missing):
            with suppress(FileExistsError):
                os.mkdir(self.at(folder), dir_fd=self.fd)
                if sync:
                    self.fsync(_parent(folder))

    def fsync(self, folder: str) -> None:
        fsync_folder(self.at(folder), dir_fd=self.fd)

    def write_partial(self, key: str, data: Any, *, sync: bool) -> str:
        """Write a partial file that is to become `key`; return its name."""
        partial = self.at(partial_name(key))
        try:
            write_file(partial, data, dir_fd=self.fd, sync=sync)
        except FileNotFoundError:
            # A bulk writer syncs all folders at its end: one by one they take most of its time.
            self.make_parents(key, sync=sync)
            write_file(partial, data, dir_fd=self.fd, sync=sync)
        return partial

    def put(self, partial: str, key: str, *, exclusive: bool = False) -> None:
        put_in_place(partial, self.at(key), exclusive=exclusive, dir_fd=self.fd)

    def write(self, key: str, data: Any, *, exclusive: bool = False) -> None:
        """Write `data` at `key`, durable and whole at once."""
        if exclusive:
            # Before anything is written: zarr asks so of every group above a new array, and a
            # crash in between would leave its half-written file where nobody sweeps.
            with suppress(FileNotFoundError, NotADirectoryError):
                self.stat(key)
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), key)
        self.put(self.write_partial(key, data, sync=True), key, exclusive=exclusive)
        self.fsync(_parent(key))

    def remove(self, key: str) -> None:
        """Remove a file, or a folder with all in it, if it is there; durably."""
        try:
            is_folder = stat.S_ISDIR(self.stat(key).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return
        if is_folder:
            shutil.rmtree(self.at(key), dir_fd=self.fd)
        else:
            with suppress(FileNotFoundError):
                os.unlink(self.at(key), dir_fd=self.fd)
        # An unsynced removal comes back after a power cut: an erased plane would be marked again.
        folder = _parent(key)
        while folder and not self.is_folder(folder):
            folder = _parent(folder)
        self.fsync(folder)


def _parent(key: str) -> str:
    return key.rpartition("/")[0]


class BulkWriter:
    """Writes many files, each whole or not at all after a power cut, with one sync for all.

    Nothing is to be seen before :meth:`finish`: what has been written stands in partial files,
    which are synced together and then renamed. May be called from several threads.
    """

    def __init__(self, root: _Root) -> None:
        self._root = root
        # By the final key, so that of two writes to it the later one counts.
        self._partials: dict[str, str | None] = {}

    def write(self, key: str, data: Any) -> None:
        """Write `data` to become the content of `key`."""
        self._replace(key, self._root.write_partial(key, data, sync=False))

    def delete(self, key: str) -> None:
        """Let `key` be removed, if it is there then."""
        self._replace(key, None)

    def _replace(self, key: str, partial: str | None) -> None:
        self._discard(self._partials.pop(key, None))
        self._partials[key] = partial

    def _discard(self, partial: str | None) -> None:
        if partial is not None:
            with suppress(OSError):
                os.unlink(partial, dir_fd=self._root.fd)

    def finish(self) -> None:
        """Make all of it durable and visible."""
        root = self._root
        self._sync([p for p in self._partials.values() if p is not None], ())
        for key, partial in self._partials.items():
            if partial is not None:
                root.put(partial, key)
            else:
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(root.at(key), dir_fd=root.fd)
        self._sync((), sorted(filter(root.is_folder, _folders_of(self._partials))))
        self._partials.clear()

    def _sync(self, files: Sequence[str], folders: Sequence[str]) -> None:
        """Make files and folders survive a power cut, all with one call if possible."""
        root = self._root
        if len(files) + len(folders) > 2 and sync_file_system(root.at(""), dir_fd=root.fd):
            return
        for file in files:
            fd = os.open(file, os.O_RDWR | getattr(os, "O_BINARY", 0), dir_fd=root.fd)
            with os.fdopen(fd, "rb+", buffering=0):
                os.fsync(fd)
        for folder in folders:
            root.fsync(folder)

    def abandon(self) -> None:
        """Remove what has been written and is not to be seen."""
        for partial in self._partials.values():
            self._discard(partial)
        self._partials.clear()


def _folders_of(keys: Iterable[str]) -> set[str]:
    """Return the folders of `keys`, up to the root, which is the empty one."""
    found = {""}
    for key in keys:
        folder = _parent(key)
        while folder not in found:
            found.add(folder)
            folder = _parent(folder)
    return found


@dataclass
class _Identity:
    """What tells the folder that was opened from any that comes in its place."""

    folder: tuple[int, int] | None = None
    metadata: tuple[int, int, int] | None = None
    cohort_id: str | None = None

    def is_same(self, root: _Root) -> bool:
        """Whether `root` is the folder that was opened; takes note of it the first time.

        Device and inode tell cheaply. Both change where a share is mounted again, and an inode
        is used again when a folder is removed: then the cohort's own number decides.
        """
        found = root.stat("")
        folder = found.st_dev, found.st_ino
        metadata = _signature(root)
        if (folder, metadata) == (self.folder, self.metadata):
            return True
        number = _cohort_id(root)
        if self.folder is not None:
            if self.cohort_id is None and folder != self.folder:
                return False
            if self.cohort_id is not None and number != self.cohort_id:
                return False
        self.folder, self.metadata, self.cohort_id = folder, metadata, number
        return True


def _signature(root: _Root) -> tuple[int, int, int] | None:
    try:
        found = root.stat(ROOT_METADATA)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _cohort_id(root: _Root) -> str | None:
    """Return the number that the cohort bears in its attributes, None if it can't be told."""
    try:
        fd = os.open(root.at(ROOT_METADATA), os.O_RDONLY | _NO_WAIT, dir_fd=root.fd)
        with os.fdopen(fd, "rb") as f:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            node = json.loads(f.read(MAX_METADATA_BYTES))
        found = node["attributes"]["confseg"]["cohort_id"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


class DurableLocalStore(LocalStore):
    """zarr's ``LocalStore``, made durable (it never syncs) and kept inside its root.

    A symlink in a cohort that someone sent could lead a read or, worse, a write to any file of
    the person who opens it. And a root that has gone is never made anew: it would take what
    belongs to the one that comes back, and hide it. The folder must exist.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._identity = _Identity()
        with suppress(OSError), self._opened():
            pass  # takes note of it

    def with_read_only(self, read_only: bool = False) -> Self:  # noqa: D102
        other = type(self)(self.root, read_only=read_only)
        other._identity = self._identity
        return other

    async def _open(self, *, mode: Any = None) -> None:
        self._ensure_open_sync()

    def _ensure_open_sync(self) -> None:
        if not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the store's folder is away", str(self.root))
        self._is_open = True

    @contextmanager
    def _opened(self) -> Iterator[_Root]:
        """Give the root, opened and checked to be the one of before.

        Raises
        ------
        FileNotFoundError
            If it has gone.
        StoreError
            With code ``replaced`` if another folder stands in its place.
        """
        fd = None
        try:
            if _BY_DESCRIPTOR:
                fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(
                errno.ENOENT, "the store's folder is away", str(self.root)
            ) from error
        try:
            root = _Root(self.root, fd)
            self._check_same(root)
            yield root
            if fd is None:
                self._check_same(root)
        finally:
            if fd is not None:
                os.close(fd)

    def _check_same(self, root: _Root) -> None:
        if not self._identity.is_same(root):
            raise StoreError(
                Problem(
                    "replaced",
                    str(self.root),
                    "Another folder stands where the cohort was",
                    hint="Put the cohort back in its place; nothing was written.",
                )
            )

    def check_inside(self, key: str) -> None:
        """Refuse a key that leads out of the root.

        Raises
        ------
        StoreError
            With code ``outside``.
        """
        # Only a link can lead out; looking for one is much cheaper than resolving each path.
        if self._has_link(key) and not self._resolves_inside(key):
            raise StoreError(
                Problem(
                    "outside",
                    key,
                    "A link leads out of the cohort",
                    hint="Remove the link; nothing was read or written there.",
                )
            )

    def _has_link(self, key: str) -> bool:
        path = os.fspath(self.root)
        for part in key.split("/"):
            path = f"{path}{os.sep}{part}"
            try:
                if part == ".." or stat.S_ISLNK(os.lstat(path).st_mode):
                    return True
            except OSError:  # nothing there: what is asked for will say so
                return False
        return False

    def _resolves_inside(self, key: str) -> bool:
        real, root = os.path.realpath(self.root / key), os.path.realpath(self.root)
        return real == root or real.startswith(root.rstrip(os.sep) + os.sep)

    def read(
        self, key: str, *, limit: int | None = None, part: ByteRequest | None = None
    ) -> bytes | None:
        """Return the bytes at `key`, or None; see :func:`read_regular`."""
        if not self._is_open:
            self._ensure_open_sync()
        self.check_inside(key)
        return read_regular(f"{self.root}{os.sep}{key}", key, limit=limit, part=part)

    def get_sync(  # noqa: D102
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        data = self.read(key, part=byte_range)
        buffers = (prototype or default_buffer_prototype()).buffer
        return None if data is None else buffers.from_bytes(data)

    async def get(  # noqa: D102
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        return await asyncio.to_thread(
            self.get_sync, key, prototype=prototype, byte_range=byte_range
        )

    async def get_partial_values(  # noqa: D102
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    @contextmanager
    def _writing(self, key: str) -> Iterator[_Root]:
        self._check_writable()
        with self._opened() as root:
            self.check_inside(key)
            yield root

    def create(self, key: str, data: Any) -> bool:
        """Write `data` at `key` if nothing is there; return whether that was so."""
        with self._writing(key) as root:
            try:
                root.write(key, data, exclusive=True)
            except FileExistsError:
                return False
        return True

    def lock_file(self, key: str) -> Path:
        """Return the path of the lock file `key`, its folders made; nothing on it is a link.

        Raises
        ------
        StoreError
            With code ``outside`` or ``file-kind``.
        """
        path = regular_or_absent(self.root / key, below=self.root)
        with self._writing(key) as root:
            root.make_parents(key, sync=True)
        return regular_or_absent(path, below=self.root)

    def holds(self, key: str, data: bytes) -> bool:
        """Whether exactly `data` is at `key`, durably."""
        with self._writing(key) as root:
            try:
                there = root.stat(key).st_size == len(data) and self.read(key) == data
            except (FileNotFoundError, NotADirectoryError):
                return False
            if there:
                root.fsync(_parent(key))
            return there

    def set_sync(self, key: str, value: Buffer) -> None:  # noqa: D102
        with self._writing(key) as root:
            root.write(key, value.as_buffer_like())

    async def _set(self, key: str, value: Buffer, exclusive: bool = False) -> None:
        # In a thread, so that reads on zarr's loop never wait for a disk to sync.
        if not exclusive:
            await asyncio.to_thread(self.set_sync, key, value)
        elif not await asyncio.to_thread(self.create, key, value.as_buffer_like()):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), key)

    @contextmanager
    def bulk(self) -> Iterator[Callable[[str, bytes | None], None]]:
        """Give a function that sets a key, or removes it for None; one sync at the end.

        Nothing is changed if the block ends with an exception.
        """
        self._check_writable()
        with self._opened() as root:
            writer = BulkWriter(root)

            def put(key: str, data: bytes | None) -> None:
                self.check_inside(key)
                if data is None:
                    writer.delete(key)
                else:
                    writer.write(key, data)

            try:
                yield put
                self._check_same(root)
                writer.finish()
            finally:
                writer.abandon()

    def delete_sync(self, key: str) -> None:  # noqa: D102
        with self._writing(key) as root:
            root.remove(key)

    async def delete(self, key: str) -> None:  # noqa: D102
        await asyncio.to_thread(self.delete_sync, key)

    async def delete_dir(self, prefix: str) -> None:  # noqa: D102
        if prefix.strip("/"):
            await self.delete(prefix.strip("/"))
            return
        for name in os.listdir(self.root):
            await self.delete(name)


def files_under(root: str, prefix: str) -> Iterator[str]:
    """Yield the keys of all files under `prefix`; links are named, not followed."""
    # Twice as fast as zarr's listing, which makes a Path of everything. No recursion: folders can
    # be nested deeper than Python allows calls.
    folders = [prefix]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(key)
                    else:
                        yield key
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            yield folder  # nested so deep that it can't be looked into: for whoever lists to say


def names_in(root: str, prefix: str) -> list[str]:
    """Return what is one level under `prefix`."""
    try:
        return os.listdir(os.path.join(root, prefix))
    except (FileNotFoundError, NotADirectoryError):
        return []


def chunks_under(root: str, prefix: str) -> Iterator[tuple[int, int]]:
    """Yield (i, j) of each file ``prefix/i/j/0/0``: the chunks of planes, unsorted.

    What a listing of all files says as well, in half the time: one folder a frame is opened, and
    not two more a plane.
    """
    for i, frame in _numbered(os.path.join(root, prefix)):
        for j, plane in _numbered(frame):
            try:
                os.lstat(f"{plane}/0/0")
            except (FileNotFoundError, NotADirectoryError):
                continue
            yield i, j


def _numbered(folder: str) -> Iterator[tuple[int, str]]:
    """Yield number and path of the folders in `folder` that are called by one; no links."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                number = name.isdecimal() and (name == "0" or name[0] != "0")
                if number and entry.is_dir(follow_symlinks=False):
                    yield int(name), entry.path
    except (FileNotFoundError, NotADirectoryError):
        return
