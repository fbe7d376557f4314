"""What must hold of acts on several machines, in plain numpy: no code of the store is used.

An act is what a person did and was told is safe: an edit, an undo, a redo. The order in which acts
came to lie in the record is the store's choice; what that order comes to is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Sequence

    from numpy.typing import NDArray

Plane = tuple[int, int]
"""A frame and a class index."""


@dataclass(frozen=True)
class Act:
    """What one person did on one machine.

    Attributes
    ----------
    id : hashable
        Its identity.
    kind : {"edit", "undo", "redo"}
        What it was when it was done.
    of : hashable or None
        The edit that was undone or redone.
    paint : dict of Plane to (mask, values)
        Pixels that changed on that machine's screen, and what they became, ``(Y, X)`` each.
    status : dict of Plane to int
        New status.
    known : frozenset
        Acts that the person had on the screen.
    """

    id: Hashable
    kind: str
    of: Hashable | None
    paint: dict[Plane, tuple[NDArray[np.bool_], NDArray[np.uint8]]]
    status: dict[Plane, int]
    known: frozenset[Hashable]

    @property
    def planes(self) -> set[Plane]:
        """Where it changed anything."""
        return {k for k, (mask, _) in self.paint.items() if mask.any()} | set(self.status)


class Placed(NamedTuple):
    """An act where it lies in the record, as the kind that it has there."""

    id: Hashable
    kind: str


@dataclass
class Outcome:
    """What an order of acts comes to.

    Attributes
    ----------
    planes : ndarray of uint8, shape (T, C, Y, X)
    status : ndarray of uint8, shape (T, C)
    undone : dict
        Of each edit, in order, whether it stands undone.
    done, open : list
        Edits that undo and redo would take, next one last.
    """

    planes: NDArray[np.uint8]
    status: NDArray[np.uint8]
    undone: dict[Hashable, bool] = field(default_factory=dict)
    done: list[Hashable] = field(default_factory=list)
    open: list[Hashable] = field(default_factory=list)


class Model:
    """All acts that were ever acknowledged, and what was decided of them.

    Parameters
    ----------
    shape : tuple of int
        (T, C, Y, X).
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self.shape = shape
        self.acts: dict[Hashable, Act] = {}
        self.decided: dict[Hashable, str] = {}

    def do(self, act: Act) -> None:
        """Take note of an act that was acknowledged."""
        self.acts[act.id] = act

    def decide(self, ids: Iterable[Hashable], choice: str) -> None:
        """Take note of what a person was shown and decided."""
        for i in ids:
            self.decided[i] = choice

    def outcome(self, order: Sequence[Placed]) -> Outcome:
        """Return what `order` comes to: undo gives back exactly what the edit covered there."""
        out = Outcome(np.zeros(self.shape, np.uint8), np.zeros(self.shape[:2], np.uint8))
        covered: dict[Hashable, tuple[dict[Plane, NDArray[np.uint8]], dict[Plane, int]]] = {}
        for i, kind in order:
            if kind == "aside":
                continue
            act = self.acts[i]
            edit = act if kind == "edit" else self.acts[act.of]
            if kind == "edit":
                covered[i] = (
                    {k: out.planes[k].copy() for k in act.paint},
                    {k: int(out.status[k]) for k in act.status},
                )
                out.undone[i] = False
                out.open.clear()
                out.done.append(i)
            before, marks = covered[edit.id]
            for k, (mask, values) in edit.paint.items():
                # An edit that a decision has put on others' marks changes nothing where they agree.
                changed = mask & (before[k] != values)
                out.planes[k][changed] = (before[k] if kind == "undo" else values)[changed]
            for k, value in edit.status.items():
                out.status[k] = marks[k] if kind == "undo" else value
            if kind != "edit":
                out.undone[edit.id] = kind == "undo"
                taken, given = (out.done, out.open) if kind == "undo" else (out.open, out.done)
                if edit.id in taken:
                    taken.remove(edit.id)
                given.append(edit.id)
        return out

    def faults(self, order: Sequence[Placed], kept: Collection[Hashable]) -> list[str]:
        """Return what is wrong: acts that were lost, or put on others' without a word.

        Parameters
        ----------
        order : sequence of Placed
            The record.
        kept : collection
            What waits in the journal of a machine, or lies in the record beside the line.
        """
        found = []
        on = {i for i, _ in order}
        found += [f"lost: {i}" for i in self.acts if i not in on and i not in kept]
        if len(on) < len(order):
            found.append("an act is in the record twice")
        before: list[Hashable] = []
        for i, kind in order:
            if kind == "aside":
                # An undo of what was set aside goes with it.
                if self.decided.get(i) in (None, "mine") and self.acts[i].kind == "edit":
                    found.append(f"set aside, and nobody was asked: {i}")
                continue
            act = self.acts[i]
            if i not in self.decided:
                unseen = [
                    b for b in before if b not in act.known and self.acts[b].planes & act.planes
                ]
                found += [f"{i} was put on {b}, which its painter had not seen" for b in unseen]
            before.append(i)
        return found
