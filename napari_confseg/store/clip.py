"""A clip: its frames, and the raters who marked it."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_confseg.store.attributes import (
    attributes_in,
    is_whole,
    merged,
    parse_node,
    write_attributes,
    write_group,
)
from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.codec import decode
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.layout import check_frames, stored_classes
from napari_confseg.store.omezarr import clip_ome, rater_ome
from napari_confseg.store.rater import Rater
from napari_confseg.store.revisions import read_newest, swap_newest
from napari_confseg.store.schema import (
    ClassSpec,
    ClipMeta,
    CohortMeta,
    Imported,
    RaterMeta,
    check_slug,
    is_slug,
)
from napari_confseg.store.threads import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from numpy.typing import NDArray
    from zarr.abc.store import Store

    from napari_confseg.store.rater_kinds import RaterKind


_ABSENT = 2**64 - 1
_INDEXES_KEPT = 64


class Frames:
    """Frames ``uint8 (T, Y, X)``, read by ``frames[3]``, ``frames[10:20]``, ``np.asarray(frames)``.

    Only what is asked for is read, and no more is decoded than the shape says.

    Parameters
    ----------
    keys : KeyValueStore
        The cohort's storage.
    path : str
        Path of the array.
    shape : tuple of int
        (T, Y, X), already checked.
    per_shard : int
        Frames in one file; 0 if each is a file of its own.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self, keys: KeyValueStore, path: str, shape: tuple[int, int, int], per_shard: int
    ) -> None:
        self._keys, self._path, self.shape, self._per_shard = keys, path, shape, per_shard
        self._indexes: OrderedDict[int, NDArray[np.uint64]] = OrderedDict()

    @property
    def size(self) -> int:
        """How many pixels there are."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """How many bytes they take once decoded."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.uint8, copy=False)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Return frames by integer, slice or sequence; further indices cut pixels as in numpy."""
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if first is Ellipsis:
            first, rest = slice(None), (Ellipsis, *rest)
        wanted = np.arange(self.shape[0])[first]
        out = np.zeros((wanted.size, *self.shape[1:]), np.uint8)
        self._read(wanted.reshape(-1), out)
        frames = out[0] if wanted.ndim == 0 else out
        return frames[rest if wanted.ndim == 0 else (slice(None), *rest)] if rest else frames

    def missing(self) -> list[int]:
        """Return the frames that are not on disk; they read as black."""
        if not self._per_shard:
            keys = set(self._keys.under(f"{self._path}/c/"))
            return [t for t in range(len(self)) if f"{self._path}/c/{t}/0/0" not in keys]
        return [
            t
            for t in range(len(self))
            if self._index(t // self._per_shard)[t % self._per_shard, 0] == _ABSENT
        ]

    def _read(self, wanted: NDArray[np.integer[Any]], out: NDArray[np.uint8]) -> None:
        # The codec lets go of the interpreter lock, so a few threads decode at once.
        jobs = zip(wanted.tolist(), out, strict=True)
        if len(wanted) < 4:
            for job in jobs:
                self._read_one(*job)
            return
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda job: self._read_one(*job), jobs))

    def _read_one(self, frame: int, out: NDArray[np.uint8]) -> None:
        if not self._per_shard:
            key = f"{self._path}/c/{frame}/0/0"
            data = self._keys.get(key, limit=out.nbytes + out.nbytes // 128 + 1024)
        else:
            shard, inside = divmod(frame, self._per_shard)
            key = self._shard_key(shard)
            start, length = self._index(shard)[inside].tolist()
            if start == _ABSENT:
                return
            # zstd grows what it can't compress by less than this.
            if length > out.nbytes + out.nbytes // 128 + 1024:
                raise StoreError(
                    Problem.mismatch(
                        "chunk-size",
                        f"{key} frame {frame}",
                        f"about {out.nbytes} bytes",
                        f"{length}",
                    )
                )
            data = self._keys.get_range(key, start, start + length)
        if data is not None:
            decode(data, out, f"{key} frame {frame}")

    def _shard_key(self, shard: int) -> str:
        return f"{self._path}/c/{shard}/0/0"

    def _index(self, shard: int) -> NDArray[np.uint64]:
        """Return (offset, length) of each frame in a shard; frames that aren't stored have 2^64-1.

        Sharding codec of zarr v3: the index stands at the end of the file, with a CRC32C.
        """
        known = self._indexes.get(shard)
        if known is not None:
            return known
        n = self._per_shard
        key = self._shard_key(shard)
        data = self._keys.get_end(key, 16 * n + 4)
        if data is None:
            return np.full((n, 2), _ABSENT, np.uint64)
        checksum = int.from_bytes(data[-4:], "little")
        if len(data) != 16 * n + 4 or google_crc32c.value(data[:-4]) != checksum:
            raise StoreError(
                Problem(
                    "chunk-corrupt",
                    key,
                    f"The index of this shard of {n} frames is damaged",
                    hint="Restore this file from a copy, or import the clip again.",
                )
            )
        index = np.frombuffer(data[:-4], "<u8").reshape(n, 2)
        self._indexes[shard] = index
        if len(self._indexes) > _INDEXES_KEPT:
            self._indexes.popitem(last=False)
        return index


FRAMES_PER_SHARD = 32
"""Frames are written once and read whole; 32 to a file keeps folders small."""

# Of 300 flipped bits the checksum lets none pass silently; without it zarr passes 155.
_CODEC = ZstdCodec(level=3, checksum=True)


class Clip:
    """One clip of a cohort. Obtained from :meth:`Cohort.clip`.

    Attributes
    ----------
    name : str
        The clip's slug.
    meta : ClipMeta
        Patient, times, spacing, sector, provenance.
    frames : Frames
        ``uint8 (T, Y, X)``, read by slicing.
    """

    def __init__(self, store: Store, name: str, cohort: CohortMeta) -> None:
        self._store = store
        self._keys = KeyValueStore(store)
        self._cohort = cohort
        self.name = name
        self.meta = attributes_in(
            parse_node(read_newest(self._keys, name).data, name), name, ClipMeta
        )
        shape, per_shard, problems = check_frames(self._keys, f"{name}/0")
        if problems:
            raise StoreError(problems)
        if len(self.meta.frame_times) != shape[0]:
            raise StoreError(
                Problem.mismatch(
                    "frame-times",
                    name,
                    f"{shape[0]} frame times, one a frame",
                    f"{len(self.meta.frame_times)}",
                    "Import the clip again.",
                )
            )
        self.frames = Frames(self._keys, f"{name}/0", shape, per_shard)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, Y, X)."""
        return self.frames.shape

    @property
    def classes(self) -> tuple[ClassSpec, ...]:
        """What raters mark, as the cohort says."""
        return self._cohort.classes

    def update_meta(self, **changes: object) -> None:
        """Write the attributes with some fields changed; all others stay as they are on disk.

        Of two who change different fields at once neither loses any.
        """
        while True:
            before = read_newest(self._keys, self.name)
            now = attributes_in(parse_node(before.data, self.name), self.name, ClipMeta)
            meta = ClipMeta.model_validate(now.model_dump() | changes)
            interval, spacing = meta.frame_interval, meta.spacing
            ome = clip_ome(self.name, interval, spacing)
            if swap_newest(self._keys, self.name, before, merged(before.data, meta, ome)):
                break  # else somebody was faster, which happens a few times at most
        self.meta = meta
        if {"frame_times", "spacing"} & changes.keys():
            for name in self.raters():  # their OME metadata repeat the clip's scale
                rater = self.rater(name)
                stored, _ = stored_classes(self._keys, rater.path)
                ome = rater_ome(name, interval, spacing, self._cohort.classes[:stored])
                write_attributes(self._keys, rater.path, rater.meta, ome)

    def raters(self) -> list[str]:
        """Return the names of the raters, sorted; folders with illegal names are none.

        Raises
        ------
        FileNotFoundError
            If the clip is not there any more.
        """
        prefix = f"{self.name}/raters"
        names = [n for n in self._keys.children(prefix) if is_slug(n)]
        whole = [n for n in names if is_whole(self._keys, f"{prefix}/{n}")]
        if not whole or len(whole) < len(names):
            self._keys.check_there(self.name)
        return whole

    def rater(self, name: str) -> Rater:
        """Return the rater called `name`.

        Raises
        ------
        StoreError
            If there is none, or its group breaks the contract.
        """
        path = f"{self.name}/raters/{name}"
        try:
            check_slug(name)
        except ValueError as error:
            raise StoreError(Problem("name", path, str(error))) from error
        return self._open_rater(path)

    def _open_rater(self, path: str) -> Rater:
        return Rater(self._store, path, self.shape, self._cohort.classes)

    def change_frames(self, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
        """Replace every frame with what `change` makes of it.

        Goes file by file, each replaced whole, with a bounded memory. Interrupted, it leaves the
        first part changed: `change` must do no harm when it is applied once more.

        Parameters
        ----------
        change : callable
            Takes frames ``uint8 (n, Y, X)`` and returns as many of the same shape.
        """
        n_frames = self.shape[0]
        array = zarr.open_array(self._store, path=f"{self.name}/0", mode="r+", zarr_format=3)
        for start in range(0, n_frames, FRAMES_PER_SHARD):
            stop = min(start + FRAMES_PER_SHARD, n_frames)
            frames: NDArray[np.uint8] = array[start:stop]  # type: ignore[assignment]
            array[start:stop] = change(frames)

    @property
    def store(self) -> Store:
        """The zarr store of the cohort."""
        return self._store

    def create_rater(
        self,
        name: str,
        *,
        kind: RaterKind,
        label: str | None = None,
        run: str | None = None,
        adjudicator: str | None = None,
        imported: Imported | None = None,
        created: datetime | None = None,
    ) -> Rater:
        """Make an empty rater and return it.

        Parameters
        ----------
        name : str
            Slug of the new rater.
        kind : str
            Key of :data:`~napari_confseg.store.RATER_KINDS`.
        label : str, optional
            What people read; the name if not given.
        run : str, optional
            The run that makes a model's planes.
        adjudicator : str, optional
            Who adjudicates, as people read it; for an adjudicated rater.
        imported : Imported, optional
            For planes that come from a file: which format, and who made them.
        created : datetime, optional
            Now, if not given.

        Raises
        ------
        StoreError
            If there is a rater of that name.
        """
        path = f"{self.name}/raters/{check_slug(name)}"
        if is_whole(self._keys, path):
            raise StoreError(Problem("exists", path, "A rater of this name exists already"))
        meta = RaterMeta(
            kind=kind,
            label=label or name,
            run=run,
            adjudicator=adjudicator,
            imported=imported,
            created=created or datetime.now(UTC),
        )
        n_frames, height, width = self.shape
        n_classes = len(self._cohort.classes)
        write_group(self._keys, f"{self.name}/raters")
        zarr.create_array(
            self._store,
            name=f"{path}/0",
            shape=(n_frames, n_classes, height, width),
            chunks=(1, 1, height, width),  # never sharded: edited live while others read
            dtype="uint8",
            fill_value=0,
            compressors=_CODEC,
            dimension_names=("t", "c", "y", "x"),
            overwrite=True,  # sweeps what a crash half-way through this function left
        )
        zarr.create_array(
            self._store,
            name=f"{path}/status",
            shape=(n_frames, n_classes),
            chunks=(n_frames, n_classes),
            dtype="uint8",
            fill_value=0,
            compressors=_CODEC,
            dimension_names=("t", "c"),
            overwrite=True,
        )
        ome = rater_ome(name, self.meta.frame_interval, self.meta.spacing, self._cohort.classes)
        write_attributes(self._keys, path, meta, ome)  # last: its presence makes the rater
        return self._open_rater(path)


class ClipWriter:
    """Writes a clip frame by frame with a bounded memory; it exists once it is finished.

    Use as a context manager; leaving it by an exception removes every trace.

    Examples
    --------
    >>> with cohort.new_clip("left-3", shape=(480, 640)) as new:   # doctest: +SKIP
    ...     for frame in frames:
    ...         new.append(frame)
    ...     new.finish(meta)
    """

    def __init__(self, store: Store, name: str, shape: tuple[int, int]) -> None:
        self._store = store
        self._keys = KeyValueStore(store)
        self._name = name
        self._shape = shape
        self._buffer: list[NDArray[np.uint8]] = []
        self._written = 0
        self._finished = False
        # Compressing and syncing release the interpreter: the next frames are decoded meanwhile.
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="clip-writer")
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        """Begin; leftovers of an interrupted import under this name are removed."""
        self._keys.delete_tree(self._name)
        self._array = zarr.create_array(
            self._store,
            name=f"{self._name}/0",
            shape=(0, *self._shape),
            chunks=(1, *self._shape),
            shards=(FRAMES_PER_SHARD, *self._shape),
            dtype="uint8",
            fill_value=0,
            compressors=_CODEC,
            dimension_names=("t", "y", "x"),
            # Black frames too: then one that is missing can be told from one that is black.
            config={"write_empty_chunks": True},
        )
        return self

    def append(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame, ``uint8 (Y, X)``.

        Raises
        ------
        StoreError
            If its shape or type differs from the clip's.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise StoreError(
                Problem.mismatch(
                    "frame-shape",
                    f"{self._name} frame {self._written + len(self._buffer)}",
                    f"uint8 {self._shape}",
                    f"{frame.dtype} {frame.shape}",
                )
            )
        self._buffer.append(frame)
        if len(self._buffer) == FRAMES_PER_SHARD:
            self._flush()

    def _flush(self) -> None:
        if not self._buffer:
            return
        self._wait()
        frames, start = np.stack(self._buffer), self._written
        self._written += len(frames)
        self._buffer.clear()
        self._pending = self._storing.submit(self._put, start, frames)

    def _put(self, start: int, frames: NDArray[np.uint8]) -> None:
        end = start + len(frames)
        self._array.resize((end, *self._shape))
        self._array[start:end] = frames

    def _wait(self) -> None:
        """Wait for the shard under way; raise what went wrong with it."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def finish(self, meta: ClipMeta) -> None:
        """Write what is left and `meta`, which makes the clip exist.

        Raises
        ------
        StoreError
            If the number of frames differs from the number of frame times.
        """
        self._flush()
        self._wait()
        if self._written != len(meta.frame_times):
            raise StoreError(
                Problem.mismatch(
                    "frame-count",
                    self._name,
                    f"{len(meta.frame_times)} frames (one a time)",
                    f"{self._written}",
                )
            )
        ome = clip_ome(self._name, meta.frame_interval, meta.spacing)
        write_attributes(self._keys, self._name, meta, ome)
        self._finished = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove every trace unless finished."""
        self._storing.shutdown()  # nothing is written after the sweep
        if not self._finished:
            with suppress(OSError):  # the disk that failed the write may fail this too
                self._keys.delete_tree(self._name)
