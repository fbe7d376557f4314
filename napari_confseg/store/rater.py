"""A rater's planes and status on one clip."""

from __future__ import annotations

import hashlib
import math
import mmap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store.attributes import read_attributes, read_node, write_attributes
from napari_confseg.store.backend import KeyValueStore, sweep_partials
from napari_confseg.store.clip_notes import NOTES, ClipNotes, dump_notes, parse_notes
from napari_confseg.store.codec import content_size, decode, encode
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.layout import check_layout, stored_classes, widen_array
from napari_confseg.store.omezarr import channels
from napari_confseg.store.schema import EXCLUDED, MAX_CONFIDENCE, ClassSpec, RaterMeta, Status
from napari_confseg.store.strokes import Stroke, dump_strokes, parse_strokes
from napari_confseg.store.threads import map_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from zarr.abc.store import Store


_THREADS = 4
RECORD = "strokes.jsonl"


def check_plane(data: NDArray[np.uint8], path: str) -> None:
    """Refuse values that no plane may hold.

    Raises
    ------
    StoreError
        If `data` is not uint8 or holds a value outside 0..100 and 255.
    """
    if data.dtype != np.uint8:
        raise StoreError(Problem.mismatch("dtype", path, "uint8", str(data.dtype)))
    bad = data[(data > MAX_CONFIDENCE) & (data != EXCLUDED)]
    if bad.size:
        raise StoreError(
            Problem.mismatch(
                "value-range", path, "0..100 or 255", f"{bad.size} pixels of value {bad[0]}"
            )
        )


