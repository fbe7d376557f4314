"""Group metadata: read with care, write without losing what others put there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from napari_confseg.store.errors import Problem, StoreError, field_problems

if TYPE_CHECKING:
    from napari_confseg.store.backend import KeyValueStore

M = TypeVar("M", bound=BaseModel)
NAMESPACE = "confseg"
MAX_METADATA_BYTES = 8 * 2**20
"""A ``zarr.json`` larger than this is refused unread: 100,000 frame times take 2 MB."""


def metadata_key(path: str) -> str:
    """Return the key of the ``zarr.json`` of the group or array at `path`."""
    return f"{path}/zarr.json" if path else "zarr.json"


def read_node(keys: KeyValueStore, path: str) -> dict[str, Any]:
    """Return the parsed ``zarr.json`` at `path`.

    Raises
    ------
    StoreError
        If it is missing, too large, no JSON object or not of zarr format 3.
    """
    key = metadata_key(path)
    data = keys.get(key)
    if data is None:
        raise StoreError(
            Problem(
                "missing", path, "There is no zarr.json", hint="Is this the folder of a cohort?"
            )
        )
    if len(data) > MAX_METADATA_BYTES:
        raise StoreError(
            Problem.mismatch(
                "metadata-size", key, f"at most {MAX_METADATA_BYTES} bytes", f"{len(data)}"
            )
        )
    return _parsed(data, key)


def _parsed(data: bytes, key: str) -> dict[str, Any]:
    try:
        node = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(Problem("metadata-json", key, f"This is not JSON: {error}")) from error
    if not isinstance(node, dict) or node.get("zarr_format") != 3:
        found = node.get("zarr_format") if isinstance(node, dict) else type(node).__name__
        raise StoreError(Problem.mismatch("zarr-format", key, "zarr_format 3", repr(found)))
    return node


def is_whole(keys: KeyValueStore, path: str) -> bool:
    """Whether the group at `path` is a clip or rater of ours, written to its end.

    zarr puts a bare group above every new array; ours get their attributes last, so a bare one
    is being written, or was when something crashed.
    """
    data = keys.get(metadata_key(path))
    return data is not None and f'"{NAMESPACE}"'.encode() in data


def read_attributes(keys: KeyValueStore, path: str, model: type[M]) -> M:
    """Return ``attributes["confseg"]`` of the group at `path`, validated as `model`.

    Raises
    ------
    StoreError
        With one problem for each field that is wrong.
    """
    attributes = read_node(keys, path).get("attributes")
    if not isinstance(attributes, dict) or NAMESPACE not in attributes:
        raise StoreError(
            Problem(
                "not-confseg",
                path,
                f'Its zarr.json has no attributes["{NAMESPACE}"]',
                hint="This zarr was not written by napari-confseg.",
            )
        )
    return parse_attributes(attributes[NAMESPACE], path, model)


def parse_attributes(data: object, path: str, model: type[M]) -> M:
    """Return `data` validated as `model`; see :func:`read_attributes`."""
    # JSON in, JSON rules: tuples come as lists, datetimes as text.
    try:
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        version = f"{model.__name__}.schema_version:"
        raise StoreError(
            replace(p, code="schema-version") if p.message.startswith(version) else p
            for p in field_problems(error, "attributes", path, within=model.__name__)
        ) from error


def write_attributes(
    keys: KeyValueStore, path: str, model: BaseModel, ome: dict[str, Any] | None = None
) -> None:
    """Write `model` (and `ome`) into the attributes of the group at `path`, making it if needed.

    Attributes under other names are kept as they are.
    """
    key = metadata_key(path)
    keys.set(key, _merged(keys.get(key), key, model, ome))


def swap_attributes(keys: KeyValueStore, path: str, before: bytes | None, model: BaseModel) -> bool:
    """Write `model` if the ``zarr.json`` at `path` is still `before`; return whether it was."""
    key = metadata_key(path)
    return keys.swap(key, before, _merged(before, key, model, None))


def _merged(
    existing: bytes | None, key: str, model: BaseModel, ome: dict[str, Any] | None
) -> bytes:
    node: dict[str, Any] = {"zarr_format": 3, "node_type": "group"}
    if existing:
        node = _parsed(existing, key)
    kept = node.get("attributes")
    attributes = dict(kept) if isinstance(kept, dict) else {}
    attributes[NAMESPACE] = model.model_dump(mode="json")
    if ome is not None:
        attributes["ome"] = ome
    node["attributes"] = attributes
    return json.dumps(node, indent=2).encode()


def write_group(keys: KeyValueStore, path: str) -> None:
    """Make a plain zarr group at `path` unless there is one.

    Raises
    ------
    StoreError
        If what is there is damaged: zarr stumbles over it when it makes an array below.
    """
    key = metadata_key(path)
    data = keys.get(key)
    if data is None:
        keys.set(key, b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    else:
        _parsed(data, key)
