"""Folders, made durable: what is written survives a power cut, and nothing leads outside."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore

from napari_confseg.store.problems import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

PARTIAL = ".partial"
"""Ending of a file that is being written; one left behind by a crash is swept on opening."""


def fsync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in `folder` survive a power cut."""
    if os.name == "nt":  # Windows has no handle for folders; NTFS journals the rename itself.
        return
    fd = os.open(folder, os.O_RDONLY)
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
    if exclusive and path.exists():
        # Before anything is written: zarr asks so of every group above a new array, and a crash
        # in between would leave its half-written file where nobody sweeps.
        raise FileExistsError(path)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
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


class DurableLocalStore(LocalStore):
    """zarr's ``LocalStore``, made durable (it never syncs) and kept inside its root.

    A symlink in a cohort that someone sent could lead a read or, worse, a write to any file of
    the person who opens it.
    """

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
                Problem("outside", key, "a path inside the cohort", "a link out of it",
                        "Remove the link; nothing was read or written there.")
            )  # fmt: skip

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

    def get_sync(  # noqa: D102
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        self.check_inside(key)
        return super().get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get(  # noqa: D102
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        self.check_inside(key)
        return await super().get(key, prototype, byte_range)

    def _check_there(self, key: str) -> None:
        """Refuse to write where the root has gone: a drive that is away, a folder moved.

        Made anew, it would take what belongs to the one that comes back, and hide it.

        Raises
        ------
        FileNotFoundError
            Unless `key` is the root's own attributes, which come first in a new store.
        """
        if key != "zarr.json" and not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the store's folder is away", str(self.root))

    def set_sync(self, key: str, value: Buffer) -> None:  # noqa: D102
        self._ensure_open_sync()
        self._check_writable()
        self._check_there(key)
        self.check_inside(key)
        write_durably(self.root / key, value.as_buffer_like())

    async def _set(self, key: str, value: Buffer, exclusive: bool = False) -> None:
        if not self._is_open:
            await self._open()
        self._check_writable()
        self._check_there(key)
        self.check_inside(key)
        # In a thread, so that reads on zarr's loop never wait for a disk to sync.
        await asyncio.to_thread(
            write_durably, self.root / key, value.as_buffer_like(), exclusive=exclusive
        )

    def delete_sync(self, key: str) -> None:  # noqa: D102
        self.check_inside(key)
        super().delete_sync(key)
        _fsync_nearest(self.root / key)

    async def delete(self, key: str) -> None:  # noqa: D102
        self.check_inside(key)
        await super().delete(key)
        await asyncio.to_thread(_fsync_nearest, self.root / key)

    async def delete_dir(self, prefix: str) -> None:  # noqa: D102
        self.check_inside(prefix)
        await super().delete_dir(prefix)
        await asyncio.to_thread(_fsync_nearest, self.root / prefix)


def _fsync_nearest(removed: Path) -> None:
    # An unsynced removal comes back after a power cut: an erased plane would be marked again.
    for folder in removed.parents:
        if folder.is_dir():
            fsync_folder(folder)
            return


def files_under(root: str, prefix: str) -> Iterator[str]:
    """Yield the keys of all files under `prefix`; links are named, not followed."""
    # Twice as fast as zarr's listing, which makes a Path of everything.
    try:
        with os.scandir(os.path.join(root, prefix)) as entries:
            for entry in entries:
                key = f"{prefix}/{entry.name}" if prefix else entry.name
                if entry.is_dir(follow_symlinks=False):
                    yield from files_under(root, key)
                else:
                    yield key
    except (FileNotFoundError, NotADirectoryError):
        return
