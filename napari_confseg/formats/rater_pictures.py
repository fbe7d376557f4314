"""Import of pictures that several people outlined, with each outline as a rater of its own.

Public sets of this kind come in one of two layouts:

- bit planes: ``NAME.png``, ``NAME_raters.png`` (bit k is set where outline k says yes) and
  ``raters.json``, the list of the outlines' names;
- mask folders: one folder of pictures, and beside it a folder of masks for each rater, under the
  pictures' names. A picture that a rater has no mask of was not read by them.

A folder of such folders is several sets; each clip says by a tag which set it is of. A picture
becomes a clip of one frame and a patient of its own, whole or not at all.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_confseg.ingest.decoded import Frame, Head, IngestError
from napari_confseg.ingest.images import read_images
from napari_confseg.ingest.pseudonyms import slug_from_name, source_sha256
from napari_confseg.request_fields import setting
from napari_confseg.store import (
    ClipMeta,
    Imported,
    Problem,
    Provenance,
    RaterKind,
    Status,
    StoreError,
)
from napari_confseg.store.files import MIB, check_file, read_json
from napari_confseg.store.lease import only_import
from napari_confseg.store.rater_kinds import RATER_KINDS
from napari_confseg.store.schema import Confidence, Slug, Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store import Cohort

RATERS_JSON, BIT_PLANES = "raters.json", "_raters.png"
MOST_BITS = 16
_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
_LARGEST = 256 * MIB


class RaterPicturesRequest(Strict):
    """How pictures that several people outlined become clips and raters."""

    class_name: Slug = setting(..., "Class", "class of the cohort that was outlined")
    pictures: str = setting(
        "images", "Pictures", "of mask folders, the name of the folder that holds the pictures"
    )
    kind: RaterKind = setting(
        "human",
        "Made by",
        "who made the outlines. As all that is imported, they are learnt from only where named",
        choices={kind: f"{info.label}: {info.meaning}" for kind, info in RATER_KINDS.items()},
    )
    confidence: Confidence = setting(
        100, "Confidence", "confidence of what an outline takes in", unit="%"
    )


@dataclass(frozen=True)
class Picture:
    """A picture and its outlines, before anything is decoded.

    Attributes
    ----------
    name : str
        Of clip and patient.
    path : Path
        The picture.
    set_name : str or None
        The set it is of, where there are several.
    raters : dict
        Rater -> (label, file of the outline, its bit there or None).
    """

    name: str
    path: Path
    set_name: str | None
    raters: dict[str, tuple[str, Path, int | None]]


@dataclass
class RaterPicturesReport:
    """Result of an import; `problems` name each picture that was left out, and why.

    `clips` are the new ones; `sets` and `raters` count their pictures.
    """

    clips: list[str] = field(default_factory=list)
    sets: dict[str, int] = field(default_factory=dict)
    raters: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def import_rater_pictures(
    cohort: Cohort,
    folder: Path,
    request: RaterPicturesRequest,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> RaterPicturesReport:
    """Make a clip of each picture under `folder`, and a rater of each of its outlines.

    Parameters
    ----------
    cohort : Cohort
        Open for writing, unless `dry_run`; it has the class.
    folder : Path
        A set in one of the two layouts, or a folder of sets.
    request : RaterPicturesRequest
        Class, layout, confidence.
    dry_run : bool
        Read and check everything, and write nothing.
    progress : callable, optional
        Called with (pictures done, pictures, name).

    Returns
    -------
    RaterPicturesReport
        With every problem; a picture with one is left out, the others are not.

    Raises
    ------
    StoreError
        If the folder has neither layout, names in it clash, or the cohort lacks the class.
    """
    try:
        index = cohort.meta.class_index(request.class_name)
    except KeyError as error:
        raise StoreError(Problem("class", cohort.location, str(error.args[0]))) from error
    pictures = find_pictures(folder, request.pictures)
    report = RaterPicturesReport()
    with nullcontext() if dry_run else only_import(cohort.store, cohort.location):
        there = set(cohort.clips())
        for done, picture in enumerate(pictures):
            progress(done, len(pictures), picture.path.name)
            try:
                frame, decoder = _read_picture(picture.path)
                planes = _read_outlines(picture, frame.shape, request.confidence)
                sha256 = source_sha256((str(picture.path),))
                if picture.name in there:
                    _check_half(cohort, picture, sha256)
                if not dry_run:
                    if picture.name not in there:
                        _write_clip(cohort, picture, frame, decoder, sha256)
                    _write_outlines(cohort, picture, planes, index, request.kind)
            except (StoreError, IngestError, OSError) as error:
                report.problems += _problems(picture.path, error)
            else:
                _count(report, picture)
    return report


def find_pictures(folder: Path, pictures: str = "images") -> list[Picture]:
    """Return the pictures of a set, or of a folder of sets, sorted by set and name.

    Raises
    ------
    StoreError
        If there is none, or two would have one name.
    """
    if not folder.is_dir():
        raise StoreError(Problem("missing", str(folder), "There is no such folder"))
    inside = sorted(p for p in folder.iterdir() if p.is_dir())
    alone = _pictures_of(folder, pictures, None)
    found = list(alone) if alone is not None else []
    for one in inside if alone is None else ():
        found += _pictures_of(one, pictures, one.name) or ()
    if not found:
        expected = f"{RATERS_JSON} beside pictures, or a folder {pictures!r} beside one a rater"
        raise StoreError(
            Problem.mismatch("layout", str(folder), expected, "neither, nor sets of either")
        )
    _check_names(found)
    return found


def _pictures_of(folder: Path, pictures: str, set_name: str | None) -> list[Picture] | None:
    """Return the pictures of one set; None if the folder is none."""
    if (folder / RATERS_JSON).exists():
        return list(_bit_planes(folder, set_name))
    if (folder / pictures).is_dir():
        return list(_mask_folders(folder, folder / pictures, set_name))
    return None


def _bit_planes(folder: Path, set_name: str | None) -> Iterator[Picture]:
    path = folder / RATERS_JSON
    labels = read_json(path, MIB)
    if not isinstance(labels, list) or not all(isinstance(n, str) and n for n in labels):
        raise StoreError(
            Problem.mismatch("raters", str(path), "a list of names", f"{labels!r:.80}")
        )
    if not 1 <= len(labels) <= MOST_BITS:
        raise StoreError(
            Problem.mismatch("raters", str(path), f"1 to {MOST_BITS} names", str(len(labels)))
        )
    named = _rater_names(labels, path)
    for picture in _images_in(folder):
        if not picture.name.endswith(BIT_PLANES):
            planes = picture.with_name(picture.stem + BIT_PLANES)
            raters: dict[str, tuple[str, Path, int | None]] = {
                name: (labels[bit], planes, bit) for bit, name in enumerate(named)
            }
            yield Picture(_name_of(picture), picture, set_name, raters)


def _mask_folders(folder: Path, pictures: Path, set_name: str | None) -> Iterator[Picture]:
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and p != pictures)
    named = _rater_names([p.name for p in folders], folder)
    masks = {
        name: {p.stem: p for p in _images_in(f)} for name, f in zip(named, folders, strict=True)
    }
    paths = _images_in(pictures)
    stems = {p.stem for p in paths}
    if lost := sorted(
        str(p) for found in masks.values() for s, p in found.items() if s not in stems
    ):
        raise StoreError(
            Problem("no-picture", lost[0], f"There is no picture of this name in {pictures.name}")
        )
    for path in paths:
        raters: dict[str, tuple[str, Path, int | None]] = {
            name: (f.name, masks[name][path.stem], None)
            for name, f in zip(named, folders, strict=True)
            if path.stem in masks[name]
        }
        yield Picture(_name_of(path), path, set_name, raters)


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())


def _name_of(path: Path) -> str:
    name = slug_from_name(path)
    if name is None:
        raise StoreError(
            Problem("name", str(path), "Nothing of this name can name a clip", hint="Rename it.")
        )
    return name


def _rater_names(labels: list[str], where: Path) -> list[str]:
    names = [re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:64] for label in labels]
    for label, name in zip(labels, names, strict=True):
        if not name or names.count(name) > 1:
            raise StoreError(
                Problem(
                    "name", str(where), f"{label!r:.80} can't name a rater, or two have its name"
                )
            )
    return names


def _check_names(found: list[Picture]) -> None:
    first: dict[str, Picture] = {}
    for picture in found:
        other = first.setdefault(picture.name, picture)
        if other is not picture:
            raise StoreError(
                Problem(
                    "twice",
                    str(picture.path),
                    f"{other.path} would be clip {picture.name} as well",
                    hint="Rename one of the two, with its outlines.",
                )
            )


def _read_picture(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Return the frame and how it was decoded."""
    head, *frames = read_images((str(path),))
    assert isinstance(head, Head)
    if len(frames) != 1:
        raise IngestError(f"it holds {len(frames)} pages; this command takes single pictures")
    assert isinstance(frames[0], Frame)
    return frames[0].pixels, head.decoder


