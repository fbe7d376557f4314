"""From what a person points at to the list of sources that become clips."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_confseg.extras import needed_for
from napari_confseg.ingest.decoded import IngestError, Source
from napari_confseg.ingest.dicom_file import begins_as_dicom, check_syntax, quiet_pydicom
from napari_confseg.ingest.file_kinds import (
    DICOMS,
    IMAGES,
    NOT_READ,
    VIDEOS,
    image_kind,
    is_video,
)
from napari_confseg.store import StoreError
from napari_confseg.store.files import MIB, check_file, open_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydicom import Dataset


LARGEST_SOURCE = 2**42
_LARGEST_INDEX = 256 * MIB
DICOMDIR = "DICOMDIR"
_PACKED_VOLUME = ".nii.gz"  # no archive but a NIfTI file, which is no source


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


@dataclass
class Findings:
    """All that lies under the places that a person points at; nothing is in none of the three.

    Attributes
    ----------
    found : list of Found
        What becomes a clip each, in natural order.
    refused : list of (path, reason)
        What looks like a picture and cannot become a clip.
    passed_over : list of (path, kind)
        What is no picture by its name and its first bytes, hidden, or behind a link.
    """

    found: list[Found] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    passed_over: list[tuple[str, str]] = field(default_factory=list)


def find_sources(paths: Iterable[str | Path]) -> tuple[list[Found], list[tuple[str, str]]]:
    """Return the sources under `paths` and what is refused, as :func:`look_through` does."""
    findings = look_through(paths)
    return findings.found, findings.refused


def look_through(paths: Iterable[str | Path]) -> Findings:
    """Return the sources under `paths` in natural order, what is refused, and what else is there.

    A file is one source. A folder, or the folder of a DICOMDIR, is searched with its subfolders:
    each video, DICOM file and TIFF of several pages is one source; the other images of one folder
    together are one.
    """
    findings = Findings()
    for given in paths:
        path = Path(given).expanduser().absolute()
        if path.name.upper() == DICOMDIR and path.is_file():
            path = path.parent  # an index of what lies beside it
        if path.is_dir():
            before = len(findings.found) + len(findings.refused)
            _in_folder(path, findings)
            if len(findings.found) + len(findings.refused) == before:
                why = "there is no video, DICOM or image in this folder"
                findings.refused.append((str(given), why))
        elif not os.path.lexists(path):
            findings.refused.append((str(given), "there is no such file or folder"))
        elif reason := unreadable(path):
            findings.refused.append((str(given), reason))
        else:
            findings.found.append(_file(path))
    return findings


def walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder from `root` down and its files, in natural order.

    What is hidden is passed over, and so are cohorts: they are no source.
    """
    return _walk(root, Findings())


def _walk(root: Path, findings: Findings) -> Iterator[tuple[Path, list[Path]]]:
    def refuse(error: OSError) -> None:
        why = f"the folder cannot be read: {(error.strerror or str(error)).lower()}"
        findings.refused.append((str(error.filename), why))

    def pass_over(path: Path, kind: str) -> None:
        findings.passed_over.append((str(path), kind))

    for folder, subfolders, files in os.walk(root, onerror=refuse):
        here = Path(folder)
        if "zarr.json" in files:
            pass_over(here, "folder of zarr data")
            subfolders.clear()
            continue
        for name in (*subfolders, *files):
            if name[0] == ".":
                pass_over(here / name, "hidden")
        for name in subfolders:
            if name[0] != "." and (here / name).is_symlink():
                pass_over(here / name, "link to a folder")
        subfolders[:] = sorted((f for f in subfolders if f[0] != "."), key=natural_order)
        yield here, [here / f for f in sorted(files, key=natural_order) if f[0] != "."]


def _in_folder(root: Path, findings: Findings) -> None:
    for here, paths in _walk(root, findings):
        images = []
        for path in paths:
            if _suffix(path) in IMAGES and path.is_file() and not _is_stack(path):
                images.append(str(path))
            elif path.name.upper() == DICOMDIR:
                findings.passed_over.append((str(path), DICOMDIR))
            elif reason := unreadable(path):
                findings.refused.append((str(path), reason))
            elif _is_one(path):
                findings.found.append(_file(path))
            else:
                kind = _suffix(path) or "without extension"
                findings.passed_over.append((str(path), kind))
        if images:
            source = Source("images", tuple(images))
            findings.found.append(Found(source, here, here.parent))


def _is_one(path: Path) -> bool:
    """Whether `path`, found in a folder, is a source by itself: by its name, or what is in it."""
    if _suffix(path) in VIDEOS | DICOMS or _is_stack(path):
        return True
    return is_dicom(path) or is_video(_beginning(path))


