"""The second rater that one's older strokes go to when a person keeps both sides of a conflict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.conflict import rebased
from napari_confseg.store.program_writer import ProgramWriter
from napari_confseg.store.record import sweep_partials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.store.clip import Clip
    from napari_confseg.store.identity import Identity
    from napari_confseg.store.segments import Entry
    from napari_confseg.store.view import State


class SecondRater:
    """A rater of the same person beside the first: ``name-2``, or the next number that is free.

    One that an earlier try left unfinished is taken again. Its status is written last, so that
    without any it is known to be unfinished.

    Parameters
    ----------
    clip : Clip
        Where.
    name : str
        Slug of the first.
    identity : Identity
        What the first is.
    """

    def __init__(self, clip: Clip, name: str, identity: Identity) -> None:
        self._clip, self._name, self._identity = clip, name, identity
        self._unfinished = self._find_unfinished()

    def _called(self, number: int) -> tuple[str, str]:
        """Return name and label of a second rater."""
        return f"{self._name}-{number}", f"{self._identity.label or self._name} ({number})"

    def _find_unfinished(self) -> dict[str, str]:
        """Return label by name of those that a crash left."""
        taken, found = set(self._clip.raters()), {}
        for number in range(2, 2 + len(taken)):
            name, label = self._called(number)
            if name in taken:
                rater = self._clip.rater(name)
                ours = rater.meta.label == label and rater.meta.kind == self._identity.kind
                if ours and rater.record.names().tip is None and not rater.read_status().any():
                    found[name] = label
        return found

    def sweep(self) -> None:
        """Remove what an earlier try left half-written."""
        for name in self._unfinished:
            sweep_partials(KeyValueStore(self._clip.store), f"{self._clip.name}/raters/{name}")

    def keep(self, entries: Sequence[Entry], state: State) -> None:
        """Give it `entries` on top of `state`, if any of them is a stroke; `state` follows."""
        if not any(entry.stroke is not None for entry in rebased(entries, state)):
            return
        taken = set(self._clip.raters())
        free = (n for n in range(2, 1000) if f"{self._name}-{n}" not in taken)
        name, label = next(iter(self._unfinished.items()), None) or self._called(next(free))
        with ProgramWriter(self._clip, name, replace(self._identity, label=label)) as second:
            with second.bulk() as write:
                for (frame, class_index), plane in state.planes.items():
                    write(frame, class_index, plane)
            second.write_status(state.status)
