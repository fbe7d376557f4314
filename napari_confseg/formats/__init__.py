"""File formats: a frozen dataset out, labels of other tools in; one module a format.

:data:`FORMATS` is the one table of them. Command lines, panels, help texts and detection are read
from it; a new format is one module and one line there.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from napari_confseg.extras import needed_for

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import ModuleType


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    title : str
        What people read.
    module : str
        Module of this package. It has ``write(job)`` if the format can be written, and
        ``find(source, target)`` if labels can be read from it.
    extensions : tuple of str
        Endings of the files it writes or reads.
    writes, reads : bool
        Whether a dataset can be exported to it, and labels imported from it.
    keeps_confidence : bool
        Whether everything that is written holds the confidence whole. If not, something is cut at
        the threshold of the request.
    options : frozenset of str
        Fields of an export's or import's request that this format alone, or with few others,
        looks at.
    marker : str
        Pattern of a file name, or of the end of a path, by which a folder is known to be of this
        format.
    json_keys : frozenset of str
        Keys by which a JSON file is known to be of this format.
    looks_inside : bool
        Whether the module's ``recognises(path)`` tells its files from others of that ending.
    """

    title: str
    module: str
    extensions: tuple[str, ...]
    writes: bool = True
    reads: bool = False
    keeps_confidence: bool = True
    options: frozenset[str] = frozenset()
    marker: str = ""
    json_keys: frozenset[str] = frozenset()
    looks_inside: bool = False

    def load(self) -> ModuleType:
        """Import the module.

        Raises
        ------
        StoreError
            If its library is not installed.
        """
        with self.needed():
            return import_module(f"{__name__}.{self.module}")

    def needed(self) -> AbstractContextManager[None]:
        """Ask for the extra by name where a library of this format is imported."""
        from napari_confseg.store.errors import needs_extra  # a second: the table is for --help

        return needed_for(self.title, needs_extra(self.module))


FORMATS: Final[dict[str, Format]] = {
    "nnunet": Format(
        "nnU-Net v2",
        "nnunet",
        (".png", ".tif", ".nii.gz"),
        reads=True,
        keeps_confidence=False,
        options=frozenset({"threshold", "band"}),
        marker="dataset.json",
    ),
    "monai": Format("MONAI datalist", "monai", (".nii.gz", ".json")),
    "coco": Format(
        "COCO",
        "coco",
        (".json", ".png"),
        reads=True,
        keeps_confidence=False,
        options=frozenset({"threshold", "reviewed"}),
        json_keys=frozenset({"images", "annotations"}),
    ),
    "png": Format("PNG masks", "png", (".png",), reads=True, marker="frames.csv"),
    "tiff": Format("OME-TIFF masks", "tiff", (".ome.tif",), reads=True, marker="*.ome.tif"),
    "nifti": Format("NIfTI", "nifti", (".nii.gz",), reads=True, marker="frames.nii.gz"),
    "nrrd": Format(
        "NRRD for 3D Slicer",
        "nrrd",
        (".nrrd", ".seg.nrrd"),
        reads=True,
        keeps_confidence=False,
        options=frozenset({"threshold", "reviewed"}),
        marker="*.nrrd",
    ),
    "dicom-seg": Format(
        "DICOM SEG",
        "dicom_seg",
        (".dcm",),
        reads=True,
        keeps_confidence=False,
        options=frozenset({"threshold", "reviewed"}),
        looks_inside=True,
    ),
    "webdataset": Format("WebDataset", "webdataset", (".tar",)),
    "ome-zarr": Format(
        "OME-Zarr", "ome_zarr", (".ome.zarr",), reads=True, marker="*.ome.zarr/zarr.json"
    ),
    "cvat": Format(
        "CVAT",
        "cvat",
        (".xml",),
        reads=True,
        options=frozenset({"reviewed", "line_width"}),
        marker="*annotations*.xml",
    ),
    "label-studio": Format(
        "Label Studio",
        "label_studio",
        (".json",),
        reads=True,
        options=frozenset({"reviewed", "author"}),
        json_keys=frozenset({"data", "annotations"}),
    ),
    "labelme": Format(
        "LabelMe",
        "labelme",
        (".json",),
        reads=True,
        options=frozenset({"reviewed", "line_width"}),
        json_keys=frozenset({"shapes", "imagePath"}),
    ),
    "via": Format(
        "VGG Image Annotator",
        "via",
        (".json",),
        reads=True,
        options=frozenset({"reviewed", "line_width"}),
        json_keys=frozenset({"_via_img_metadata"}),
    ),
    "yolo": Format(
        "YOLO segmentation",
        "yolo",
        (".txt", ".yaml"),
        reads=True,
        keeps_confidence=False,
        options=frozenset({"threshold"}),
        marker="data.yaml",
    ),
    "voc": Format(
        "Pascal VOC index masks",
        "voc",
        (".png",),
        reads=True,
        keeps_confidence=False,
        options=frozenset({"threshold", "band"}),
        marker="labelmap.txt",
    ),
    "annotate-ultrasound": Format(
        "AnnotateUltrasound",
        "annotate_ultrasound",
        (".json", ".dcm"),
        reads=True,
        keeps_confidence=False,
        options=frozenset({"threshold", "author", "line_width"}),
        json_keys=frozenset({"frame_annotations"}),
    ),
}
"""Name of each format, in the order in which they are offered and looked for."""

WRITTEN: Final = tuple(name for name, f in FORMATS.items() if f.writes)
"""Formats that a dataset can be exported to."""

READ: Final = tuple(name for name, f in FORMATS.items() if f.reads)
"""Formats that labels can be imported from."""


def taking(option: str) -> str:
    """Return the names of the formats that look at a field of a request, for help texts."""
    return ", ".join(name for name, f in FORMATS.items() if option in f.options)
