"""CVAT XML 1.1: masks on images out; shapes of images, and tracks of videos, in.

A coordinate is counted from the picture's corner. A mask is run lengths, row by row, of the box it
lies in. Exports list every frame of a track; where some are missing, boxes and ellipses are
interpolated as CVAT does it, from keyframe to keyframe, and a shape stays after its last one until
it is outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from napari_confseg.formats.frame_labels import (
    RESAMPLED,
    Frame,
    Shape,
    built,
    clips_of,
    marks,
    no_clip,
    numbered,
    read_frames,
    refused,
    reviewed_names,
    save_frames,
    stated,
)
from napari_confseg.formats.label_source import Found
from napari_confseg.formats.outlines import (
    CORNER,
    MOST_POINTS,
    band,
    box,
    ellipse,
    fill,
    from_runs,
    runs,
)
from napari_confseg.formats.xml_tree import read_xml
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.errors import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Labels, Target
    from napari_confseg.store import Clip

REVIEWED = "reviewed"
"""Tag of a frame with a checkbox for each class."""
CONFIDENCE = "confidence"


def write(job: Export) -> None:
    """Write ``images/`` and, as "CVAT for images 1.1", ``annotations_<part>.xml`` a part.

    A mask holds the pixels of one class marked with one confidence, which is its attribute
    ``confidence`` (255: excluded). The tag ``reviewed`` of an image says for which classes no mask
    means absence.
    """
    if REVIEWED in job.classes:
        what = f"The export needs a label {REVIEWED!r}, and a class of the dataset is called so"
        raise StoreError(Problem("class-name", "", what, hint="Export without this class."))
    parts: dict[str, Element] = {}
    for item in job.items():
        root = parts.setdefault(item.part, _empty(job, item.part))
        for i, name in save_frames(job, item, "images"):
            height, width = item.record.shape
            # The images follow the version and the meta data.
            image = SubElement(
                root,
                "image",
                id=str(len(root) - 2),
                name=name,
                width=str(width),
                height=str(height),
            )
            _annotate(job, image, item, i)
    for part, root in parts.items():
        size = root.find("meta/task/size")
        assert size is not None
        size.text = str(len(root) - 2)
        indent(root)
        path = job.out / f"annotations_{part}.xml"
        ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    job.notes.append(
        "Make a task of the images, with the labels that stand in the XML, before its annotations "
        "are uploaded as CVAT 1.1."
    )


def _empty(job: Export, part: str) -> Element:
    m = job.manifest
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    for key, text in (
        ("name", f"{m.request.name} v{m.version} {part}, rater {job.rater}"),
        ("size", "0"),
        ("mode", "annotation"),
    ):
        SubElement(task, key).text = text
    labels = SubElement(task, "labels")
    for spec in m.classes:
        _label(labels, spec.name, "any", spec.color, {CONFIDENCE: ("number", "100", "1\n255\n1")})
    names = [*job.classes, *([RESAMPLED] if any(c.resampled for c in m.clips) else [])]
    seen = dict.fromkeys(names, ("checkbox", "false", "false"))
    _label(labels, REVIEWED, "tag", "#aaaaaa", seen)
    return root


def _label(
    labels: Element, name: str, kind: str, color: str, attributes: dict[str, tuple[str, str, str]]
) -> None:
    label = SubElement(labels, "label")
    for key, text in (("name", name), ("color", color), ("type", kind)):
        SubElement(label, key).text = text
    holder = SubElement(label, "attributes")
    for key, (kind_of_input, default, values) in attributes.items():
        attribute = SubElement(holder, "attribute")
        for field, text in (
            ("name", key),
            ("mutable", "False"),
            ("input_type", kind_of_input),
            ("default_value", default),
            ("values", values),
        ):
            SubElement(attribute, field).text = text


def _annotate(job: Export, image: Element, item: Item, i: int) -> None:
    for c, value, mask in marks(item, i):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = int(rows[0]), int(columns[0])
        cropped = mask[top : rows[-1] + 1, left : columns[-1] + 1]
        place = {
            "rle": ", ".join(map(str, runs(cropped.ravel()))),
            "left": str(left),
            "top": str(top),
            "width": str(cropped.shape[1]),
            "height": str(cropped.shape[0]),
        }
        about = {"label": job.classes[c], "source": "manual", "occluded": "0"}
        shape = SubElement(image, "mask", about | place | {"z_order": "0"})
        SubElement(shape, "attribute", name=CONFIDENCE).text = str(value)
    tag = SubElement(image, "tag", label=REVIEWED, source="manual")
    seen = reviewed_names(job, item, i)
    for name in dict.fromkeys([*job.classes, *seen]):
        SubElement(tag, "attribute", name=name).text = "true" if name in seen else "false"


@dataclass(frozen=True)
class _Task:
    """What a file says of a task: whose frames they are, and which."""

    clip: str = ""
    size: tuple[int, int] | None = None
    start: int = 0
    stop: int | None = None
    step: int = 1


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of the CVAT files in `source`.

    CVAT lists every image of a task, whether somebody looked at it or not. So a frame counts as
    reviewed as our own tag says, else if it has a mark, or by the choice `reviewed`.
    """
    files = [source] if source.is_file() else sorted(source.rglob("*.xml"))
    frames: list[Frame] = []
    names: set[str] = set()
    videos: list[Found] = []
    for path in files:
        try:
            root = read_xml(path)
        except StoreError as error:
            target.problems += error.problems
            continue
        except OSError as error:
            said = f"It can't be read: {sentence(error)}"
            target.report(Problem("unreadable", str(path), said))
            continue
        if root.tag != "annotations":
            expected = "the element annotations of CVAT"
            target.report(Problem.mismatch("cvat", str(path), expected, f"{root.tag:.80}"))
            continue
        tasks = _tasks(root)
        mine = {_text(label, "name") for label in root.iterfind("meta//label")} - {REVIEWED, ""}
        names |= mine
        frames += _images(path, root, tasks, target)
        videos += _videos(path, root, tasks, sorted(mine), target)
    yield from clips_of(frames, names, target)
    yield from videos


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _tasks(root: Element) -> dict[str, _Task]:
    """Return the tasks by their number; the only one, or none, also by the empty text."""
    found = {}
    for element in (*root.iterfind("meta//task"), *root.iterfind("meta/job")):
        name = _text(element, "source") or _text(root, "meta/source") or _text(element, "name")
        inner, outer = element.find("original_size"), root.find("meta/original_size")
        about = outer if inner is None else inner  # by the version of CVAT
        height, width = (_whole(about, key) for key in ("height", "width"))
        step = dict(
            pair.split("=", 1) for pair in _text(element, "frame_filter").split(";") if "=" in pair
        ).get("step", "1")
        found[_text(element, "id")] = _Task(
            PurePosixPath(name.replace("\\", "/")).stem,
            None if height is None or width is None else (height, width),
            _whole(element, "start_frame") or 0,
            _whole(element, "stop_frame"),
            int(step) if step.isdecimal() and int(step[:9]) > 0 else 1,
        )
    return found if len(found) > 1 else found | {"": next(iter(found.values()), _Task())}


