"""Letters burned into the picture are gone from the pixels of every export, once masked."""

from __future__ import annotations

import io
import tarfile
from functools import partial
from typing import TYPE_CHECKING

import nibabel
import nrrd
import numpy as np
import pydicom
import tifffile
import zarr
from PIL import Image
from scipy import ndimage

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.formats import WRITTEN
from napari_confseg.formats.export import ExportRequest, export
from napari_confseg.ingest import ImportOptions, import_sources
from napari_confseg.store import Cohort
from tests.annotate.edits import mark_clips
from tests.ingest.dicoms import dataset, save, with_pixels
from tests.ingest.screens import SCREENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SCREEN = SCREENS["curved"]
LETTERS = np.s_[4:15, 6:150]
"""Where the screen shows a name."""


def pictures(pattern: str, root: Path) -> Iterator[NDArray[np.uint8]]:
    for path in root.glob(pattern):
        with Image.open(path) as image:
            yield np.asarray(image)


def volumes(pattern: str, root: Path) -> Iterator[NDArray[np.uint8]]:
    """Frames of NIfTI, (x, y[, z], t), and of NRRD, (x, y, t)."""
    for path in root.glob(pattern):
        nifti = path.name.endswith(".nii.gz")
        data = np.asarray(nibabel.load(path).dataobj) if nifti else nrrd.read(str(path))[0]
        yield from data.reshape(*data.shape[:2], data.shape[-1]).transpose(2, 1, 0)


def dicoms(root: Path) -> Iterator[NDArray[np.uint8]]:
    for path in root.rglob("*.dcm"):
        data = pydicom.dcmread(path)
        if data.Modality == "US":
            yield from data.pixel_array


def stacks(root: Path) -> Iterator[NDArray[np.uint8]]:
    for path in root.glob("images/*.tif"):
        yield from tifffile.imread(path)


def zarrs(root: Path) -> Iterator[NDArray[np.uint8]]:
    for path in root.glob("*.ome.zarr"):
        yield from zarr.open_array(path / "0", mode="r")[:]


def tars(root: Path) -> Iterator[NDArray[np.uint8]]:
    for path in root.glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".image.png"):
                    with Image.open(io.BytesIO(tar.extractfile(member).read())) as image:
                        yield np.asarray(image)


READ: dict[str, Callable[[Path], Iterator[NDArray[np.uint8]]]] = {
    "annotate-ultrasound": dicoms,
    "coco": partial(pictures, "images/*/*.png"),
    "cvat": partial(pictures, "images/*/*.png"),
    "dicom-seg": dicoms,
    "label-studio": partial(pictures, "images/*/*.png"),
    "labelme": partial(pictures, "*/*.png"),
    "monai": partial(volumes, "images/*.nii.gz"),
    "nifti": partial(volumes, "*/frames.nii.gz"),
    "nnunet": partial(pictures, "**/images*/*_0000.png"),
    "nrrd": partial(volumes, "clip-????????.nrrd"),
    "ome-zarr": zarrs,
    "png": partial(pictures, "images/*/*.png"),
    "tiff": stacks,
    "via": partial(pictures, "images/*/*.png"),
    "voc": partial(pictures, "JPEGImages/*.png"),
    "webdataset": tars,
    "yolo": partial(pictures, "images/*/*.png"),
}


def test_burned_in_names_reach_no_export(tmp_path: Path, state_dir: Path) -> None:
    """One cine, imported with masking, marked, frozen, exported; each format's pixels decoded."""
    shown = np.stack(list(SCREEN.frames(4)))
    assert (shown[:, *LETTERS].max(axis=(1, 2)) > 200).all()  # the name is there, in every frame
    for i in range(2):
        ds = with_pixels(
            dataset(FrameTime="40", PatientID=f"p{i}"), shown + np.uint8(i), "MONOCHROME2"
        )
        save(ds, tmp_path / f"cine-{i}.dcm")
    cohort = Cohort.create(tmp_path / "study.zarr", name="study")
    report = import_sources(
        [tmp_path / f"cine-{i}.dcm" for i in range(2)], cohort, ImportOptions(mask=True)
    )
    assert report.refused == []
    mark_clips(cohort, report.imported, (150, 220, 160, 240))
    classes = tuple(c.name for c in cohort.meta.classes)
    request = BuildRequest(name="toy", classes=classes, parts={"train": 0.5, "test": 0.5})
    frozen = build(cohort, request, tmp_path / "toy")
    truth = SCREEN.truth()
    near = ndimage.binary_dilation(SCREEN.truth(), iterations=4)  # the outline found is not exact
    assert set(READ) == set(WRITTEN)
    for name, read in READ.items():
        export(frozen, ExportRequest(format=name), tmp_path / name)
        frames = list(read(tmp_path / name))
        assert len(frames) == 8, name
        for frame in frames:
            assert frame.shape == truth.shape, name
            assert not frame[~near].any(), name
            assert not frame[LETTERS].any(), name
            assert (frame[truth] > 20).mean() > 0.5, name  # the picture itself is there
