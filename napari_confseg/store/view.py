"""The view of a record: what planes, status and notes should be, and how to make them again.

A view file holds a checksum of each stored chunk and the position in the record that they follow
from, so that a chunk that somebody else wrote late, half a batch or a lost file is noticed when it
is read. Each session writes a view file of its own; that of the highest epoch holds.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
from numcodecs import zstd
from pydantic import Field, ValidationError

from napari_confseg.store.clip_notes import ClipNotes, dump_notes, parse_changes, parse_notes
from napari_confseg.store.codec import content_size, decode, encode
from napari_confseg.store.errors import Problem, StoreError, field_problems
from napari_confseg.store.record import Line, Record, snapshot_name
from napari_confseg.store.schema import Strict
from napari_confseg.store.segments import Position, frame, frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_confseg.store.edits import Edit
    from napari_confseg.store.segments import Entry

MAX_VIEW = 32 * 2**20
"""Bytes; a view file that is larger is refused unread."""


def checksum(data: bytes | None) -> int:
    """Return the CRC32C of a stored chunk, from 1; 0 stands for none."""
    return 0 if data is None else google_crc32c.value(data) or 1


class _ViewFile(Strict):
    session: str | None = None
    tip: tuple[int, int] | None
    strokes: int = Field(ge=0)
    status: int = Field(ge=0, lt=2**32)
    notes: int = Field(ge=0, lt=2**32)
    shape: tuple[int, int]
    planes: str


@dataclass(frozen=True)
class View:
    """What is stored beside the record.

    Attributes
    ----------
    session : str or None
        Who wrote it, to machines.
    tip : Position or None
        The segment that all of it follows from; None for planes that have no record.
    strokes : int
        How many strokes stand.
    planes : ndarray of uint32, shape (T, C)
        Checksum of each plane's chunk; 0 for a plane with no mark.
    status, notes : int
        Checksums of the status and of the notes; 0 for none.
    """

    session: str | None
    tip: Position | None
    strokes: int
    planes: NDArray[np.uint32]
    status: int = 0
    notes: int = 0

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> View:
        """Return the view of nothing, for `shape` (T, C)."""
        return cls(None, None, 0, np.zeros(shape, np.uint32))

    def dump(self) -> bytes:
        """Return the view as it is written."""
        packed = zstd.compress(np.ascontiguousarray(self.planes.astype("<u4")), 3, True)
        return (
            _ViewFile(
                session=self.session,
                tip=self.tip,
                strokes=self.strokes,
                status=self.status,
                notes=self.notes,
                shape=(self.planes.shape[0], self.planes.shape[1]),
                planes=base64.b64encode(packed).decode(),
            )
            .model_dump_json()
            .encode()
        )

    def widened(self, shape: tuple[int, int]) -> View:
        """Return the view for `shape` (T, C), which may have more classes."""
        if self.planes.shape == shape:
            return self
        planes = np.zeros(shape, np.uint32)
        t, c = (min(a, b) for a, b in zip(self.planes.shape, shape, strict=True))
        planes[:t, :c] = self.planes[:t, :c]
        return replace(self, planes=planes)


def parse_view(data: bytes, path: str, shape: tuple[int, int]) -> View:
    """Return the view in `data` for `shape` (T, C).

    Raises
    ------
    StoreError
        If it breaks the contract.
    """
    hint = "Delete it: it is made again when the clip is next opened with this rater."
    try:
        parsed = _ViewFile.model_validate_json(data)
        packed = base64.b64decode(parsed.planes, validate=True)
        t, c = parsed.shape
        if t != shape[0] or not 1 <= c <= shape[1] or content_size(packed) != 4 * t * c:
            raise ValueError(f"checksums of {parsed.shape} planes for {shape}")
        planes = np.frombuffer(bytes(zstd.decompress(packed)), "<u4").reshape(t, c)
    except ValidationError as error:
        raise StoreError(list(field_problems(error, "view", path, hint))[:20]) from error
    except (ValueError, RuntimeError) as error:
        raise StoreError(
            Problem("view", path, f"The checksums can't be read: {error}", hint=hint)
        ) from error
    tip = parsed.tip and Position(*parsed.tip)
    view = View(parsed.session, tip, parsed.strokes, planes, parsed.status, parsed.notes)
    return view.widened(shape)


@dataclass
class State:
    """Planes, status and notes of one rater, in memory.

    Attributes
    ----------
    shape : tuple of int
        (T, C, Y, X).
    planes : dict of (frame, class index) to ndarray
        Those that something was ever marked on, ``uint8 (Y, X)``.
    status : ndarray of uint8, shape (T, C)
    notes : ClipNotes
    """

    shape: tuple[int, int, int, int]
    planes: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict)
    status: NDArray[np.uint8] = field(init=False)
    notes: ClipNotes = field(default_factory=ClipNotes)

    def __post_init__(self) -> None:
        self.status = np.zeros(self.shape[:2], np.uint8)

    def plane(self, frame: int, class_index: int) -> NDArray[np.uint8]:
        """Return one plane, made if it is missing."""
        key = frame, class_index
        if key not in self.planes:
            self.planes[key] = np.zeros(self.shape[2:], np.uint8)
        return self.planes[key]

    def apply(self, edit: Edit) -> None:
        """Apply an edit.

        Raises
        ------
        StoreError
            If it does not fit.
        """
        edit.check(self.shape)
        for patch in edit.patches:
            patch.apply(self.plane(patch.frame, patch.class_index))
        for change in edit.status:
            self.status[change.frame, change.class_index] = change.after

    def follow(self, entries: Iterable[Entry]) -> None:
        """Apply entries of a record, in order."""
        for entry in entries:
            if entry.kind == "notes":
                self.notes = self.notes.changed(parse_changes(entry.data.decode()))
            else:
                effect = entry.effect()
                if effect is not None:
                    self.apply(effect)


def dump_snapshot(
    planes: Mapping[tuple[int, int], bytes], status: NDArray[np.uint8], notes: ClipNotes
) -> bytes:
    """Return a snapshot: stored chunks by (frame, class index), status and notes."""
    order = sorted(planes)
    whole, told = encode(status), dump_notes(notes)
    head = {
        "planes": [[*key, len(planes[key])] for key in order],
        "status": [*status.shape, len(whole)],
        "notes": len(told),
    }
    blobs = [planes[key] for key in order]
    return frame(json.dumps(head).encode(), [*blobs, whole, told])


class _SnapshotHead(Strict):
    planes: list[tuple[int, int, int]]
    status: tuple[int, int, int]
    notes: int


def parse_snapshot(data: bytes, path: str, shape: tuple[int, int, int, int]) -> State:
    """Return the state that a snapshot holds.

    Raises
    ------
    StoreError
        If it is damaged, or of another clip.
    """
    ((head, blobs),) = frames(data, path)
    state = State(shape)
    at = 0
    try:
        parsed = _SnapshotHead.model_validate_json(head)
        for t, c, size in parsed.planes:
            if not (0 <= t < shape[0] and 0 <= c < shape[1]):
                raise ValueError(f"a plane of frame {t}, class {c}")
            decode(bytes(blobs[at : at + size]), state.plane(t, c), path)
            at += size
        t, c, size = parsed.status
        if t != shape[0] or not 0 < c <= shape[1]:
            raise ValueError(f"a status of {t} frames and {c} classes")
        status = np.zeros((t, c), np.uint8)
        decode(bytes(blobs[at : at + size]), status, path)
        state.status[:, :c] = status
        state.notes = parse_notes(bytes(blobs[at + size : at + size + parsed.notes]), path)
    except (ValidationError, ValueError) as error:
        raise StoreError(
            Problem(
                "record-corrupt",
                path,
                f"This snapshot breaks the contract: {str(error).splitlines()[0]}",
                hint="Restore it from a copy.",
            )
        ) from error
    return state


def replay(record: Record, line: Line, shape: tuple[int, int, int, int]) -> State | None:
    """Return the state that the record comes to; None if it does not go back far enough.

    Begins at the newest snapshot that lies on the line, so that the work is bounded.
    """
    on = {s.position for s in line.segments}
    # A snapshot of number 0 was made before the first segment of its session.
    starts = {
        Position(s.position.epoch, 0): s.parent for s in line.segments if s.position.number == 1
    }
    for position in reversed(line.names.snapshots):
        if position not in on and position not in starts:
            continue
        name = snapshot_name(position)
        data = record.fetch(name)
        if data is None:
            continue
        state = parse_snapshot(data, record.key(name), shape)
        state.follow(line.entries(position if position in on else starts[position]))
        return state
    if not line.whole:
        return None
    state = State(shape)
    state.follow(line.entries())
    return state
