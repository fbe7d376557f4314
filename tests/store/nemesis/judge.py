"""What painters said, and whether the store agrees: the model of :mod:`tests.store.model`."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.store.segments import EntryId
from tests.store.model import Act, Model, Placed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_confseg.store import Edit, Rater

Said = dict[str, Any]


def told(edit: Edit) -> Said:
    """Return what `edit` changes, for a line of JSON."""
    return {
        "patches": [
            [p.frame, p.class_index, p.y, p.x, *p.after.shape, _dump(p.before), _dump(p.after)]
            for p in edit.patches
        ],
        "status": [[s.frame, s.class_index, s.before, s.after] for s in edit.status],
    }


def backwards(said: Said) -> Said:
    """Return what undoing what is `said` changes, if nobody else has painted."""
    return {
        "patches": [[*p[:6], p[7], p[6]] for p in said["patches"]],
        "status": [[*s[:2], s[3], s[2]] for s in said["status"]],
    }


def _lines(out: Path) -> Iterator[Said]:
    for line in out.read_text().splitlines():
        with suppress(ValueError):  # the last one may be cut by the kill
            yield json.loads(line)


def _dump(box: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(box, np.uint8).tobytes()).decode()


class Judge:
    """Knows all acts of all painters.

    Parameters
    ----------
    shape : tuple of int
        (T, C, Y, X).
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self.model = Model(shape)
        self.safe: set[EntryId] = set()
        self.said: dict[EntryId, Said] = {}
        self.n_decided = 0

    def hear(self, outs: list[Path]) -> None:
        """Take in what painters said until they were killed, a file each."""
        heard = [list(_lines(out)) for out in outs]
        for said in (line for lines in heard for line in lines):
            if "safe" in said:
                self.said[EntryId(*said["safe"]["id"])] = said["safe"]
            elif "try" in said:
                self.said.setdefault(EntryId(*said["try"]["id"]), said["try"])
        for lines in heard:
            self._hear(lines)

    def _hear(self, lines: list[Said]) -> None:
        known: set[EntryId] = set()
        for said in lines:
            known |= {EntryId(*i) for i in said.get("known", ())}
            if "try" in said:
                self._hear_act(EntryId(*said["try"]["id"]), known)
            elif "safe" in said:
                self.safe.add(EntryId(*said["safe"]["id"]))
            elif "told" in said:
                self.decide([EntryId(*i) for i in said["told"]], said["choice"])

    def decide(self, ids: list[EntryId], choice: str) -> None:
        """Take note of what a person was shown and decided."""
        self.model.decide(ids, choice)
        self.n_decided += 1

    def _paint(self, id_: EntryId) -> Said:
        """Return what an act has changed, or, of one that was cut by the kill, would have."""
        said = self.said[id_]
        if "patches" in said:
            return said
        # An undo that a decision has put on others' marks is an edit, and can be undone itself.
        edit = self._paint(EntryId(*said["of"]))
        return edit if said["kind"] == "redo" else backwards(edit)

    def _hear_act(self, id_: EntryId, known: set[EntryId]) -> None:
        said, paints = self.said[id_], self._paint(id_)
        of = said["of"] and EntryId(*said["of"])
        height, width = self.model.shape[2:]
        paint = {}
        for frame, class_index, y, x, h, w, *boxes in paints["patches"]:
            before, after = (np.frombuffer(b64decode(b), np.uint8).reshape(h, w) for b in boxes)
            mask, values = np.zeros((height, width), bool), np.zeros((height, width), np.uint8)
            mask[y : y + h, x : x + w], values[y : y + h, x : x + w] = before != after, after
            paint[frame, class_index] = mask, values
        status = {(f, c): after for f, c, _, after in paints["status"]}
        self.model.do(Act(id_, said["kind"], of, paint, status, frozenset(known - {id_})))
        known.add(id_)

    def faults(self, rater: Rater) -> list[str]:
        """Return what is wrong: strokes lost, put on others' unseen, or planes that differ."""
        order = [Placed(e.id, e.kind) for e in rater.record.read().entries()]
        unknown = [f"nobody did {p.id}" for p in order if p.id not in self.model.acts]
        if unknown:
            return unknown
        # What a painter tried may have been cut by the kill: only what it was told is safe counts.
        on = {p.id for p in order}
        tried = set(self.model.acts) - self.safe - on
        found = self.model.faults(order, tried)
        out = self.model.outcome(order)
        planes = rater.read_classes(range(self.model.shape[1])).swapaxes(0, 1)
        if not np.array_equal(planes, out.planes):
            where = np.argwhere((planes != out.planes).any((2, 3))).tolist()
            found.append(f"planes differ from the model's: {where}")
        if not np.array_equal(rater.read_status(), out.status):
            found.append("the status differs from the model's")
        return found
