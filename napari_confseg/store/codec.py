"""Decoding one zstd chunk: never more memory than the contract says, never a wrong byte.

Done without zarr's machinery, which costs more than the codec itself for planes this small and
allocates whatever size a chunk claims. Legal because :mod:`~napari_confseg.store.layout` pins
codec and chunk grid before anything is decoded.
"""

from __future__ import annotations

import numpy as np
from numcodecs import zstd
from numpy.typing import NDArray

from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.schema import EXCLUDED, MAX_CONFIDENCE

_MAGIC = b"\x28\xb5\x2f\xfd"
_SIZE_BYTES = (0, 2, 4, 8)
HEADER_BYTES = 18
"""The longest zstd frame header, RFC 8878, section 3.1.1."""

Plane = NDArray[np.uint8]


_DAMAGED = (
    "`confseg validate --repair` makes it again if a record of strokes tells what it was; else "
    "restore the file from a copy."
)


def content_size(data: bytes | memoryview) -> int | None:
    """Return how many bytes a zstd frame says it holds, or None if it doesn't say.

    Read from the frame header alone (RFC 8878, section 3.1.1.1): nothing is decoded.
    """
    if len(data) < 6 or data[:4] != _MAGIC:
        return None
    descriptor = data[4]
    single_segment = bool(descriptor & 0x20)
    n = _SIZE_BYTES[descriptor >> 6] or int(single_segment)
    start = 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3]
    if n == 0 or len(data) < start + n:
        return None
    # A two-byte size counts from 256: smaller ones fit into one byte.
    return int.from_bytes(data[start : start + n], "little") + (256 if n == 2 else 0)


def decode(data: bytes | memoryview, out: Plane, key: str) -> None:
    """Decode the chunk `data` into `out`, a C-contiguous array of exactly its size.

    Raises
    ------
    StoreError
        ``chunk-size`` if it claims another size, ``chunk-corrupt`` if it does not decode or its
        checksum is wrong; `key` says where.
    """
    claimed = content_size(data)
    if claimed is not None and claimed != out.nbytes:
        raise StoreError(
            Problem.mismatch(
                "chunk-size",
                key,
                f"{out.nbytes} bytes once decoded",
                f"{claimed}",
                f"Not decoded. {_DAMAGED}",
            )
        )
    try:
        if claimed is None:
            raise ValueError("no zstd frame that says its size")
        zstd.decompress(data, out)
    except (RuntimeError, ValueError) as error:
        raise StoreError(
            Problem(
                "chunk-corrupt",
                key,
                f"The chunk cannot be decoded to {out.nbytes} bytes: {error}",
                hint=_DAMAGED,
            )
        ) from error


def encode(plane: Plane) -> bytes:
    """Return `plane` as a zstd chunk with checksum, as zarr's own codec would write it."""
    return bytes(zstd.compress(np.ascontiguousarray(plane), 3, True))


def check_plane(data: Plane, path: str) -> None:
    """Refuse values that no plane may hold.

    Raises
    ------
    StoreError
        If `data` is not uint8 or holds a value outside 0..100 and 255.
    """
    if data.dtype != np.uint8:
        raise StoreError(Problem.mismatch("dtype", path, "uint8", str(data.dtype)))
    if data.max(initial=0) <= MAX_CONFIDENCE:  # cheap, and so for almost every plane
        return
    bad = data[(data > MAX_CONFIDENCE) & (data != EXCLUDED)]
    if bad.size:
        raise StoreError(
            Problem.mismatch(
                "value-range", path, "0..100 or 255", f"{bad.size} pixels of value {bad[0]}"
            )
        )
