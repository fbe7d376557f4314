"""Group metadata: read with care, write without losing what others put there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from napari_confseg.store.errors import Problem, StoreError, field_problems
from napari_confseg.store.root import MAX_METADATA_BYTES

if TYPE_CHECKING:
    from napari_confseg.store.backend import KeyValueStore

M = TypeVar("M", bound=BaseModel)
NAMESPACE = "confseg"


def metadata_key(path: str) -> str:
    """Return the key of the ``zarr.json`` of the group or array at `path`."""
    return f"{path}/zarr.json" if path else "zarr.json"


def read_node(keys: KeyValueStore, path: str) -> dict[str, Any]:
    """Return the parsed ``zarr.json`` at `path`.

    Raises
    ------
    StoreError
        If it is missing, no regular file, too large, no JSON object or not of zarr format 3.
    """
    return parse_node(keys.get(metadata_key(path), limit=MAX_METADATA_BYTES), path)


def parse_node(data: bytes | None, path: str) -> dict[str, Any]:
    """Return the ``zarr.json`` of the group or array at `path` parsed; see :func:`read_node`."""
    key = metadata_key(path)
    if data is None:
        raise StoreError(
            Problem("missing", path, "There is no zarr.json", hint="Is this a study folder?")
        )
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
    try:
        data = keys.get(metadata_key(path), limit=MAX_METADATA_BYTES)
    except StoreError:
        return True  # so that opening it says what is wrong
    return data is not None and f'"{NAMESPACE}"'.encode() in data


def read_attributes(keys: KeyValueStore, path: str, model: type[M]) -> M:
    """Return ``attributes["confseg"]`` of the group at `path`, validated as `model`.

    Raises
    ------
    StoreError
        With one problem for each field that is wrong.
    """
    return attributes_in(read_node(keys, path), path, model)


def attributes_in(node: dict[str, Any], path: str, model: type[M]) -> M:
    """Return our attributes in the parsed ``zarr.json`` of `path`; see :func:`read_attributes`."""
    attributes = node.get("attributes")
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
    existing = keys.get(metadata_key(path), limit=MAX_METADATA_BYTES)
    keys.set(
        metadata_key(path), json.dumps(merged(existing, model, ome, path=path), indent=2).encode()
    )


def merged(
    existing: bytes | None, model: BaseModel, ome: dict[str, Any] | None = None, *, path: str = ""
) -> dict[str, Any]:
    """Return the ``zarr.json`` `existing` with `model` (and `ome`) in its attributes."""
    node: dict[str, Any] = {"zarr_format": 3, "node_type": "group"}
    if existing:
        node = parse_node(existing, path)
    kept = node.get("attributes")
    attributes = dict(kept) if isinstance(kept, dict) else {}
    attributes[NAMESPACE] = model.model_dump(mode="json")
    if ome is not None:
        attributes["ome"] = ome
    node["attributes"] = attributes
    return node


def write_group(keys: KeyValueStore, path: str) -> None:
    """Make a plain zarr group at `path` unless there is one.

    Raises
    ------
    StoreError
        If what is there is damaged: zarr stumbles over it when it makes an array below.
    """
    key = metadata_key(path)
    data = keys.get(key, limit=MAX_METADATA_BYTES)
    if data is None:
        keys.set(key, b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    else:
        parse_node(data, path)
