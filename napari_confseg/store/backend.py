"""Where bytes live: folder, memory, zip or bucket, behind one synchronous key-value face.

The only module that touches zarr's storage classes and their corners.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import re
import stat
import sys
import uuid
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, ObjectStore, ZipStore

from napari_confseg.extras import needed_for
from napari_confseg.store.errors import Problem, StoreError, needs_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zarr.abc.store import ByteRequest, Store
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


class BulkWriter:
    """Writes many files, each whole or not at all after a power cut, with one sync for all.

    Nothing is to be seen before :meth:`finish`: what has been written stands in partial files,
    which are synced together and then renamed. May be called from several threads.
    """

    def __init__(self) -> None:
        # By the final path, so that of two writes to it the later one counts.
        self._partials: dict[Path, Path | None] = {}

    def write(self, path: Path, data: Any) -> None:
        """Write `data` to become the content of `path`."""
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
        try:
            partial.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
        self._replace(path, partial)

    def delete(self, path: Path) -> None:
        """Let `path` be removed, if it is there then."""
        self._replace(path, None)

    def _replace(self, path: Path, partial: Path | None) -> None:
        earlier = self._partials.pop(path, None)
        if earlier is not None:
            earlier.unlink(missing_ok=True)
        self._partials[path] = partial

    def finish(self, root: Path) -> None:
        """Make all of it durable and visible; all files are below `root`."""
        files = [p for p in self._partials.values() if p is not None]
        _sync_all(root, files)
        for path, partial in self._partials.items():
            if partial is None:
                path.unlink(missing_ok=True)
            else:
                partial.replace(path)
        _sync_all(root, sorted(_folders_of(self._partials, root)))
        self._partials.clear()

    def abandon(self) -> None:
        """Remove what has been written and is not to be seen."""
        for partial in self._partials.values():
            if partial is not None:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)
        self._partials.clear()


def _folders_of(paths: Iterable[Path], root: Path) -> set[Path]:
    """Return the folders between `root` and the paths, those that are there."""
    found = {root}
    for path in paths:
        for folder in path.parents:
            if folder in found:
                break
            found.add(folder)
    return {folder for folder in found if folder.is_dir()}


def _sync_all(root: Path, paths: Sequence[Path]) -> None:
    """Make files and folders below `root` survive a power cut, all with one call if possible."""
    if len(paths) > 2 and _sync_file_system(root):
        return
    for path in paths:
        if path.is_dir():
            fsync_folder(path)
        else:
            with path.open("rb+") as f:
                os.fsync(f.fileno())


def _sync_file_system(folder: Path) -> bool:
    """Sync the file system that holds `folder`; return False where that can't be asked for.

    Linux's ``syncfs`` waits and reports errors; ``os.sync`` reports none and waits for every disk.
    """
    if sys.platform != "linux":
        return False
    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        return False
    fd = os.open(folder, os.O_RDONLY)
    try:
        if sync(fd):
            raise OSError(ctypes.get_errno(), "what was written could not be synced", str(folder))
    finally:
        os.close(fd)
    return True


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

    @contextmanager
    def bulk(self) -> Iterator[Callable[[str, bytes | None], None]]:
        """Give a function that sets a key, or removes it for None; one sync at the end.

        Nothing is changed if the block ends with an exception.
        """
        writer = BulkWriter()

        def put(key: str, data: bytes | None) -> None:
            self._check_there(key)
            self.check_inside(key)
            if data is None:
                writer.delete(self.root / key)
            else:
                writer.write(self.root / key, data)

        self._ensure_open_sync()
        self._check_writable()
        try:
            yield put
            writer.finish(self.root)
        finally:
            writer.abandon()

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


Location = str | Path
_CHUNK = re.compile(r"/(0|[1-9]\d*)/(0|[1-9]\d*)/0/0")


def open_store(location: Location | Store, *, read_only: bool, create: bool = False) -> Store:
    """Return the zarr store that `location` names.

    Parameters
    ----------
    location : str, Path or zarr Store
        A folder, a ``.zip`` file (reading only), ``s3://bucket/prefix``, or a store as it is.
    read_only : bool
        Open for reading.
    create : bool
        Whether a folder may be made; otherwise a missing one is an error.

    Raises
    ------
    StoreError
        If there is nothing at `location`, or it cannot be opened in this mode.
    """
    if not isinstance(location, (str, Path)):
        return location.with_read_only(read_only) if read_only != location.read_only else location
    text = str(location)
    if text.startswith("s3://"):
        return _open_s3(text, read_only=read_only)
    path = Path(text).expanduser()
    if path.suffix == ".zip":
        return _open_zip(path, read_only=read_only)
    if not create and not path.is_dir():
        raise StoreError(
            Problem("missing", text, "There is no such cohort folder", hint="Check the path.")
        )
    return DurableLocalStore(path, read_only=read_only)


def _open_zip(path: Path, *, read_only: bool) -> Store:
    if not read_only:
        raise StoreError(
            Problem(
                "zip-read-only",
                str(path),
                "Read-only: a cohort in a zip cannot be edited",
                hint="Unpack the zip to edit it.",
            )
        )
    if not path.is_file():
        raise StoreError(
            Problem("missing", str(path), "There is no such zip file", hint="Check the path.")
        )
    return sync(ZipStore.open(path, mode="r", read_only=True))


def _open_s3(url: str, *, read_only: bool) -> Store:
    with needed_for("a cohort in a bucket", needs_extra(url)):
        from obstore.store import S3Store
    # Endpoint and keys come from the usual AWS_* environment variables. The client's own patience
    # (ten tries, three minutes) would hide for that long that a bucket is gone.
    client: dict[str, Any] = {"connect_timeout": "2s", "timeout": "30s"}
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        client["allow_http"] = True
    backoff = {
        "init_backoff": timedelta(milliseconds=50),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    }
    retry = {"max_retries": 2, "retry_timeout": timedelta(seconds=5), "backoff": backoff}
    options: dict[str, Any] = {"client_options": client, "retry_config": retry}
    return ObjectStore(S3Store.from_url(url, **options), read_only=read_only)


class KeyValueStore:
    """Raw keys of a zarr store, read and written synchronously.

    Parameters
    ----------
    store : zarr Store
        Any store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, key: str) -> bytes | None:
        """Return the bytes at `key`, or None."""
        if isinstance(self.store, LocalStore):  # no detour over zarr's event loop
            found = self.store.get_sync(key)
            return None if found is None else found.to_bytes()
        buffer = sync(self.store.get(key, default_buffer_prototype()))
        return None if buffer is None else buffer.to_bytes()

    def get_range(self, key: str, start: int, stop: int) -> bytes | None:
        """Return bytes `start` to `stop` of what is at `key`, or None."""
        return self._get_part(key, RangeByteRequest(start, stop))

    def get_end(self, key: str, n: int) -> bytes | None:
        """Return the last `n` bytes of what is at `key`, or None."""
        return self._get_part(key, SuffixByteRequest(n))

    def _get_part(self, key: str, part: RangeByteRequest | SuffixByteRequest) -> bytes | None:
        prototype = default_buffer_prototype()
        if isinstance(self.store, LocalStore):
            buffer = self.store.get_sync(key, byte_range=part)
        else:
            buffer = sync(self.store.get(key, prototype, part))
        return None if buffer is None else buffer.to_bytes()

    def set(self, key: str, data: bytes) -> None:
        """Write `data` at `key`; whole or not at all."""
        if isinstance(self.store, LocalStore):
            self.store.set_sync(key, default_buffer_prototype().buffer.from_bytes(data))
            return
        sync(self.store.set(key, default_buffer_prototype().buffer.from_bytes(data)))

    @contextmanager
    def bulk(self) -> Iterator[Callable[[str, bytes | None], None]]:
        """Give a function that sets a key, or removes it for None, from any thread.

        In a folder all of it is synced once, and seen, when the block ends; and nothing of it if
        that is by an exception. Elsewhere each key is written at once.
        """
        if isinstance(self.store, DurableLocalStore):
            with self.store.bulk() as put:
                yield put
        else:
            yield lambda key, data: self.delete(key) if data is None else self.set(key, data)

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """Write `new` at `key` if `old` (None: nothing) is there; return whether it was.

        Atomic in a bucket, where it is a conditional request. In a folder the caller holds a
        file lock; memory is not shared between processes.
        """
        if isinstance(self.store, ObjectStore):
            return _swap_object(self.store, key, old, new)
        if self.get(key) != old:
            return False
        self.set(key, new)
        return True

    def delete(self, key: str) -> None:
        """Remove `key` if it is there."""
        if isinstance(self.store, LocalStore):
            self.store.delete_sync(key)
            return
        sync(self.store.delete(key))

    def delete_tree(self, prefix: str) -> None:
        """Remove everything under `prefix`."""
        sync(self.store.delete_dir(prefix))

    def children(self, prefix: str) -> list[str]:
        """Return the sorted names one level under `prefix`; files and folders alike."""
        names = sync(_names_in(self.store, prefix))
        return sorted({n.rstrip("/").removeprefix(prefix).strip("/") for n in names} - {""})

    def chunks(self, prefix: str) -> list[tuple[int, int]]:
        """Return the sorted (i, j) of all keys ``prefix/i/j/0/0``."""
        if isinstance(self.store, LocalStore):
            return sorted(chunks_under(os.fspath(self.store.root), prefix))
        keys = (_CHUNK.fullmatch(key, len(prefix)) for key in self.under(f"{prefix}/"))
        return sorted((int(m[1]), int(m[2])) for m in keys if m)

    def under(self, prefix: str) -> list[str]:
        """Return the sorted full keys anywhere under `prefix`; links are named, not followed."""
        if isinstance(self.store, LocalStore):
            return sorted(files_under(os.fspath(self.store.root), prefix.rstrip("/")))
        return sorted(sync(_names_under(self.store, prefix)))


