"""What can be undone, and what the record of strokes will say, from journal and store together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_confseg.store.journal import Entry, Journal
    from napari_confseg.store.strokes import Stroke


@dataclass
class History:
    """The edits of one rater on one clip, as the next commit finds them.

    Attributes
    ----------
    strokes : dict
        Record of strokes by sequence number, with what still waits.
    done, undone : list of int
        Edits (by journal entry) that undo and redo would take, next one last.
    next_seq, next_id : int
        Numbers of the next stroke and of the next journal entry.
    """

    strokes: dict[int, Stroke] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)
    next_seq: int = 1
    next_id: int = 1

    def append(self, entry: Entry) -> None:
        """Take one more entry into account."""
        self._turn(entry.kind, entry.edit_id)
        self.strokes[entry.stroke.seq] = entry.record()
        self.next_seq = max(self.next_seq, entry.stroke.seq + 1)
        self.next_id = max(self.next_id, entry.id + 1)

    def _turn(self, kind: str, edit_id: int) -> None:
        if kind == "edit":
            self.done.append(edit_id)
            self.undone.clear()  # a new edit drops the branch that could be redone
        elif kind == "undo" and self.done and self.done[-1] == edit_id:
            self.undone.append(self.done.pop())
        elif kind == "redo" and self.undone and self.undone[-1] == edit_id:
            self.done.append(self.undone.pop())

    @classmethod
    def load(
        cls,
        journal: Journal | None,
        record: Sequence[Stroke],
        session: str | None,
        *,
        become: str | None,
    ) -> tuple[Self, list[Entry]]:
        """Return the history, and the entries that wait for the store.

        Parameters
        ----------
        journal : Journal or None
            None if it can't be opened.
        record : sequence of Stroke
            What the store says.
        session : str or None
            Who wrote the store last.
        become : str or None
            Our session, if we are the writer from here on; None only looks.

        Notes
        -----
        If someone else has written since, what waits is given new sequence numbers behind theirs,
        and what is older can no longer be undone: its "before" is not what they saw.
        """
        strokes = {s.seq: s for s in record}
        history = cls(strokes, next_seq=max(strokes, default=0) + 1)
        if journal is None:
            return history, []
        applied = int(journal.fact("applied") or 0)
        floor = int(journal.fact("floor") or 0)
        waiting = journal.after(applied)
        outline = [line for line in journal.outline() if line[0] > floor]
        edits = {i: stroke for i, kind, _, stroke in outline if kind == "edit" and stroke}
        history.next_id = max([applied, floor, *(line[0] for line in outline)]) + 1
        for i, kind, edit_id, _ in outline:
            if i <= applied and edit_id in edits:
                history._turn(kind, edit_id)
        alone = session in {journal.fact("session"), journal.fact("next_session")}
        if alone and _follow_on(strokes, waiting):
            for entry in waiting:
                history.append(entry)
            if history._agrees(edits):
                if become:
                    journal.rewrite(session=session, next_session=become)
                return history, waiting
        applied = _applied_before(waiting, record, applied)
        waiting, dropped = _renumber([e for e in waiting if e.id > applied], record)
        strokes = {s.seq: s for s in record}
        history = cls(strokes, next_seq=max(strokes, default=0) + 1, next_id=history.next_id)
        for entry in waiting:
            history.append(entry)
        if become:
            renumbered = [(e.id, e.stroke) for e in waiting if e.kind == "edit"]
            journal.rewrite(
                renumbered,
                dropped,
                session=session,
                next_session=become,
                applied=applied,
                floor=applied,
            )
        return history, waiting

    def _agrees(self, edits: dict[int, Stroke]) -> bool:
        """Whether the record says of our edits what the journal says, and of no other since."""
        for edit_ids, undone in ((self.done, False), (self.undone, True)):
            for edit_id in edit_ids:
                said = self.strokes.get(edits[edit_id].seq)
                if said is None or said.time != edits[edit_id].time or said.undone != undone:
                    return False
        last = max((s.seq for s in edits.values()), default=None)
        return last is None or last >= max(self.strokes, default=0)


def _follow_on(record: dict[int, Stroke], waiting: Iterable[Entry]) -> bool:
    """Whether no stroke of someone else has a sequence number that we have given."""
    return all(
        e.stroke.seq not in record or record[e.stroke.seq].time == e.stroke.time for e in waiting
    )


def _applied_before(waiting: Iterable[Entry], record: Iterable[Stroke], applied: int) -> int:
    """Return up to where `waiting` is in the store: we may have gone before noting it."""
    there = {s.time for s in record}
    return max(
        (e.id for e in waiting if e.kind == "edit" and e.stroke.time in there), default=applied
    )


def _renumber(waiting: Iterable[Entry], record: Iterable[Stroke]) -> tuple[list[Entry], list[int]]:
    """Return `waiting` numbered behind `record`, and the undos and redos that are pointless now."""
    times = {s.time: s for s in record}
    numbered: dict[int, Stroke] = {}
    kept, dropped = [], []
    seq = max((s.seq for s in record), default=0)
    for entry in waiting:
        there = times.get(entry.stroke.time)
        if entry.kind == "edit":
            seq += 1
            numbered[entry.id] = entry.stroke.model_copy(update={"seq": seq})
        stroke = numbered.get(entry.edit_id, there)
        # Of a stroke that is no longer there, or done to it already.
        if stroke is None or (stroke is there and there.undone == (entry.kind == "undo")):
            dropped.append(entry.id)
        else:
            kept.append(replace(entry, stroke=stroke))
    return kept, dropped
