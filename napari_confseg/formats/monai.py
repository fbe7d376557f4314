"""MONAI: NIfTI volumes and the datalist JSON that its loaders and Auto3DSeg read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.formats.nifti import save

if TYPE_CHECKING:
    from typing import Any

    from napari_confseg.formats.export import Export

_KEYS = {"train": "training", "val": "validation", "test": "testing"}


def write(job: Export) -> None:
    """Write ``datalist.json``; images are (x, y, t), labels (x, y, t, class) of confidences."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for item in job.items():
        image = job.folder("images") / f"{item.name}.nii.gz"
        label = job.folder("labels") / f"{item.name}.nii.gz"
        save(image, item.frames.transpose(2, 1, 0), item)
        save(label, item.planes.transpose(3, 2, 0, 1), item)
        entry = {
            "image": image.relative_to(job.out).as_posix(),
            "label": label.relative_to(job.out).as_posix(),
            "patient": item.record.patient,
            "reviewed": item.reviewed.astype(int).tolist(),
        }
        folds = job.manifest.folds
        if folds:
            entry["fold"] = folds.names.index(folds.of_clip[item.name])
        parts.setdefault(_KEYS.get(item.part, item.part), []).append(entry)
    head = {
        "name": job.manifest.request.name,
        "description": "Label values are confidences in percent; 255 is excluded.",
        "modality": {"0": "US"},
        "labels": {str(i): name for i, name in enumerate(job.classes)},
    }
    job.write_json(job.out / "datalist.json", head | parts)
    job.note_spacing()
    job.notes.append("The last axis of a label is the class; values are percent, 255 is excluded.")
