"""Who or what made labels that come in, as our own exports say in their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from napari_confseg.formats.label_source import MAX_JSON_BYTES
from napari_confseg.store import RATER_KINDS, StoreError
from napari_confseg.store.files import read_csv, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_confseg.store import RaterKind


@dataclass(frozen=True)
class Origin:
    """Who or what made labels.

    Attributes
    ----------
    kind : str
        Key of :data:`~napari_confseg.store.RATER_KINDS`.
    made_by : str or None
        In words, as far as is known.
    """

    kind: RaterKind
    made_by: str | None = None


def recorded_origin(source: Path, format: str) -> Origin | None:
    """Return what a file of ours says of who made it; None if `source` is none, or does not say.

    Only files that nobody else writes are asked: nnU-Net copies ``dataset.json`` to what it
    predicts, and Slicer saves segments over those it was given.
    """
    told = TELLERS.get(format)
    return told(source) if told else None


def _told_by_coco(source: Path) -> Origin | None:
    folders = (source, source / "annotations")
    files = sorted(p for folder in folders for p in folder.glob("*.json"))
    for path in [source] if source.is_file() else files:
        info = (_object(path) or {}).get("info")
        told = info.get("confseg") if isinstance(info, dict) else None
        if isinstance(told, dict):
            return _origin(told)
    return None


def _told_by_nrrd(source: Path) -> Origin | None:
    from napari_confseg.formats.nrrd import nrrd_header

    files = [source] if source.is_file() else sorted(source.glob("*_confidence.nrrd"))
    for path in files:
        try:
            header = nrrd_header(path)
        except (OSError, StoreError):
            continue
        if "confseg_kind" in header:
            return _origin({"rater": header.get("confseg_rater"), "kind": header["confseg_kind"]})
    return None


def _origin(told: Mapping[str, object]) -> Origin | None:
    kind, rater = told.get("kind"), told.get("rater")
    if not isinstance(kind, str) or kind not in RATER_KINDS:
        return None
    made_by = rater[:200] if isinstance(rater, str) and rater else None
    return Origin(cast("RaterKind", kind), made_by)


def _told_by_table(source: Path) -> Origin | None:
    data = _object(source / "reviewed.json")
    return _origin(data) if data else None


def _told_by_png(source: Path) -> Origin | None:
    from napari_confseg.formats.png import TABLE

    path = source / TABLE if source.is_dir() else source
    try:
        _, rows = read_csv(path, MAX_JSON_BYTES)
    except (OSError, StoreError):
        return None
    return _origin(rows[0][1]) if rows else None


def _told_by_zarr(source: Path) -> Origin | None:
    folders = [source] if source.suffix == ".zarr" else sorted(source.glob("*.ome.zarr"))
    for path in (p for folder in folders for p in sorted(folder.glob("labels/*/zarr.json"))):
        attributes = (_object(path) or {}).get("attributes")
        told = attributes.get("confseg") if isinstance(attributes, dict) else None
        if isinstance(told, dict):
            return _origin(told)
    return None


def _told_by_lines(source: Path) -> Origin | None:
    for path in [source] if source.is_file() else sorted(source.glob("*.json")):
        told = (_object(path) or {}).get("confseg")
        if isinstance(told, dict):
            return _origin(told)
    return None


def _told_by_dicom(source: Path) -> Origin | None:
    from napari_confseg.formats.dicom_seg_reading import told

    for path in [source] if source.is_file() else sorted(source.glob("*_seg*.dcm")):
        said = told(path)
        if said is not None:
            return _origin(said)
    return None


def _object(path: Path) -> dict[str, object] | None:
    try:
        data = read_json(path, MAX_JSON_BYTES)
    except (OSError, StoreError):
        return None
    return data if isinstance(data, dict) else None


TELLERS: Final = {
    "coco": _told_by_coco,
    "nrrd": _told_by_nrrd,
    "png": _told_by_png,
    "ome-zarr": _told_by_zarr,
    "nifti": _told_by_table,
    "tiff": _told_by_table,
    "dicom-seg": _told_by_dicom,
    "annotate-ultrasound": _told_by_lines,
}
"""Formats whose files, as we write them, say who made them."""
