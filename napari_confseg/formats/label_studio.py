"""Label Studio: tasks with brush masks out; brushes, polygons, boxes and tracked boxes in.

Coordinates are percents of the picture, from its corner. How opaque a pixel of a brush is has 8
bits, which hold a confidence exactly: 255 for 100 %. A region of ours says in its notes that it
does; of others, all that is painted is marked, however faintly.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from napari_confseg.formats import brush_rle
from napari_confseg.formats.frame_labels import (
    Frame,
    Shape,
    built,
    clips_of,
    no_clip,
    numbered,
    read_frames,
    refused,
    reviewed_names,
    save_frames,
)
from napari_confseg.formats.label_source import MAX_JSON_BYTES, Found
from napari_confseg.formats.outlines import CORNER, box, ellipse, fill
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, Problem, StoreError
from napari_confseg.store.errors import sentence
from napari_confseg.store.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export
    from napari_confseg.formats.label_source import Labels, Target
    from napari_confseg.store import Clip

_CONFIDENCE = "opacity is confidence"
_EXCLUDED = "excluded"
_OPAQUE = 255 / MAX_CONFIDENCE


def write(job: Export) -> None:
    """Write ``images/``, ``<part>.json`` with a task a frame, and ``label_config.xml``.

    A brush region holds what a class has on a frame, the more opaque the more confident; what is
    excluded has a region of its own. ``reviewed`` in a task's data says for which classes no
    region means absence. The pictures are named as local storage serves them.
    """
    parts: dict[str, list[dict[str, Any]]] = {}
    for item in job.items():
        tasks = parts.setdefault(item.part, [])
        for i, name in save_frames(job, item, "images"):
            data = {
                "image": f"/data/local-files/?d=images/{name}",
                "clip": item.name,
                "frame": item.record.frames[i],
                "reviewed": reviewed_names(job, item, i),
            }
            regions = [
                _region(f"{c}-{kind}", job.classes[c], kind, alpha)
                for c in range(len(job.classes))
                for kind, alpha in _planes(item.planes[i, c])
                if alpha.any()
            ]
            annotation = {"result": regions, "ground_truth": False}
            tasks.append({"data": data, "annotations": [annotation]})
    for part, tasks in parts.items():
        job.write_json(job.out / f"{part}.json", tasks, indent=None)
    _write_config(job)
    job.notes.append(
        "The more opaque a brush is, the more confident: 255 is 100 %. label_config.xml is the "
        "labelling interface; serve this folder as local storage, and upload the JSON files."
    )


def _planes(plane: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    excluded = plane == EXCLUDED
    marked = np.where(excluded, 0, plane)
    yield _CONFIDENCE, np.rint(marked * _OPAQUE).astype(np.uint8)
    yield _EXCLUDED, np.where(excluded, 255, 0).astype(np.uint8)


def _region(name: str, label: str, kind: str, alpha: NDArray[np.uint8]) -> dict[str, Any]:
    return {
        "id": re.sub(r"\W+", "-", name),
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": alpha.shape[1],
        "original_height": alpha.shape[0],
        "image_rotation": 0,
        "meta": {"text": [kind]},
        "value": {"format": "rle", "rle": brush_rle.encode(alpha), "brushlabels": [label]},
    }


def _write_config(job: Export) -> None:
    view = Element("View")
    SubElement(view, "Image", name="image", value="$image", zoom="true")
    labels = SubElement(view, "BrushLabels", name="label", toName="image")
    for spec in job.manifest.classes:
        SubElement(labels, "Label", value=spec.name, background=spec.color)
    indent(view)
    ElementTree(view).write(job.out / "label_config.xml", encoding="utf-8")


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of the Label Studio files in `source`.

    A submitted annotation says that its task is done: an image counts as reviewed for all labels
    of the source, also where nothing is drawn; one of ours as its task says. Of a video the frames
    with a box count, or all by the choice `reviewed`. Skipped tasks say nothing.
    """
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    tasks = [(path, task) for path in files for task in _tasks(path, target)]
    _check_authors(source, [task for _, task in tasks], target)
    images: list[Frame] = []
    videos: list[tuple[Path, str, dict[str, Any]]] = []
    names: set[str] = set()
    for path, task in tasks:
        done = _annotation(task, target)
        if done is None:
            continue
        names |= {name for _, region in _regions(done) for name in region["labels"]}
        picture, data = _picture(task), task["data"]
        where = f"{path.name} task {task.get('id', picture)}"[:200]
        if _is_video(done):
            clip = str(data.get("clip") or PurePosixPath(picture).stem)
            videos.append((path, clip, done))
            continue
        known = (
            (str(data["clip"]), int(data["frame"])) if {"clip", "frame"} <= data.keys() else None
        )
        known = known or numbered(picture)
        if known is None or not known[0]:
            target.report(no_clip(where, picture))
            continue
        frame = Frame(path, where, known[0], known[1])
        images.append(built(frame, partial(_fill, data=data, done=done)))
    yield from clips_of(images, names, target)
    for path, clip, done in videos:
        yield Found(clip, path, partial(_read_video, path, done, sorted(names), target))


