"""A clip: its frames, and the raters who marked it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_confseg.store.attributes import (
    is_whole,
    read_attributes,
    write_attributes,
    write_group,
)
from napari_confseg.store.backend import Keys
from napari_confseg.store.frames import Frames
from napari_confseg.store.layout import check_frames, stored_classes
from napari_confseg.store.omezarr import clip_ome, rater_ome
from napari_confseg.store.problems import Problem, StoreError
from napari_confseg.store.rater import Rater
from napari_confseg.store.schema import ClipMeta, CohortMeta, RaterKind, RaterMeta, check_slug

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray
    from zarr.abc.store import Store

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
        self._keys = Keys(store)
        self._cohort = cohort
        self.name = name
        self.meta = read_attributes(self._keys, name, ClipMeta)
        shape, per_shard, problems = check_frames(self._keys, f"{name}/0")
        if problems:
            raise StoreError(problems)
        if len(self.meta.frame_times) != shape[0]:
            raise StoreError(
                Problem("frame-times", name, f"{shape[0]} frame times, one a frame",
                        f"{len(self.meta.frame_times)}", "Import the clip again.")
            )  # fmt: skip
        self.frames = Frames(self._keys, f"{name}/0", shape, per_shard)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, Y, X)."""
        return self.frames.shape

    def update_meta(self, **changes: object) -> None:
        """Write the attributes with some fields changed; all others stay as they are on disk."""
        now = read_attributes(self._keys, self.name, ClipMeta)  # others write here, too
        self.meta = ClipMeta.model_validate(now.model_dump() | changes)
        interval, spacing = self.meta.frame_interval, self.meta.spacing
        ome = clip_ome(self.name, interval, spacing)
        write_attributes(self._keys, self.name, self.meta, ome)
        if {"frame_times", "spacing"} & changes.keys():
            for name in self.raters():  # their OME metadata repeat the clip's scale
                rater = self.rater(name)
                stored, _ = stored_classes(self._keys, rater.path)
                ome = rater_ome(name, interval, spacing, self._cohort.classes[:stored])
                write_attributes(self._keys, rater.path, rater.meta, ome)

    def raters(self) -> list[str]:
        """Return the names of the raters, sorted."""
        prefix = f"{self.name}/raters"
        return [n for n in self._keys.children(prefix) if is_whole(self._keys, f"{prefix}/{n}")]

    def rater(self, name: str) -> Rater:
        """Return the rater called `name`.

        Raises
        ------
        StoreError
            If there is none, or its group breaks the contract.
        """
        return self._open_rater(f"{self.name}/raters/{check_slug(name)}")

    def _open_rater(self, path: str) -> Rater:
        return Rater(self._store, path, self.shape, self._cohort.classes)

    def create_rater(
        self,
        name: str,
        *,
        kind: RaterKind,
        label: str | None = None,
        run: str | None = None,
        adjudicator: str | None = None,
        created: datetime | None = None,
    ) -> Rater:
        """Make an empty rater and return it.

        Parameters
        ----------
        name : str
            Slug of the new rater.
        kind : {"human", "model", "consensus", "truth", "adjudicated"}
            Who it is.
        label : str, optional
            What people read; the name if not given.
        run : str, optional
            The run that makes a model's planes.
        adjudicator : str, optional
            Who adjudicates, as people read it; for an adjudicated rater.
        created : datetime, optional
            Now, if not given.

        Raises
        ------
        StoreError
            If there is a rater of that name.
        """
        path = f"{self.name}/raters/{check_slug(name)}"
        if is_whole(self._keys, path):
            raise StoreError(Problem("exists", path, "no rater of that name", "one"))
        meta = RaterMeta(kind=kind, label=label or name, run=run, adjudicator=adjudicator,
                         created=created or datetime.now(UTC))  # fmt: skip
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

    >>> with cohort.new_clip("left-3", shape=(480, 640)) as new:   # doctest: +SKIP
    ...     for frame in frames:
    ...         new.append(frame)
    ...     new.finish(meta)
    """

    def __init__(self, store: Store, name: str, shape: tuple[int, int]) -> None:
        self._store = store
        self._keys = Keys(store)
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
                Problem("frame-shape", f"{self._name} frame {self._written + len(self._buffer)}",
                        f"uint8 {self._shape}", f"{frame.dtype} {frame.shape}")
            )  # fmt: skip
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
        """Write what is left and the metadata, which makes the clip exist.

        Raises
        ------
        StoreError
            If the number of frames differs from the number of frame times.
        """
        self._flush()
        self._wait()
        if self._written != len(meta.frame_times):
            raise StoreError(
                Problem("frame-count", self._name, f"{len(meta.frame_times)} frames (one a time)",
                        f"{self._written}")
            )  # fmt: skip
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
