"""Segments of a record: the entries that were written together, and the bytes that they are."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import google_crc32c
from pydantic import Field, ValidationError

from napari_confseg.store.edits import Edit, unpack
from napari_confseg.store.errors import Problem, StoreError, field_problems
from napari_confseg.store.schema import Moment, Strict
from napari_confseg.store.strokes import Stroke

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

_MAGIC = b"confseg\x08"


class Position(NamedTuple):
    """A segment: the epoch of its session, and its number in it."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


class EntryId(NamedTuple):
    """An entry, for ever: the session that made it, and a count within that session."""

    session: str
    number: int


Kind = Literal["edit", "undo", "redo", "notes", "aside"]


@dataclass(frozen=True)
class Entry:
    """One line of a record.

    Attributes
    ----------
    id : EntryId
        Its identity, whatever clock or store it meets.
    kind : {"edit", "undo", "redo", "notes", "aside"}
        ``"aside"`` keeps an edit that a person decided against: it changes nothing.
    stroke : Stroke or None
        Of the edit that it makes, takes back or sets aside; None for notes.
    data : bytes
        The packed edit; of notes, their changes as JSON. Empty if the pixels are in the snapshot
        that the record begins with.
    of : EntryId or None
        The edit that is undone or redone.
    """

    id: EntryId
    kind: Kind
    stroke: Stroke | None
    data: bytes
    of: EntryId | None = None

    @property
    def edit_id(self) -> EntryId:
        """The edit that this entry is about: itself, unless it undoes or redoes another."""
        return self.of or self.id

    def edit(self) -> Edit:
        """Return the edit that it is about."""
        return unpack(self.data)

    def effect(self) -> Edit | None:
        """Return what it does to planes and status; None for nothing."""
        if self.kind in ("notes", "aside") or not self.data:
            return None
        return self.edit().inverted() if self.kind == "undo" else self.edit()

    def about(self) -> Stroke:
        """Return the edit's stroke.

        Raises
        ------
        ValueError
            For notes, which are about none.
        """
        if self.stroke is None:
            raise ValueError("notes are no stroke")
        return self.stroke


class _Line(Strict):
    """An entry in the head of a segment."""

    id: tuple[str, int]
    kind: Kind
    stroke: Stroke | None = None
    of: tuple[str, int] | None = None
    size: int = Field(ge=0)


class _Head(Strict):
    """The head of a segment."""

    epoch: int = Field(ge=0)
    number: int = Field(ge=1)
    session: str = Field(min_length=1, max_length=64)
    parent: tuple[int, int] | None
    by: str = Field(max_length=200)
    host: str = Field(max_length=300)
    time: Moment
    entries: tuple[_Line, ...]


@dataclass(frozen=True)
class Segment:
    """Entries that were written together.

    Attributes
    ----------
    position, parent : Position
        Which one it is, and which one it follows; None for the first of all.
    session : str
        Who wrote it, to machines.
    by, host : str
        The person's account, and the machine.
    time : datetime
        When, by the clock of that machine: for people.
    entries : tuple of Entry
        In order.
    """

    position: Position
    parent: Position | None
    session: str
    by: str
    host: str
    time: datetime
    entries: tuple[Entry, ...]

    @cached_property
    def data(self) -> bytes:
        """The segment as it is written."""
        head = _Head(
            epoch=self.position.epoch,
            number=self.position.number,
            session=self.session,
            parent=self.parent,
            by=self.by,
            host=self.host,
            time=self.time,
            entries=tuple(
                _Line(id=e.id, kind=e.kind, stroke=e.stroke, of=e.of, size=len(e.data))
                for e in self.entries
            ),
        )
        return frame(head.model_dump_json().encode(), [e.data for e in self.entries])


def frame(head: bytes, blobs: Iterable[bytes]) -> bytes:
    """Return `head` and `blobs` as one block of bytes that tells its length and its checksum."""
    body = b"".join([head, *blobs])
    start = struct.pack("<8sIQ", _MAGIC, len(head), len(body))
    crc = google_crc32c.extend(google_crc32c.value(start), body)
    return b"".join([start, body, struct.pack("<I", crc)])


def frames(data: bytes, path: str) -> Iterator[tuple[bytes, memoryview]]:
    """Yield head and blobs of each block in `data`.

    Raises
    ------
    StoreError
        With code ``record-corrupt`` if one is damaged.
    """
    at, view = 0, memoryview(data)
    while at < len(data):
        try:
            magic, n_head, n_body = struct.unpack_from("<8sIQ", data, at)
        except struct.error:
            raise damaged(path, "it ends in the middle") from None
        end = at + 20 + n_body
        if magic != _MAGIC or n_head > n_body or end + 4 > len(data):
            raise damaged(path, "it is cut, or something else")
        if google_crc32c.value(data[at:end]) != int.from_bytes(data[end : end + 4], "little"):
            raise damaged(path, "its checksum is wrong")
        yield data[at + 20 : at + 20 + n_head], view[at + 20 + n_head : end]
        at = end + 4


def damaged(path: str, why: str) -> StoreError:
    """Return the refusal of a file of a record."""
    return StoreError(
        Problem(
            "record-corrupt",
            path,
            f"This file of the record is damaged: {why}",
            hint="Restore it from a copy.",
        )
    )


def parse_segments(data: bytes, path: str) -> list[Segment]:
    """Return the segments of a file.

    Raises
    ------
    StoreError
        If it is damaged, or breaks the contract.
    """
    found = []
    for head, blobs in frames(data, path):
        try:
            parsed = _Head.model_validate_json(head)
        except ValidationError as error:
            raise StoreError(list(field_problems(error, "record-entry", path))[:20]) from error
        entries, at = [], 0
        for line in parsed.entries:
            entries.append(
                Entry(
                    EntryId(*line.id),
                    line.kind,
                    line.stroke,
                    bytes(blobs[at : at + line.size]),
                    line.of and EntryId(*line.of),
                )
            )
            at += line.size
        if at != len(blobs):
            raise damaged(path, "its entries don't fill it")
        found.append(
            Segment(
                Position(parsed.epoch, parsed.number),
                parsed.parent and Position(*parsed.parent),
                parsed.session,
                parsed.by,
                parsed.host,
                parsed.time,
                tuple(entries),
            )
        )
    return found


def strokes_of(entries: Sequence[Entry]) -> list[Stroke]:
    """Return the strokes that `entries` come to, oldest first, undone ones marked so."""
    strokes: dict[EntryId, Stroke] = {}
    for e in entries:
        if e.kind == "edit":
            strokes[e.id] = e.about().numbered(len(strokes) + 1)
        elif e.kind in ("undo", "redo") and e.edit_id in strokes:
            old = strokes[e.edit_id]
            strokes[e.edit_id] = old.model_copy(update={"undone": e.kind == "undo"})
    return list(strokes.values())
