"""NRRD segmentation as 3D Slicer reads it: one segment a class and threshold, overlaps kept."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import nrrd as pynrrd
import numpy as np
import slicerio

from napari_confseg.formats.label_source import (
    EXCLUDED_SUFFIX,
    Found,
    Labels,
    check_frame,
    check_pixels,
    check_size,
)
from napari_confseg.store import EXCLUDED, Problem, StoreError
from napari_confseg.store.files import MIB, check_unpacked, open_file
from napari_confseg.store.layout import MAX_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip


def write(job: Export) -> None:
    """Write ``<clip>.nrrd``, ``<clip>_at<percent>.seg.nrrd`` and ``<clip>_confidence.nrrd``.

    Segments are yes or no, so they stand at the threshold, and what is excluded is a segment of its
    own; the confidences go along as a plain four-dimensional volume (class, x, y, frame), exact.
    All lie as NIfTI's do: x and y grow to the left and to the back. Times of frames stand in
    ``confseg_times``, in seconds.
    """
    for item in job.items():
        header = _geometry(item) | _frames(item)
        pynrrd.write(str(job.out / f"{item.name}.nrrd"), item.frames.transpose(2, 1, 0), header)
        _segments(job, item)
        _confidences(job, item)
        for path in job.out.glob(f"{item.name}*.nrrd"):
            _undate(path)
    job.note_spacing()
    job.notes.append("The third axis is the frame; its spacing in the file, 1, means nothing.")


def _undate(path: Path) -> None:
    """Put one date for all into the comment that pynrrd writes: same dataset, same bytes."""
    with path.open("r+b") as file:
        head = file.read(512)
        at = head.find(b"\n# on ") + len(b"\n# on ")
        if head[at - 6 : at] == b"\n# on ":
            file.seek(at)
            file.write(b"2000-01-01 00:00:00")


def _geometry(item: Item) -> dict[str, Any]:
    y, x = item.spacing
    return {
        "space": "left-posterior-superior",
        "space directions": np.diag([x, y, 1.0]),
        "space origin": _origin(item),
        "kinds": ["domain", "domain", "domain"],
        "encoding": "gzip",
    }


def _origin(item: Item) -> NDArray[np.float64]:
    """Return where the first voxel lies.

    Slicer keeps the place of a volume when it saves segments over it, and nothing else that we
    write: so the third coordinate is the number of the frame. Between two of them lies what leaves
    some frames out, for which there is no such place.
    """
    frames = item.record.frames
    run = frames[-1] - frames[0] == len(frames) - 1
    return np.array([0.0, 0.0, float(frames[0]) if run else BETWEEN])


BETWEEN = 0.5


def _frames(item: Item) -> dict[str, str]:
    return {
        "confseg_frames": ",".join(map(str, item.record.frames)),
        "confseg_resampled": str(int(item.resampled)),
        "confseg_times": ",".join(f"{t:.9g}" for t in item.record.times),
    }


def _segments(job: Export, item: Item) -> None:
    marks = job.cut(item.planes)
    layers: list[NDArray[np.uint8]] = []
    segments: list[dict[str, Any]] = []
    excluded = item.planes == EXCLUDED
    for suffix, masks in (("", marks), (EXCLUDED_SUFFIX, excluded)):
        for c, spec in enumerate(job.manifest.classes):
            if suffix and not masks[:, c].any():
                continue
            rgb = [int(spec.color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            segments.append(
                {
                    "id": f"Segment_{len(segments) + 1}",
                    "name": spec.label + suffix,
                    "color": rgb,
                    "layer": len(layers),
                    "labelValue": 1,
                    "terminology": _terminology(spec.name, spec.label + suffix),
                }
            )
            layers.append(masks[:, c].transpose(2, 1, 0).astype(np.uint8))
    ijk_to_lps = np.eye(4)
    header = _geometry(item)
    ijk_to_lps[:3, :3] = header["space directions"]
    ijk_to_lps[:3, 3] = header["space origin"]
    slicerio.write_segmentation(
        str(job.out / f"{item.name}_at{job.threshold}.seg.nrrd"),
        {
            "voxels": np.stack(layers),
            "ijkToLPS": ijk_to_lps,
            "segments": segments,
            "encoding": "gzip",
            "containedRepresentationNames": ["Binary labelmap"],
            "masterRepresentation": "Binary labelmap",
            **_frames(item),
        },
    )


def _terminology(name: str, label: str) -> dict[str, Any]:
    # Private codes: a finding gets a standard one when someone has agreed on it, not before.
    return {
        "contextName": "napari-confseg",
        "category": ["99CONFSEG", "finding", "Lung ultrasound finding"],
        "type": ["99CONFSEG", name, label],
    }


def _confidences(job: Export, item: Item) -> None:
    y, x = item.spacing
    data: NDArray[np.uint8] = item.planes.transpose(1, 3, 2, 0)
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([np.full(3, np.nan), np.diag([x, y, 1.0])]),
        "space origin": _origin(item),
        "kinds": ["list", "domain", "domain", "domain"],
        "encoding": "gzip",
        "confseg_classes": ",".join(job.classes),
        "confseg_rater": job.rater,
        "confseg_kind": job.kind,
        "confseg_excluded": str(EXCLUDED),
        **_frames(item),
        "confseg_reviewed": ",".join(
            "".join("1" if seen else "0" for seen in row) for row in item.reviewed
        ),
    }
    pynrrd.write(str(job.out / f"{item.name}_confidence.nrrd"), data, header)


CONFIDENCE, SEGMENTS = "_confidence.nrrd", ".seg.nrrd"


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips with a ``<clip>_confidence.nrrd`` or, without one, a ``<clip>.seg.nrrd``.

    Segments do not say which frames were looked at: by the choice `reviewed`, those with any mark
    or all. The third axis is the frame.
    """
    files = [source] if source.is_file() else sorted(source.glob("*.nrrd"))
    exact = {_stem(p): p for p in files if p.name.endswith(CONFIDENCE)}
    cut = {_stem(p): p for p in files if p.name.endswith(SEGMENTS)}
    for name, path in sorted((cut | exact).items()):
        read = _read_confidences if name in exact else _read_segments
        yield Found(name, path, partial(read, path=path, target=target))


