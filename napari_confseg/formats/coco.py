"""COCO: an annotation for each marked region at a threshold, and the confidences beside."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from napari_confseg.formats.coco_segmentation import (
    counts_of,
    encode,
    mask_of,
    regions_of,
)
from napari_confseg.formats.label_source import (
    Found,
    Labels,
    check_frame,
    check_pixels,
    check_size,
    key_of,
    whole,
)
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, Problem, StoreError
from napari_confseg.store.errors import MOST_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip

INSTANCES, CONFIDENCE = "instances_", "confidence_"


def write(job: Export) -> None:
    """Write ``images/``, ``annotations/instances_<part>.json`` and ``confidence_<part>.json``.

    In the first, as COCO's readers expect it, each region of a class that reaches the threshold is
    one annotation, its outline polygons; excluded pixels are a crowd in run lengths, which COCO's
    evaluation ignores. In the second an annotation holds, in run lengths, the pixels of one class
    marked with one confidence, which is its ``score`` (0..1) and ``confidence`` (percent; 255 is
    excluded), so that the planes come back exactly.

    An image says in ``reviewed_category_ids`` for which classes no annotation means absence.
    ``info`` says whose marks they are, and of which kind the rater is.
    """
    parts: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for item in job.items():
        objects, exact = parts.setdefault(item.part, (_empty(job), _empty(job)))
        marks = job.cut(item.planes)
        folder = job.folder("images", item.name)
        for i, number in enumerate(item.record.frames):
            name = f"{number:06d}.png"
            Image.fromarray(item.frames[i]).save(folder / name)
            image_id = len(objects["images"]) + 1
            image = {
                "id": image_id,
                "file_name": f"{item.name}/{name}",
                "height": item.record.shape[0],
                "width": item.record.shape[1],
                "clip": item.name,
                "patient": item.record.patient,
                "frame": number,
                "resampled": item.resampled,
                "reviewed_category_ids": (np.flatnonzero(item.reviewed[i]) + 1).tolist(),
            }
            for tree in (objects, exact):
                tree["images"].append(image)
            _add_objects(objects, item.planes[i], marks[i], image_id)
            _add_levels(exact, item.planes[i], image_id)
    folder = job.folder("annotations")
    for part, (objects, exact) in parts.items():
        objects["info"]["description"] += f", marks of at least {job.threshold} %"
        job.write_json(folder / f"{INSTANCES}{part}.json", objects)
        job.write_json(folder / f"{CONFIDENCE}{part}.json", exact)
    job.notes.append(f"{CONFIDENCE}*.json hold the confidences whole, {INSTANCES}*.json are cut.")


def _empty(job: Export) -> dict[str, Any]:
    m = job.manifest
    return {
        "info": {
            "description": f"{m.request.name} v{m.version}, rater {job.rater}",
            "version": str(m.version),
            "confseg": {"rater": job.rater, "kind": job.kind},
        },
        "licenses": [],
        "categories": [
            {"id": c + 1, "name": spec.name, "supercategory": "lung ultrasound"}
            for c, spec in enumerate(m.classes)
        ],
        "images": [],
        "annotations": [],
    }


def _add_objects(
    tree: dict[str, Any], planes: NDArray[np.uint8], marks: NDArray[np.bool_], image_id: int
) -> None:
    for c, plane in enumerate(planes):
        for region in regions_of(marks[c]):
            shape = {"segmentation": region.polygons, "area": region.area, "bbox": region.bbox}
            _add_note(tree, image_id, c, **shape)
        excluded = plane == EXCLUDED
        if excluded.any():
            coded = {"size": list(excluded.shape), "counts": counts_of(excluded)}
            _add_mask(tree, image_id, c, excluded, segmentation=coded, iscrowd=1)


def _add_levels(tree: dict[str, Any], planes: NDArray[np.uint8], image_id: int) -> None:
    for c, plane in enumerate(planes):
        for value in np.unique(plane[plane > 0]).tolist():
            coded = encode(plane == value)
            _add_mask(
                tree,
                image_id,
                c,
                plane == value,
                segmentation=coded | {"counts": coded["counts"].decode()},
                iscrowd=int(value == EXCLUDED),
                score=0.0 if value == EXCLUDED else value / 100,
                confidence=value,
            )


def _add_mask(
    tree: dict[str, Any], image_id: int, c: int, mask: NDArray[np.bool_], **more: Any
) -> None:
    coded = encode(mask)
    bbox = rle.toBbox(coded).tolist()
    _add_note(tree, image_id, c, area=int(rle.area(coded)), bbox=bbox, **more)


def _add_note(tree: dict[str, Any], image_id: int, c: int, **more: Any) -> None:
    number = len(tree["annotations"]) + 1
    note = {"id": number, "image_id": image_id, "category_id": c + 1, "iscrowd": 0}
    tree["annotations"].append(note | more)


_FRAME = re.compile(r"(?:(?P<clip>.+)[/_-])?(?:frame)?(?P<frame>\d+)$")


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of the COCO files in `source` or in its folder ``annotations``.

    ``confidence`` (percent) of an annotation is kept as it is, else ``score`` (0..1), else the
    stated confidence is taken; a crowd (``iscrowd`` 1) is excluded, as COCO's evaluation does. An
    image counts as reviewed for ``reviewed_category_ids`` where it names them; else, by the choice
    `reviewed`, with any mark or always, for all categories of its file. Identifiers are compared by
    what they say: 7 is "7".
    """
    pictures: dict[str, list[_Picture]] = defaultdict(list)
    problems: dict[str, list[Problem]] = defaultdict(list)
    for path in _files(source):
        data = target.read_json(path)
        if data is None or not {"images", "annotations", "categories"} <= data.keys():
            continue
        with target.collected() as found:
            mine = _File(path, data, target).pictures()
        for problem in found if not mine else ():
            target.tell(problem)
        for picture in mine:
            pictures[picture.clip].append(picture)
        for clip in {picture.clip for picture in mine}:
            problems[clip] += found
    for name, frames in sorted(pictures.items()):
        read = partial(_read, pictures=frames, target=target)
        yield Found(name, frames[0].path, read, problems=tuple(problems[name]))


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = {p for folder in (source, source / "annotations") for p in folder.glob("*.json")}
    exact = {
        p.with_name(p.name.replace(CONFIDENCE, INSTANCES, 1))
        for p in files
        if p.name.startswith(CONFIDENCE)
    }
    return sorted(files - exact)  # the same marks, cut


