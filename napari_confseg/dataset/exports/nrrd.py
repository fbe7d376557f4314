"""NRRD segmentation as 3D Slicer reads it: one segment a class and threshold, overlaps kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nrrd as pynrrd
import numpy as np
import slicerio

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.dataset.exports.common import Export, Item


def write(job: Export) -> None:
    """Write ``<clip>.nrrd``, ``<clip>_at<percent>.seg.nrrd`` and ``<clip>_confidence.nrrd``.

    Segments are yes or no, so they stand at the threshold; the confidences go along as a plain
    four-dimensional volume (class, x, y, frame), exact.
    """
    for item in job.items():
        header = _geometry(item)
        pynrrd.write(str(job.out / f"{item.name}.nrrd"), item.frames.transpose(2, 1, 0), header)
        _segments(job, item, header)
        _confidences(job, item)
    job.note_spacing()
    job.notes.append("The third axis is the frame; its spacing in the file, 1, means nothing.")


def _geometry(item: Item) -> dict[str, Any]:
    y, x = item.spacing
    return {
        "space": "left-posterior-superior",
        "space directions": np.diag([x, y, 1.0]),
        "space origin": np.zeros(3),
        "kinds": ["domain", "domain", "domain"],
        "encoding": "gzip",
    }


def _segments(job: Export, item: Item, header: dict[str, Any]) -> None:
    marks = job.cut(item.planes)
    voxels = np.zeros((len(job.classes), *item.frames.transpose(2, 1, 0).shape), np.uint8)
    segments = []
    for c, spec in enumerate(job.manifest.classes):
        voxels[c] = marks[:, c].transpose(2, 1, 0)
        rgb = [int(spec.color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        segments.append({
            "id": f"Segment_{c + 1}", "name": spec.label, "color": rgb, "layer": c,
            "labelValue": 1, "terminology": _terminology(spec.name, spec.label),
        })  # fmt: skip
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = header["space directions"]
    slicerio.write_segmentation(
        str(job.out / f"{item.name}_at{job.threshold}.seg.nrrd"),
        {"voxels": voxels, "ijkToLPS": ijk_to_lps, "segments": segments,
         "encoding": "gzip", "containedRepresentationNames": ["Binary labelmap"],
         "masterRepresentation": "Binary labelmap"},
    )  # fmt: skip


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
        "space origin": np.zeros(3),
        "kinds": ["list", "domain", "domain", "domain"],
        "encoding": "gzip",
        "confseg_classes": ",".join(job.classes),
        "confseg_excluded": str(EXCLUDED),
        "confseg_frames": ",".join(map(str, item.record.frames)),
        "confseg_reviewed": ",".join(
            "".join("1" if seen else "0" for seen in row) for row in item.reviewed
        ),
    }
    pynrrd.write(str(job.out / f"{item.name}_confidence.nrrd"), data, header)
