"""LabelMe: a JSON file beside each picture, with mask shapes out; areas and lines in.

Points are counted from the picture's corner. A mask is a PNG of the box between two points, both
of which are in it.
"""

from __future__ import annotations

import base64
import binascii
import io
from functools import partial
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_confseg.formats.frame_labels import (
    Draw,
    Frame,
    Shape,
    built,
    clips_of,
    marks,
    no_clip,
    numbered,
    refused,
    reviewed_names,
    save_frames,
    stated,
)
from napari_confseg.formats.outlines import CORNER, band, checked_points, ellipse, fill
from napari_confseg.store import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Found, Target

_REVIEWED = "reviewed: "
_VERSION = "5.5.0"  # the first whose masks can be edited


def write(job: Export) -> None:
    """Write ``<clip>/<frame>.png`` and, beside each, its ``<frame>.json``.

    A mask holds the pixels of one class marked with one confidence, which is its ``confidence``
    (255: excluded). A flag ``reviewed: <class>`` of a picture says that no mask means absence.
    """
    for item in job.items():
        for i, name in save_frames(job, item):
            seen = reviewed_names(job, item, i)
            data = {
                "version": _VERSION,
                "flags": {
                    f"{_REVIEWED}{c}": c in seen for c in dict.fromkeys([*job.classes, *seen])
                },
                "shapes": list(_shapes(job, item, i)),
                "imagePath": name.rsplit("/", 1)[-1],
                "imageData": None,
                "imageHeight": item.record.shape[0],
                "imageWidth": item.record.shape[1],
            }
            job.write_json((job.out / name).with_suffix(".json"), data)


def _shapes(job: Export, item: Item, i: int) -> Iterator[dict[str, Any]]:
    for c, value, mask in marks(item, i):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        (top, bottom), (left, right) = ((int(a[0]), int(a[-1])) for a in (rows, columns))
        packed = io.BytesIO()
        cropped = mask[top : bottom + 1, left : right + 1]
        Image.fromarray(np.where(cropped, np.uint8(255), np.uint8(0))).save(packed, "PNG")
        yield {
            "label": job.classes[c],
            "points": [[left, top], [right, bottom]],
            "group_id": None,
            "description": f"{value} %" if value <= 100 else "excluded",
            "shape_type": "mask",
            "flags": {},
            "mask": base64.b64encode(packed.getvalue()).decode(),
            "confidence": value,
        }


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips whose frames LabelMe files are beside, or name.

    A file says no more than what was drawn. So a frame counts as reviewed as our own flags say,
    else if it has a mark, or by the choice `reviewed` if it has a file.
    """
    root = source.parent if source.is_file() else source
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    frames = [frame for path in files if (frame := _frame(path, root, target)) is not None]
    yield from clips_of(frames, (), target)


def _frame(path: Path, root: Path, target: Target) -> Frame | None:
    name = path.relative_to(root).with_suffix("").as_posix()
    known = numbered(name)
    before = len(target.problems)
    data = target.read_json(path)
    picture = PureWindowsPath(str((data or {}).get("imagePath", ""))).stem
    known = known or numbered(picture)
    if known is None:
        if data is not None:
            target.report(no_clip(str(path), name))
        return None
    frame = Frame(path, name, known[0] or path.resolve().parent.name, known[1])
    if data is None:  # what is wrong with it is why the clip is left out
        frame.problems += target.problems[before:]
        del target.problems[before:]
        return frame
    if not {"shapes", "imagePath"} <= data.keys():
        frame.problems.append(
            Problem(
                "labelme",
                str(path),
                "This is no file of LabelMe",
                hint="Keep the files of one program in a folder.",
            )
        )
        return frame
    return built(frame, partial(_fill, data=data, target=target))


def _fill(frame: Frame, *, data: dict[str, Any], target: Target) -> None:
    if data.get("imageHeight") is not None and data.get("imageWidth") is not None:
        frame.size = (int(data["imageHeight"]), int(data["imageWidth"]))
    flags = {k: v for k, v in (data.get("flags") or {}).items() if k.startswith(_REVIEWED)}
    if flags:
        frame.reviewed = [k.removeprefix(_REVIEWED) for k, seen in flags.items() if seen is True]
    for shape in data["shapes"]:
        kind = str(shape.get("shape_type") or "polygon")
        given = shape.get("confidence")
        frame.shapes.append(
            Shape(
                str(shape["label"]),
                kind,
                _draw(kind, shape, target.request.line_width),
                None if given is None else stated(given, frame.where),
            )
        )


def _draw(kind: str, shape: dict[str, Any], width: float) -> Draw:
    points: Any = shape.get("points")
    match kind:
        case "mask":
            return partial(_draw_mask, shape)
        case "polygon" | "oriented_rectangle":
            return lambda size: fill(checked_points(points, 3) - CORNER, size)
        case "rectangle":
            return partial(_draw_box, points)
        case "circle":
            return partial(_draw_circle, points)
        case "line" | "linestrip":
            return lambda size: band(checked_points(points, 2) - CORNER, width, size)
    return refused(kind)


def _two(points: Any) -> NDArray[np.float64]:
    pair = checked_points(points, 2)
    if len(pair) != 2:
        raise ValueError(f"it takes two points, found {len(pair)}")
    return pair


def _draw_box(points: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    (x0, y0), (x1, y1) = _two(points) - CORNER
    return fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], size)


def _draw_circle(points: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    centre, edge = _two(points) - CORNER
    radius = float(np.hypot(*(edge - centre)))
    return ellipse((centre[0], centre[1]), (radius, radius), size)


def _draw_mask(shape: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    (left, top), (right, bottom) = _two(shape["points"]).astype(int).tolist()
    if not (0 <= left <= right < size[1] and 0 <= top <= bottom < size[0]):
        raise ValueError(f"its box from ({left}, {top}) to ({right}, {bottom}) leaves the picture")
    try:
        packed = base64.b64decode(shape["mask"], validate=True)
        with Image.open(io.BytesIO(packed), formats=("PNG",)) as image:
            across, down = image.size
            if (across, down) != (right - left + 1, bottom - top + 1):
                raise ValueError(f"its picture of {across} x {down} pixels does not fit its box")
            within = np.asarray(image)
    except (OSError, SyntaxError, binascii.Error) as error:
        raise ValueError(f"its picture is damaged: {error}") from error
    if within.ndim != 2:
        raise ValueError("its picture is in colours")
    mask = np.zeros(size, bool)
    mask[top : bottom + 1, left : right + 1] = within > 0
    return mask
