"""What an array on disk looks like: made so, and checked before anything of it is decoded.

A clip's frames, a rater's planes and status have one shape, one type and one codec each. What
others made may differ, by mistake or to harm (a 61 kB chunk that decodes to 2 GB, a grid of
1-pixel chunks that hangs a reader), and is refused here by name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import zarr
from zarr.codecs import ZstdCodec

from napari_confseg.store.attributes import metadata_key, read_node
from napari_confseg.store.errors import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zarr import Array
    from zarr.abc.store import Store

    from napari_confseg.store.backend import KeyValueStore

MAX_FRAMES = 100_000
MAX_SIDE = 16_384
MAX_CLASSES = 64
MAX_SHARD = 4096
"""Bounds on what is opened: an hour at 27 frames a second, 16k pictures."""

FRAMES_PER_SHARD = 32
"""Frames are written once and read whole; 32 to a file keeps folders small."""

# Of 300 flipped bits the checksum lets none pass silently; without it zarr passes 155.
_CODEC = ZstdCodec(level=3, checksum=True)

PLANES = "0/c"
"""Folder of a rater's planes, a file each; see :func:`chunk_key`."""
STATUS = "status/c/0/0"
"""File of a rater's status."""

_CODECS = ("bytes", "zstd", "crc32c", "sharding_indexed")
_MOST_CODECS = 8


def chunk_key(path: str, frame: int, class_index: int) -> str:
    """Return the key of one plane of one frame of the rater at `path`."""
    return f"{path}/{PLANES}/{frame}/{class_index}/0/0"


def create_frames(store: Store, path: str, shape: tuple[int, int]) -> Array[Any]:
    """Make the array of a clip's frames (0, Y, X), for as many frames as come."""
    return zarr.create_array(
        store,
        name=path,
        shape=(0, *shape),
        chunks=(1, *shape),
        shards=(FRAMES_PER_SHARD, *shape),
        dtype="uint8",
        fill_value=0,
        compressors=_CODEC,
        dimension_names=("t", "y", "x"),
        # Black frames too: then one that is missing can be told from one that is black.
        config={"write_empty_chunks": True},
    )


def create_rater_arrays(store: Store, path: str, shape: tuple[int, int, int, int]) -> None:
    """Make planes and status of the rater at `path`, nothing marked, for `shape` (T, C, Y, X)."""
    n_frames, n_classes, height, width = shape
    zarr.create_array(
        store,
        name=f"{path}/0",
        shape=shape,
        chunks=(1, 1, height, width),  # never sharded: edited live while others read
        dtype="uint8",
        fill_value=0,
        compressors=_CODEC,
        dimension_names=("t", "c", "y", "x"),
        overwrite=True,  # sweeps what a crash half-way through this function left
    )
    zarr.create_array(
        store,
        name=f"{path}/status",
        shape=(n_frames, n_classes),
        chunks=(n_frames, n_classes),
        dtype="uint8",
        fill_value=0,
        compressors=_CODEC,
        dimension_names=("t", "c"),
        overwrite=True,
    )


def check_frames(keys: KeyValueStore, path: str) -> tuple[tuple[int, int, int], int, list[Problem]]:
    """Check the array of frames at `path`.

    Returns
    -------
    shape : tuple of int
        (T, Y, X); zeros if it can't be told.
    per_shard : int
        Frames in one file; 0 if not sharded.
    problems : list of Problem
        Empty if it may be read.
    """
    node, problems = _array_node(keys, path)
    shape = _ints(node.get("shape"))
    limits = (MAX_FRAMES, MAX_SIDE, MAX_SIDE)
    problems = problems or _shape_fault(path, shape, limits, "(T, Y, X)")
    if problems:
        return (0, 0, 0), 0, problems
    t, y, x = shape
    problems += _common(node, path)
    codecs = _codecs(node)
    chunk = _chunk_shape(node)
    if [c.get("name") for c in codecs] == ["sharding_indexed"]:
        inner = _dict(codecs[0].get("configuration"))
        per_shard = chunk[0] if len(chunk) == 3 and 0 < chunk[0] <= MAX_SHARD else 0
        if not per_shard or chunk[1:] != [y, x] or _ints(inner.get("chunk_shape")) != [1, y, x]:
            found = f"{chunk} of {inner.get('chunk_shape')}"
            problems.append(_grid_problem(path, f"shards (n, {y}, {x}) of (1, {y}, {x})", found))
        problems += _codec_faults(path, inner.get("codecs"))
        index = [c.get("name") for c in _named(inner.get("index_codecs"))]
        where = inner.get("index_location", "end")
        if index != ["bytes", "crc32c"] or where != "end":
            problems.append(
                Problem.mismatch(
                    "codec", path, "a shard index at the end with crc32c", f"{index} {where}"
                )
            )
        return (t, y, x), per_shard, problems
    if chunk != [1, y, x]:
        problems.append(_grid_problem(path, f"chunks (1, {y}, {x})", str(chunk)))
    problems += _codec_faults(path, node.get("codecs"))
    return (t, y, x), 0, problems


def check_rater_arrays(
    keys: KeyValueStore, path: str, shape: tuple[int, int, int, int]
) -> list[Problem]:
    """Check the planes and status of the rater at `path` against `shape` (T, C, Y, X).

    They may have fewer classes than the cohort: those added since the rater was last written are
    not marked and untouched.
    """
    t, c, y, x = shape
    planes = _check_plain(keys, f"{path}/0", [t, c, y, x])
    return planes + _check_plain(keys, f"{path}/status", [t, c])


