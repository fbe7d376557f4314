"""COCO: run-length masks, one annotation for each class and stated confidence on a frame."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from napari_confseg.formats.label_source import Found, Labels, check_frame, check_size
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip


def write(job: Export) -> None:
    """Write ``images/`` and ``<part>.json`` for each part of the split.

    An annotation holds the pixels of one class marked with one confidence, which is its ``score``
    (0..1) and ``confidence`` (percent), so that the planes come back exactly; the value 255
    (excluded) is an annotation with ``iscrowd`` 1, which COCO's evaluation ignores. An image says
    in ``reviewed_category_ids`` for which classes no annotation means absence. ``info`` says whose
    marks they are, and of which kind the rater is.
    """
    parts: dict[str, dict[str, Any]] = {}
    for item in job.items():
        part = parts.setdefault(item.part, _empty(job))
        folder = job.folder("images", item.name)
        for i, number in enumerate(item.record.frames):
            name = f"{number:06d}.png"
            Image.fromarray(item.frames[i]).save(folder / name)
            image_id = len(part["images"]) + 1
            part["images"].append(
                {
                    "id": image_id,
                    "file_name": f"{item.name}/{name}",
                    "height": item.record.shape[0],
                    "width": item.record.shape[1],
                    "clip": item.name,
                    "patient": item.record.patient,
                    "frame": number,
                    "reviewed_category_ids": (np.flatnonzero(item.reviewed[i]) + 1).tolist(),
                }
            )
            _annotate(part, item, i, image_id)
    for name, part in parts.items():
        job.write_json(job.out / f"{name}.json", part)


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


def _annotate(part: dict[str, Any], item: Item, i: int, image_id: int) -> None:
    for c in range(item.planes.shape[1]):
        plane = item.planes[i, c]
        for value in np.unique(plane[plane > 0]).tolist():
            coded = encode(plane == value)
            part["annotations"].append(
                {
                    "id": len(part["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": c + 1,
                    "segmentation": coded | {"counts": coded["counts"].decode()},
                    "area": int(rle.area(coded)),
                    "bbox": rle.toBbox(coded).tolist(),
                    "iscrowd": int(value == EXCLUDED),
                    "score": 0.0 if value == EXCLUDED else value / 100,
                    "confidence": value,
                }
            )


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return COCO's compressed run-length code of a mask ``bool (Y, X)``."""
    coded: dict[str, Any] = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return coded


_FRAME = re.compile(r"(?:(?P<clip>.+)[/_-])?(?:frame)?(?P<frame>\d+)$")


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of the COCO files in `source`.

    ``confidence`` (percent) of an annotation is kept as it is, else ``score`` (0..1), else the
    stated confidence is taken; a crowd (``iscrowd`` 1) is excluded, as COCO's evaluation does. An
    image counts as reviewed for ``reviewed_category_ids`` where it names them, else for all
    categories of its file.
    """
    files = [source] if source.is_file() else sorted(source.glob("*.json"))
    pictures: dict[str, list[_Picture]] = defaultdict(list)
    for path in files:
        data = target.read_json(path)
        if data is not None and {"images", "annotations", "categories"} <= data.keys():
            for picture in _pictures(path, data, target):
                pictures[picture.clip].append(picture)
    for name, mine in sorted(pictures.items()):
        yield Found(name, mine[0].path, partial(_read, pictures=mine, target=target))


class _Picture:
    """One image with what is annotated on it."""

    def __init__(self, path: Path, image: dict[str, Any], classes: dict[int, int]) -> None:
        where = Path(str(image.get("file_name", "")))
        parts = _FRAME.match(where.with_suffix("").as_posix())
        self.path, self.image, self.classes = path, image, classes
        self.where = f"{path.name} image {image.get('id')}"
        self.clip = str(image.get("clip") or (parts and parts["clip"]) or "")
        self.frame = (
            int(image["frame"]) if "frame" in image else int(parts["frame"] if parts else 0)
        )
        self.notes: list[dict[str, Any]] = []


def _pictures(path: Path, data: dict[str, Any], target: Target) -> Iterator[_Picture]:
    classes = {}
    for category in data["categories"]:
        index = target.class_index(str(category["name"]), path.name)
        if index is not None:
            classes[int(category["id"])] = index
    by_id = {}
    for image in data["images"]:
        picture = by_id[image["id"]] = _Picture(path, image, classes)
        if not picture.clip:
            target.problems.append(
                Problem.mismatch(
                    "clip-unknown",
                    picture.where,
                    "a file name as clip/000012.png",
                    str(image.get("file_name")),
                )
            )
    for note in data["annotations"]:
        if note["image_id"] in by_id:
            by_id[note["image_id"]].notes.append(note)
        else:
            where = f"{path.name} annotation {note.get('id')}"
            target.problems.append(
                Problem("image-unknown", where, f"The file has no image {note['image_id']}")
            )
    yield from (p for p in by_id.values() if p.clip)


def _read(clip: Clip, pictures: list[_Picture], target: Target) -> Labels:
    labels = Labels()
    problems: list[Problem] = []
    for picture in pictures:
        try:
            _add(labels, clip, picture, target)
        except StoreError as error:
            problems += error.problems
    if problems:
        raise StoreError(problems)
    return labels


def _add(labels: Labels, clip: Clip, picture: _Picture, target: Target) -> None:
    size = (int(picture.image["height"]), int(picture.image["width"]))
    check_frame(clip, picture.frame, picture.where)
    check_size(clip, size, picture.where)
    named = picture.image.get("reviewed_category_ids", list(picture.classes))
    reviewed = [picture.classes[i] for i in named if i in picture.classes]
    labels.reviewed |= {(picture.frame, index) for index in reviewed}
    for note in picture.notes:
        index = picture.classes.get(note["category_id"])
        if index is not None:
            value = _value(note, target.request.confidence, picture.where)
            labels.mark(picture.frame, index, _mask(note, size, picture.where), value)


def _value(note: dict[str, Any], stated: int, where: str) -> int:
    if note.get("iscrowd"):
        return EXCLUDED
    value = note.get("confidence", round(100 * note["score"]) if "score" in note else stated)
    if not 1 <= value <= MAX_CONFIDENCE:
        what = f"{where}, annotation {note.get('id')}"
        raise StoreError(Problem.mismatch("confidence-range", what, "1..100 percent", str(value)))
    return int(value)


def _mask(note: dict[str, Any], size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    shape = note["segmentation"]
    try:
        if isinstance(shape, list):
            coded = rle.merge(rle.frPyObjects(shape, *size))
        elif isinstance(shape["counts"], list):
            coded = rle.frPyObjects(shape, *size)
        else:
            coded = shape
        mask: NDArray[np.bool_] = rle.decode(coded) == 1
    except (TypeError, ValueError, KeyError, IndexError) as error:
        what = f"{where}, annotation {note.get('id')}"
        raise StoreError(
            Problem(
                "segmentation",
                what,
                f"The segmentation is neither polygons nor run lengths: {str(error)[:80]}"
                if str(error)
                else "The segmentation is neither polygons nor run lengths",
            )
        ) from error
    if mask.shape != size:
        raise StoreError(
            Problem.mismatch("segmentation", where, f"a mask of {size}", str(mask.shape))
        )
    return mask
