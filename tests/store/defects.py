"""Ways to break a good cohort, each with the code that must name it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs import zstd

from napari_confseg.store import (
    ClipMeta,
    Cohort,
    Provenance,
    RaterWriter,
    Sector,
    Spacing,
    Unblinded,
)
from napari_confseg.store.segments import EntryId, Position, frame, frames, parse_segments
from tests.store.painting import Painter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLIP, RATER = "left-3", "left-3/raters/ann"
MODEL_CHANGE = {
    "at": "2026-01-01T12:00:00Z",
    "by": "Ann",
    "name": "first",
    "location": "../runs/first",
    "sha256": "0" * 64,
    "why": "the first",
}
SHAPE = (40, 24, 32)  # two shards of frames, the second in part


def make_good(folder: Path, journal: Path) -> Path:
    """Make a sound cohort: a calibrated clip, a rater with strokes, an undo and a review."""
    cohort = Cohort.create(folder / "cohort.zarr", name="good")
    rng = np.random.default_rng(0)
    with cohort.new_clip(CLIP, shape=SHAPE[1:]) as new:
        for _ in range(SHAPE[0]):
            new.append(rng.integers(0, 255, SHAPE[1:], dtype=np.uint8))
        new.finish(
            ClipMeta(
                patient="p1",
                zone="L3",
                probe="convex",
                frame_times=tuple(i / 20 for i in range(SHAPE[0])),
                spacing=Spacing(y=0.2, x=0.25, source="manual"),
                sector=Sector(kind="curved", polygon=((0, 16), (23, 2), (23, 30))),
                provenance=Provenance(source_sha256="0" * 64, decoder="test"),
            )
        )
    with RaterWriter.open(cohort, CLIP, "ann", journal_root=journal) as writer:
        painter = Painter(writer)
        for k in range(4):
            writer.commit(painter.rectangle(k, k % 2, k, k, 8, 8, 30 + 20 * k))
        writer.undo()
        writer.change_notes(
            zone="L3",
            quality=4,
            pathology=("effusion",),
            tags=("teaching",),
            note="costophrenic angle hidden",
            seconds={0: 12.5, 39: 3.0},
            unblinded=Unblinded(at=datetime.now(UTC), by="Dr. Ada", why="complete"),
        )
    return folder / "cohort.zarr"


def _edit(root: Path, key: str, change: Callable[[Any], None]) -> None:
    path = root / key / "zarr.json"
    node = json.loads(path.read_text())
    change(node)
    path.write_text(json.dumps(node))


def _set(key: str, *where: str | int, to: Any) -> Callable[[Path], None]:
    def change(node: Any) -> None:
        for step in where[:-1]:
            node = node[step]
        node[where[-1]] = to

    return lambda root: _edit(root, key, change)


def _del(key: str, *where: str | int) -> Callable[[Path], None]:
    def change(node: Any) -> None:
        for step in where[:-1]:
            node = node[step]
        del node[where[-1]]

    return lambda root: _edit(root, key, change)


def _file(key: str, data: bytes = b"x") -> Callable[[Path], None]:
    def write(root: Path) -> None:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return write


def _flip(key: str, at: int) -> Callable[[Path], None]:
    def flip(root: Path) -> None:
        data = bytearray((root / key).read_bytes())
        data[at] ^= 8
        (root / key).write_bytes(data)

    return flip


def _plane(value: int) -> Callable[[Path], None]:
    plane = np.full(SHAPE[1:], value, np.uint8)
    return _file(f"{RATER}/0/c/1/1/0/0", zstd.compress(plane, 3, True))


def _link(key: str, to: str) -> Callable[[Path], None]:
    def link(root: Path) -> None:
        target = root.parent / to
        target.mkdir(exist_ok=True)
        path = root / key
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        os.symlink(target, path)

    return link


def _segment(change: Callable[[Any], None]) -> Callable[[Path], None]:
    """Change the head of the first segment of the record, whose checksum is right again then."""

    def rewrite(root: Path) -> None:
        path = min((root / RATER / "record").glob("*.edits"))
        blocks = [(json.loads(head), bytes(rest)) for head, rest in frames(path.read_bytes(), "")]
        change(blocks[0][0])
        path.write_bytes(
            b"".join(frame(json.dumps(head).encode(), [rest]) for head, rest in blocks)
        )

    return rewrite


def _line(number: int, **fields: Any) -> Callable[[Path], None]:
    """Change the stroke of an entry of the first segment."""
    return _segment(lambda head: head["entries"][number - 1]["stroke"].update(fields))


def _flip_record(root: Path) -> None:
    path = min((root / RATER / "record").glob("*.edits"))
    _flip(str(path.relative_to(root)), 200)(root)


def _strand(root: Path) -> None:
    """Write another segment after the parent of the first, under a lower number."""
    folder = root / RATER / "record"
    (first,) = parse_segments(min(folder.glob("*.edits")).read_bytes(), "")[:1]
    entries = tuple(replace(e, id=EntryId("late", i)) for i, e in enumerate(first.entries))
    late = replace(first, position=Position(0, 1), session="late", entries=entries)
    (folder / "000000-000001-000001.edits").write_bytes(late.data)


def _narrow_status(root: Path) -> None:
    """As if a crash had come between planes and status when a class was added."""
    _set(f"{RATER}/status", "shape", to=[40, 5])(root)
    grid = (f"{RATER}/status", "chunk_grid", "configuration", "chunk_shape")
    _set(*grid, to=[40, 5])(root)


def _notes(**fields: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / RATER / "notes.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return change


_REGION = {"frame": 3, "anchor": [9, 9], "box": [8, 8, 12, 12]}
_DECISION = {
    "verdict": "reject",
    "by": "Dr. Lead",
    "raters": ["bea", "cy"],
    "source": None,
    "threshold": 60,
    "narrowest": 3,
    "regions": [_REGION],
}


def _adjudicated(*, region: dict[str, Any] | None = None, **fields: Any) -> Callable[[Path], None]:
    """Make the rater an adjudicated one whose first stroke is a decision with changed fields."""
    regions = [_REGION | (region or {})]

    def change(root: Path) -> None:
        _set(RATER, "attributes", "confseg", "kind", to="adjudicated")(root)
        _set(RATER, "attributes", "confseg", "adjudicator", to="Dr. Lead")(root)
        _line(1, decision=_DECISION | {"regions": regions} | fields)(root)

    return change


_GIGABYTE = zstd.compress(np.zeros(2**27, np.uint8), 1, True)
_IMAGE = ("attributes", "ome", "multiscales", 0)
_SCALE = (*_IMAGE, "datasets", 0, "coordinateTransformations", 0, "scale")
_CODEC = ("codecs", 1)


@dataclass(frozen=True)
class Defect:
    """One way to break it.

    Attributes
    ----------
    name : str
        In words.
    code : str
        What validate must call it.
    plant : callable
        Breaks the cohort at a path.
    """

    name: str
    code: str
    plant: Callable[[Path], None]


DEFECTS = (
    # the cohort
    Defect("cohort without zarr.json", "missing", lambda r: (r / "zarr.json").unlink()),
    Defect("zarr.json that is no JSON", "metadata-json", _file(f"{CLIP}/zarr.json", b"{")),
    Defect("zarr.json of 17 MB", "file-size", _file(f"{CLIP}/zarr.json", b" " * 17 * 2**20)),
    Defect("zarr_format 2", "zarr-format", _set(CLIP, "zarr_format", to=2)),
    Defect("files of zarr v2", "zarr-v2", _file(f"{CLIP}/.zattrs", b"{}")),
    Defect("a cohort of someone else's", "not-confseg", _del("", "attributes", "confseg")),
    Defect("unknown attribute", "attributes", _set("", "attributes", "confseg", "mood", to="good")),
    Defect(
        "a later schema version",
        "schema-version",
        _set("", "attributes", "confseg", "schema_version", to=12),
    ),
    # names and files
    Defect("illegal name of a clip", "name", lambda r: (r / CLIP).rename(r / "Left 3")),
    Defect("name reserved on Windows", "name", lambda r: (r / CLIP).rename(r / "aux")),
    Defect("clip folder without metadata", "orphan", _file("half/0/c/0/0/0")),
    Defect(
        "clip left half-way by a crash",
        "orphan",
        _file("half/zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'),
    ),
    Defect("rater folder without metadata", "orphan", _file(f"{CLIP}/raters/bob/lease.lock")),
    Defect("file nobody listed", "unlisted", _file(f"{CLIP}/notes.txt")),
    Defect("label nobody listed", "unlisted", _file(f"{CLIP}/labels/b-line/zarr.json", b"{}")),
    Defect("half-written file", "stray-partial", _file(f"{RATER}/0/c/1/1/0/0.ab12.partial")),
    Defect("link out of the cohort", "outside", _link(f"{RATER}/0/c/1/1/0/0", "elsewhere")),
    Defect("folder linked out of the cohort", "outside", _link(f"{RATER}/0/c/7", "elsewhere")),
    Defect(
        "chunk beyond the last frame",
        "chunk-outside",
        _file(f"{RATER}/0/c/40/0/0/0", zstd.compress(np.ones(SHAPE[1:], np.uint8), 3, True)),
    ),
    # arrays
    Defect("array of frames missing", "missing", lambda r: (r / CLIP / "0/zarr.json").unlink()),
    Defect(
        "group where an array belongs", "node-type", _set(f"{RATER}/0", "node_type", to="group")
    ),
    Defect(
        "planes of another shape than the clip",
        "shape-mismatch",
        _set(f"{RATER}/0", "shape", to=[40, 6, 24, 31]),
    ),
    Defect(
        "planes of more classes than the cohort",
        "shape-mismatch",
        _set(f"{RATER}/0", "shape", 1, to=7),
    ),
    Defect("status of fewer classes than the planes", "classes-apart", _narrow_status),
    Defect("too many frames to be true", "shape-limit", _set(f"{CLIP}/0", "shape", 0, to=10**9)),
    Defect(
        "grid of 1-pixel chunks",
        "chunk-grid",
        _set(f"{RATER}/0", "chunk_grid", "configuration", "chunk_shape", to=[1, 1, 1, 1]),
    ),
    Defect(
        "chunk keys with dots",
        "chunk-keys",
        _set(f"{RATER}/0", "chunk_key_encoding", "configuration", to={"separator": "."}),
    ),
    Defect("codec that is not allowed", "codec", _set(f"{RATER}/0", *_CODEC, "name", to="gzip")),
    Defect(
        "checksum switched off",
        "checksum-off",
        _set(f"{RATER}/0", *_CODEC, "configuration", "checksum", to=False),
    ),
    Defect("16-bit planes", "dtype", _set(f"{RATER}/0", "data_type", to="uint16")),
    Defect("missing chunks read as 255", "fill-value", _set(f"{RATER}/0", "fill_value", to=255)),
    # chunks
    Defect("flipped bit in a plane", "chunk-corrupt", _flip(f"{RATER}/0/c/1/1/0/0", 20)),
    Defect("flipped bit in a frame", "chunk-corrupt", _flip(f"{CLIP}/0/c/0/0/0", 300)),
    Defect("flipped bit in a shard's index", "chunk-corrupt", _flip(f"{CLIP}/0/c/0/0/0", -30)),
    Defect("plane that decodes to 128 MB", "chunk-size", _file(f"{RATER}/0/c/1/1/0/0", _GIGABYTE)),
    Defect(
        "frames of a shard missing", "frame-missing", lambda r: (r / CLIP / "0/c/1/0/0").unlink()
    ),
    Defect("confidence 150", "value-range", _plane(150)),
    Defect("confidence 101", "value-range", _plane(101)),
    Defect(
        "status 3",
        "status-range",
        _file(f"{RATER}/status/c/0/0", zstd.compress(np.full((40, 6), 3, np.uint8), 3, True)),
    ),
    Defect(
        "anchor with an empty example",
        "attributes",
        _set("", "attributes", "confseg", "anchors", 0, "example", to=""),
    ),
    # metadata against content
    Defect(
        "a frame time too few",
        "frame-times",
        _del(CLIP, "attributes", "confseg", "frame_times", -1),
    ),
    Defect(
        "frame times that go back",
        "attributes",
        _set(CLIP, "attributes", "confseg", "frame_times", 3, to=0.01),
    ),
    Defect(
        "trust of a sector above 1",
        "attributes",
        _set(CLIP, "attributes", "confseg", "sector", "trust", to=1.5),
    ),
    Defect(
        "sector outside the frame",
        "sector",
        _set(CLIP, "attributes", "confseg", "sector", "polygon", 1, to=[500, 2]),
    ),
    # OME metadata
    Defect("no OME metadata", "ome-missing", _del(CLIP, "attributes", "ome")),
    Defect("OME version 0.4", "ome-version", _set(CLIP, "attributes", "ome", "version", to="0.4")),
    Defect("no OME version", "ome-version", _del(RATER, "attributes", "ome", "version")),
    Defect("axes in another order", "ome-axes", _set(CLIP, *_IMAGE, "axes", 0, "name", to="z")),
    Defect("unknown unit", "ome-unit", _set(CLIP, *_IMAGE, "axes", 1, "unit", to="furlong")),
    Defect("scale of zero", "ome-scale", _set(CLIP, *_SCALE, 1, to=0.0)),
    Defect("negative scale", "ome-scale", _set(RATER, *_SCALE, 2, to=-0.2)),
    Defect("scale that is not the clip's", "ome-scale", _set(RATER, *_SCALE, 2, to=0.5)),
    Defect(
        "dataset that is not there",
        "ome-dataset",
        _set(CLIP, *_IMAGE, "datasets", 0, "path", to="1"),
    ),
    Defect(
        "channel that is no class",
        "ome-channels",
        _set(RATER, "attributes", "ome", "omero", "channels", 2, "label", to="C-line"),
    ),
    Defect(
        "a channel too few",
        "ome-channels",
        _del(RATER, "attributes", "ome", "omero", "channels", 5),
    ),
    # the record and the lease
    Defect(
        "segment that is none",
        "record-corrupt",
        _file(f"{RATER}/record/000009-000001-000001.edits", b"{"),
    ),
    Defect(
        "segment that a power cut left empty",
        "record-corrupt",
        _file(f"{RATER}/record/000009-000001-000001.edits", b""),
    ),
    Defect("flipped bit in the record", "record-corrupt", _flip_record),
    Defect(
        "segment whose parent is gone",
        "record-missing",
        _segment(lambda h: h.update(parent=[0, 9])),
    ),
    Defect(
        "entry of an unknown kind",
        "record-entry",
        _segment(lambda h: h["entries"][0].update(kind="x")),
    ),
    Defect("segment written too late", "stranded", _strand),
    Defect("plane that nobody recorded", "view", _plane(60)),
    Defect("checksums that are none", "view", _file(f"{RATER}/record/000001.view", b"{}")),
    Defect("stroke on a frame that is not there", "stroke-frame", _line(1, frame=40)),
    Defect("stroke of an unknown class", "stroke-class", _line(1, class_index=6)),
    Defect(
        "stroke whose further planes are not there",
        "stroke-frame",
        _line(1, planes=[[0, 0], [40, 0]]),
    ),
    Defect("stroke on planes of an unknown class", "stroke-class", _line(1, planes=[[0, 6]])),
    Defect(
        "marks carried to a frame that is not there",
        "stroke-frame",
        _line(1, carrying={"matches": [[40, 80]], "lost": None}),
    ),
    Defect("stroke with confidence 150", "stroke-confidence", _line(1, confidence=150)),
    Defect("stroke with a box outside the frame", "stroke-box", _line(1, box=[0, 0, 25, 8])),
    Defect(
        "adjudicated by nobody",
        "attributes",
        _set(RATER, "attributes", "confseg", "kind", to="adjudicated"),
    ),
    Defect(
        "decision of a reader who does not adjudicate",
        "decision-rater",
        _line(1, decision=_DECISION),
    ),
    Defect(
        "decision on a frame that is not there",
        "decision-region",
        _adjudicated(region={"frame": 40}),
    ),
    Defect(
        "decision on a region outside the frame",
        "decision-region",
        _adjudicated(region={"box": [8, 8, 25, 12]}),
    ),
    Defect(
        "region whose pixel lies outside its box",
        "record-entry",
        _adjudicated(region={"anchor": [12, 9]}),
    ),
    Defect("decision that accepts nobody", "record-entry", _adjudicated(verdict="accept")),
    Defect("decision by nobody", "record-entry", _adjudicated(by="")),
    Defect("decision between fewer than two", "record-entry", _adjudicated(raters=["bea"])),
    Defect("decision about nothing", "record-entry", _adjudicated(regions=[])),
    Defect("lease that names nobody", "lease", _file(f"{RATER}/record/000001.lease", b"{}")),
    # what a reader says of the clip
    Defect(
        "blinding that nobody knows",
        "attributes",
        _set("", "attributes", "confseg", "blinding", to="sometimes"),
    ),
    Defect(
        "blinding that nobody set",
        "attributes",
        _set("", "attributes", "confseg", "blinding", to="always"),
    ),
    Defect(
        "blinding set by nobody",
        "attributes",
        _set(
            "",
            "attributes",
            "confseg",
            "blinding_changes",
            to=[{"at": "2026-01-01T12:00:00Z", "by": "", "rule": "none"}],
        ),
    ),
    Defect(
        "active model chosen by nobody",
        "attributes",
        _set("", "attributes", "confseg", "active_models", to=[MODEL_CHANGE | {"by": ""}]),
    ),
    Defect(
        "active model whose weights have no hash",
        "attributes",
        _set("", "attributes", "confseg", "active_models", to=[MODEL_CHANGE | {"sha256": "12"}]),
    ),
    Defect(
        "active model taken back that never was",
        "attributes",
        _set("", "attributes", "confseg", "active_models", to=[MODEL_CHANGE | {"back": True}]),
    ),
    Defect("words on a clip that are no JSON", "notes", _file(f"{RATER}/notes.json", b"{")),
    Defect("words on a clip nobody asked for", "notes", _notes(mood="good")),
    Defect("zone beyond the lung", "notes", _notes(zone="L7")),
    Defect("quality 6", "notes", _notes(quality=6)),
    Defect("pathology without a word for it", "notes", _notes(pathology=["cough"])),
    Defect("empty tag", "notes", _notes(tags=[""])),
    Defect("note without end", "notes", _notes(note="x" * 4001)),
    Defect("less than no time", "notes", _notes(seconds={"0": -1})),
    Defect("time on a frame that is not there", "notes-frame", _notes(seconds={"40": 1.0})),
    Defect(
        "unblinded by nobody",
        "notes",
        _notes(unblinded={"at": "2026-01-01T12:00:00Z", "by": "", "why": "allowed"}),
    ),
)
