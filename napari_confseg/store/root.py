"""The opened root of a store in a folder: what is written below it, and whether it is the same."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_confseg.store.durable import (
    fsync_folder,
    partial_name,
    put_in_place,
    sync_file_system,
    write_file,
)
from napari_confseg.store.errors import StoreError
from napari_confseg.store.files import read_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

ROOT_METADATA = "zarr.json"
MAX_METADATA_BYTES = 16 * 2**20
"""A ``zarr.json`` larger than this is refused unread: 100,000 frame times take 2 MB."""


@dataclass
class Root:
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
        """Return what is at `key`, a link itself and not what it leads to."""
        return os.stat(self.at(key), dir_fd=self.fd, follow_symlinks=False)

    def is_folder(self, key: str) -> bool:
        """Whether a folder is at `key`."""
        try:
            return stat.S_ISDIR(os.stat(self.at(key), dir_fd=self.fd).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def make_parents(self, key: str, *, sync: bool) -> None:
        """Make the folders between the root and `key`, never the root: that must be there."""
        missing, folder = [], parent_of(key)
        while folder and not self.is_folder(folder):
            missing.append(folder)
            folder = parent_of(folder)
        for folder in reversed(missing):
            with suppress(FileExistsError):
                os.mkdir(self.at(folder), dir_fd=self.fd)
                if sync:
                    self.fsync(parent_of(folder))

    def fsync(self, folder: str) -> None:
        """Make what was created, renamed or removed in `folder` survive a power cut."""
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
        """Let a partial file become what is at `key`."""
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
        self.fsync(parent_of(key))

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
        folder = parent_of(key)
        while folder and not self.is_folder(folder):
            folder = parent_of(folder)
        self.fsync(folder)


def parent_of(key: str) -> str:
    """Return the key of the folder that `key` lies in; empty for the root."""
    return key.rpartition("/")[0]


class BulkWriter:
    """Writes many files, each whole or not at all after a power cut, with one sync for all.

    Nothing is to be seen before :meth:`finish`: what has been written stands in partial files,
    which are synced together and then renamed. May be called from several threads.
    """

    def __init__(self, root: Root) -> None:
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
        folder = parent_of(key)
        while folder not in found:
            found.add(folder)
            folder = parent_of(folder)
    return found


@dataclass
class RootIdentity:
    """What tells the folder that was opened from any that comes in its place."""

    folder: tuple[int, int] | None = None
    metadata: tuple[int, int, int] | None = None
    cohort_id: str | None = None

    def is_same(self, root: Root) -> bool:
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


def _signature(root: Root) -> tuple[int, int, int] | None:
    try:
        found = root.stat(ROOT_METADATA)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _cohort_id(root: Root) -> str | None:
    """Return the number that the cohort bears in its attributes, None if it can't be told."""
    try:
        where = root.at(ROOT_METADATA)
        data = read_key(where, ROOT_METADATA, limit=MAX_METADATA_BYTES, dir_fd=root.fd)
        found = json.loads(data or b"")["attributes"]["confseg"]["cohort_id"]
    except (OSError, StoreError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
