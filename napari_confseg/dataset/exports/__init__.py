"""Exports: a frozen dataset in the formats people use.

A format that can hold confidences gets them whole; one that can't gets a threshold, which stands in
the names it writes and in ``EXPORT.md``. Each module has one function, ``write``; what it needs
beyond the base install is imported when it runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_confseg.dataset.exports.common import Export, Options
from napari_confseg.dataset.room import room_in
from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.dataset.frozen import Dataset

FORMATS = {
    "coco": "coco",
    "dicom-seg": "dicom_seg",
    "monai": "monai",
    "nifti": "nifti",
    "nnunet": "nnunet",
    "nrrd": "nrrd",
    "ome-zarr": "ome_zarr",
    "png": "png",
    "tiff": "tiff",
    "webdataset": "webdataset",
}
"""Name of a format -> module here."""
EXTRAS = {"coco": "coco", "dicom-seg": "seg", "monai": "nifti", "nifti": "nifti", "nrrd": "slicer",
          "nnunet": "dataset", "tiff": "dataset"}  # fmt: skip


def export(
    dataset: Dataset,
    name: str,
    out: Path,
    options: Options | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Write `dataset` in the format called `name` into the folder `out`.

    Parameters
    ----------
    dataset : Dataset
        What.
    name : str
        One of :data:`FORMATS`.
    out : Path
        A folder that does not exist or is empty.
    options : Options, optional
        Rater, threshold, band.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Asked before each clip; if true, nothing of the export is left.

    Returns
    -------
    dict
        ``format``, ``rater``, ``threshold`` (None if confidences are kept), ``files``, ``notes``.

    Raises
    ------
    StoreError
        If the folder is not empty, the rater is not clear, the threshold is no percentage, the
        format's library is not installed, or the disk is full. Nothing of the export is left.
    """
    chosen = options or Options()
    if not 1 <= chosen.threshold <= 100:
        raise StoreError(Problem("threshold-range", "", "1..100 percent", str(chosen.threshold)))
    if out.exists() and any(out.iterdir()):
        raise StoreError(
            Problem("exists", str(out), "a new or empty folder", "something is there",
                    "Choose another folder.")
        )  # fmt: skip
    job = Export(dataset, chosen, out, progress=progress, cancelled=cancelled)
    try:
        with room_in(out, lambda: "Free some space, or export to a larger disk. Nothing is left."):
            import_module(f"{__name__}.{FORMATS[name]}").write(job)
            return job.finish(name)
    except ImportError as error:
        job.remove()
        extra = EXTRAS.get(name, "all")
        raise StoreError(
            Problem("needs-extra", name, f"the {extra} extra", f"{error.name} is not installed",
                    f"pip install 'napari-confseg[{extra}]'")
        ) from error  # fmt: skip
    except BaseException:
        job.remove()
        raise


__all__ = ["EXTRAS", "FORMATS", "Options", "export"]
