"""NIfTI: a cine is (x, y, 1, t); one file of confidences a class."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from napari_confseg.formats.label_source import Found
from napari_confseg.formats.reviewed import (
    NAME,
    exact_labels,
    read_reviewed,
    reviewed_clip,
    write_reviewed,
)
from napari_confseg.store import EXCLUDED, Problem, StoreError
from napari_confseg.store.files import MIB, check_unpacked, open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Labels, Target
    from napari_confseg.formats.reviewed import ReviewedClip, ReviewedTable
    from napari_confseg.store import Clip

_LARGEST = 2**36


def write(job: Export) -> None:
    """Write ``<clip>/frames.nii.gz`` and ``<clip>/<class>.nii.gz`` (0..100, 255), exact.

    The header has the mean time between frames; the time of each stands in ``reviewed.json``.
    """
    reviewed = {}
    for item in job.items():
        folder = job.folder(item.name)
        save(folder / "frames.nii.gz", cine(item.frames), item)
        for c, class_name in enumerate(job.classes):
            save(folder / f"{class_name}.nii.gz", cine(item.planes[:, c]), item)
        reviewed[item.name] = reviewed_clip(item)
    write_reviewed(job, reviewed)
    job.note_spacing()
    job.notes.append("Values are the confidence in percent; 255 is excluded.")


def cine(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (T, Y, X) as NIfTI's (x, y, z = 1, t)."""
    return stack.transpose(2, 1, 0)[:, :, None, :]


# Left and right of an ultrasound frame are unknown to us. Columns and rows run to the left and to
# the back (NIfTI's own axes point the other way), as in NRRD and in DICOM without a position.
_AXES = (-1.0, -1.0, 1.0)


def save(path: Path, data: NDArray[np.uint8], item: Item) -> None:
    """Save an array with axes x, y, z, ... of a clip."""
    y, x = item.spacing
    image = nib.Nifti1Image(data, np.diag([*np.multiply(_AXES, (x, y, 1.0)), 1.0]))
    image.header.set_xyzt_units("mm" if item.record.spacing else "unknown", "sec")
    if data.ndim == 4:
        image.header.set_zooms((x, y, 1.0, item.interval))
        image.header["toffset"] = item.record.times[0]
    nib.save(image, path)


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of our own export: a folder with ``reviewed.json`` and a folder a clip.

    Volumes that another program has turned or mirrored are turned back by what their header says.
    """
    table = read_reviewed(source / NAME, target)
    if table is None:
        return
    for name, said in table.clips.items():
        folder = source / name
        read = partial(_read, folder=folder, table=table, said=said, target=target)
        yield Found(name, source / NAME, read)


def _read(
    clip: Clip, folder: Path, table: ReviewedTable, said: ReviewedClip, target: Target
) -> Labels:
    def planes(name: str) -> NDArray[np.uint8]:
        return _stack(folder / f"{name}.nii.gz", clip, len(said.frames))

    return exact_labels(clip, table.classes, said, planes, target, folder.name)


def _stack(path: Path, clip: Clip, count: int) -> NDArray[np.uint8]:
    """Return a class's planes ``uint8 (T, Y, X)``."""
    # Values of up to 8 bytes, a header, and some words.
    with open_file(path, _LARGEST) as file:
        most = 8 * count * clip.shape[1] * clip.shape[2] + MIB
        check_unpacked(file, "gzip", most, path.name)
    image = nib.load(path)
    shape = (clip.shape[2], clip.shape[1], 1, count)
    if sorted(image.shape) != sorted(shape):
        expected, found = f"{shape} voxels (x, y, 1, t)", str(image.shape)
        raise StoreError(Problem.mismatch("image-size", path.name, expected, found))
    data = _as_written(image, path.name)
    whole = ((data >= 0) & (data <= EXCLUDED)).all() and (data == np.rint(data)).all()
    if not whole:  # nor is what is no number
        text = "Its values are no confidences in whole percent"
        raise StoreError(Problem("confidence-range", path.name, text))
    return data.astype(np.uint8)[:, :, 0].transpose(2, 1, 0)


def _as_written(image: Any, where: str) -> NDArray[Any]:
    """Return the voxels (x, y, 1, t) with axes that point as :data:`_AXES`."""
    data = np.asarray(image.dataobj)
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    if not np.isin(np.abs(axes).round(3), (0, 1)).all():
        expected = "axes along the picture's"
        raise StoreError(Problem.mismatch("orientation", where, expected, str(axes.tolist())))
    to_ours = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.io_orientation(np.diag([*_AXES, 1.0]))
    )
    return np.asarray(nib.orientations.apply_orientation(data, to_ours))