def _swap_object(store: ObjectStore[Any], key: str, old: bytes | None, new: bytes) -> bool:
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    mode: Any = "create"
    if old is not None:
        try:
            response = obstore.get(store.store, key)
        except FileNotFoundError:
            return False
        if bytes(response.bytes()) != old:
            return False
        mode = {"e_tag": response.meta["e_tag"]}
    try:
        obstore.put(store.store, key, new, mode=mode)
    except (AlreadyExistsError, PreconditionError):
        return False
    return True


# Begun inside the event loop: obstore starts listing when it is called, not when awaited.
async def _names_in(store: Store, prefix: str) -> list[str]:
    return [name async for name in store.list_dir(prefix)]


async def _names_under(store: Store, prefix: str) -> list[str]:
    # A zip may hold entries for folders.
    return [name async for name in store.list_prefix(prefix) if not name.endswith("/")]


def sweep_partials(keys: KeyValueStore, path: str) -> None:
    """Remove files under `path` that a crash left half-written; the caller is its only writer."""
    if isinstance(keys.store, LocalStore):
        for key in keys.under(path):
            if key.endswith(PARTIAL):
                keys.delete(key)


def local_root(store: Store) -> Path | None:
    """Return the folder of a local store, else None."""
    return store.root if isinstance(store, LocalStore) else None


def is_outside(store: Store, key: str) -> bool:
    """Whether `key` leads out of a local store by a link."""
    try:
        if isinstance(store, DurableLocalStore):
            store.check_inside(key)
    except StoreError:
        return True
    return False


def place(store: Store) -> str:
    """Return what tells this store from every other, for the person's own journals."""
    if isinstance(store, LocalStore):
        return os.path.realpath(store.root)
    return str(store)