def _tasks(path: Path, target: Target) -> Iterator[dict[str, Any]]:
    try:
        data = read_json(path, MAX_JSON_BYTES)
    except StoreError as error:
        target.problems += error.problems
        return
    except OSError as error:
        target.report(Problem("unreadable", str(path), f"It can't be read: {sentence(error)}"))
        return
    tasks = data if isinstance(data, list) else [data]
    for number, task in enumerate(tasks):
        good = isinstance(task, dict) and isinstance(task.get("data"), dict)
        if good and isinstance(task.get("annotations"), list):
            yield task
        else:
            target.report(
                Problem(
                    "label-studio",
                    f"{path}: {number}",
                    "This is no task with its data and annotations",
                    hint="Export as JSON, not as JSON-MIN.",
                )
            )


def _author(annotation: dict[str, Any]) -> str:
    who = annotation.get("completed_by", "")
    return str(who.get("email") or who.get("id") if isinstance(who, dict) else who)


def _check_authors(source: Path, tasks: list[dict[str, Any]], target: Target) -> None:
    """Refuse a task of several annotations unless one author is chosen."""
    several = {
        _author(annotation)
        for task in tasks
        if len(mine := [a for a in task["annotations"] if not a.get("was_cancelled")]) > 1
        for annotation in mine
    }
    if several and target.request.author is None:
        names = ", ".join(sorted(several))
        raise StoreError(
            Problem(
                "several-raters",
                str(source),
                f"There are tasks with several annotations, by {names:.200}",
                hint="Choose one of these people with --author.",
            )
        )


def _annotation(task: dict[str, Any], target: Target) -> dict[str, Any] | None:
    """Return the annotation to take of a task; None if there is none that was submitted."""
    author = target.request.author
    mine = [
        a
        for a in task["annotations"]
        if not a.get("was_cancelled") and (author is None or _author(a) == author)
    ]
    return max(mine, key=lambda a: str(a.get("updated_at", ""))) if mine else None


def _picture(task: dict[str, Any]) -> str:
    """Return the name of a task's picture or video, as it was before Label Studio took it in."""
    data = task["data"]
    found = next((v for k, v in sorted(data.items()) if k in ("image", "video") and v), None)
    address = str(found or task.get("file_upload") or next(iter(data.values()), ""))
    parts = urlsplit(address)
    path = unquote(parse_qs(parts.query).get("d", [parts.path])[0])
    # A file that was uploaded has a random number of eight digits before its name.
    return re.sub(r"(^|/)[0-9a-f]{8}-(?=[^/]+$)", r"\1", path)


def _is_video(done: dict[str, Any]) -> bool:
    return any("sequence" in (r.get("value") or {}) for r in done.get("result", []))


_ANSWERS = ("choices", "textarea", "number", "rating", "datetime", "taxonomy", "pairwise")
"""Answers to questions about the task, which mark nothing."""


