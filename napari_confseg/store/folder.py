"""A folder as zarr store: durable, kept inside its root, and never mistaken for another."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.files import read_key, regular_or_absent
from napari_confseg.store.root import BulkWriter, Root, RootIdentity, parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


# Windows opens by path alone; there the root is checked before and after instead.
_BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.link in os.supports_dir_fd


class DurableLocalStore(LocalStore):
    """zarr's ``LocalStore``, made durable (it never syncs) and kept inside its root.

    A symlink in a cohort that someone sent could lead a read or, worse, a write to any file of
    the person who opens it. And a root that has gone is never made anew: it would take what
    belongs to the one that comes back, and hide it. The folder must exist.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._identity = RootIdentity()
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
    def _opened(self) -> Iterator[Root]:
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
            root = Root(self.root, fd)
            self._check_same(root)
            yield root
            if fd is None:
                self._check_same(root)
        finally:
            if fd is not None:
                os.close(fd)

    def _check_same(self, root: Root) -> None:
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
        """Return the bytes at `key`, or None; see :func:`read_key`."""
        if not self._is_open:
            self._ensure_open_sync()
        self.check_inside(key)
        return read_key(f"{self.root}{os.sep}{key}", key, limit=limit, part=part)

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
    def _writing(self, key: str) -> Iterator[Root]:
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
                root.fsync(parent_of(key))
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
