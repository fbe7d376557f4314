"""Everything that is wrong with a cohort, at once: every problem with a code, a place and a hint.

The outside validators of OME-Zarr look at one group's metadata. What they all miss is looked at
here: shapes against the clip's, units, scales, values, status, records, every chunk, and files
that nobody listed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pydantic import BaseModel

from napari_confseg.store.attributes import (
    NAMESPACE,
    attributes_in,
    metadata_key,
    parse_node,
    read_attributes,
    read_node,
)
from napari_confseg.store.backend import KeyValueStore, is_outside, open_store, requests_at_once
from napari_confseg.store.checked_files import MAX_NOTES
from napari_confseg.store.clip_notes import NOTES, parse_notes
from napari_confseg.store.codec import check_plane, decode
from napari_confseg.store.durable import PARTIAL
from napari_confseg.store.errors import Problem, StoreError, sentence
from napari_confseg.store.frames import Frames
from napari_confseg.store.layout import (
    PLANES,
    STATUS,
    check_frames,
    check_rater_arrays,
    chunk_key,
    stored_classes,
)
from napari_confseg.store.lease import IMPORT_LOCK, LOCK, MAX_LEASE, read_lease
from napari_confseg.store.listed import ListedStore
from napari_confseg.store.omezarr import clip_ome, ome_faults, rater_ome
from napari_confseg.store.rater import Rater
from napari_confseg.store.record import RECORD, Line, Names, lease_name, view_name
from napari_confseg.store.revisions import CHANGES, is_change, read_newest
from napari_confseg.store.root import MAX_METADATA_BYTES
from napari_confseg.store.schema import (
    EXCLUDED,
    MAX_CONFIDENCE,
    ClipMeta,
    CohortMeta,
    RaterMeta,
    Status,
    check_slug,
)
from napari_confseg.store.segments import strokes_of
from napari_confseg.store.threads import map_bounded
from napari_confseg.store.view import MAX_VIEW, checksum, parse_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zarr.abc.store import Store

    from napari_confseg.store.backend import Location
    from napari_confseg.store.strokes import Stroke

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def validate(
    location: Location | Store, *, progress: Callable[[int, int, str], None] | None = None
) -> list[Problem]:
    """Return every problem of the cohort at `location`; an empty list means that it is sound.

    Reads and decodes all of it, and changes nothing.

    Parameters
    ----------
    location : str, Path or zarr Store
        As for :meth:`Cohort.open`.
    progress : callable, optional
        Called with (clips done, clips, name of the clip) before each clip.
    """
    found: list[Problem] = []
    try:
        found += _of_cohort(open_store(location, read_only=True), progress)
    except StoreError as error:
        found.extend(error.problems)
    except Exception as error:  # no zip, no permission, bucket gone half-way: a problem as well
        found.append(Problem("unreadable", "", f"The cohort cannot be read: {sentence(error)}"))
    return sorted(found, key=lambda p: (p.path, p.code))


def _of_cohort(store: Store, progress: Callable[[int, int, str], None] | None) -> Iterable[Problem]:
    root = _Validation(store, None)
    cohort = root.newest("", CohortMeta)
    clips: defaultdict[str, list[str]] = defaultdict(list)
    for key in KeyValueStore(store).under(""):
        clip, _, inside = key.partition("/")
        clips[clip if inside and clip != CHANGES else ""].append(key)
    root.check_root(clips.pop("", []))
    names = sorted(clips)

    def check(name: str) -> list[Problem]:
        one = _Validation(ListedStore(store, name, keys=clips.pop(name)), cohort)
        return one.of_clip(name)

    threads = requests_at_once(store)
    if progress and names:
        progress(0, len(names), names[0])
    for done, problems in enumerate(map_bounded(check, list(names), threads=threads), 1):
        root.problems += problems
        if progress and done < len(names):
            progress(done, len(names), names[done])
    return root.problems


_CLIP_FILES = {"zarr.json", "0/zarr.json", "raters/zarr.json"}
_MOST_UNLISTED = 50
"""Files that don't belong there which are named one by one, for each clip."""