def _sparse_zeros(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return zeros of `shape` that take memory only where they are touched, small page by page.

    numpy asks Linux for huge pages: each plane of a frame that is decoded into them then takes two
    or three times its size, and most of the time goes into clearing that (`benchmarks.scrolling`).
    """
    size = math.prod(shape)
    if not size or not hasattr(mmap, "MADV_NOHUGEPAGE"):
        return np.zeros(shape, np.uint8)
    memory = mmap.mmap(-1, size)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint8).reshape(shape)


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
    shape : tuple of int
        (T, C, Y, X).
    """

    def __init__(
        self, store: Store, path: str, clip: tuple[int, int, int], classes: Sequence[ClassSpec]
    ) -> None:
        self._keys = KeyValueStore(store)
        self._classes = tuple(classes)
        self._in_step = False
        self.path = path
        self.name = path.rsplit("/", 1)[-1]
        self.meta = read_attributes(self._keys, path, RaterMeta)
        self.shape = (clip[0], len(classes), *clip[1:])
        check_layout(self._keys, path, self.shape)

    def read_plane(self, frame: int, class_index: int) -> NDArray[np.uint8]:
        """Return one plane of one frame, ``uint8 (Y, X)``."""
        plane = np.zeros(self.shape[2:], np.uint8)
        self._read_into(frame, class_index, plane)
        return plane

    def read_planes(self, class_index: int) -> NDArray[np.uint8]:
        """Return the plane of a class over the clip, ``uint8 (T, Y, X)``.

        Only chunks that exist are decoded, into memory that the system hands out on touch: a
        2,000-frame clip with ten marked frames costs ten frames of memory.
        """
        planes: NDArray[np.uint8] = self.read_classes([class_index])[0]
        return planes

    def read_classes(self, class_indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return the planes of some classes over the clip, ``uint8 (len(class_indices), T, Y, X)``.

        One listing serves them all; a few threads decode at once. For many classes this is much
        faster than :meth:`read_planes` for each.
        """
        n_frames, _, height, width = self.shape
        planes = _sparse_zeros((len(class_indices), n_frames, height, width))
        self._fill(dict(zip(class_indices, planes, strict=True)))
        return planes

    def read_each(self, class_indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return the planes of some classes, ``uint8 (T, Y, X)`` each, as fast as all in one.

        Each in memory of its own: of a long clip, one piece for all is more than systems promise.
        """
        t, _, y, x = self.shape
        planes = {c: _sparse_zeros((t, y, x)) for c in class_indices}
        self._fill(planes)
        return list(planes.values())

    def _fill(self, planes: Mapping[int, NDArray[np.uint8]]) -> None:
        """Decode what is stored into zeros ``(T, Y, X)``, by class index."""
        if not planes.keys() <= set(range(self.shape[1])):
            raise IndexError(f"classes {list(planes)} of {self.shape[1]}")
        jobs = [(t, c, planes[c][t]) for t, c in self.stored_chunks() if c in planes]
        if len(jobs) < 4:
            for job in jobs:
                self._read_into(*job)
        else:  # reading and decoding let go of the interpreter lock
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(lambda job: self._read_into(*job), jobs))

    def stored_chunks(self) -> list[tuple[int, int]]:
        """Return the sorted (frame, class index) pairs that have something on disk."""
        return self._keys.chunks(f"{self.path}/0/c")

    def _chunk_key(self, frame: int, class_index: int) -> str:
        n_frames, n_classes = self.shape[:2]
        if not (0 <= frame < n_frames and 0 <= class_index < n_classes):
            raise IndexError(f"no frame {frame}, class {class_index} in {n_frames, n_classes}")
        return f"{self.path}/0/c/{frame}/{class_index}/0/0"

    def _read_into(self, frame: int, class_index: int, out: NDArray[np.uint8]) -> None:
        """Decode one plane of one frame into `out`; leave it alone if nothing is stored."""
        key = self._chunk_key(frame, class_index)
        data = self._keys.get(key)
        if data is not None:
            decode(data, out, key)

    def write_plane(self, frame: int, class_index: int, data: NDArray[np.uint8]) -> None:
        """Replace one plane of one frame with `data`, ``uint8 (Y, X)``.

        Raises
        ------
        StoreError
            If a value is not 0..100 or 255.
        """
        key, coded = self._coded(frame, class_index, data)
        self.bring_in_step()
        if coded is not None:
            self._keys.set(key, coded)
        else:
            self._keys.delete(key)

    def _coded(
        self, frame: int, class_index: int, data: NDArray[np.uint8]
    ) -> tuple[str, bytes | None]:
        """Return a plane's key and chunk; None for an empty one, which is not stored."""
        path = f"{self.path}/0/{frame}/{class_index}"
        check_plane(data, path)
        if data.shape != self.shape[2:]:
            raise StoreError(
                Problem.mismatch("plane-shape", path, str(self.shape[2:]), str(data.shape))
            )
        return self._chunk_key(frame, class_index), encode(data) if data.any() else None

    def write_planes(
        self,
        planes: NDArray[np.uint8],
        frames: Sequence[int] | None = None,
        classes: Sequence[int] | None = None,
    ) -> None:
        """Replace many planes: all of them, or none if that fails; one sync at the end.

        Parameters
        ----------
        planes : ndarray of uint8, shape (T, C, Y, X)
            Confidence in percent, or 255 for excluded.
        frames, classes : sequence of int, optional
            The frame of each of the T, the class index of each of the C; all if not given.

        Raises
        ------
        StoreError
            If a shape is wrong, or a value is not 0..100 or 255.
        """
        frames = range(self.shape[0]) if frames is None else frames
        classes = range(self.shape[1]) if classes is None else classes
        expected = (len(frames), len(classes), *self.shape[2:])
        if planes.shape != expected:
            raise StoreError(
                Problem.mismatch("plane-shape", f"{self.path}/0", str(expected), str(planes.shape))
            )
        self.write_each(
            (frame, index, planes[t, c])
            for t, frame in enumerate(frames)
            for c, index in enumerate(classes)
        )

    def write_each(self, planes: Iterable[tuple[int, int, NDArray[np.uint8]]]) -> None:
        """Replace planes one after the other, as :meth:`write_planes` does, in bounded memory.

        Parameters
        ----------
        planes : iterable of (int, int, ndarray of uint8, shape (Y, X))
            Frame, class index and plane. The arrays are not to be changed later.
        """
        with self.bulk() as write:
            for _ in map_bounded(lambda plane: write(*plane), planes):
                pass

    @contextmanager
    def bulk(self) -> Iterator[Callable[[int, int, NDArray[np.uint8]], None]]:
        """Give a function that replaces a plane, from any thread; one sync when the block ends.

        In a folder nothing is to be seen before that, nor ever if it ends by an exception.
        """
        self.bring_in_step()
        with self._keys.bulk() as put:
            yield lambda frame, index, plane: put(*self._coded(frame, index, plane))

    def read_status(self) -> NDArray[np.uint8]:
        """Return the status of every frame and class, ``uint8 (T, C)`` of :class:`Status`."""
        status = np.zeros(self.shape[:2], np.uint8)
        key = f"{self.path}/status/c/0/0"
        data = self._keys.get(key)
        if data is not None:
            # By its own size: a crash may have left it wider than its metadata say.
            n_classes, rest = divmod(content_size(data) or status.size, len(status))
            if rest or not 1 <= n_classes <= status.shape[1]:
                n_classes = status.shape[1]  # wrong, and refused by what decodes
            stored = np.zeros((len(status), n_classes), np.uint8)
            decode(data, stored, key)
            status[:, :n_classes] = stored
        return status

    def write_status(self, status: NDArray[np.uint8]) -> None:
        """Replace the whole status, ``uint8 (T, C)``.

        Raises
        ------
        StoreError
            If its shape is wrong or a value is no :class:`Status`.
        """
        wrong = status.dtype != np.uint8 or status.shape != self.shape[:2]
        if wrong or status.max(initial=0) > max(Status):
            raise StoreError(
                Problem.mismatch(
                    "status-range",
                    f"{self.path}/status",
                    f"uint8 {self.shape[:2]} of 0, 1 or 2",
                    f"{status.dtype} {status.shape} up to {status.max(initial=0)}",
                )
            )
        self.bring_in_step()
        self._keys.set(f"{self.path}/status/c/0/0", encode(status))

    def bring_in_step(self) -> None:
        """Follow the cohort's classes: widen the arrays, name and colour the channels.

        Done before the first write, so only this rater's one writer may call it. Each step
        leaves what any later reader understands, so a crash between two costs nothing.
        """
        if self._in_step:
            return
        planes, status = stored_classes(self._keys, self.path)
        n_classes = self.shape[1]
        if status < n_classes:
            whole = encode(self.read_status())
            self._keys.set(f"{self.path}/status/c/0/0", whole)
            widen_array(self._keys, f"{self.path}/status", n_classes)
        if planes < n_classes:
            widen_array(self._keys, f"{self.path}/0", n_classes)
        ome = read_node(self._keys, self.path)["attributes"].get("ome")
        wanted = channels(self._classes)
        if isinstance(ome, dict) and ome.get("omero", {}).get("channels") != wanted:
            ome["omero"] = {**ome.get("omero", {}), "channels": wanted}
            write_attributes(self._keys, self.path, self.meta, ome)
        self._in_step = True

    def read_strokes(self) -> list[Stroke]:
        """Return the record of strokes, oldest first."""
        data = self._keys.get(f"{self.path}/{RECORD}")
        return [] if data is None else parse_strokes(data, f"{self.path}/{RECORD}")

    def write_strokes(self, strokes: Iterable[Stroke]) -> None:
        """Replace the record of strokes; whole or not at all."""
        self._keys.set(f"{self.path}/{RECORD}", dump_strokes(strokes))

    def read_clip_notes(self) -> ClipNotes:
        """Return what this rater says of the clip as a whole; an empty one if nothing."""
        data = self._keys.get(f"{self.path}/{NOTES}")
        return ClipNotes() if data is None else parse_notes(data, f"{self.path}/{NOTES}")

    def write_clip_notes(self, notes: ClipNotes) -> None:
        """Replace what this rater says of the clip; whole or not at all."""
        self._keys.set(f"{self.path}/{NOTES}", dump_notes(notes))

    def stamp(self) -> str:
        """Return what changes whenever a person's planes or status here do.

        The record has a line for each stroke; without one (planes that a program wrote) what
        tells is which planes there are.
        """
        record = self._keys.get(f"{self.path}/{RECORD}")
        if record is None:
            record = repr(self.stored_chunks()).encode()
        return hashlib.blake2b(record + self.read_status().tobytes(), digest_size=12).hexdigest()

    def update_meta(self, **changes: object) -> None:
        """Write the attributes with some fields changed; foreign attributes stay."""
        self.meta = RaterMeta.model_validate(self.meta.model_dump() | changes)
        write_attributes(self._keys, self.path, self.meta)

    def sweep(self) -> None:
        """Remove what a crash left half-written here; only the rater's one writer may."""
        sweep_partials(self._keys, self.path)
