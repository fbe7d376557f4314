"""Everything that was ever done to a rater's planes, in force or not, and how to bring it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_confseg.store.conflict import onto
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.segments import strokes_of
from napari_confseg.store.view import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_confseg.store.record import Line
    from napari_confseg.store.segments import Entry, Segment
    from napari_confseg.store.strokes import Stroke
    from napari_confseg.store.writer import RaterWriter

Standing = Literal["in force", "undone", "set aside", "left behind"]


@dataclass(frozen=True)
class PastStroke:
    """One stroke of a record.

    Attributes
    ----------
    name : str
        By which it is called: epoch, number of the segment and place in it, as in ``"3-12.1"``.
    by, host : str
        The account that made it, and the machine.
    stroke : Stroke
        What it was.
    standing : str
        ``"in force"``; ``"undone"``; ``"set aside"`` by a person's decision; ``"left behind"`` by
        a writer that had lost its right.
    entry : Entry
        Its line in the record, with the pixels.
    """

    name: str
    by: str
    host: str
    stroke: Stroke
    standing: Standing
    entry: Entry

    def as_dict(self) -> dict[str, object]:
        """Return it as plain data, for ``--json``."""
        s = self.stroke
        return {
            "name": self.name,
            "by": self.by,
            "host": self.host,
            "time": s.time.isoformat(),
            "frame": s.frame,
            "class_index": s.class_index,
            "tool": s.tool,
            "confidence": s.confidence,
            "pixels": s.pixels,
            "standing": self.standing,
            "can_be_restored": bool(self.entry.data),
        }


def past_strokes(line: Line) -> list[PastStroke]:
    """Return every stroke of a record in order of its segments, those left behind at the end."""
    now = iter(strokes_of(line.entries()))
    found = []
    for segment in line.segments:
        for name, entry in _strokes_in(segment):
            if entry.kind == "aside":
                found.append(_past(segment, name, entry, entry.about(), "set aside"))
            else:
                stroke = next(now)
                standing: Standing = "undone" if stroke.undone else "in force"
                found.append(_past(segment, name, entry, stroke, standing))
    known = line.ids
    for segment in line.stranded:
        for name, entry in _strokes_in(segment):
            if entry.id not in known:
                found.append(_past(segment, name, entry, entry.about(), "left behind"))
    return found


def _strokes_in(segment: Segment) -> Iterable[tuple[str, Entry]]:
    for place, entry in enumerate(segment.entries, 1):
        # What undid or redid another one is no stroke, in force or not.
        if entry.kind in ("edit", "aside") and entry.of is None and entry.stroke is not None:
            yield f"{segment.position}.{place}", entry


def _past(
    segment: Segment, name: str, entry: Entry, stroke: Stroke, standing: Standing
) -> PastStroke:
    return PastStroke(name, segment.by, segment.host, stroke, standing, entry)


def restore(writer: RaterWriter, chosen: Sequence[PastStroke]) -> int:
    """Paint strokes of the past once more, on top of what is there; return how many.

    They are new strokes, so that they can be undone like any other.

    Raises
    ------
    StoreError
        If another writer has this rater, or the pixels of one are not in the record.
    """
    for past in chosen:
        if not past.entry.data:
            raise StoreError(
                Problem(
                    "no-pixels",
                    past.name,
                    "The record does not hold the pixels of this stroke: a program wrote it",
                )
            )
    state = State(writer.shape)
    for c in range(writer.shape[1]):
        for t, plane in enumerate(writer.load_planes(c)):
            if plane.any():
                state.planes[t, c] = plane
    state.status = writer.load_status()
    for past in chosen:
        edit = onto(past.entry.edit(), state)
        state.apply(edit)
        writer.commit(edit)
    return len(chosen)