def _is_change(key: str) -> bool:
    folder, _, name = key.rpartition("/")
    return folder == CHANGES and is_change(name)


class _Validation:
    def __init__(self, store: Store, cohort: CohortMeta | None) -> None:
        self._store = store
        self._keys = KeyValueStore(store)
        self._cohort = cohort
        self.problems: list[Problem] = []
        self._unlisted_told = self._untold = 0

    def check_root(self, keys: list[str]) -> None:
        """Name what does not belong beside the clips."""
        for key in self._sort_out(keys):
            if key not in ("zarr.json", IMPORT_LOCK) and not _is_change(key):
                self._unlisted(key)
        self._tell_rest("")

    def of_clip(self, name: str) -> list[Problem]:
        """Return every problem of the clip called `name`, whatever it holds."""
        try:
            keys = self._sort_out(self._keys.under(f"{name}/"))
            if keys or not self.problems:
                self._check_clip(name, [key.partition("/")[2] for key in keys])
        except Exception as error:  # the others are looked at all the same
            self._report("unreadable", name, f"The clip cannot be read: {sentence(error)}")
        self._tell_rest(name)
        return self.problems

    def _tell_rest(self, path: str) -> None:
        if self._untold:
            self._report("unlisted", path, f"{self._untold} more files do not belong here")

    def _try(self, read: Callable[[], T]) -> T | None:
        """Return what `read` returns, or None after keeping the problems that it raises."""
        try:
            return read()
        except StoreError as error:
            self.problems.extend(error.problems)
        return None

    def _report(self, code: str, path: str, message: str, hint: str = "") -> None:
        """Keep the problem that `message` states."""
        self.problems.append(Problem(code, path, message, hint=hint))

    def _add(self, code: str, path: str, expected: str, found: object, hint: str = "") -> None:
        """Keep the problem of two things that differ."""
        self.problems.append(Problem.mismatch(code, path, expected, str(found), hint))

    def _unlisted(self, key: str) -> None:
        self._unlisted_told += 1
        if self._unlisted_told > _MOST_UNLISTED:
            self._untold += 1
            return
        self._report(
            "unlisted",
            key,
            "No file of this name belongs into a cohort",
            "Move it out of the cohort.",
        )

    def _sort_out(self, keys: Iterable[str]) -> list[str]:
        """Return the keys that may belong here; name those that can't."""
        good = []
        for key in keys:
            name = key.rsplit("/", 1)[-1]
            if is_outside(self._store, key):
                self._report("outside", key, "A link leads out of the cohort", "Remove the link.")
            elif name.endswith(PARTIAL):
                self._report(
                    "stray-partial",
                    key,
                    "A crash left this file half-written",
                    "Open the clip with that rater once, or delete the file.",
                )
            elif name in {".zgroup", ".zarray", ".zattrs", ".zmetadata"}:
                self._add("zarr-v2", key, "zarr v3", "metadata of zarr v2", "Convert or remove it.")
            else:
                good.append(key)
        return good

    def newest(self, path: str, model: type[M]) -> M | None:
        """Return the newest attributes of a group; name a ``zarr.json`` that does not show them."""
        newest = self._try(lambda: read_newest(self._keys, path))
        if newest is None:
            return None
        if newest.data != self._keys.get(metadata_key(path), limit=MAX_METADATA_BYTES):
            self._report(
                "metadata-stale",
                path,
                f"zarr.json does not show the newest change, number {newest.number}",
                "Run: confseg validate --repair",
            )
        return self._try(lambda: attributes_in(parse_node(newest.data, path), path, model))

    def _is_bare(self, path: str) -> bool:
        """Whether the group is what zarr makes above a new array, and nobody has finished it."""
        try:
            return not read_node(self._keys, path).get("attributes")
        except StoreError:
            return False  # worse than bare, and named where it is read

    # -- clips

    def _check_clip(self, name: str, rest: list[str]) -> None:
        self._check_name(name, name)
        if "zarr.json" not in rest or self._is_bare(name):
            self._report(
                "orphan",
                name,
                "An interrupted import left this folder without the attributes of a clip",
                "Delete the folder.",
            )
            return
        meta = self.newest(name, ClipMeta)
        shape, per_shard, problems = check_frames(self._keys, f"{name}/0")
        self.problems += problems
        n_files = -(-shape[0] // (per_shard or 1))
        raters: defaultdict[str, list[str]] = defaultdict(list)
        for key in rest:
            if m := re.fullmatch(r"raters/([^/]+)/(.+)", key):
                raters[m[1]].append(m[2])
            elif m := re.fullmatch(r"0/c/(0|[1-9]\d*)/0/0", key):
                self._check_inside(f"{name}/{key}", int(m[1]) < n_files or not shape[0])
            elif key not in _CLIP_FILES and not _is_change(key):
                self._unlisted(f"{name}/{key}")
        if raters and "raters/zarr.json" not in rest:
            self._report("missing", f"{name}/raters", "There is no zarr.json")
        if meta is not None and shape[0]:
            self._check_clip_meta(name, meta, shape)
        if not problems:
            self._check_pixels(Frames(self._keys, f"{name}/0", shape, per_shard), f"{name}/0")
        for rater, keys in sorted(raters.items()):
            self._check_rater(f"{name}/raters/{rater}", keys, meta, shape)

    def _check_name(self, name: str, path: str) -> None:
        try:
            check_slug(name)
        except ValueError as error:
            self._report("name", path, f"This is no legal name: {error}", "Rename the folder.")

    def _check_inside(self, key: str, inside: bool) -> None:
        if not inside:
            self._report(
                "chunk-outside",
                key,
                "The chunk lies beyond the array",
                "The array was cut, or the file was copied here: remove it.",
            )

    def _check_clip_meta(self, name: str, meta: ClipMeta, shape: tuple[int, int, int]) -> None:
        if len(meta.frame_times) != shape[0]:
            self._add("frame-times", name, f"{shape[0]} frame times", len(meta.frame_times))
        ys, xs = zip(*meta.sector.polygon, strict=True) if meta.sector else ((0,), (0,))
        if min(*ys, *xs) < -1 or max(ys) > shape[1] + 1 or max(xs) > shape[2] + 1:
            self._add("sector", name, f"a sector inside {shape[1:]}", f"{ys} {xs}"[:120])
        self._check_ome(name, clip_ome(name, meta.frame_interval, meta.spacing))

    def _check_ome(self, path: str, expected: dict[str, object]) -> None:
        node = self._try(lambda: read_node(self._keys, path))
        attributes = (node or {}).get("attributes")
        found = attributes.get("ome") if isinstance(attributes, dict) else None
        for fault in ome_faults(found, expected):
            code, wanted, there = fault
            self._add(code, path, wanted, there, f"Write attributes['{NAMESPACE}'] and ome anew.")

    def _check_pixels(self, frames: Frames, path: str) -> None:
        missing = self._try(frames.missing)
        if missing:
            self._report(
                "frame-missing",
                path,
                f"Of {len(frames)} frames these are missing: {missing[:20]}",
                "They read as black: import the clip again.",
            )
        seen: set[Problem] = set()
        for t in range(len(frames)):
            try:
                frames[t]
            except StoreError as error:
                seen.update(error.problems)  # a damaged shard index shows in each of its frames
        self.problems += seen

    # -- raters

    def _check_rater(
        self, path: str, rest: list[str], clip: ClipMeta | None, frames: tuple[int, int, int]
    ) -> None:
        name = path.rsplit("/", 1)[-1]
        self._check_name(name, path)
        if "zarr.json" not in rest or self._is_bare(path):
            self._report(
                "orphan",
                path,
                "A crash left this folder without the attributes of a rater",
                "Open the clip with that rater once.",
            )
            return
        who = self._try(lambda: read_attributes(self._keys, path, RaterMeta))
        if self._cohort is None or not frames[0]:
            return  # nothing to compare with; that problem is named already
        shape = (frames[0], len(self._cohort.classes), *frames[1:])
        classes = every = self._cohort.classes
        problems = check_rater_arrays(self._keys, path, shape)
        self.problems += problems
        if not problems:
            planes, status = stored_classes(self._keys, path)
            shape, classes = (shape[0], planes, *shape[2:]), classes[:planes]
            if status != planes:
                self._add(
                    "classes-apart",
                    path,
                    f"a status of {planes} classes, as the planes",
                    status,
                    "Left by a crash: paint a stroke with that rater.",
                )
            rater = self._try(lambda: Rater(self._store, path, frames, every))
            if rater is not None:
                sums = self._check_values(rater)
                if NOTES in rest:
                    self._check_notes(f"{path}/{NOTES}", shape[0])
                self._check_record(rater, shape, who, sums)
        self._check_rater_files(path, rest, shape)
        if clip is not None:
            expected = rater_ome(name, clip.frame_interval, clip.spacing, classes)
            self._check_ome(path, expected)
        self._check_record_files(path, rest)

    def _check_record_files(self, path: str, rest: list[str]) -> None:
        names = Names.sort(k.removeprefix(f"{RECORD}/") for k in rest if k.startswith(f"{RECORD}/"))
        for epoch in names.leases:
            key = f"{path}/{RECORD}/{lease_name(epoch)}"
            data = self._try(lambda k=key: self._keys.get(k, limit=MAX_LEASE)) or b""  # type: ignore[misc]
            self._try(lambda d=data, k=key: read_lease(d, k))  # type: ignore[misc]
        for name in names.strange:
            self._unlisted(f"{path}/{RECORD}/{name}")

    def _check_rater_files(
        self, path: str, rest: list[str], shape: tuple[int, int, int, int]
    ) -> None:
        listed = {
            "zarr.json",
            "0/zarr.json",
            "status/zarr.json",
            STATUS,
            NOTES,
            LOCK,
        }
        for key in rest:
            if m := re.fullmatch(rf"{PLANES}/(0|[1-9]\d*)/(0|[1-9]\d*)/0/0", key):
                inside = int(m[1]) < shape[0] and int(m[2]) < shape[1]
                self._check_inside(f"{path}/{key}", inside)
            elif key not in listed and not key.startswith(f"{RECORD}/"):
                self._unlisted(f"{path}/{key}")

    def _check_values(self, rater: Rater) -> dict[str, int]:
        """Look at the files as they are, whatever the record says; return their checksums."""
        sums: dict[str, int] = {}
        for frame, c in rater.files.chunks():
            key = chunk_key(rater.path, frame, c)
            data = self._try(lambda k=key: self._keys.get(k, limit=rater.files.max_file))  # type: ignore[misc]
            if data is not None:
                sums[key] = checksum(data)
                self._try(lambda d=data, k=key: self._check_chunk(rater, d, k))  # type: ignore[misc]
        status = self._try(rater.decode_status)
        if status is not None and status.max(initial=0) > max(Status):
            self._add("status-range", f"{rater.path}/{STATUS}", "0, 1 or 2", status.max())
        return sums

    def _check_chunk(self, rater: Rater, data: bytes, key: str) -> None:
        plane = np.zeros(rater.shape[2:], np.uint8)
        decode(data, plane, key)
        check_plane(plane, key)

    def _check_notes(self, path: str, n_frames: int) -> None:
        notes = self._try(lambda: parse_notes(self._keys.get(path, limit=MAX_NOTES) or b"", path))
        beyond = (
            sorted(f for f in notes.seconds.keys() | notes.offers.keys() if f >= n_frames)
            if notes
            else []
        )
        if beyond:
            self._add(
                "notes-frame",
                path,
                f"seconds and offers of frames below {n_frames}",
                beyond[:20],
                "This file belongs to another clip.",
            )

    def _check_record(
        self,
        rater: Rater,
        shape: tuple[int, int, int, int],
        who: RaterMeta | None,
        sums: dict[str, int],
    ) -> None:
        line = self._try(rater.record.read)
        if line is None:
            return
        for epoch in line.names.views[-1:]:
            self._try(partial(self._check_view, rater, rater.record.key(view_name(epoch))))
        path = rater.record.path
        if line.missing is not None:
            self._report(
                "record-missing",
                path,
                f"Segment {line.missing} of the record is not there",
                "Restore it from a copy; planes stay as they are until then.",
            )
        for segment in line.stranded:
            self._report(
                "stranded",
                path,
                f"Strokes of {segment.by} on {segment.host} of {segment.time:%Y-%m-%d %H:%M} were "
                "written after somebody else had taken over",
                "Open the clip with that rater and decide, or see `confseg history`.",
            )
        self._check_strokes(path, line, shape, who)
        self._check_faults(rater, sums, recorded=bool(line.segments))

    def _check_faults(self, rater: Rater, sums: dict[str, int], *, recorded: bool) -> None:
        if recorded:
            message = "This is not what the record comes to"
            hint = "`confseg validate --repair` makes it again from the record."
        else:
            message = "This is not what the rater's writer left"
            hint = "Run the program that made it again."
        named = {p.path for p in self.problems}  # a file that can't be read is among them already
        for key in self._try(lambda: rater.files.faults(sums)) or []:
            if key not in named:
                self._report("view", key, message, hint)

    def _check_view(self, rater: Rater, key: str) -> None:
        parse_view(self._keys.get(key, limit=MAX_VIEW) or b"", key, rater.shape[:2])

    def _check_strokes(
        self, path: str, line: Line, shape: tuple[int, int, int, int], who: RaterMeta | None
    ) -> None:
        for number, stroke in enumerate(strokes_of(line.entries()), 1):
            where = f"{path} stroke {number}"
            for code, expected, wrong_value in _stroke_faults(stroke, shape):
                self._add(code, where, expected, wrong_value)
            if stroke.decision and who and who.kind != "adjudicated":
                self._report(
                    "decision-rater",
                    where,
                    f"A rater of kind {who.kind!r} cannot decide a disagreement",
                    "Restore the record, or the rater's attributes.",
                )
        for entry in line.entries():
            if entry.data and entry.kind != "notes":
                self._try(lambda e=entry: e.edit().check(shape))  # type: ignore[misc]


def _stroke_faults(
    s: Stroke, shape: tuple[int, int, int, int]
) -> Iterable[tuple[str, str, object]]:
    n_frames, n_classes, height, width = shape
    also = ((f, c) for f, c, _ in s.also)
    matched = ((f, s.class_index) for f, _ in (s.carrying.matches if s.carrying else ()))
    for frame, c in ((s.frame, s.class_index), *also, *s.planes, *matched):
        if frame >= n_frames:
            yield "stroke-frame", f"a frame below {n_frames}", frame
        if c >= n_classes:
            yield "stroke-class", f"a class below {n_classes}", c
    if s.confidence > MAX_CONFIDENCE and s.confidence != EXCLUDED:
        yield "stroke-confidence", "0..100 or 255", s.confidence
    y0, x0, y1, x1 = s.box
    if not (y0 <= y1 <= height and x0 <= x1 <= width):
        yield "stroke-box", f"a box inside {(height, width)}", s.box
    for region in s.decision.regions if s.decision else ():
        y0, x0, y1, x1 = region.box
        if region.frame >= n_frames or y1 > height or x1 > width:
            yield "decision-region", f"a region inside {(n_frames, height, width)}", str(region)