class _Picture:
    """One image with what is annotated on it."""

    def __init__(self, path: Path, image: dict[str, Any], classes: dict[str, int | None]) -> None:
        name = PureWindowsPath(str(image.get("file_name", "")))  # takes both kinds of slashes
        stem = name.relative_to(name.anchor).with_suffix("").as_posix() if name.name else ""
        parts = _FRAME.match(stem)
        self.path, self.image, self.classes = path, image, classes
        self.where = f"{path.name} image {image.get('id')}"
        self.clip = str(image.get("clip") or (parts and parts["clip"]) or "")
        said = image.get("frame", parts and parts["frame"])
        self.frame = None if said is None else whole(said)
        self.notes: list[dict[str, Any]] = []

    def marked(self, note: dict[str, Any]) -> int | None:
        """Return the class of an annotation; None if it is left out by choice."""
        return self.classes[key_of(note["category_id"])]


class _File:
    """What one file says, by its identifiers."""

    def __init__(self, path: Path, data: dict[str, Any], target: Target) -> None:
        self._path, self._data, self._target = path, data, target

    def pictures(self) -> list[_Picture]:
        """Return the images; what is wrong with the file is reported."""
        try:
            return self._pictures()
        except (AttributeError, ArithmeticError, KeyError, TypeError, ValueError) as error:
            text = f"The file does not follow its format: {type(error).__name__}: {error}"
            self._target.report(Problem("malformed", self._path.name, text[:200]))
            return []

    def _pictures(self) -> list[_Picture]:
        classes: dict[str, int | None] = {}
        for category in self._data["categories"]:
            key = key_of(category["id"])
            self._once(key in classes, "category", key)
            classes[key] = self._target.class_index(str(category["name"]), self._path.name)
        by_id: dict[str, _Picture] = {}
        places = set()
        for image in self._data["images"]:
            picture = _Picture(self._path, image, classes)
            key = key_of(image["id"])
            place = (picture.clip, picture.frame)
            self._once(key in by_id or place in places, "image", key)
            places.add(place)
            by_id[key] = picture
            if not picture.clip or picture.frame is None:
                expected, found = "a file name as clip/000012.png", str(image.get("file_name"))
                problem = Problem.mismatch("clip-unknown", picture.where, expected, found)
                self._target.report(problem)
        for note in self._data["annotations"]:
            self._add(note, by_id, classes)
        return [p for p in by_id.values() if p.clip and p.frame is not None]

    def _once(self, known: bool, kind: str, key: str) -> None:
        if known:
            text = "Another one has the same number, or is the same frame"
            self._target.report(Problem("twice", f"{self._path.name} {kind} {key}", text))

    def _add(
        self, note: dict[str, Any], by_id: dict[str, _Picture], classes: dict[str, int | None]
    ) -> None:
        where = f"{self._path.name} annotation {note.get('id')}"
        image, category = key_of(note["image_id"]), key_of(note["category_id"])
        if category not in classes:
            text = f"The file has no category {category:.40}"
            self._target.report(Problem("category-unknown", where, text))
        elif image not in by_id:
            text = f"The file has no image {image:.40}"
            self._target.report(Problem("image-unknown", where, text))
        else:
            by_id[image].notes.append(note)