def _read_outlines(
    picture: Picture, shape: tuple[int, ...], confidence: int
) -> dict[str, NDArray[np.uint8]]:
    """Return each rater's plane, ``uint8 (Y, X)``."""
    if not picture.raters:
        raise StoreError(Problem("nothing-found", str(picture.path), "Nobody has a mask of it"))
    files = {path: _read_mask(path, shape) for _, path, _ in picture.raters.values()}
    planes = {}
    used = 0
    for name, (_, path, bit) in picture.raters.items():
        values = files[path]
        if bit is None:
            if len(found := np.unique(values)) > 2 or (len(found) == 2 and found[0] != 0):
                what = f"values {', '.join(map(str, found[:5]))}"
                raise StoreError(Problem.mismatch("mask", str(path), "0 and one other value", what))
            marked = values > 0
        else:
            used |= 1 << bit
            marked = (values >> bit) & 1 == 1
        planes[name] = marked.astype(np.uint8) * np.uint8(confidence)
    for path, values in files.items():
        if used and int(values.max(initial=0)) & ~used:
            raise StoreError(
                Problem.mismatch(
                    "bits", str(path), f"{used.bit_length()} bits, one a rater", "higher ones set"
                )
            )
    return planes


def _read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    if not path.exists():
        raise StoreError(Problem("missing", str(path), "This file of outlines is not there"))
    check_file(path, _LARGEST)
    try:
        with Image.open(path, formats=("PNG", "TIFF", "BMP")) as image:
            if image.size[::-1] != shape:  # before it is unpacked
                found = f"{image.height} x {image.width}"
                raise StoreError(
                    Problem.mismatch("size", str(path), f"{shape[0]} x {shape[1]} pixels", found)
                )
            if image.mode not in ("1", "L", "P", "I;16", "I"):
                raise StoreError(
                    Problem.mismatch("mode", str(path), "one whole number a pixel", image.mode)
                )
            values = np.array(image)
    except StoreError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a broken header leads to
        raise StoreError(Problem("malformed", str(path), "It is no picture, or damaged")) from error
    if values.min(initial=0) < 0 or values.max(initial=0) > 65_535:
        raise StoreError(Problem.mismatch("values", str(path), "0 to 65535", "others"))
    return values.astype(np.uint16)


