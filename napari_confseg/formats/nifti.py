"""NIfTI: a cine is (x, y, 1, t); one file of confidences a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item


def write(job: Export) -> None:
    """Write ``<clip>/frames.nii.gz`` and ``<clip>/<class>.nii.gz`` (0..100, 255), exact."""
    reviewed = {}
    for item in job.items():
        folder = job.folder(item.name)
        save(folder / "frames.nii.gz", cine(item.frames), item)
        for c, class_name in enumerate(job.classes):
            save(folder / f"{class_name}.nii.gz", cine(item.planes[:, c]), item)
        reviewed[item.name] = {
            "part": item.part,
            "frames": list(item.record.frames),
            "reviewed": item.reviewed.astype(int).tolist(),
        }
    job.write_json(job.out / "reviewed.json", {"classes": job.classes, "clips": reviewed})
    job.note_spacing()
    job.notes.append("Values are the confidence in percent; 255 is excluded.")


def cine(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (T, Y, X) as NIfTI's (x, y, z = 1, t)."""
    return stack.transpose(2, 1, 0)[:, :, None, :]


def save(path: Path, data: NDArray[np.uint8], item: Item) -> None:
    """Save an array with axes x, y, z, ... of a clip."""
    y, x = item.spacing
    # Left and right of an ultrasound frame are unknown to us: rows run down, columns to the right.
    image = nib.Nifti1Image(data, np.diag([x, y, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if item.record.spacing else "unknown", "sec")
    if data.ndim == 4:
        image.header.set_zooms((x, y, 1.0, item.interval))
    nib.save(image, path)