def _whole(element: Element | None, key: str) -> int | None:
    text = "" if element is None else _text(element, key)
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _images(path: Path, root: Element, tasks: dict[str, _Task], target: Target) -> Iterator[Frame]:
    for image in root.iterfind("image"):
        where = f"{path.name} image {image.get('id')}: {image.get('name', ''):.120}"
        task = tasks.get(image.get("task_id", ""), _Task())
        known = numbered(image.get("name", ""))
        clip = (known and known[0]) or task.clip
        if known is None or not clip:
            target.report(no_clip(where, image.get("name", "")))
            continue
        frame = Frame(path, where, clip, known[1])
        yield built(frame, partial(_fill, image=image, target=target))


def _fill(frame: Frame, *, image: Element, target: Target) -> None:
    frame.size = (int(image.attrib["height"]), int(image.attrib["width"]))
    for element in image:
        if element.tag == "tag" and element.get("label") == REVIEWED:
            frame.reviewed = [name for name, text in _attributes(element) if text == "true"]
        else:
            name = element.get("label", "")
            frame.shapes.append(_shape(element, name, frame.where, target))


def _attributes(element: Element) -> Iterator[tuple[str, str]]:
    for attribute in element.iterfind("attribute"):
        yield attribute.get("name", ""), (attribute.text or "").strip()


def _shape(element: Element, name: str, where: str, target: Target) -> Shape:
    given = dict(_attributes(element)).get(CONFIDENCE, "")
    draw = _DRAWN.get(element.tag)
    width = target.request.line_width
    return Shape(
        name,
        element.tag,
        refused(element.tag) if draw is None else partial(draw, element.attrib, width),
        stated(given, where) if given else None,
    )


def _points(given: dict[str, str]) -> NDArray[np.float64]:
    text = given["points"]
    if text.count(";") >= MOST_POINTS:
        raise ValueError(f"it has more than {MOST_POINTS:,} points")
    pairs = [pair.split(",") for pair in text.split(";")]
    return np.array([(float(x), float(y)) for x, y in pairs]) - CORNER


