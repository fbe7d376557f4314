"""A new clip, written frame by frame."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_confseg.store.attributes import write_attributes
from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.layout import FRAMES_PER_SHARD, create_frames
from napari_confseg.store.omezarr import clip_ome

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray
    from zarr.abc.store import Store

    from napari_confseg.store.schema import ClipMeta


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
        self._array = create_frames(self._store, f"{self._name}/0", self._shape)
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