def _file(path: Path) -> Found:
    # What is neither by its name nor by its first bytes is tried as a video: its content tells.
    kind: Literal["video", "images", "dicom"] = "video"
    if _suffix(path) in IMAGES:
        kind = "images"
    elif _suffix(path) in DICOMS or is_dicom(path):
        kind = "dicom"
    return Found(Source(kind, (str(path),)), path, path.parent)


def unreadable(path: Path) -> str | None:
    """Return why `path` cannot be read at all, in words; None if trying is worth it."""
    try:
        info = path.stat()
    except OSError as error:
        if path.is_symlink():
            return "it is a link that leads nowhere"
        return f"it cannot be read: {(error.strerror or str(error)).lower()}"
    if not stat.S_ISREG(info.st_mode):
        return "it is no regular file"
    suffix = _suffix(path)
    known = suffix in VIDEOS | DICOMS | IMAGES
    if not info.st_size:
        return "it is empty: 0 bytes" if known or not suffix else None
    if known:
        return None
    if suffix in NOT_READ and not path.name.lower().endswith(_PACKED_VOLUME):
        return NOT_READ[suffix]
    if image := image_kind(_beginning(path)):
        return f"it is a {image} image by its content; let its name end so"
    return None


def _beginning(path: Path) -> bytes:
    try:
        with open_file(path, LARGEST_SOURCE) as f:
            return f.read(1024)
    except (OSError, StoreError):
        return b""


def is_dicom(path: Path) -> bool:
    """Whether `path` begins as DICOM; scanners' files often have no extension, some no preamble."""
    return begins_as_dicom(_beginning(path)[:132])


def passed_over_in_words(passed_over: Iterable[tuple[str, str]]) -> str:
    """Return how many of each kind were passed over: ``2 .txt, 1 hidden``."""
    counts = Counter(kind for _, kind in passed_over)
    return ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _is_stack(path: Path) -> bool:
    """Whether `path` is a TIFF of more than one page; only headers are read."""
    if _suffix(path) not in (".tif", ".tiff"):
        return False
    from napari_confseg.ingest.images import has_pages

    return path.is_file() and has_pages(path)


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``frame-9`` before ``frame-10``."""
    parts = re.findall(r"\d+|\D+", name.casefold())
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts)


if TYPE_CHECKING:
    _Image = dict[str, str]

_READ = (
    "PatientID",
    "StudyInstanceUID",
    "StudyDate",
    "SeriesInstanceUID",
    "Modality",
    "NumberOfFrames",
)


_NAMED = 5
"""Places that a sentence names; of more it says how many."""


@dataclass(frozen=True)
class Series:
    """One series of a DICOMDIR.

    Attributes
    ----------
    number : int
        1, 2, ... through the whole DICOMDIR: what a person picks it by.
    patient, study : int
        1, 2, ... in the order of the DICOMDIR, studies within their patient. Names, numbers and
        dates of the hospital stay where they are.
    day : int or None
        Days since this patient's first study; None if a date is missing.
    modality : str
        ``US`` for ultrasound.
    clips : tuple of (Path, int or None)
        The files, with their number of frames if they say.
    """

    number: int
    patient: int
    study: int
    day: int | None
    modality: str
    clips: tuple[tuple[Path, int | None], ...]

    @property
    def when(self) -> str:
        """Study and day, in words."""
        day = "" if self.day is None else f", day {self.day}"
        return f"Study {self.study}{day}"


def indexes_under(path: str | Path) -> list[Path]:
    """Return the DICOMDIR that `path` is, or those in this folder and below, in natural order."""
    given = Path(path).expanduser().absolute()
    files = [given] if given.is_file() else [f for _, here in walk(given) for f in here]
    return [f for f in files if f.name.upper() == DICOMDIR]


def the_index(path: str | Path) -> Path:
    """Return the one DICOMDIR that `path` is, or that lies in this folder or below.

    Raises
    ------
    IngestError
        If there is none, or more than one; says where they are.
    """
    found = indexes_under(path)
    if not found:
        raise IngestError("there is no DICOMDIR, neither in it nor below")
    if len(found) > 1:
        places = ", ".join(str(f.parent) for f in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise IngestError(f"there is more than one DICOMDIR, in {places}{more}: name one of them")
    return found[0]


def list_series(index: Path) -> list[Series]:
    """Return the series of images that the DICOMDIR `index` lists, in its order.

    Files that are not there, or lie outside its folder, are left out.

    Raises
    ------
    IngestError
        If it cannot be read, or the extra that reads DICOM is not installed.
    """
    with needed_for("it is a DICOMDIR; reading it", lambda m: IngestError(str(m))):
        import pydicom
    try:
        check_file(index, _LARGEST_INDEX)
        check_syntax(index)
        with quiet_pydicom():
            listed = list(_images(pydicom.dcmread(index)))
    except (IngestError, StoreError) as error:
        raise IngestError(f"{index.name} was not read: {error}") from error
    except Exception as error:  # whatever pydicom raises about broken files
        text = " ".join(str(error).split())[:120]
        raise IngestError(f"{index.name} is damaged or no DICOMDIR: {text}") from error
    found: dict[tuple[str, str, str], list[_Image]] = {}
    for image in listed:
        path = index.parent.joinpath(*image["file"].split("\\"))
        if path.is_file() and path.resolve().is_relative_to(index.parent.resolve()):
            found.setdefault(_keys(image), []).append({**image, "file": str(path)})
    return _numbered(found)


def _images(data: Dataset) -> Iterator[_Image]:
    """Yield the images in a DICOMDIR's tree (PS3.3 F.3): what their record and those above say."""
    records = {r.seq_item_tell: r for r in data.DirectoryRecordSequence}
    seen = set()

    def below(offset: int, above: _Image) -> Iterator[_Image]:
        while offset in records and offset not in seen:
            seen.add(offset)  # a damaged one may lead round in circles
            record = records[offset]
            here = above | {k: str(record[k].value or "") for k in _READ if k in record}
            if record.DirectoryRecordType == "IMAGE":
                name = record.ReferencedFileID
                yield here | {"file": name if isinstance(name, str) else "\\".join(name)}
            yield from below(record.OffsetOfReferencedLowerLevelDirectoryEntity, here)
            offset = record.OffsetOfTheNextDirectoryRecord

    yield from below(data.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity, {})


