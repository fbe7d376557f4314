"""The history of one rater on one clip: strokes, and what can be undone and redone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_confseg.store.segments import Entry, EntryId
    from napari_confseg.store.strokes import Stroke

KEEP = 2000
"""Edits that can be undone."""


@dataclass
class History:
    """What entries come to, one after the other: a pure function of their order.

    Attributes
    ----------
    strokes : dict of EntryId to Stroke
        All edits in order, undone ones marked so.
    done, undone : list of EntryId
        Edits that undo and redo would take, next one last.
    edits : dict of EntryId to Entry
        The newest of them, by which they can be undone and redone.
    """

    strokes: dict[EntryId, Stroke] = field(default_factory=dict)
    done: list[EntryId] = field(default_factory=list)
    undone: list[EntryId] = field(default_factory=list)
    edits: OrderedDict[EntryId, Entry] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Return the history that `entries` make."""
        history = cls()
        for entry in entries:
            history.append(entry)
        return history

    @property
    def next_seq(self) -> int:
        """Sequence number of the next stroke."""
        return len(self.strokes) + 1

    def append(self, entry: Entry) -> None:
        """Take one more entry into account."""
        if entry.kind == "edit":
            self.strokes[entry.id] = entry.about().numbered(self.next_seq)
            self.undone.clear()  # a new edit drops the branch that could be redone
            if entry.data:
                self.done.append(entry.id)
                self._keep(entry)
            else:
                self.done.clear()  # its pixels are not known: nothing before it can be taken back
        elif entry.kind in ("undo", "redo") and entry.edit_id in self.strokes:
            edit_id, undo = entry.edit_id, entry.kind == "undo"
            stroke = self.strokes[edit_id]
            self.strokes[edit_id] = stroke.model_copy(update={"undone": undo})
            out_of, onto = (self.done, self.undone) if undo else (self.undone, self.done)
            if out_of and out_of[-1] == edit_id:
                out_of.pop()
            elif edit_id in out_of:
                out_of.remove(edit_id)
            onto.append(edit_id)

    def _keep(self, entry: Entry) -> None:
        self.edits[entry.id] = entry
        while len(self.edits) > KEEP:
            old, _ = self.edits.popitem(last=False)
            for stack in (self.done, self.undone):
                if old in stack:  # the oldest stands first
                    stack.remove(old)
