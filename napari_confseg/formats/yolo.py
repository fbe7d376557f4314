"""YOLO segmentation: a text file a picture, a polygon a line, and ``data.yaml``.

Coordinates are parts of the picture's width and height. A pixel's number is what they come to,
rounded down, and the edge is part of a polygon: so Ultralytics fills them.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from PIL import Image

from napari_confseg.formats.frame_labels import (
    RESAMPLED,
    Frame,
    Shape,
    built,
    check_any,
    clips_of,
    numbered,
    wholly_reviewed,
)
from napari_confseg.formats.outlines import fill, outlines
from napari_confseg.store import MAX_CONFIDENCE, Problem, StoreError
from napari_confseg.store.errors import sentence
from napari_confseg.store.files import MIB, check_file, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Found, Target

DATA = "data.yaml"
_WITHIN = 0.25
"""Part of a pixel that is added to its number: rounded, or rounded down, it is the same again."""
_NEAR = 0.01  # of a pixel, by which a number that was rounded may be too small
_BEYOND = 0.01  # of the picture, by which a polygon may leave it
_LONGEST_DATA = 2**17  # bytes of YAML, which takes long to read
_RESIZED = "confseg_resized"
"""Key of the clips whose frames were resized."""
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def write(job: Export) -> None:
    """Write ``images/<part>/``, ``labels/<part>/`` and ``data.yaml``.

    To YOLO a picture without a polygon of a class has none of it: frames on which a class was not
    reviewed are left out, and marks below the threshold, like what is excluded, do not count. A
    part with a hole is cut in two.
    """
    left_out, excluded, written = 0, 0, 0
    parts: list[str] = []
    for item in job.items():
        places = wholly_reviewed(item)
        left_out += len(item.frames) - len(places)
        excluded += int((item.planes[places] == 255).any((1, 2, 3)).sum())
        written += len(places)
        if places and item.part not in parts:
            parts.append(item.part)
        for i in places:
            _write_frame(job, item, i)
    check_any(written, job)
    _write_data(job, parts)
    if left_out:
        job.notes.append(f"{left_out} frames are left out: not all classes were reviewed there.")
    if excluded:
        job.notes.append(f"On {excluded} frames something is excluded; it counts as not marked.")


def _write_frame(job: Export, item: Item, i: int) -> None:
    name = f"{item.name}_{item.record.frames[i]:06d}"
    height, width = item.record.shape
    Image.fromarray(item.frames[i]).save(job.folder("images", item.part) / f"{name}.png")
    lines = []
    for c, mask in enumerate(job.cut(item.planes[i])):
        for outline in outlines(mask):
            points = (outline + _WITHIN) / (width, height)
            lines.append(f"{c} " + " ".join(f"{v:.7f}" for v in points.ravel().tolist()) + "\n")
    path = job.folder("labels", item.part) / f"{name}.txt"
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _write_data(job: Export, parts: Sequence[str]) -> None:
    lines = []  # without path, Ultralytics looks beside this file
    # It wants both of these, whatever there is.
    train = next((p for p in ("train", *parts) if p in parts), parts[0])
    for key, part in {"train": train, "val": "val" if "val" in parts else train}.items():
        lines.append(f"{key}: images/{part}\n")
    lines += [f"{part}: images/{part}\n" for part in parts if part not in ("train", "val")]
    lines.append("names:\n")
    lines += [f"  {c}: {json.dumps(name)}\n" for c, name in enumerate(job.classes)]
    resized = [c.clip for c in job.manifest.clips if c.resampled]
    if resized:  # so that labels of other pixels than the clip's do not come back to it
        lines.append(f"{_RESIZED}: {json.dumps(resized)}\n")
    (job.out / DATA).write_text("".join(lines), encoding="utf-8", newline="\n")


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips whose frames have a text file ``<clip>_<frame>.txt``.

    A text file lists all that is on its picture, an empty one says that nothing is: each counts as
    reviewed for every class of ``data.yaml``. A picture without one says nothing. A number after
    the points of a polygon is its confidence, as YOLO predicts it.
    """
    root = source.parent if source.is_file() else source
    infos = sorted(root.rglob(DATA))
    if len(infos) != 1:
        raise StoreError(
            Problem.mismatch(
                "yolo",
                str(root),
                f"one {DATA}, which names the classes",
                f"{len(infos)}",
                "Give the folder of one data set.",
            )
        )
    names, resized = _names(infos[0])
    frames = []
    for path in sorted(infos[0].parent.rglob("*.txt")):
        where = path.relative_to(root).as_posix()
        known = numbered(path.stem)
        if known is None or not known[0]:
            # Lists of pictures, classes.txt and such stand outside of the folders of labels.
            if "labels" in path.relative_to(root).parts:
                expected = "a file name as clip_000012.txt"
                target.report(Problem.mismatch("clip-unknown", where, expected, path.name))
            continue
        frame = Frame(path, where, *known, finished=True)
        if known[0] in resized:
            frame.reviewed = [RESAMPLED]
        frames.append(built(frame, partial(_fill, names=names)))
    yield from clips_of(frames, names.values(), target)


