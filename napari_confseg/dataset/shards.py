"""Shards of a frozen dataset, read and written straight by the codec.

They are plain zarr v3 shards (sharding codec 1.0, index at the end), cut along the first axis
alone. zarr's own path through them takes several times as long as the codec itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
from numcodecs import zstd

from napari_confseg.store import Problem, StoreError
from napari_confseg.store.codec import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

LEVEL = 3
_NO_CHUNK = 2**64 - 1


def write_shard(file: Path, data: NDArray[np.uint8], per_chunk: int, per_shard: int) -> None:
    """Write up to `per_shard` rows of an array; nothing where all of them are zero.

    Parameters
    ----------
    file : Path
        Of the shard.
    data : NDArray
        ``uint8``, C-contiguous, the last shard of an array may be shorter.
    per_chunk, per_shard : int
        Rows of a chunk, and of a shard.
    """
    index = np.full((per_shard // per_chunk, 2), _NO_CHUNK, "<u8")
    parts, at = [], 0
    for number, start in enumerate(range(0, len(data), per_chunk)):
        chunk = data[start : start + per_chunk]
        if not chunk.any():
            continue
        if len(chunk) < per_chunk:  # a chunk is whole on disk
            padding = np.zeros((per_chunk - len(chunk), *chunk.shape[1:]), np.uint8)
            chunk = np.concatenate([chunk, padding])
        coded = bytes(zstd.compress(chunk, LEVEL, True))  # with checksum
        index[number] = at, len(coded)
        parts.append(coded)
        at += len(coded)
    if parts:
        table = index.tobytes()
        parts += [table, google_crc32c.value(table).to_bytes(4, "little")]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"".join(parts))


def chunks_in(
    data: bytes, out: NDArray[np.uint8], per_chunk: int, per_shard: int, path: str
) -> Iterator[tuple[bytes, NDArray[np.uint8]]]:
    """Yield each chunk that is stored in a shard's bytes, coded, and its place in `out`.

    What is missing is zeros.

    Raises
    ------
    StoreError
        If the index does not fit the array at `path`.
    """
    size = 16 * (per_shard // per_chunk)
    index, checksum = data[-size - 4 : -4], int.from_bytes(data[-4:], "little")
    if len(index) != size or google_crc32c.value(index) != checksum:
        raise StoreError(Problem("chunk-corrupt", path, "The index of a shard is damaged"))
    table = np.frombuffer(index, "<u8").reshape(-1, 2)
    for number, (offset, length) in enumerate(table.tolist()):
        if length != _NO_CHUNK:
            place = out[number * per_chunk : (number + 1) * per_chunk]
            yield data[offset : offset + length], place


def decode_into(coded: bytes, place: NDArray[np.uint8], per_chunk: int, path: str) -> None:
    """Decode a chunk straight into its place; a damaged one fails its checksum.

    Raises
    ------
    StoreError
        Names the array, `path`.
    """
    if len(place) == per_chunk:
        decode(coded, place, path)
    else:  # the last chunk is longer than the array
        whole = np.empty((per_chunk, *place.shape[1:]), np.uint8)
        decode(coded, whole, path)
        place[:] = whole[: len(place)]