def _read(clip: Clip, pictures: list[_Picture], target: Target) -> Labels:
    labels = Labels()
    problems: list[Problem] = []
    for picture in pictures:
        try:
            _add(labels, clip, picture, target)
        except StoreError as error:
            problems += error.problems
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise StoreError(problems)
    return labels


def _add(labels: Labels, clip: Clip, picture: _Picture, target: Target) -> None:
    size = (whole(picture.image["height"]), whole(picture.image["width"]))
    frame = picture.frame
    assert frame is not None
    check_frame(clip, frame, picture.where)
    check_size(clip, size, picture.where)
    check_pixels(picture.image.get("resampled"), picture.where)
    marked = False
    for note in picture.notes:
        index = picture.marked(note)
        if index is not None:
            value = _value(note, target.request.confidence, picture.where)
            labels.mark(frame, index, _mask(note, size, picture.where), value)
            marked = True
    if "reviewed_category_ids" in picture.image:
        seen = [picture.classes[key_of(i)] for i in picture.image["reviewed_category_ids"]]
    else:
        seen = list(picture.classes.values()) if marked or target.reviewed_all else []
    labels.reviewed |= {(frame, index) for index in seen if index is not None}


def _value(note: dict[str, Any], stated: int, where: str) -> int:
    what = f"{where}, annotation {note.get('id')}"
    crowd = note.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise StoreError(Problem.mismatch("crowd", what, "iscrowd 0 or 1", f"{crowd!r:.40}"))
    if crowd:
        return EXCLUDED
    value = note.get("confidence")
    if value is None:
        score = note.get("score")
        value = stated if score is None else 100 * score
    if isinstance(value, bool | str) or not 0.5 <= value <= MAX_CONFIDENCE:
        expected = "a confidence of 1..100 percent, or a score of 0.01..1"
        raise StoreError(Problem.mismatch("confidence-range", what, expected, f"{value!r:.40}"))
    return max(1, round(value))


def _mask(note: dict[str, Any], size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    try:
        return mask_of(note["segmentation"], size)
    except (ArithmeticError, TypeError, ValueError, KeyError, IndexError) as error:
        what = f"{where}, annotation {note.get('id')}"
        text = "The segmentation is neither polygons nor run lengths of a mark"
        said = f": {str(error)[:80]}" if str(error) else ""
        raise StoreError(Problem("segmentation", what, text + said)) from error