def _check_half(cohort: Cohort, picture: Picture, sha256: str) -> None:
    """Refuse a picture that is there, unless an import that was stopped left raters out."""
    clip = cohort.clip(picture.name)
    if clip.meta.provenance.source_sha256 != sha256:
        raise StoreError(
            Problem(
                "exists",
                str(picture.path),
                f"The cohort has a clip {picture.name} of another source",
                hint="Rename the picture, with its outlines.",
            )
        )
    if all(
        name in clip.raters() and clip.rater(name).read_status().any() for name in picture.raters
    ):
        raise StoreError(
            Problem("exists", str(picture.path), f"The cohort has it already, as {picture.name}")
        )


def _write_clip(
    cohort: Cohort, picture: Picture, frame: NDArray[np.uint8], decoder: str, sha256: str
) -> None:
    meta = ClipMeta(
        patient=picture.name,
        frame_times=(0.0,),
        tags=(picture.set_name[:64],) if picture.set_name else (),
        provenance=Provenance(source_sha256=sha256, decoder=decoder),
    )
    with cohort.new_clip(picture.name, shape=(frame.shape[0], frame.shape[1])) as new:
        new.append(frame)
        new.finish(meta)


def _write_outlines(
    cohort: Cohort,
    picture: Picture,
    planes: dict[str, NDArray[np.uint8]],
    index: int,
    kind: RaterKind,
) -> None:
    clip = cohort.clip(picture.name)
    there = set(clip.raters())
    for name, plane in planes.items():
        label = picture.raters[name][0][:80]
        if name in there:
            rater = clip.rater(name)
        else:
            origin = Imported(format="rater-pictures", made_by=label)
            rater = clip.create_rater(name, kind=kind, label=label, imported=origin)
        status = rater.read_status()
        if status[0, index] == Status.REVIEWED:
            continue
        with rater.bulk() as write:
            write(0, index, plane)
        status[0, index] = Status.REVIEWED  # written last: so a stopped import can be resumed
        rater.write_status(status)


def _problems(path: Path, error: Exception) -> list[Problem]:
    if isinstance(error, StoreError):
        return list(error.problems)
    return [Problem("picture", str(path), f"{str(error)[:1].upper()}{str(error)[1:]}")]


def _count(report: RaterPicturesReport, picture: Picture) -> None:
    report.clips.append(picture.name)
    name = picture.set_name or "all"
    report.sets[name] = report.sets.get(name, 0) + 1
    for rater in picture.raters:
        report.raters[rater] = report.raters.get(rater, 0) + 1