def _draw_polygon(given: dict[str, str], width: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    return fill(_points(given), size)


def _draw_line(given: dict[str, str], width: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    return band(_points(given), width, size)


def _draw_box(given: dict[str, str], width: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    left, top, right, bottom = (float(given[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    turned = float(given.get("rotation", 0))
    corner = (left - CORNER, top - CORNER)
    return box(corner, (right - left, bottom - top), size, rotation=turned)


def _draw_ellipse(given: dict[str, str], width: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    x, y, *radii = (float(given[key]) for key in ("cx", "cy", "rx", "ry"))
    turned = float(given.get("rotation", 0))
    return ellipse((x - CORNER, y - CORNER), (radii[0], radii[1]), size, rotation=turned)


def _draw_mask(given: dict[str, str], width: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    left, top, across, down = (int(given[key]) for key in ("left", "top", "width", "height"))
    inside = 0 <= left <= left + across <= size[1] and 0 <= top <= top + down <= size[0]
    if not inside or across < 1 or down < 1:
        raise ValueError(
            f"its box of {across} x {down} pixels at ({left}, {top}) leaves the picture of "
            f"{size[1]} x {size[0]}"
        )
    if given["rle"].count(",") > across * down:
        raise ValueError("it has more runs than pixels")
    lengths = [int(n) for n in given["rle"].split(",")]
    mask = np.zeros(size, bool)
    mask[top : top + down, left : left + across] = from_runs(lengths, (down, across))
    return mask


_DRAWN: dict[str, Callable[[dict[str, str], float, tuple[int, int]], NDArray[np.bool_]]] = {
    "polygon": _draw_polygon,
    "polyline": _draw_line,
    "box": _draw_box,
    "ellipse": _draw_ellipse,
    "mask": _draw_mask,
}


def _videos(
    path: Path, root: Element, tasks: dict[str, _Task], names: list[str], target: Target
) -> Iterator[Found]:
    """Yield the clip of each task that has tracks."""
    if root.find("track") is None:
        return
    of_task: dict[str, list[Element]] = {}
    for track in root.iterfind("track"):
        of_task.setdefault(track.get("task_id", ""), []).append(track)
    for number, tracks in of_task.items():
        task = tasks.get(number, _Task())
        if not task.clip:
            where = f"{path.name} task {number}"
            target.report(Problem("clip-unknown", where, "The file names neither task nor video"))
            continue
        used = sorted({*names, *(t.get("label", "") for t in tracks)})
        read = partial(_read_video, path, tracks, task, used, target)
        yield Found(task.clip, path, read)


def _read_video(
    path: Path, tracks: list[Element], task: _Task, names: list[str], target: Target, clip: Clip
) -> Labels:
    count = clip.shape[0]
    frames: dict[int, Frame] = {}

    def on(number: int) -> Frame:
        where = f"{path.name} frame {number}"
        return frames.setdefault(number, Frame(path, where, clip.name, number, task.size))

    last = min(count - 1, count if task.stop is None else task.stop)
    if target.request.reviewed == "all":
        for number in range(task.start, last + 1, task.step):
            on(number)
    for track in tracks:
        label = track.get("label", "")
        if not target.request.classes.get(label, label):
            continue
        where = f"{path.name} track {track.get('id')}"
        try:
            for number, element in _along(track, task.step, last):
                on(number).shapes.append(_shape(element, label, where, target))
        except (ValueError, KeyError) as error:
            problem = Problem("track", where, f"The track cannot be read: {str(error)[:160]}")
            on(0).problems.append(problem)
        except StoreError as error:
            on(0).problems += error.problems
    return read_frames(clip, frames.values(), names, target)


def _along(track: Element, step: int, last: int) -> Iterator[tuple[int, Element]]:
    """Yield the shapes of a track by frame, also those between its keyframes."""
    # The points of a skeleton have tracks within its own.
    listed = ((int(s.attrib["frame"]), s) for s in track if s.tag != "track")
    shapes = sorted(listed, key=lambda pair: pair[0])
    if len({number for number, _ in shapes}) < len(shapes):
        raise ValueError("it has two shapes on one frame")
    for (number, shape), (after, beyond) in pairwise([*shapes, (last + 1, track)]):
        if shape.get("outside") == "1":
            continue
        yield number, shape
        between = range(number + step, min(after, last + 1), step)
        if not between or shape.tag not in ("box", "ellipse", "polygon", "polyline"):
            continue  # CVAT shows a mask on its own frame alone
        for missing in between:
            yield missing, _between(shape, beyond, (missing - number) / (after - number))


_CHANGING = ("xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry")


def _between(shape: Element, beyond: Element, part: float) -> Element:
    """Return what lies between two keyframes; the first one if nothing comes after it."""
    same = shape.tag == beyond.tag and shape.get("points", "") == beyond.get("points")
    if beyond.tag == "track" or same:
        return shape
    if shape.tag != beyond.tag or shape.tag not in ("box", "ellipse"):
        raise ValueError(
            f"between its keyframes {shape.get('frame')} and {beyond.get('frame')} frames are "
            f"missing, and a {shape.tag:.40} is not interpolated here; export it from CVAT, which "
            "lists every frame"
        )
    made = Element(shape.tag, dict(shape.attrib))
    made.extend(shape)
    for key in _CHANGING:
        if key in shape.attrib:
            first, second = float(shape.attrib[key]), float(beyond.attrib[key])
            made.set(key, str(first + part * (second - first)))
    begin, end = (float(s.get("rotation", 0)) for s in (shape, beyond))
    made.set("rotation", str(begin + part * ((end - begin + 180) % 360 - 180)))  # the short way
    return made