def stored_classes(keys: KeyValueStore, path: str) -> tuple[int, int]:
    """Return how many classes the planes and the status of the rater at `path` have."""
    planes, status = (_ints(read_node(keys, f"{path}/{a}").get("shape")) for a in ("0", "status"))
    return planes[1], status[1]


def widen_array(keys: KeyValueStore, path: str, n_classes: int) -> None:
    """Let the planes or the status at `path` have `n_classes`; writes metadata only."""
    node = read_node(keys, path)
    node["shape"][1] = n_classes
    chunk = node["chunk_grid"]["configuration"]["chunk_shape"]
    if len(chunk) == 2:  # the status is one chunk
        chunk[1] = n_classes
    keys.set(metadata_key(path), json.dumps(node, indent=2).encode())


def check_layout(keys: KeyValueStore, path: str, shape: tuple[int, int, int, int]) -> None:
    """Refuse a rater whose arrays don't have the layout of the contract.

    Raises
    ------
    StoreError
        With every problem found.
    """
    problems = check_rater_arrays(keys, path, shape)
    if problems:
        raise StoreError(problems)


def _check_plain(keys: KeyValueStore, path: str, shape: list[int]) -> list[Problem]:
    node, problems = _array_node(keys, path)
    if problems:
        return problems
    found = _ints(node.get("shape"))
    chunk = [1, 1, *found[2:]] if len(shape) == 4 else found
    n_classes = found[1] if len(found) == len(shape) else 0
    if [*found[:1], *found[2:]] != [*shape[:1], *shape[2:]] or not 1 <= n_classes <= shape[1]:
        problems.append(
            Problem.mismatch(
                "shape-mismatch",
                path,
                f"{shape} or fewer classes, as clip and cohort say",
                str(found),
                "This rater belongs to another clip, or classes were added since "
                "the cohort was opened: then open it anew.",
            )
        )
    elif (grid := _chunk_shape(node)) != chunk:
        problems.append(_grid_problem(path, f"chunks {chunk}, not sharded", str(grid)))
    return problems + _common(node, path) + _codec_faults(path, node.get("codecs"))


def _array_node(keys: KeyValueStore, path: str) -> tuple[dict[str, Any], list[Problem]]:
    try:
        node = read_node(keys, path)
    except StoreError as error:
        return {}, list(error.problems)
    if node.get("node_type") != "array":
        return {}, [Problem.mismatch("node-type", path, "an array", repr(node.get("node_type")))]
    return node, []


def _shape_fault(path: str, shape: list[int], limits: Sequence[int], words: str) -> list[Problem]:
    if len(shape) == len(limits) and all(
        0 < n <= limit for n, limit in zip(shape, limits, strict=True)
    ):
        return []
    return [
        Problem.mismatch("shape-limit", path, f"{words}, each 1 to {tuple(limits)}", str(shape))
    ]


def _common(node: dict[str, Any], path: str) -> list[Problem]:
    """Check what all our arrays have in common."""
    problems = []
    if node.get("data_type") != "uint8":
        problems.append(Problem.mismatch("dtype", path, "uint8", repr(node.get("data_type"))))
    if node.get("fill_value") != 0 or isinstance(node.get("fill_value"), bool):
        problems.append(Problem.mismatch("fill-value", path, "0", repr(node.get("fill_value"))))
    if node.get("storage_transformers"):
        problems.append(Problem.mismatch("codec", path, "no storage transformers", "some"))
    encoding = node.get("chunk_key_encoding")
    name = encoding.get("name") if isinstance(encoding, dict) else encoding
    separator = _dict(_dict(encoding).get("configuration")).get("separator", "/")
    if name != "default" or separator != "/":
        problems.append(
            Problem.mismatch(
                "chunk-keys",
                metadata_key(path),
                "default with '/'",
                f"{name!s:.40} with {separator!r:.40}",
            )
        )
    return problems


def _codecs(node: dict[str, Any]) -> list[dict[str, Any]]:
    return _named(node.get("codecs"))


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(value: object) -> list[dict[str, Any]]:
    """Return codecs as they stand; what is no object has no configuration, and itself as name."""
    if not isinstance(value, list):
        return []
    return [v if isinstance(v, dict) else {"name": v} for v in value[:_MOST_CODECS]]


def _codec_faults(path: str, codecs: object) -> list[Problem]:
    found = _named(codecs)
    names = [c.get("name") for c in found]
    if names != ["bytes", "zstd"]:
        strange = [n for n in names if n not in _CODECS]
        hint = f"{strange} is not on the list of allowed codecs." if strange else ""
        return [
            Problem.mismatch(
                "codec",
                path,
                "bytes, zstd",
                ", ".join(f"{n!s:.40}" for n in names) or "none",
                f"{hint:.300}",
            )
        ]
    if not _dict(found[1].get("configuration")).get("checksum"):
        hint = "Flipped bits would pass unseen: copy the planes into a new rater."
        return [Problem.mismatch("checksum-off", path, "zstd with checksum", "without", hint)]
    return []


def _chunk_shape(node: dict[str, Any]) -> list[int]:
    grid = node.get("chunk_grid")
    if not isinstance(grid, dict) or grid.get("name") != "regular":
        return []
    return _ints(_dict(grid.get("configuration")).get("chunk_shape"))


def _ints(value: object) -> list[int]:
    if isinstance(value, list) and all(type(v) is int for v in value):
        return value
    return []


def _grid_problem(path: str, expected: str, found: str) -> Problem:
    return Problem.mismatch(
        "chunk-grid", path, expected, found, "Rewrite it with the layout of the docs."
    )