def _regions(done: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield regions with all that their results say of them, each by its id.

    Where labels and shape are two controls, a region has two results of one id.
    """
    found: dict[str, dict[str, Any]] = {}
    for number, result in enumerate(done.get("result", [])):
        if result.get("type") in (*_ANSWERS, "relation"):
            continue
        region = found.setdefault(
            str(result.get("id", f"result {number}")), {"value": {}, "labels": [], "notes": []}
        )
        value = result.get("value") or {}
        region["value"] |= value
        region["labels"] += [
            name for key, names in value.items() if key.endswith("labels") for name in names
        ]
        region["notes"] += (result.get("meta") or {}).get("text", [])
        for key in ("original_width", "original_height", "image_rotation"):
            if key in result:
                region[key] = result[key]
        region.setdefault("type", str(result.get("type")))
    yield from found.items()


def _fill(frame: Frame, *, data: dict[str, Any], done: dict[str, Any]) -> None:
    frame.finished = True
    if isinstance(data.get("reviewed"), list):
        frame.reviewed = [str(name) for name in data["reviewed"]]
    for name, region in _regions(done):
        size = (int(region["original_height"]), int(region["original_width"]))
        if frame.size not in (None, size):
            raise ValueError(f"its region {name:.40} is of another size, {size}")
        frame.size = size
        if region.get("image_rotation"):
            raise ValueError("it was turned in Label Studio")
        _check_named(region, name)
        for label in dict.fromkeys(region["labels"]):
            frame.shapes += _shapes(str(label), region)


def _check_named(region: dict[str, Any], name: str) -> None:
    if not region["labels"]:
        raise ValueError(f"its region {name:.40} has no label")


def _shapes(label: str, region: dict[str, Any]) -> Iterator[Shape]:
    value = region["value"]
    if "rle" in value:
        notes = region["notes"]
        confidence = EXCLUDED if _EXCLUDED in notes else None
        draw = _confidences if _CONFIDENCE in notes else _painted
        yield Shape(label, "brush", partial(draw, value), confidence)
    elif "points" in value:
        if value.get("closed") is False:
            yield Shape(label, "open polygon", refused("open polygon"))
        else:
            yield Shape(label, "polygon", partial(_draw_polygon, value))
    elif "radiusX" in value:
        yield Shape(label, "ellipse", partial(_draw_ellipse, value))
    elif "width" in value and "height" in value:
        yield Shape(label, "rectangle", partial(_draw_box, value))
    else:
        yield Shape(label, region["type"], refused(region["type"]))


def _painted(value: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = brush_rle.decode(value["rle"], size) > 0
    return mask


def _confidences(value: dict[str, Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    alpha = brush_rle.decode(value["rle"], size)
    percent = np.maximum(np.rint(alpha / _OPAQUE), 1)  # what is hardly to be seen is there
    return np.where(alpha > 0, percent, 0).astype(np.uint8)


def _pixels(percent: Any, length: int) -> float:
    return float(percent) / 100 * length


def _draw_polygon(value: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    points = np.asarray(value["points"], float) / 100 * (size[1], size[0])
    return fill(points - CORNER, size)


def _draw_ellipse(value: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = size
    centre = (_pixels(value["x"], width) - CORNER, _pixels(value["y"], height) - CORNER)
    radii = (_pixels(value["radiusX"], width), _pixels(value["radiusY"], height))
    return ellipse(centre, radii, size, rotation=float(value.get("rotation") or 0))


def _draw_box(value: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = size
    corner = (_pixels(value["x"], width) - CORNER, _pixels(value["y"], height) - CORNER)
    sides = (_pixels(value["width"], width), _pixels(value["height"], height))
    turned = float(value.get("rotation") or 0)
    return box(corner, sides, size, rotation=turned, about=corner)


def _read_video(
    path: Path, done: dict[str, Any], names: list[str], target: Target, clip: Clip
) -> Labels:
    count = clip.shape[0]
    frames: dict[int, Frame] = {}
    sizes = {
        (int(r["original_height"]), int(r["original_width"]))
        for _, r in _regions(done)
        if {"original_height", "original_width"} <= r.keys()
    }
    size = next(iter(sizes - {clip.shape[1:]}), None)  # one that is another, if any is

    def on(number: int) -> Frame:
        where = f"{path.name} frame {number}"
        return frames.setdefault(number, Frame(path, where, clip.name, number, size))

    if target.request.reviewed == "all":
        for number in range(count):
            on(number)
    for name, region in _regions(done):
        try:
            _check_named(region, name)
            shapes = list(_along(region["value"], count))
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            problem = Problem(
                "track", f"{path.name} {name:.40}", f"The track cannot be read: {str(error)[:160]}"
            )
            on(0).problems.append(problem)
            continue
        for label in dict.fromkeys(region["labels"]):
            for number, value in shapes:
                drawn = {"value": value, "type": region["type"], "notes": []}
                on(number).shapes += _shapes(str(label), drawn)
    return read_frames(clip, frames.values(), names, target)


def _along(value: dict[str, Any], count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the box of each frame, counted from 0, from keyframe to keyframe.

    After one that is not enabled there is none, up to the next.
    """
    said = value.get("framesCount", count)
    if abs(int(said) - count) > 1:
        raise ValueError(
            f"Label Studio counted {said} frames, the clip has {count}; give the Video tag the "
            "frame rate of the clip"
        )
    keys = sorted(value["sequence"], key=lambda key: int(key["frame"]))
    wrong = [int(key["frame"]) for key in keys if not 1 <= int(key["frame"]) <= count]
    if wrong or not keys:
        found = f"a keyframe {wrong[0]}" if wrong else "none"
        raise ValueError(f"it takes keyframes of 1 to {count}, found {found}")
    for key, after in pairwise([*keys, None]):
        begin = int(key["frame"])
        end = count + 1 if after is None else int(after["frame"])
        yield begin - 1, key
        for number in range(begin + 1, min(end, count + 1) if key.get("enabled", True) else 0):
            yield number - 1, _between(key, after, (number - begin) / (end - begin))


def _between(key: dict[str, Any], after: dict[str, Any] | None, part: float) -> dict[str, Any]:
    if after is None:
        return key
    if "width" not in key or "width" not in after:
        raise ValueError("of videos, boxes alone can be read")
    moved = {
        name: float(key.get(name) or 0)
        + part * (float(after.get(name) or 0) - float(key.get(name) or 0))
        for name in ("x", "y", "width", "height", "rotation")
    }
    return key | moved