def _keys(image: _Image) -> tuple[str, str, str]:
    patient, study, series = (
        image.get(k, "") for k in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    )
    return patient, study, series


def _numbered(found: dict[tuple[str, str, str], list[_Image]]) -> list[Series]:
    studies: dict[str, dict[str, datetime | None]] = {}
    for (patient, study, _), images in found.items():
        studies.setdefault(patient, {}).setdefault(study, _date(images[0]))
    patients = list(studies)
    series = []
    for number, ((patient, study, _), images) in enumerate(found.items(), 1):
        of_patient = studies[patient]
        date, known = of_patient[study], [d for d in of_patient.values() if d]
        series.append(
            Series(
                number=number,
                patient=patients.index(patient) + 1,
                study=list(of_patient).index(study) + 1,
                day=(date - min(known)).days if date else None,
                modality=images[0].get("Modality") or "?",
                clips=tuple((Path(i["file"]), _frames(i)) for i in images),
            )
        )
    return series


def _date(image: _Image) -> datetime | None:
    try:
        return datetime.strptime(image.get("StudyDate", ""), "%Y%m%d")
    except ValueError:
        return None


def _frames(image: _Image) -> int | None:
    """Return the number of frames: the DICOMDIR may say, the file does."""
    import pydicom

    stated = image.get("NumberOfFrames", "")
    try:
        if not stated:
            check_syntax(Path(image["file"]))
            with quiet_pydicom():
                head = pydicom.dcmread(
                    image["file"], stop_before_pixels=True, specific_tags=["NumberOfFrames"]
                )
            stated = str(head.get("NumberOfFrames") or 1)
        return int(stated)
    except Exception:  # it is said when the file itself is imported
        return None


def unlisted(folder: Path, indexes: Iterable[Path], series: Iterable[Series]) -> list[Path]:
    """Return what under `folder` would become a clip and is in none of `series`.

    Folders of images beside one of the DICOMDIRs `indexes` are left out: they are a viewer's icons.
    """
    known = {path.resolve() for one in series for path, _ in one.clips}
    discs = [index.parent for index in indexes]
    found, _ = find_sources([folder])
    return [
        f.path
        for f in found
        if f.path.resolve() not in known
        and not (f.source.kind == "images" and any(f.path.is_relative_to(d) for d in discs))
    ]


def files_of(sources: Sequence[str], numbers: Sequence[int]) -> list[Path]:
    """Return the files of the series `numbers` of the one DICOMDIR at or below `sources`.

    Raises
    ------
    IngestError
        If there is not just one DICOMDIR, or a number that it has not.
    """
    if len(sources) != 1:
        raise IngestError("series are picked from one DICOMDIR, or the folder of one: name just it")
    index = the_index(sources[0])
    series = {one.number: one for one in list_series(index)}
    if wrong := [n for n in numbers if n not in series]:
        raise IngestError(f"there is no series {wrong[0]}: {index.name} lists 1 to {len(series)}")
    return [path for n in dict.fromkeys(numbers) for path, _ in series[n].clips]
