"""PNG: frames, and planes with the confidence as the grey value."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_confseg.formats.label_source import (
    Found,
    Labels,
    check_frame,
    check_pixels,
    check_size,
    whole,
)
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.files import MIB, check_file, read_csv
from napari_confseg.store.schema import check_slug

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip

TABLE = "frames.csv"
_REVIEWED = "reviewed_"
_LARGEST = 256 * MIB


def write(job: Export) -> None:
    """Write ``images/<clip>/<frame>.png``, ``planes/<class>/<clip>/<frame>.png``, ``frames.csv``.

    A plane's file is there exactly for what was reviewed or marked; its values are 0..100 and 255
    (excluded).
    """
    rows: list[list[object]] = []
    for item in job.items():
        images = job.folder("images", item.name)
        for i, number in enumerate(item.record.frames):
            name = f"{number:06d}.png"
            Image.fromarray(item.frames[i]).save(images / name)
            for c, class_name in enumerate(job.classes):
                if item.reviewed[i, c] or item.planes[i, c].any():
                    folder = job.folder("planes", class_name, item.name)
                    Image.fromarray(item.planes[i, c]).save(folder / name)
            rows.append(
                [
                    item.name,
                    item.record.patient,
                    item.part,
                    number,
                    item.record.times[i],
                    int(item.resampled),
                    job.rater,
                    job.kind,
                    *item.reviewed[i].astype(int),
                ]
            )
    with (job.out / TABLE).open("w", newline="", encoding="utf-8") as f:
        table = csv.writer(f, lineterminator="\n")
        head = ["clip", "patient", "part", "frame", "seconds", "resampled", "rater", "kind"]
        table.writerow([*head, *(f"{_REVIEWED}{c}" for c in job.classes)])
        table.writerows(rows)
    job.notes.append("A plane's grey value is the confidence in percent; 255 is excluded.")


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of our own export: a folder with ``frames.csv`` and ``planes/``."""
    folder = source if source.is_dir() else source.parent
    header, rows = read_csv(folder / TABLE, _LARGEST)
    classes = [name.removeprefix(_REVIEWED) for name in header if name.startswith(_REVIEWED)]
    if not classes or not {"clip", "frame"} <= set(header):
        expected = f"columns clip, frame and {_REVIEWED}<class>"
        raise StoreError(Problem.mismatch("header", TABLE, expected, ", ".join(header)[:200]))
    for name in classes:
        check_slug(name)
    clips: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for row in rows:
        clips[check_slug(row[1]["clip"])].append(row)
    for name, mine in sorted(clips.items()):
        read = partial(_read, folder=folder / "planes", rows=mine, classes=classes, target=target)
        yield Found(name, folder / TABLE, read)


def _read(
    clip: Clip,
    folder: Path,
    rows: list[tuple[int, dict[str, str]]],
    classes: list[str],
    target: Target,
) -> Labels:
    labels = Labels()
    meanings = {name: target.class_index(name, TABLE) for name in classes}
    for line, row in rows:
        where = f"{TABLE}:{line}"
        frame = whole(row["frame"])
        check_frame(clip, frame, where)
        check_pixels(row.get("resampled"), where)
        for name, index in meanings.items():
            said = row[_REVIEWED + name]
            if said not in ("0", "1"):
                raise StoreError(Problem.mismatch("reviewed", where, "0 or 1", f"{said:.40}"))
            if index is None:
                continue
            if (frame, index) in labels.reviewed:
                raise StoreError(Problem("twice", where, f"Frame {frame} was listed before"))
            path = folder / name / row["clip"] / f"{frame:06d}.png"
            if said == "1":
                labels.reviewed.add((frame, index))
            if said == "1" or path.exists():
                plane = _plane(path, clip)
                if plane.any():
                    labels.planes[frame, index] = plane
    return labels


def _plane(path: Path, clip: Clip) -> NDArray[np.uint8]:
    check_file(path, 8 * clip.shape[1] * clip.shape[2] + MIB)
    with Image.open(path, formats=("PNG",)) as image:
        check_size(clip, image.size[::-1], path.name)  # before it is unpacked
        if image.mode != "L":
            expected = "8-bit grey values of percent"
            raise StoreError(Problem.mismatch("mode", str(path), expected, image.mode))
        return np.array(image)
