"""Where bytes live: folder, memory, zip or bucket, behind one synchronous key-value face."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, ObjectStore, ZipStore

from napari_confseg.store.bucket import (
    create_object,
    delete_object,
    get_object,
    modified_object,
    names_in_bucket,
    objects_under,
    open_bucket,
    put_object,
    swap_object,
)
from napari_confseg.store.durable import make_folders
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.files import read_key, span_of, too_large
from napari_confseg.store.folder import (
    DurableLocalStore,
    chunks_under,
    files_under,
    names_in,
)
from napari_confseg.store.listed import ListedStore
from napari_confseg.store.root import MAX_METADATA_BYTES
from napari_confseg.store.threads import REQUESTS, THREADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype

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
        return open_bucket(text, read_only=read_only)
    path = Path(text).expanduser()
    if path.suffix == ".zip":
        return _open_zip(path, read_only=read_only)
    if not create and not path.is_dir():
        raise StoreError(
            Problem("missing", text, "There is no such folder", hint="Check the path.")
        )
    if create:
        make_folders(path)
    return DurableLocalStore(path, read_only=read_only)


def _open_zip(path: Path, *, read_only: bool) -> Store:
    if not read_only:
        raise StoreError(
            Problem(
                "zip-read-only",
                str(path),
                "Read-only: what is in a zip cannot be edited",
                hint="Unpack the zip to edit it.",
            )
        )
    if not path.is_file():
        raise StoreError(
            Problem("missing", str(path), "There is no such zip file", hint="Check the path.")
        )
    try:
        return sync(_BoundedZip.open(path, mode="r", read_only=True))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise StoreError(
            Problem("zip-damaged", str(path), f"This is no whole zip file: {error}")
        ) from error


MAX_WHOLE = 64 * 2**20
"""An object up to this size is read whole where parts of it are asked for one by one."""
MAX_MEMBER = 2**30
"""A file in a zip that unpacks to more than this is not read: a shard of our frames is smaller."""


class _BoundedZip(ZipStore):
    """zarr's ``ZipStore``, which unpacks no more than it was told before."""

    def size(self, key: str) -> int | None:
        """Return what `key` unpacks to in bytes; None if it is not there."""
        with self._lock:
            try:
                return self._zf.getinfo(key).file_size
            except KeyError:
                return None

    def _get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        try:
            info = self._zf.getinfo(key)
        except KeyError:
            return None
        # The other methods hand out whatever a few bytes unpack to, however little is asked for.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise StoreError(
                Problem(
                    "zip-method",
                    key,
                    "This file is packed by a method other than deflate",
                    hint="Pack the cohort anew, as ordinary zip.",
                )
            )
        if info.file_size > MAX_MEMBER:
            raise too_large(key, MAX_MEMBER, info.file_size)
        start, stop = span_of(byte_range, info.file_size)
        try:
            with self._zf.open(info) as f:
                f.seek(start)
                return prototype.buffer.from_bytes(f.read(stop - start))
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            RuntimeError,
            OSError,
            ValueError,
        ) as error:
            raise StoreError(
                Problem("zip-damaged", key, f"This file cannot be unpacked: {error}")
            ) from error


