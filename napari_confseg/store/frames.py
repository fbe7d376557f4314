"""Frames of a clip, read by slicing: one chunk a frame, most often many to a shard."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from napari_confseg.store.codec import decode
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.threads import THREADS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store.backend import KeyValueStore

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
