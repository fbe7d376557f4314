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
from napari_confseg.store.errors import MOST_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip


_FARTHEST = 1e5  # pixels; people and programs draw a little beyond the edge
_MOST_NUMBERS = 200_000
_LONGEST = 2e6  # pixels: every fifth of one is kept while an outline is drawn


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
            target.report(
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
            target.report(
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
        if len(problems) >= MOST_PROBLEMS:
            break
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
            return _from_polygons(shape, size)
        if [int(n) for n in shape["size"]] != list(size):
            raise ValueError(f"it is of {shape['size']} pixels, the image of {list(size)}")
        counts = shape["counts"]
        return _from_counts(counts if isinstance(counts, list) else _unpacked(counts), size)
    except (ArithmeticError, TypeError, ValueError, KeyError, IndexError) as error:
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


def _from_polygons(polygons: list[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    # Checked before the C code of pycocotools sees them: it writes where a point leads it.
    for polygon in polygons:
        points = np.asarray(polygon, float)
        if points.ndim != 1 or not 6 <= len(points) <= _MOST_NUMBERS or len(points) % 2:
            raise ValueError("a polygon is a list of x and y of three points or more")
        if not (np.abs(points) <= _FARTHEST).all():
            raise ValueError(f"points lie within {_FARTHEST:g} pixels")
        if np.abs(np.diff(points.reshape(-1, 2), axis=0)).sum() > _LONGEST:
            raise ValueError(f"an outline is no longer than {_LONGEST:g} pixels")
    mask: NDArray[np.bool_] = rle.decode(rle.merge(rle.frPyObjects(polygons, *size))) == 1
    return mask


def _from_counts(counts: list[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of runs of 0 and 1 in turn, column by column."""
    if len(counts) > size[0] * size[1] + 1:
        raise ValueError("there are more runs than pixels")
    runs = np.array([int(n) for n in counts], np.int64)
    if (runs < 0).any() or (runs > size[0] * size[1]).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"the runs do not add up to {size[0]} x {size[1]} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size[::-1]).T


def _unpacked(text: str) -> list[int]:
    """Return the run lengths in COCO's compressed text.

    Each is a number of 5 bits a character, lowest first; from the fourth run on, what it is more
    than the one two before (``rleFrString`` of pycocotools, which trusts its input).
    """
    runs: list[int] = []
    value, bits = 0, 0
    for letter in text if isinstance(text, str) else bytes(text).decode("ascii"):
        code = ord(letter) - 48
        if not 0 <= code < 64 or bits > 40:
            raise ValueError("it holds what is no run length")
        value |= (code & 31) << bits
        bits += 5
        if not code & 32:
            if code & 16:  # negative
                value -= 1 << bits
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, bits = 0, 0
    if bits:
        raise ValueError("it is cut short")
    return runs