def _names(path: Path) -> tuple[dict[int, str], list[str]]:
    """Return the classes by number, and the clips whose frames were resized."""
    try:
        data: Any = yaml.safe_load(read_file(path, _LONGEST_DATA).decode("utf-8-sig"))
        given = data["names"]
        names = given if isinstance(given, dict) else dict(enumerate(given))
        if not all(isinstance(name, str) for name in names.values()):
            raise ValueError("a name is a text")
        resized = [str(clip) for clip in data.get(_RESIZED) or ()]
        return {int(number): name for number, name in names.items()}, resized
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            Problem(
                "yolo",
                str(path),
                f"It does not name the classes: {str(error)[:120]}",
                hint="Write them as names: {0: pleura, 1: a-line}.",
            )
        ) from error
    except OSError as error:
        said = f"It can't be read: {sentence(error)}"
        raise StoreError(Problem("unreadable", str(path), said)) from error


def _fill(frame: Frame, *, names: dict[int, str]) -> None:
    frame.size = _picture_size(frame.path)
    try:
        text = read_file(frame.path, 16 * MIB).decode()
    except OSError as error:
        raise ValueError(sentence(error)) from error
    for number, line in enumerate(text.splitlines(), 1):
        values = line.split()
        if values:
            frame.shapes.append(_shape(values, names, number))


def _shape(values: list[str], names: dict[int, str], number: int) -> Shape:
    which = float(values[0])
    if which not in names:
        raise ValueError(f"line {number} is of class {values[0]:.20}, which {DATA} does not name")
    points = np.array([float(v) for v in values[1:]])
    if len(points) in (4, 5):
        raise ValueError(f"line {number} is a box, which says of no pixel whether it is marked")
    confidence = None
    if len(points) % 2:
        share = float(points[-1])
        if not 0 < share <= 1:
            raise ValueError(f"line {number} has a confidence of {share:g}, not of 0 to 1")
        confidence = max(round(MAX_CONFIDENCE * share), 1)
        points = points[:-1]
    if len(points) < 6:
        raise ValueError(f"line {number} has {len(points) // 2} points, not three or more")
    if not ((points >= -_BEYOND) & (points <= 1 + _BEYOND)).all():
        raise ValueError(f"line {number} has points that are no parts, 0 to 1, of the picture")
    draw = partial(_draw, points.reshape(-1, 2))
    return Shape(names[int(which)], f"polygon in line {number}", draw, confidence)


def _draw(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    pixels = np.floor(points * (size[1], size[0]) + _NEAR)
    return fill(np.clip(pixels, 0, (size[1] - 1, size[0] - 1)), size)


def _picture_size(path: Path) -> tuple[int, int] | None:
    """Return (Y, X) of the picture that a text file belongs to, if it is there."""
    parts = list(path.parent.parts)
    if "labels" in parts:
        parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    for folder in (Path(*parts), path.parent):
        for ending in _PICTURES:
            picture = folder / f"{path.stem}{ending}"
            if picture.is_file():
                check_file(picture, 256 * MIB)
                with Image.open(picture, formats=("PNG", "JPEG", "BMP", "TIFF")) as image:
                    return image.size[1], image.size[0]
    return None
