"""A rater's planes and status on one clip, read as the record says and written as a view of it."""

from __future__ import annotations

import hashlib
import math
import mmap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store.attributes import read_attributes, read_node, write_attributes
from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.checked_files import CheckedFiles
from napari_confseg.store.clip_notes import NOTES, ClipNotes, dump_notes, parse_notes
from napari_confseg.store.codec import check_plane, content_size, decode, encode
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.layout import STATUS, check_layout, chunk_key, stored_classes, widen_array
from napari_confseg.store.omezarr import channels
from napari_confseg.store.packed_planes import PackedPlanes
from napari_confseg.store.record import sweep_partials
from napari_confseg.store.schema import ClassSpec, RaterMeta, Status
from napari_confseg.store.segments import Entry, EntryId, Position, Segment, strokes_of
from napari_confseg.store.threads import THREADS, map_bounded
from napari_confseg.store.view import (
    State,
    View,
    checksum,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from zarr.abc.store import Store

    from napari_confseg.store.strokes import Stroke


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
    record : Record
        What was done, edit by edit.
    files : CheckedFiles
        The files of planes, status and notes, and what they should be.

    Notes
    -----
    Each chunk is compared with its checksum as it is read. Where planes, status or notes are not
    what the record comes to (a writer that had lost its right wrote late, a batch was cut short, a
    file was lost), what is returned is made from the record instead; :class:`RaterWriter` and
    ``confseg validate --repair`` then mend the files.
    """

    def __init__(
        self, store: Store, path: str, clip: tuple[int, int, int], classes: Sequence[ClassSpec]
    ) -> None:
        self._keys = KeyValueStore(store)
        self._classes = tuple(classes)
        self._in_step = False
        self._status_key = f"{path}/{STATUS}"
        self.path = path
        self.name = path.rsplit("/", 1)[-1]
        self.meta = read_attributes(self._keys, path, RaterMeta)
        self.shape = (clip[0], len(classes), *clip[1:])
        check_layout(self._keys, path, self.shape)
        self.files = CheckedFiles(self._keys, path, self.shape)
        self.record = self.files.record

    def read_plane(self, frame: int, class_index: int) -> NDArray[np.uint8]:
        """Return one plane of one frame, ``uint8 (Y, X)``.

        Parameters
        ----------
        frame, class_index : int
            Frame of the clip, and index of the class in the cohort.
        """
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
        """Return the planes of some classes over the clip, ``uint8 (C, T, Y, X)``.

        The C classes are those of `class_indices`, in their order.

        One listing serves them all; a few threads decode at once. For many classes this is much
        faster than :meth:`read_planes` for each.
        """
        n_frames, _, height, width = self.shape
        planes = _sparse_zeros((len(class_indices), n_frames, height, width))
        self._fill(dict(zip(class_indices, planes, strict=True)))
        return planes

    def read_packed(self, class_indices: Sequence[int]) -> list[PackedPlanes]:
        """Return the planes of the classes `class_indices`, compressed as they are stored.

        Each is decoded once, and found to be as it should: what is shown later can't fail.

        Raises
        ------
        StoreError
            If a plane is damaged, or holds a value other than 0..100 or 255.
        """
        if not set(class_indices) <= set(range(self.shape[1])):
            raise IndexError(f"classes {list(class_indices)} of {self.shape[1]}")
        found: dict[int, dict[int, bytes]] = {c: {} for c in class_indices}
        counts: dict[int, dict[int, int]] = {c: {} for c in class_indices}
        stored = [(t, c) for t, c in self.stored_chunks() if c in found]
        with ThreadPoolExecutor(THREADS) as pool:  # decoding lets go of the interpreter lock
            chunks = pool.map(lambda at: self._read_chunk(*at), stored)
            for (t, c), chunk in zip(stored, chunks, strict=True):
                if chunk is not None:
                    found[c][t], counts[c][t] = chunk
        t, _, y, x = self.shape
        return [PackedPlanes((t, y, x), found[c], counts[c]) for c in class_indices]

    def _read_chunk(self, frame: int, class_index: int) -> tuple[bytes, int] | None:
        """Return one plane as a chunk that decodes, and its marked pixels; None if it has none."""
        key = self._chunk_key(frame, class_index)
        plane = np.zeros(self.shape[2:], np.uint8)

        def checked(data: bytes | None) -> tuple[bytes, int] | None:
            if data is None:
                return None
            decode(data, plane, key)
            marked = int(np.count_nonzero(plane))
            return (data, marked) if marked else None

        found = self.files.read(key, lambda view: int(view.planes[frame, class_index]), checked)
        if not isinstance(found, State):
            return found
        held = found.planes.get((frame, class_index))
        marked = 0 if held is None else int(np.count_nonzero(held))
        return (encode(held), marked) if held is not None and marked else None

    def _fill(self, planes: Mapping[int, NDArray[np.uint8]]) -> None:
        """Decode what is stored into zeros ``(T, Y, X)``, by class index."""
        if not planes.keys() <= set(range(self.shape[1])):
            raise IndexError(f"classes {list(planes)} of {self.shape[1]}")
        jobs = [(t, c, planes[c][t]) for t, c in self.stored_chunks() if c in planes]
        if len(jobs) < 4:
            for job in jobs:
                self._read_into(*job)
        else:  # reading and decoding let go of the interpreter lock
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda job: self._read_into(*job), jobs))

    def stored_chunks(self) -> list[tuple[int, int]]:
        """Return the sorted (frame, class index) pairs that have something marked."""
        now = self.files.now(fresh=True)
        if now is None:
            return self.files.chunks()
        if isinstance(now, State):
            return sorted(key for key, plane in now.planes.items() if plane.any())
        return [(int(t), int(c)) for t, c in np.argwhere(now.planes)]

    def _chunk_key(self, frame: int, class_index: int) -> str:
        n_frames, n_classes = self.shape[:2]
        if not (0 <= frame < n_frames and 0 <= class_index < n_classes):
            raise IndexError(f"no frame {frame}, class {class_index} in {n_frames, n_classes}")
        return chunk_key(self.path, frame, class_index)

    def _read_into(self, frame: int, class_index: int, out: NDArray[np.uint8]) -> None:
        """Read one plane of one frame into `out`; leave it alone if nothing is marked."""
        key = self._chunk_key(frame, class_index)

        def decoded(data: bytes | None) -> None:
            if data is not None:
                decode(data, out, key)

        state = self.files.read(key, lambda view: int(view.planes[frame, class_index]), decoded)
        if isinstance(state, State):
            plane = state.planes.get((frame, class_index))
            if plane is not None:
                np.copyto(out, plane)

    def write_plane(self, frame: int, class_index: int, data: NDArray[np.uint8]) -> None:
        """Replace one plane of one frame with `data`, ``uint8 (Y, X)``.

        Parameters
        ----------
        frame, class_index : int
            Frame of the clip, and index of the class in the cohort.
        data : ndarray of uint8, shape (Y, X)
            Confidence in percent, or 255 for excluded.

        Raises
        ------
        StoreError
            If a value is not 0..100 or 255.
        """
        key, coded = self._coded(frame, class_index, data)
        with self._own_view() as view:
            if coded is not None:
                self._keys.set(key, coded)
            else:
                self._keys.delete(key)
            view.planes[frame, class_index] = checksum(coded)

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

        It takes frame, class index and plane, ``uint8 (Y, X)``. In a folder nothing is to be
        seen before that, nor ever if it ends by an exception.
        """
        with self._own_view() as view:
            found: dict[tuple[int, int], int] = {}
            with self._keys.bulk() as put:

                def write(frame: int, index: int, plane: NDArray[np.uint8]) -> None:
                    key, coded = self._coded(frame, index, plane)
                    put(key, coded)
                    found[frame, index] = checksum(coded)

                yield write
            for key, value in found.items():
                view.planes[key] = value

    @contextmanager
    def _own_view(self) -> Iterator[View]:
        """Let planes be written as a whole; the view follows when the block ends.

        Raises
        ------
        StoreError
            If the rater has a record of edits: then :class:`RaterWriter` alone may write.
        """
        self.bring_in_step()
        now = self.files.now() or self.files.as_they_are()
        if isinstance(now, State) or (now.tip is not None and now.tip.epoch):
            raise StoreError(
                Problem(
                    "recorded",
                    self.path,
                    "These planes follow from a record of edits and can't be replaced",
                    hint="Use RaterWriter, or write them under another name.",
                )
            )
        view = replace(now, planes=now.planes.copy())
        try:
            yield view
        finally:
            # By an exception, too: some planes may have been written before it.
            self.files.put_view(replace(view, status=self.files.sum_of(self._status_key)))

    def read_status(self) -> NDArray[np.uint8]:
        """Return the status of every frame and class, ``uint8 (T, C)`` of :class:`Status`."""
        found = self.files.read(self._status_key, lambda view: view.status, self._decode_status)
        return found.status.copy() if isinstance(found, State) else found

    def decode_status(self) -> NDArray[np.uint8]:
        """Return the status ``uint8 (T, C)`` as its file has it, whatever the record says."""
        return self._decode_status(self.files.fetch(self._status_key))

    def _decode_status(self, data: bytes | None) -> NDArray[np.uint8]:
        status = np.zeros(self.shape[:2], np.uint8)
        if data is not None:
            # By its own size: a crash may have left it wider than its metadata say.
            n_classes, rest = divmod(content_size(data) or status.size, len(status))
            if rest or not 1 <= n_classes <= status.shape[1]:
                n_classes = status.shape[1]  # wrong, and refused by what decodes
            stored = np.zeros((len(status), n_classes), np.uint8)
            decode(data, stored, self._status_key)
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
        with self._own_view():
            self._keys.set(self._status_key, encode(status))

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
            now, whole = self.files.now(fresh=True), encode(self.read_status())
            self._keys.set(self._status_key, whole)
            if isinstance(now, View):
                self.files.put_view(replace(now, status=checksum(whole)))
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
        return strokes_of(self.record.read().entries())

    @property
    def n_strokes(self) -> int:
        """How many strokes stand; told without reading the record if its view is up to date."""
        now = self.files.now(fresh=True)
        if isinstance(now, View):
            return now.strokes
        return sum(not s.undone for s in self.read_strokes()) if now is not None else 0

    def write_strokes(self, strokes: Iterable[Stroke]) -> None:
        """Begin the record with strokes whose pixels have been written as whole planes.

        For programs that simulate a reader. Can be done once.

        Raises
        ------
        StoreError
            If there is a record already.
        """
        given = list(strokes)
        entries = tuple(Entry(EntryId("given", s.seq), "edit", s, b"") for s in given)
        if not given:
            return
        time = max(s.time for s in given)  # not now: the same strokes make the same bytes
        first = Segment(Position(0, 1), None, "given", "", "", time, entries)
        if not self.record.append(first):
            raise StoreError(Problem("exists", self.path, "This rater has a record already"))
        self.files.forget()
        now = self.files.look()[1] or self.files.as_they_are()
        standing = sum(not s.undone for s in given)
        self.files.put_view(replace(now, tip=first.position, strokes=standing))

    def read_clip_notes(self) -> ClipNotes:
        """Return what this rater says of the clip as a whole; an empty one if nothing."""
        key = f"{self.path}/{NOTES}"
        found = self.files.read(
            key,
            lambda view: view.notes if view.tip else None,  # without a record, nobody told
            lambda data: ClipNotes() if data is None else parse_notes(data, key),
        )
        return found.notes if isinstance(found, State) else found

    def put_planes(
        self, planes: Iterable[tuple[tuple[int, int], NDArray[np.uint8]]]
    ) -> dict[tuple[int, int], int]:
        """Replace planes (Y, X), each with (frame, class index); return their chunks' checksums.

        They are written as they come, and seen together at the end.
        """
        sums = {}
        with self._keys.bulk() as put:
            for where, plane in planes:
                key, data = self._coded(*where, plane)
                put(key, data)
                sums[where] = checksum(data)
        return sums

    def put_status(self, status: NDArray[np.uint8]) -> int:
        """Replace the status ``uint8 (T, C)``; return the checksum of its chunk."""
        data = encode(status)
        self._keys.set(self._status_key, data)
        return checksum(data)

    def put_notes(self, notes: ClipNotes) -> int:
        """Replace the notes, empty ones by no file; return the checksum of the file."""
        key = f"{self.path}/{NOTES}"
        data = None if notes == ClipNotes() else dump_notes(notes)
        if data is None:
            self._keys.delete(key)
        else:
            self._keys.set(key, data)
        return checksum(data)

    def read_state(self, report: Callable[[int, int], object] = lambda *_: None) -> State:
        """Return planes, status and notes, whole, in memory.

        `report` is called with (planes read, planes).
        """
        state = State(self.shape)
        chunks = self.stored_chunks()
        for done, (frame, class_index) in enumerate(chunks):
            report(done, len(chunks))
            state.planes[frame, class_index] = self.read_plane(frame, class_index)
        state.status, state.notes = self.read_status(), self.read_clip_notes()
        return state

    def stamp(self) -> str:
        """Return what changes whenever a person's planes or status here do.

        Made of checksums, so nothing is decoded.
        """
        now = self.files.now(fresh=True)
        if isinstance(now, View):
            told = repr((now.tip, now.strokes, now.status, now.notes)).encode()
            told += now.planes.tobytes()
        else:
            told = (
                repr((self.record.names(), self.stored_chunks())).encode()
                + self.read_status().tobytes()
            )
        return hashlib.blake2b(told, digest_size=12).hexdigest()

    def update_meta(self, **changes: object) -> None:
        """Write the attributes with the fields in `changes`; foreign attributes stay."""
        self.meta = RaterMeta.model_validate(self.meta.model_dump() | changes)
        write_attributes(self._keys, self.path, self.meta)

    def sweep(self) -> None:
        """Remove what a crash left half-written here; only the rater's one writer may."""
        sweep_partials(self._keys, self.path)