def _stem(path: Path) -> str:
    name = path.name.removesuffix(CONFIDENCE).removesuffix(SEGMENTS)
    stem, at, percent = name.rpartition("_at")
    return stem if at and percent.isdigit() else name  # ours have the threshold in the name


_LARGEST = 2**36
_PACKED = {"gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}


def nrrd_header(path: Path) -> dict[str, Any]:
    """Return the header of an NRRD file.

    Raises
    ------
    StoreError
        If it is none, or damaged.
    """
    with open_file(path, _LARGEST) as file:
        return _header(file, path)[0]


def _header(file: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    """Return the header, and where the data begin."""
    first = file.read(MIB)
    size = min((n for end in (b"\n\n", b"\r\n\r\n") if (n := _after(first, end))), default=0)
    try:
        if not size:
            raise ValueError(f"its header does not end within {MIB:,} bytes")
        return dict(pynrrd.read_header(io.BytesIO(first[:size]))), size
    except Exception as error:  # NRRDError, and whatever a broken field leads to
        text = " ".join(str(error).split())[:120]
        raise StoreError(
            Problem("header", path.name, f"The header of this NRRD file is damaged: {text}")
        ) from error


def _after(data: bytes, end: bytes) -> int:
    found = data.find(end)
    return found + len(end) if found >= 0 else 0


def _check_volume(path: Path, clip: Clip) -> None:
    """Refuse what cannot be of this clip by its size, before its library unpacks it all.

    Raises
    ------
    StoreError
        Also if its voxels stand in another file, or behind some that are to be skipped.
    """
    with open_file(path, _LARGEST) as file:
        header, begin = _header(file, path)
        for name, value in header.items():
            if name.replace(" ", "") in ("datafile", "lineskip", "byteskip") and value not in (0,):
                raise StoreError(
                    Problem("header", path.name, f"{name!r} is not taken: save it as one file")
                )
        try:
            sizes = [int(n) for n in header["sizes"]]
            itemsize = 8 if header["type"] in ("double", "block") or "long" in header["type"] else 4
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                Problem("header", path.name, f"The header does not say its sizes: {error}")
            ) from error
        most = MAX_CLASSES * clip.shape[0] * clip.shape[1] * clip.shape[2]
        voxels = 1
        for n in sizes:
            voxels *= n if 0 < n <= most else most + 1
        if voxels > most:
            raise StoreError(
                Problem.mismatch(
                    "image-size",
                    path.name,
                    f"{clip.shape[::-1]} voxels as in {clip.name}",
                    str(sizes),
                    "Labels come back only to frames of their own size.",
                )
            )
        if packed := _PACKED.get(str(header.get("encoding"))):
            file.seek(begin)
            check_unpacked(file, packed, itemsize * voxels, path.name)


def _read_confidences(clip: Clip, path: Path, target: Target) -> Labels:
    _check_volume(path, clip)
    data, header = pynrrd.read(str(path))
    volume = data.transpose(3, 0, 2, 1)  # (class, x, y, frame) -> (frame, class, y, x)
    try:
        names = header["confseg_classes"].split(",")
        frames = [int(f) for f in header["confseg_frames"].split(",")]
        seen = [[c == "1" for c in row] for row in header["confseg_reviewed"].split(",")]
    except (KeyError, ValueError) as error:
        raise StoreError(
            Problem(
                "header", path.name, f"The header has no {error}", hint="Export the dataset again."
            )
        ) from error
    check_size(clip, volume.shape[2:], path.name)
    check_pixels(header.get("confseg_resampled"), path.name)
    if volume.dtype != np.uint8 or volume.shape[:2] != (len(frames), len(names)):
        raise StoreError(
            Problem.mismatch(
                "header",
                path.name,
                f"bytes of {len(frames)} frames and {len(names)} classes",
                f"{volume.dtype} of {volume.shape[:2]}",
            )
        )
    labels = Labels()
    for c, index in enumerate(target.class_index(n, path.name) for n in names):
        for i, frame in enumerate(frames if index is not None else ()):
            check_frame(clip, frame, path.name)
            assert index is not None
            if seen[i][c]:
                labels.reviewed.add((frame, index))
            if volume[i, c].any():
                labels.planes[frame, index] = volume[i, c].copy()
    return labels


def _read_segments(clip: Clip, path: Path, target: Target) -> Labels:
    _check_volume(path, clip)
    found = slicerio.read_segmentation(str(path))
    check_pixels(found.get("confseg_resampled"), path.name)
    _check_axes(found["ijkToLPS"], path.name)
    voxels = found["voxels"] if found["voxels"].ndim == 4 else found["voxels"][None]
    offset = [int(v) for v in found.get("referenceImageExtentOffset", (0, 0, 0))]
    frames = _frame_numbers(found, voxels.shape[3], offset, path.name)
    _check_values(found["segments"], voxels, path.name)
    labels, indices = Labels(), set()
    for segment in found["segments"]:
        index, value = target.segment_meaning(segment["name"], path.name)
        if index is not None:
            indices.add(index)
            marks = voxels[segment.get("layer", 0)] == segment["labelValue"]
            box = _Box(marks.transpose(2, 1, 0), frames, (offset[1], offset[0]), value)
            box.add(labels, clip, index, path.name)
    seen = {frame for frame, _ in labels.planes}
    if target.reviewed_all:
        seen = set(range(clip.shape[0]))
    labels.reviewed = {(frame, index) for frame in seen for index in indices}
    return labels


def _frame_numbers(
    found: dict[str, Any], count: int, offset: list[int], where: str
) -> NDArray[np.int64]:
    """Return the frame of the clip that each of `count` slices is, see :func:`_origin`."""
    if "confseg_frames" in found:
        frames = np.array([int(f) for f in found["confseg_frames"].split(",")])
        if len(frames) != count:
            expected = f"{len(frames)} slices, as confseg_frames has numbers"
            raise StoreError(Problem.mismatch("header", where, expected, str(count)))
        return frames
    to_lps = np.asarray(found["ijkToLPS"], float)
    spacing = np.diag(to_lps)[:3]
    begin = to_lps[:3, 3] - offset * spacing  # of the volume that segments were cut from
    first, ours = begin[2], np.allclose(begin[:2], 0, atol=1e-3) and abs(spacing[2] - 1) < 1e-3
    if ours and abs(first - BETWEEN) < 1e-3:
        raise StoreError(
            Problem(
                "frames",
                where,
                "It was drawn on an export that leaves frames out, and does not say which",
                hint="Export a dataset of all frames for Slicer.",
            )
        )
    known = ours and first > 0 and abs(first - round(first)) < 1e-3
    return np.arange(count) + offset[2] + (round(first) if known else 0)


def _check_values(segments: list[dict[str, Any]], voxels: NDArray[Any], where: str) -> None:
    declared = [{0} for _ in voxels]
    for segment in segments:
        declared[segment.get("layer", 0)].add(segment["labelValue"])
    for layer, known in zip(voxels, declared, strict=True):
        wrong = [v for v in np.unique(layer).tolist() if v not in known]
        if wrong:
            expected, found = f"labels of segments ({sorted(known)[:20]})", f"{wrong[:5]}"
            raise StoreError(Problem.mismatch("value-undeclared", where, expected, found))


def _check_axes(ijk_to_lps: NDArray[Any], where: str) -> None:
    axes = np.asarray(ijk_to_lps)[:3, :3]
    if not np.allclose(axes, np.diag(np.diag(axes))) or (np.diag(axes) <= 0).any():
        raise StoreError(
            Problem.mismatch(
                "orientation",
                where,
                "axes x, y, frame in this order",
                str(axes.tolist()),
                "Segment the volume that was exported for Slicer, without turning it.",
            )
        )


@dataclass(frozen=True)
class _Box:
    """A segment ``bool (t, y, x)`` that Slicer has cut to a box.

    `frames` are the numbers of its slices, `corner` (y, x) is where it begins, `value` its value.
    """

    marks: NDArray[np.bool_]
    frames: NDArray[np.int64]
    corner: tuple[int, int]
    value: int

    def add(self, labels: Labels, clip: Clip, index: int, where: str) -> None:
        """Add it to `labels`."""
        (y, x), (height, width) = self.corner, self.marks.shape[1:]
        if y + height > clip.shape[1] or x + width > clip.shape[2] or min(y, x) < 0:
            check_size(clip, (y + height, x + width), where)
        for i in np.flatnonzero(self.marks.any((1, 2))).tolist():
            frame = int(self.frames[i])
            check_frame(clip, frame, where)
            whole = np.zeros(clip.shape[1:], bool)
            whole[y : y + height, x : x + width] = self.marks[i]
            labels.mark(frame, index, whole, self.value)
