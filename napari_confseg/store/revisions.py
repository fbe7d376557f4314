"""Metadata that several people change: compare-and-swap, in folders too."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore

from napari_confseg.store.attributes import metadata_key
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.listed import ListedStore
from napari_confseg.store.root import MAX_METADATA_BYTES

if TYPE_CHECKING:
    from napari_confseg.store.backend import KeyValueStore

# A bucket compares by itself: a put on condition. A folder cannot, and file locks don't hold on
# many shares. What does hold there, on NFS and SMB too, is that of two who make one file only one
# succeeds, for the server decides. So a change *is* a file that was not there: `_changes/<n>.json`
# holds the whole new zarr.json and follows from number n - 1. Who finds n taken has lost, reads
# again and decides anew. zarr.json itself is a view of the highest number, for readers that know
# nothing of this; written late or not at all, it is stale, and its own number says so. Changes
# are never removed: a slow writer could then take a number for the second time.
CHANGES = "_changes"
"""Folder of the changes, beside the ``zarr.json``; no clip can be called so."""
REVISION = "confseg_revision"
"""Attribute of the ``zarr.json`` beside ours: the number of the change that it shows."""
_NAME = re.compile(r"([1-9]\d{0,8})\.json")


@dataclass(frozen=True)
class Revision:
    """The newest metadata of a group.

    Attributes
    ----------
    data : bytes or None
        The whole ``zarr.json``; None if there is none.
    number : int
        How many changes it has seen.
    """

    data: bytes | None
    number: int = 0


def change_key(path: str, number: int) -> str:
    """Return the key of change `number` of the group at `path`."""
    return f"{path}/{CHANGES}/{number}.json".lstrip("/")


def is_change(name: str) -> bool:
    """Whether a file in :data:`CHANGES` may be called `name`."""
    return _NAME.fullmatch(name) is not None


def read_newest(keys: KeyValueStore, path: str) -> Revision:
    """Return the newest metadata of the group at `path`.

    Raises
    ------
    StoreError
        With code ``change-damaged`` if the newest change cannot be read.
    """
    view = keys.get(metadata_key(path), limit=MAX_METADATA_BYTES)
    if view is None:  # no such group, whatever is left of its changes
        return Revision(None)
    last = _last_change(keys, path)
    if not last:
        return Revision(view, _number_in(view))
    shown = _number_in(view)
    return Revision(view, shown) if shown >= last else _read_change(keys, path, last)


def _last_change(keys: KeyValueStore, path: str) -> int:
    """Return the highest number of a change; 0 if there is none, as in a bucket."""
    if not isinstance(keys.store, (LocalStore, ListedStore)):
        return 0
    names = map(_NAME.fullmatch, keys.children(f"{path}/{CHANGES}".lstrip("/")))
    return max((int(m[1]) for m in names if m), default=0)


def _number_in(data: bytes | None) -> int:
    """Return the number that a ``zarr.json`` bears; 0 if none, or if it can't be read."""
    if data is None or REVISION.encode() not in data:
        return 0
    with suppress(ValueError, RecursionError, KeyError, TypeError):
        found = json.loads(data)["attributes"][REVISION]
        if type(found) is int and found > 0:
            return found
    return 0


def _read_change(keys: KeyValueStore, path: str, number: int) -> Revision:
    key = change_key(path, number)
    data = keys.get(key, limit=MAX_METADATA_BYTES)
    if _number_in(data) != number:
        raise StoreError(
            Problem(
                "change-damaged",
                key,
                "The newest change of the metadata is not whole",
                hint="Try again. If it stays, run: confseg validate --repair",
            )
        )
    return Revision(data, number)


def swap_newest(keys: KeyValueStore, path: str, before: Revision, node: dict[str, Any]) -> bool:
    """Make `node` the metadata of the group at `path` if they are still `before`.

    Parameters
    ----------
    keys : KeyValueStore
        The cohort's storage.
    path : str
        The group.
    before : Revision
        As returned by :func:`read_newest`.
    node : dict
        The whole new ``zarr.json``.

    Returns
    -------
    bool
        Whether it was so; otherwise nothing has changed: read again and decide anew.
    """
    number = before.number + 1
    attributes = {**node["attributes"], REVISION: number}
    data = json.dumps({**node, "attributes": attributes}, indent=2).encode()
    if not isinstance(keys.store, LocalStore):
        return keys.swap(metadata_key(path), before.data, data)
    if not keys.create(change_key(path, number), data):
        return False
    # Made from here on, whatever becomes of the view.
    with suppress(OSError, StoreError):
        show_newest(keys, path)
    return True


def show_newest(keys: KeyValueStore, path: str) -> bool:
    """Bring the ``zarr.json`` at `path` up to the newest change; return whether it was stale."""
    stale = False
    # Again after writing: somebody may have made and shown a newer one in between.
    while (last := _last_change(keys, path)) > _number_in(
        keys.get(metadata_key(path), limit=MAX_METADATA_BYTES)
    ):
        data = _read_change(keys, path, last).data
        assert data is not None
        keys.set(metadata_key(path), data)
        stale = True
    return stale