class KeyValueStore:
    """Raw keys of a zarr store, read and written synchronously.

    Parameters
    ----------
    store : zarr Store
        Any store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, key: str, *, limit: int | None = None) -> bytes | None:
        """Return the bytes at `key`, or None.

        Parameters
        ----------
        key : str
            Which.
        limit : int, optional
            Bytes at most. The size is looked at first: what is larger is not read.

        Raises
        ------
        StoreError
            With code ``file-size`` if it is larger, ``file-kind`` if it is a pipe or a device.
        """
        return self._get(key, None, limit)

    def get_range(self, key: str, start: int, stop: int) -> bytes | None:
        """Return bytes `start` to `stop` of what is at `key`, or None."""
        return self._get(key, RangeByteRequest(start, stop))

    def get_end(self, key: str, n: int) -> bytes | None:
        """Return the last `n` bytes of what is at `key`, or None."""
        return self._get(key, SuffixByteRequest(n))

    def _get(self, key: str, part: ByteRequest | None, limit: int | None = None) -> bytes | None:
        store = self.store
        if isinstance(store, ListedStore):
            return self._get_listed(store, key, part, limit)
        # No detour over zarr's event loop where there is another way.
        if isinstance(store, DurableLocalStore):
            return store.read(key, limit=limit, part=part)
        if isinstance(store, LocalStore):
            return read_key(store.root / key, key, limit=limit, part=part)
        if isinstance(store, ObjectStore):
            return get_object(store, key, limit=limit, part=part)
        if isinstance(store, _BoundedZip) and limit is not None:
            size = store.size(key)
            if size is not None and size > limit:
                raise too_large(key, limit, size)
        buffer = sync(store.get(key, default_buffer_prototype(), part))
        if buffer is not None and part is None and limit is not None and len(buffer) > limit:
            raise too_large(key, limit, len(buffer))
        return None if buffer is None else buffer.to_bytes()

    def _get_listed(
        self, store: ListedStore, key: str, part: ByteRequest | None, limit: int | None
    ) -> bytes | None:
        if store.knows(key) and key not in store.signatures:
            return None
        inner = KeyValueStore(store.inner())
        if part is not None and isinstance(inner.store, ObjectStore):
            # One request for a shard whose frames are read one after the other.
            if store.whole is None or store.whole[0] != key:
                with suppress(StoreError):
                    store.whole = key, inner.get(key, limit=MAX_WHOLE) or b""
            if store.whole is not None and store.whole[0] == key:
                start, stop = span_of(part, len(store.whole[1]))
                return store.whole[1][start:stop]
        if part is not None or not store.keeps(key):
            return inner._get(key, part, limit)
        if key not in store.kept:
            store.kept[key] = inner.get(key, limit=limit)
        return store.kept[key]

    def modified(self, key: str) -> datetime | None:
        """Return when `key` was last written, by the clock of the store; None if unknown.

        Compare it with other times of the same store alone: its clock may differ from ours.
        Unknown are the times of what is not there, and of stores in memory and in a zip.
        """
        if isinstance(self.store, LocalStore):
            try:
                return datetime.fromtimestamp(os.stat(self.store.root / key).st_mtime, UTC)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if isinstance(self.store, ObjectStore):
            return modified_object(self.store, key)
        return None

    def set(self, key: str, data: bytes) -> None:
        """Write `data` at `key`; whole or not at all."""
        if isinstance(self.store, ObjectStore):
            self._refuse_read_only()
            put_object(self.store, key, data)
        elif isinstance(self.store, LocalStore):
            self.store.set_sync(key, default_buffer_prototype().buffer.from_bytes(data))
        else:
            sync(self.store.set(key, default_buffer_prototype().buffer.from_bytes(data)))

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` at `key` if nothing is there; return whether that was so.

        Durable, and whole at once, in folders and buckets alike; of two who try, one succeeds.
        Whoever finds exactly its own bytes there has succeeded, so that one can try again after
        an error; let `data` tell who wrote it. (The client of a bucket repeats requests, too.)
        """
        if isinstance(self.store, ObjectStore):
            self._refuse_read_only()
            return create_object(self.store, key, data)
        if isinstance(self.store, DurableLocalStore):
            return self.store.create(key, data) or self.store.holds(key, data)
        if self.get(key) is not None:
            return False
        self.set(key, data)
        return True

    def lock_file(self, key: str) -> Path | None:
        """Return a path for a lock file at `key`, its folders made; None where there are no files.

        Raises
        ------
        StoreError
            With code ``outside`` if a link is on the way, ``file-kind`` if it is no regular file:
            taking the lock may open, and cut, whatever a link leads to.
        """
        return self.store.lock_file(key) if isinstance(self.store, DurableLocalStore) else None

    def _refuse_read_only(self) -> None:
        if self.store.read_only:
            raise ValueError("store was opened in read-only mode and does not support writing")

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
            self._refuse_read_only()
            return swap_object(self.store, key, old, new)
        if self.get(key) != old:
            return False
        self.set(key, new)
        return True

    def delete(self, key: str) -> None:
        """Remove `key` if it is there."""
        if isinstance(self.store, ObjectStore):
            self._refuse_read_only()
            delete_object(self.store, key)
        elif isinstance(self.store, LocalStore):
            self.store.delete_sync(key)
        else:
            sync(self.store.delete(key))

    def delete_tree(self, prefix: str) -> None:
        """Remove everything under `prefix`."""
        sync(self.store.delete_dir(prefix))

    def children(self, prefix: str) -> list[str]:
        """Return the sorted names one level under `prefix`; files and folders alike."""
        if isinstance(self.store, ListedStore) and self.store.knows(f"{prefix}/"):
            start = len(prefix) + 1
            names = [key[start:].partition("/")[0] for key in self.store.under(f"{prefix}/")]
        elif isinstance(self.store, ListedStore):
            return KeyValueStore(self.store.inner()).children(prefix)
        elif isinstance(self.store, LocalStore):
            names = names_in(os.fspath(self.store.root), prefix)
        elif isinstance(self.store, ObjectStore):
            names = names_in_bucket(self.store, prefix)
        else:
            names = sync(_names_in(self.store, prefix))
        return sorted({n.rstrip("/").removeprefix(prefix).strip("/") for n in names} - {""})

    def check_there(self, path: str) -> None:
        """Make sure that the group `path` is there: a drive that is not mounted lists nothing.

        Raises
        ------
        FileNotFoundError
            If it is not.
        """
        with suppress(StoreError):  # whatever is wrong with it, it is there
            if self.get(f"{path}/zarr.json".lstrip("/"), limit=MAX_METADATA_BYTES) is None:
                raise FileNotFoundError(f"{path or 'the cohort'} is not there")

    def chunks(self, prefix: str) -> list[tuple[int, int]]:
        """Return the sorted (i, j) of all keys ``prefix/i/j/0/0``."""
        if isinstance(self.store, ListedStore) and not self.store.knows(f"{prefix}/"):
            return KeyValueStore(self.store.inner()).chunks(prefix)
        if isinstance(self.store, LocalStore):
            return sorted(chunks_under(os.fspath(self.store.root), prefix))
        keys = (_CHUNK.fullmatch(key, len(prefix)) for key in self.under(f"{prefix}/"))
        return sorted((int(m[1]), int(m[2])) for m in keys if m)

    def under(self, prefix: str) -> list[str]:
        """Return the sorted full keys anywhere under `prefix`; links are named, not followed."""
        if isinstance(self.store, ListedStore):
            if self.store.knows(prefix):
                return self.store.under(prefix)
            return KeyValueStore(self.store.inner()).under(prefix)
        if isinstance(self.store, LocalStore):
            return sorted(files_under(os.fspath(self.store.root), prefix.rstrip("/")))
        if isinstance(self.store, ObjectStore):
            return sorted(objects_under(self.store, prefix))
        return sorted(sync(_names_under(self.store, prefix)))


async def _names_in(store: Store, prefix: str) -> list[str]:
    return [name async for name in store.list_dir(prefix)]


async def _names_under(store: Store, prefix: str) -> list[str]:
    # A zip may hold entries for folders.
    return [name async for name in store.list_prefix(prefix) if not name.endswith("/")]


def requests_at_once(store: Store) -> int:
    """Return how many threads to read with: a bucket answers late, but many at once."""
    return REQUESTS if isinstance(store, ObjectStore) else THREADS


def local_root(store: Store) -> Path | None:
    """Return the folder of a local store, else None."""
    return store.root if isinstance(store, LocalStore) else None


def is_outside(store: Store, key: str) -> bool:
    """Whether `key`, as listed, leads out of a local store by a link."""
    if isinstance(store, ListedStore):
        return is_outside(store.inner(), key)
    try:
        # A listing never follows links: none is on the way.
        if isinstance(store, DurableLocalStore) and os.path.islink(store.root / key):
            store.check_inside(key)
    except StoreError:
        return True
    return False


def place(store: Store) -> str:
    """Return what tells this store from every other, for the person's own journals."""
    if isinstance(store, ListedStore):
        return place(store.inner())
    if isinstance(store, LocalStore):
        return os.path.realpath(store.root)
    return str(store)
