"""From what a person points at to the list of sources that become clips."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_confseg.ingest.decoded import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VIDEOS = frozenset(
    [".avi", ".gif", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".ts",
     ".webm", ".wmv"]
)  # fmt: skip
DICOMS = frozenset([".dcm", ".dicom", ".ima"])
DICOMDIR = "DICOMDIR"
IMAGES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"])


@dataclass(frozen=True)
class Found:
    """A source, what people call it, and the folder that stands for its patient.

    Attributes
    ----------
    source : Source
        What to decode.
    path : Path
        The file, or the folder of images.
    patient_folder : Path
        Where it lies: clips of one folder are taken for clips of one patient, so that no patient
        ends on both sides of a split.
    """

    source: Source
    path: Path
    patient_folder: Path


def find_sources(paths: Iterable[str | Path]) -> tuple[list[Found], list[tuple[str, str]]]:
    """Return the sources under `paths` in natural order, and what is refused, with the reason.

    A file is one source. A folder, or the folder of a DICOMDIR, is searched with its subfolders:
    each video, DICOM file and TIFF of several pages is one source; the other images of one folder
    together are one.
    """
    found: list[Found] = []
    refused: list[tuple[str, str]] = []
    for given in paths:
        path = Path(given).expanduser().absolute()
        if path.name.upper() == DICOMDIR and path.is_file():
            path = path.parent  # an index of what lies beside it
        if path.is_dir():
            inside = list(_in_folder(path))
            if not inside:
                refused.append((str(given), "there is no video, DICOM or image in this folder"))
            found += inside
        elif path.is_file():
            found.append(_file(path))
        else:
            refused.append((str(given), "there is no such file or folder"))
    return found, refused


def walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder from `root` down and its files, in natural order.

    What is hidden is passed over, and so are cohorts: they are no source.
    """
    for folder, subfolders, files in os.walk(root):
        if "zarr.json" in files:
            subfolders.clear()
            continue
        subfolders[:] = sorted((f for f in subfolders if f[0] != "."), key=natural_order)
        here = Path(folder)
        yield here, [here / f for f in sorted(files, key=natural_order) if f[0] != "."]


def _in_folder(root: Path) -> Iterator[Found]:
    for here, paths in walk(root):
        yield from (_file(p) for p in paths if _is_one(p))
        images = tuple(str(p) for p in paths if _suffix(p) in IMAGES and not _is_stack(p))
        if images:
            yield Found(Source("images", images), here, here.parent)


def _is_one(path: Path) -> bool:
    """Whether `path`, found in a folder, is a source by itself."""
    if _suffix(path) in VIDEOS or _is_stack(path):
        return True
    return _suffix(path) not in IMAGES and path.name.upper() != DICOMDIR and is_dicom(path)


def _file(path: Path) -> Found:
    # What is neither by its name nor by its first bytes is tried as a video: its content tells.
    kind: Literal["video", "images", "dicom"] = "video"
    if _suffix(path) in IMAGES:
        kind = "images"
    elif _suffix(path) in DICOMS or is_dicom(path):
        kind = "dicom"
    return Found(Source(kind, (str(path),)), path, path.parent)


def is_dicom(path: Path) -> bool:
    """Whether the preamble of `path` is that of DICOM; scanners' files often have no extension."""
    try:
        with path.open("rb") as f:
            return f.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _is_stack(path: Path) -> bool:
    """Whether `path` is a TIFF of more than one page; only headers are read."""
    if _suffix(path) not in (".tif", ".tiff"):
        return False
    from napari_confseg.ingest.images import has_pages

    return has_pages(path)


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``frame-9`` before ``frame-10``."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts)
