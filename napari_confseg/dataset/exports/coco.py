"""COCO: run-length masks, one annotation for each class and stated confidence on a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.dataset.exports.common import Export, Item


def write(job: Export) -> None:
    """Write ``images/`` and ``<part>.json`` for each part of the split.

    An annotation holds the pixels of one class marked with one confidence, which is its ``score``
    (0..1) and ``confidence`` (percent), so that the planes come back exactly; the value 255
    (excluded) is an annotation with ``iscrowd`` 1, which COCO's evaluation ignores. An image says
    in ``reviewed_category_ids`` for which classes no annotation means absence.
    """
    parts: dict[str, dict[str, Any]] = {}
    for item in job.items():
        part = parts.setdefault(item.part, _empty(job))
        folder = job.folder("images", item.name)
        for i, number in enumerate(item.record.frames):
            name = f"{number:06d}.png"
            Image.fromarray(item.frames[i]).save(folder / name)
            image_id = len(part["images"]) + 1
            part["images"].append({
                "id": image_id, "file_name": f"{item.name}/{name}",
                "height": item.record.shape[0], "width": item.record.shape[1],
                "clip": item.name, "patient": item.record.patient, "frame": number,
                "reviewed_category_ids": (np.flatnonzero(item.reviewed[i]) + 1).tolist(),
            })  # fmt: skip
            _annotate(part, item, i, image_id)
    for name, part in parts.items():
        job.write_json(job.out / f"{name}.json", part)


def _empty(job: Export) -> dict[str, Any]:
    m = job.manifest
    return {
        "info": {"description": f"{m.request.name} v{m.version}, rater {job.rater}",
                 "version": str(m.version)},
        "licenses": [],
        "categories": [
            {"id": c + 1, "name": spec.name, "supercategory": "lung ultrasound"}
            for c, spec in enumerate(m.classes)
        ],
        "images": [],
        "annotations": [],
    }  # fmt: skip


def _annotate(part: dict[str, Any], item: Item, i: int, image_id: int) -> None:
    for c in range(item.planes.shape[1]):
        plane = item.planes[i, c]
        for value in np.unique(plane[plane > 0]).tolist():
            coded = encode(plane == value)
            part["annotations"].append({
                "id": len(part["annotations"]) + 1, "image_id": image_id, "category_id": c + 1,
                "segmentation": coded | {"counts": coded["counts"].decode()},
                "area": int(rle.area(coded)), "bbox": rle.toBbox(coded).tolist(),
                "iscrowd": int(value == EXCLUDED),
                "score": 0.0 if value == EXCLUDED else value / 100, "confidence": value,
            })  # fmt: skip


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return COCO's compressed run-length code of a mask ``bool (Y, X)``."""
    coded: dict[str, Any] = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return coded
