"""Conflicts: strokes that met newer ones of somebody else, and what a person decides of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_confseg.store.edits import Edit, Patch, StatusChange, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from napari_confseg.store.record import Line
    from napari_confseg.store.segments import Entry, EntryId, Position, Segment
    from napari_confseg.store.view import State

Choice = Literal["mine", "theirs", "both"]


@dataclass(frozen=True)
class Conflict:
    """Strokes that are safe, and were made without knowing of newer ones on the same frames.

    Attributes
    ----------
    entries : tuple of Entry
        The older strokes, undos and redos, in order; not applied.
    strokes : int
        How many strokes they are.
    frames : tuple of int
        Frames that both touch.
    by : str
        Who made the newer ones, as ``"name on machine"``.
    since, until : datetime
        When the older ones were made, by the clock of their machine.
    theirs : int
        How many newer strokes touch these frames.
    """

    entries: tuple[Entry, ...]
    strokes: int
    frames: tuple[int, ...]
    by: str
    since: datetime
    until: datetime
    theirs: int

    @property
    def sentence(self) -> str:
        """What a person is told."""
        n, m = self.strokes, self.theirs
        listed = ", ".join(str(f + 1) for f in self.frames[:6])
        more = f" and {len(self.frames) - 6} more" if len(self.frames) > 6 else ""
        frames = f"frame{'s' * (len(self.frames) != 1)} {listed}{more}"
        return (
            f"{n} stroke{'s' * (n != 1)} from {self.since.astimezone():%d %b %H:%M} met {m} newer "
            f"one{'s' * (m != 1)} of {self.by} on {frames}"
        )


def touched(entries: Iterable[Entry]) -> set[tuple[int, int]]:
    """Return (frame, class index) of all planes and status that `entries` change."""
    found: set[tuple[int, int]] = set()
    for entry in entries:
        if entry.kind in ("notes", "aside") or entry.stroke is None:
            continue
        found |= entry.stroke.concerned
    return found


def meet(older: Sequence[Entry], newer: Sequence[Segment], known: set[EntryId]) -> Conflict | None:
    """Return the conflict of `older` entries with `newer` segments; None if they don't touch.

    Parameters
    ----------
    older : sequence of Entry
        Made without knowing of `newer`.
    newer : sequence of Segment
        Those of the line since.
    known : set of EntryId
        Our own among the newer ones.
    """
    mine = touched(older)
    both: set[tuple[int, int]] = set()
    names: dict[str, None] = {}
    theirs = 0
    for segment in newer:
        for entry in segment.entries:
            # Of our own what somebody decided against counts: what came later was painted on it.
            if entry.id in known and entry.kind == "aside":
                entry = replace(entry, kind="edit")
            elif entry.id in known:
                continue
            common = mine & touched([entry])
            if common:
                both |= common
                names[f"{segment.by} on {segment.host}"] = None
                theirs += 1
    edits = [e for e in older if e.stroke is not None and e.kind != "aside"]
    if not both or not edits:
        return None
    times = [e.about().time for e in edits]
    return Conflict(
        tuple(older),
        sum(e.kind == "edit" for e in edits) or len(edits),
        tuple(sorted({f for f, _ in both})),
        ", ".join(names),
        min(times),
        max(times),
        theirs,
    )


def rebased(entries: Iterable[Entry], state: State) -> list[Entry]:
    """Return entries that do to `state`, as it is now, what `entries` did; `state` follows.

    What is "before" is taken from `state`, so that they can be undone exactly. An undo or redo of
    an edit that others have painted over since becomes an edit of its own.
    """
    made: list[Entry] = []
    data: dict[EntryId, bytes] = {}
    for entry in entries:
        if entry.kind in ("undo", "redo") and entry.edit_id in data:
            # It takes back what the edit has become here, not what it was.
            made.append(replace(entry, data=data[entry.edit_id]))
            state.follow(made[-1:])
            continue
        effect = entry.effect()
        if effect is None:
            made.append(entry)  # notes, and what somebody decided against: kept as it is
            continue
        new = onto(effect, state)
        state.apply(new)
        data[entry.id] = pack(new)
        made.append(replace(entry, kind="edit", data=data[entry.id], of=None))
    return made


def onto(edit: Edit, state: State) -> Edit:
    """Return `edit` with what is before it as it is in `state` now, so that undo is exact."""
    patches = []
    for p in edit.patches:
        h, w = p.after.shape
        now = state.plane(p.frame, p.class_index)[p.y : p.y + h, p.x : p.x + w].copy()
        after = np.where(p.before != p.after, p.after, now)
        patches.append(Patch(p.class_index, p.frame, p.y, p.x, now, after))
    status = tuple(
        StatusChange(s.frame, s.class_index, int(state.status[s.frame, s.class_index]), s.after)
        for s in edit.status
    )
    return replace(edit, patches=tuple(patches), status=status)


def set_aside(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries that keep `entries` in the record without effect."""
    return [e if e.kind == "notes" else replace(e, kind="aside") for e in entries]


def as_on_line(entries: Sequence[Entry], line: Line) -> list[Entry]:
    """Return `entries` with undo and redo of what the edit has become on `line`.

    Somebody may have decided on the edit meanwhile: what it covers is other than it was, or it
    has no effect, and then to take it back has none either.
    """
    edits = {e.of for e in entries if e.of is not None}
    there = {e.id: e for e in line.entries() if e.id in edits} if edits else {}
    found = []
    for entry in entries:
        edit = there.get(entry.of) if entry.of is not None else None
        if edit is not None and edit.kind == "aside":
            entry = replace(entry, kind="aside")
        elif edit is not None and edit.data:
            entry = replace(entry, data=edit.data)
        found.append(entry)
    return found


def newer_than(line: Line, base: Position | None) -> list[Segment]:
    """Return the segments of the line after `base`; all of them if it is not on the line."""
    positions = [s.position for s in line.segments]
    start = positions.index(base) + 1 if base in positions else 0
    return line.segments[start:]
