"""Which key does what: defaults, the cohort's wishes, the person's own choice, without Qt.

Keys are written as Qt writes them (``"Shift+PgDown"``); whoever passes some in has to do that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Binding:
    """An action, its key, and the tool_action.

    Attributes
    ----------
    id : str
        Stays as it is from version to version: the person's own keys are kept under it.
    group, words : str
        Where the page of keys lists it, and what it says there.
    key : str
        The key it has by default or that the cohort wishes; after :func:`settled` the key it has,
        empty if none.
    do : callable
        The tool_action.
    pool : tuple of str
        Keys to take the first free one of, where `key` is missing or taken.
    napari_too : bool
        The key is napari's and does the same there: it is bound in the panel alone, and napari's
        own binding serves the canvas.
    """

    id: str
    group: str
    words: str
    key: str
    do: Callable[[], object]
    pool: tuple[str, ...] = ()
    napari_too: bool = False


def settled(
    made: Sequence[Binding], own: Mapping[str, str], napari: Iterable[str]
) -> list[Binding]:
    """Return `made` with the keys they get; no key twice, none that is napari's.

    The person's own choice goes first, then fixed defaults, then what the cohort wishes, then
    what is left in the pools.

    Parameters
    ----------
    made : sequence of Binding
        With default keys.
    own : mapping of str to str
        Keys that the person chose, by id; empty for none. One that cannot be is left out.
    napari : iterable of str
        Keys that napari binds.
    """
    taken = set(napari)
    keys: dict[str, str] = {}

    def take(binding: Binding, key: str) -> bool:
        free = key not in taken or not key
        if free:
            keys[binding.id] = key
            taken.update({key} - {""})
        return free

    for b in made:
        if b.id in own and not (b.napari_too and own[b.id] == b.key):
            take(b, own[b.id])
    rest = [b for b in made if b.id not in keys]
    for b in (b for b in rest if b.napari_too):
        keys[b.id] = b.key
    for b in (b for b in rest if not b.pool and not b.napari_too):
        keys[b.id] = b.key if take(b, b.key) else ""
    wishing = [b for b in rest if b.pool]
    wishing = [b for b in wishing if not (b.key and take(b, b.key))]
    for b in wishing:
        next((key for key in b.pool if take(b, key)), None)
        keys.setdefault(b.id, "")
    return [
        replace(b, key=keys[b.id], napari_too=b.napari_too and keys[b.id] == b.key) for b in made
    ]


@dataclass(frozen=True)
class Clash:
    """Why an action cannot have a key.

    Attributes
    ----------
    words : str
        For the person.
    other : str or None
        The id of the action that has the key and might swap; None if it is napari's.
    """

    words: str
    other: str | None = None


def clash(
    made: Sequence[Binding], wanting: str, key: str, napari: Mapping[str, str]
) -> Clash | None:
    """Return why the action `wanting` cannot have `key`, or None.

    Parameters
    ----------
    made : sequence of Binding
        With the keys they have now.
    wanting, key : str
        An id, and the key it is to get.
    napari : mapping of str to str
        What napari does with its keys.
    """
    mine = next(b for b in made if b.id == wanting)
    if key == mine.key:
        return None
    other = next((b for b in made if b.key == key and b.id != wanting), None)
    if key in napari:
        return Clash(f"{key} is napari's: {napari[key]}. Take another key.")
    if other is not None:
        return Clash(f"{key} does this already: {other.words}.", other.id)
    return None
