"""A rater's planes and status on one clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import zarr
from numcodecs import zstd

from napari_confseg.store.attributes import read_attributes, write_attributes
from napari_confseg.store.backend import Keys
from napari_confseg.store.problems import Problem, StoreError
from napari_confseg.store.schema import EXCLUDED, MAX_CONFIDENCE, RaterMeta, Status
from napari_confseg.store.strokes import Stroke, dump_strokes, parse_strokes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from zarr.abc.store import Store


def check_plane(data: NDArray[np.uint8], path: str) -> None:
    """Refuse values that no plane may hold.

    Raises
    ------
    StoreError
        If `data` is not uint8 or holds a value outside 0..100 and 255.
    """
    if data.dtype != np.uint8:
        raise StoreError(Problem("dtype", path, "uint8", str(data.dtype)))
    bad = data[(data > MAX_CONFIDENCE) & (data != EXCLUDED)]
    if bad.size:
        raise StoreError(
            Problem("value-range", path, "0..100 or 255", f"{bad.size} pixels of value {bad[0]}")
        )


class Rater:
    """Planes ``uint8 (T, C, Y, X)`` and status ``uint8 (T, C)`` of one rater on one clip.

    Obtained from :meth:`Clip.rater` or :meth:`Clip.create_rater`.

    Attributes
    ----------
    name : str
        The rater's slug.
    path : str
        Path of the group in the cohort.
    meta : RaterMeta
        Who this is.
    """

    def __init__(self, store: Store, path: str) -> None:
        self._keys = Keys(store)
        self.path = path
        self.name = path.rsplit("/", 1)[-1]
        self.meta = read_attributes(self._keys, path, RaterMeta)
        mode = "r" if store.read_only else "r+"
        self._planes = zarr.open_array(store, path=f"{path}/0", mode=mode, zarr_format=3)
        self._status = zarr.open_array(store, path=f"{path}/status", mode=mode, zarr_format=3)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, C, Y, X)."""
        t, c, y, x = self._planes.shape
        return t, c, y, x

    def read_plane(self, frame: int, class_index: int) -> NDArray[np.uint8]:
        """Return one plane of one frame, ``uint8 (Y, X)``."""
        plane = self._chunk(frame, class_index)
        return np.zeros(self.shape[2:], np.uint8) if plane is None else plane

    def read_planes(self, class_index: int) -> NDArray[np.uint8]:
        """Return the plane of a class over the clip, ``uint8 (T, Y, X)``.

        Only chunks that exist are decoded, into memory that the system hands out on touch: a
        2,000-frame clip with ten marked frames costs ten frames of memory.
        """
        n_frames, _, height, width = self.shape
        planes = np.zeros((n_frames, height, width), np.uint8)
        for frame, c in self.stored_chunks():
            if c == class_index:
                planes[frame] = self.read_plane(frame, c)
        return planes

    def stored_chunks(self) -> list[tuple[int, int]]:
        """Return the sorted (frame, class index) pairs that have something on disk."""
        prefix = f"{self.path}/0/c/"
        found = []
        for key in self._keys.under(prefix):
            frame, c, *_ = key.removeprefix(prefix).split("/")
            if frame.isdigit() and c.isdigit() and not key.endswith(".partial"):
                found.append((int(frame), int(c)))
        return sorted(found)

    def _chunk_key(self, frame: int, class_index: int) -> str:
        n_frames, n_classes = self.shape[:2]
        if not (0 <= frame < n_frames and 0 <= class_index < n_classes):
            raise IndexError(f"no frame {frame}, class {class_index} in {n_frames, n_classes}")
        return f"{self.path}/0/c/{frame}/{class_index}/0/0"

    def _chunk(self, frame: int, class_index: int) -> NDArray[np.uint8] | None:
        # Decoded without zarr's machinery, which costs more than the codec itself for planes
        # this small; legal because `check_layout` pinned the codec when the group was opened.
        key = self._chunk_key(frame, class_index)
        data = self._keys.get(key)
        if data is None:
            return None
        shape = self.shape[2:]
        out = np.empty(shape, np.uint8)
        try:
            zstd.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise StoreError(
                Problem("chunk-corrupt", key, f"a zstd chunk of {out.nbytes} bytes", str(error),
                        "Restore this file from a copy, or delete it to lose only this plane.")
            ) from error  # fmt: skip
        return out

    def write_plane(self, frame: int, class_index: int, data: NDArray[np.uint8]) -> None:
        """Replace one plane of one frame with `data`, ``uint8 (Y, X)``.

        Raises
        ------
        StoreError
            If a value is not 0..100 or 255.
        """
        check_plane(data, f"{self.path}/0/{frame}/{class_index}")
        if data.shape != self.shape[2:]:
            raise StoreError(
                Problem("plane-shape", f"{self.path}/0/{frame}/{class_index}",
                        str(self.shape[2:]), str(data.shape))
            )  # fmt: skip
        key = self._chunk_key(frame, class_index)
        if data.any():
            self._keys.set(key, bytes(zstd.compress(np.ascontiguousarray(data), 3, True)))
        else:
            self._keys.delete(key)  # empty chunks are not stored

    def read_status(self) -> NDArray[np.uint8]:
        """Return the status of every frame and class, ``uint8 (T, C)`` of :class:`Status`."""
        return np.asarray(self._status[:], np.uint8)

    def write_status(self, status: NDArray[np.uint8]) -> None:
        """Replace the whole status, ``uint8 (T, C)``.

        Raises
        ------
        StoreError
            If a value is no :class:`Status`.
        """
        if status.dtype != np.uint8 or status.max(initial=0) > max(Status):
            raise StoreError(
                Problem("status-range", f"{self.path}/status", "uint8 of 0, 1 or 2",
                        f"{status.dtype} up to {status.max(initial=0)}")
            )  # fmt: skip
        self._status[:] = status

    def read_strokes(self) -> list[Stroke]:
        """Return the record of strokes, oldest first."""
        data = self._keys.get(f"{self.path}/strokes.jsonl")
        return [] if data is None else parse_strokes(data, f"{self.path}/strokes.jsonl")

    def write_strokes(self, strokes: Iterable[Stroke]) -> None:
        """Replace the record of strokes; whole or not at all."""
        self._keys.set(f"{self.path}/strokes.jsonl", dump_strokes(strokes))

    def update_meta(self, **changes: object) -> None:
        """Write the attributes with some fields changed; foreign attributes stay."""
        self.meta = RaterMeta.model_validate(self.meta.model_dump() | changes)
        write_attributes(self._keys, self.path, self.meta)
