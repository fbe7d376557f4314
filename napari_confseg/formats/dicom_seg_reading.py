"""DICOM segmentations of a cine as labels: fractional, binary, and label maps."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pydicom
from pydicom.filereader import read_dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
)

from napari_confseg.formats.label_source import (
    Found,
    Labels,
    check_frame,
    check_pixels,
    check_size,
    whole,
)
from napari_confseg.store import EXCLUDED, Problem, StoreError
from napari_confseg.store.files import MIB, open_file
from napari_confseg.store.layout import MAX_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip

GROUP, CREATOR = 0x0099, "napari-confseg"
"""Where our own exports say what DICOM has no word for."""
FRAMES, REVIEWED, KIND, RESAMPLED = 0x01, 0x02, 0x03, 0x04
_LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
_CLASSES: Final = (SegmentationStorage, _LABEL_MAP)
_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless)
_SUFFIXES: Final = (".dcm", ".dicom", "")
_OURS = re.compile(r"(?P<clip>.+)_seg(?P<at>_at\d+)?$")
_LARGEST = 2**34
_LONGEST_META = 2**16


def recognises(path: Path) -> bool:
    """Return whether a file is a DICOM segmentation, by its first few bytes."""
    meta = _meta(path)
    return meta is not None and meta.get("MediaStorageSOPClassUID") in _CLASSES


def _meta(path: Path) -> Dataset | None:
    """Return the file meta information (PS3.10, 7.1) alone; None if there is none."""
    try:
        with open_file(path, _LARGEST) as file:
            head = file.read(144)
            length = int.from_bytes(head[140:144], "little")
            if head[128:140] != b"DICM\2\0\0\0UL\4\0" or length > _LONGEST_META:
                return None
            return read_dataset(BytesIO(file.read(length)), False, True)
    except Exception:  # whatever pydicom raises on what is no DICOM file
        return None


class _Within:
    """A file that is asked for no more than is left, and so sets no memory aside in vain."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int | None = None, /) -> bytes:
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if size is None or size < 0 else min(size, left))


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield a clip for each segmentation; of our own exports the one with confidences.

    It is found by its name, or by the file that it refers to, if that lies beside it. Frames count
    as reviewed where one of our own says so; else, by the choice `reviewed`, those with any mark or
    all.
    """
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    files = [p for p in files if p.suffix.lower() in _SUFFIXES]
    segmentations = [p for p in files if recognises(p)]
    pictures = _Pictures(files if source.is_dir() else sorted(source.parent.glob("*")))
    for path in segmentations:
        parts = _OURS.match(path.stem)
        if parts and parts["at"] and path.with_stem(f"{parts['clip']}_seg") in segmentations:
            continue  # the same marks, cut
        name = parts["clip"] if parts else path.stem
        read = partial(_read, path=path, target=target)
        yield Found(name, path, read, files=pictures.referred_to(path))


def told(path: Path) -> dict[str, object] | None:
    """Return rater and kind that one of our own segmentations says; None if it does not."""
    try:
        ds = _load(path, _LARGEST, pixels=False)
        kind = str(ds.private_block(GROUP, CREATOR)[KIND].value)
        return {"kind": kind, "rater": str(ds.ContentCreatorName).partition("^")[0]}
    except Exception:  # no segmentation, or none of ours
        return None


class _Pictures:
    """DICOM files by their identity, looked up only if a segmentation asks."""

    def __init__(self, files: list[Path]) -> None:
        self._files = [p for p in files if p.suffix.lower() in _SUFFIXES]
        self._by_uid: dict[str, Path] | None = None

    def referred_to(self, path: Path) -> tuple[Path, ...]:
        """Return the files that a segmentation says it is of."""
        if self._by_uid is None:
            found = ((_meta(p), p) for p in self._files)
            self._by_uid = {
                str(meta.get("MediaStorageSOPInstanceUID")): p
                for p_meta, p in found
                if (meta := p_meta) is not None
            }
        try:
            uids = _referenced(_load(path, _LARGEST, pixels=False))
        except Exception:  # told when it is read
            return ()
        return tuple(self._by_uid[uid] for uid in sorted(uids) if uid in self._by_uid)


def _referenced(ds: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for series in ds.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedInstanceSequence") or ()
    }


def _load(path: Path, limit: int, *, pixels: bool) -> Dataset:
    meta = _meta(path)
    syntax = meta.get("TransferSyntaxUID") if meta else None
    if syntax not in _SYNTAXES:  # some of the others unpack without a bound
        known = ", ".join(uid.name for uid in _SYNTAXES)
        found = getattr(syntax, "name", str(syntax))
        hint = "Save it uncompressed."
        raise StoreError(Problem.mismatch("transfer-syntax", path.name, known, found, hint))
    with open_file(path, limit) as file:
        return pydicom.dcmread(_Within(file), stop_before_pixels=not pixels)


@dataclass(frozen=True)
class _Own:
    """What our own exports say: numbers of frames in the clip, and what was reviewed."""

    frames: list[int]
    reviewed: list[str]

    @classmethod
    def of(cls, ds: Dataset, where: str) -> _Own | None:
        try:
            block = ds.private_block(GROUP, CREATOR)
        except KeyError:
            return None
        check_pixels(block[RESAMPLED].value, where)
        frames = block[FRAMES].value
        numbers = [frames] if isinstance(frames, int) else [whole(f) for f in frames]
        reviewed = str(block[REVIEWED].value).split(",")
        if len(reviewed) != len(numbers):
            raise ValueError("there are not as many frames as reviews")
        return cls(numbers, reviewed)


def _read(clip: Clip, path: Path, target: Target) -> Labels:
    most = MAX_CLASSES * clip.shape[0] * clip.shape[1] * clip.shape[2]
    ds = _load(path, 2 * most + 64 * MIB, pixels=True)
    check_size(clip, (int(ds.Rows), int(ds.Columns)), path.name)
    count = int(ds.NumberOfFrames)
    if not 0 < count <= 2 * MAX_CLASSES * clip.shape[0] or len(_referenced(ds)) > 1:
        expected = f"frames of one cine of {clip.shape[0]} frames"
        found = f"{count}, of {len(_referenced(ds))} objects"
        raise StoreError(Problem.mismatch("frames", path.name, expected, found))
    return _Reader(clip, ds, path.name, target).read(count)


class _Reader:
    """Reads one segmentation onto one clip."""

    def __init__(self, clip: Clip, ds: Dataset, where: str, target: Target) -> None:
        self._clip, self._ds, self._where, self._target = clip, ds, where, target
        self._own = _Own.of(ds, where)
        self._labels = Labels()
        self._meanings = {
            int(s.SegmentNumber): target.segment_meaning(str(s.SegmentLabel), where)
            for s in ds.SegmentSequence
            if int(s.SegmentNumber) > 0  # 0 is a label map's background
        }

    def read(self, count: int) -> Labels:
        """Return its `count` frames as labels."""
        groups = self._ds.PerFrameFunctionalGroupsSequence
        if len(groups) != count:
            expected = f"what each of {count} frames is"
            raise StoreError(Problem.mismatch("frames", self._where, expected, f"of {len(groups)}"))
        for group, pixels in zip(groups, iter_pixels(self._ds), strict=True):
            frame = self._frame(group)
            if self._ds.SegmentationType == "LABELMAP":
                for number in np.unique(pixels[pixels > 0]).tolist():
                    self._add(frame, number, pixels == number)
            else:
                number = self._of_segment(group)
                self._add(frame, number, pixels)
        self._mark_reviewed()
        return self._labels

    def _group(self, group: Dataset, keyword: str) -> Dataset:
        """Return the one item of a functional group, of this frame or of all."""
        shared = self._ds.get("SharedFunctionalGroupsSequence") or ()
        both = [items for g in (group, *shared) if (items := g.get(keyword))]
        items = both[0] if both else []
        if len(items) != 1:
            raise StoreError(
                Problem.mismatch("frames", self._where, f"one {keyword} a frame", str(len(items)))
            )
        item: Dataset = items[0]
        return item

    def _of_segment(self, group: Dataset) -> int:
        return int(self._group(group, "SegmentIdentificationSequence").ReferencedSegmentNumber)

    def _frame(self, group: Dataset) -> int:
        """Return the frame of the clip that a frame is of."""
        sources = self._group(group, "DerivationImageSequence").get("SourceImageSequence") or ()
        numbers = [source.get("ReferencedFrameNumber") for source in sources]
        if len(numbers) != 1 or not isinstance(numbers[0], int):
            raise StoreError(
                Problem.mismatch(
                    "frames",
                    self._where,
                    "one ReferencedFrameNumber for each frame",
                    str(numbers)[:80],
                    "It must be of a cine, and say of which frames.",
                )
            )
        at = int(numbers[0]) - 1
        if self._own:
            if not 0 <= at < len(self._own.frames):
                raise ValueError(f"there is no frame {at + 1}")
            at = self._own.frames[at]
        check_frame(self._clip, at, self._where)
        return at

    def _add(self, frame: int, number: int, pixels: NDArray[Any]) -> None:
        if number not in self._meanings:
            expected, found = f"segments {sorted(self._meanings)[:20]}", str(number)
            raise StoreError(Problem.mismatch("value-undeclared", self._where, expected, found))
        index, stated = self._meanings[number]
        if index is None:
            return
        kind = self._ds.SegmentationType
        probable = self._ds.get("SegmentationFractionalType", "PROBABILITY") == "PROBABILITY"
        if kind != "FRACTIONAL" or stated == EXCLUDED:
            self._labels.mark(frame, index, pixels > 0, stated)
            return
        most = int(self._ds.MaximumFractionalValue)
        if not 0 < most <= 255 or (pixels > most).any():
            expected = f"values up to {most} of 255"
            raise StoreError(
                Problem.mismatch("confidence-range", self._where, expected, str(pixels.max()))
            )
        if probable:
            percent = np.rint(pixels.astype(float) * 100 / most).astype(np.uint8)
            self._labels.put(frame, index, percent)
        else:  # the share of a pixel that is covered: no doubt, but size
            self._labels.mark(frame, index, 2 * pixels.astype(int) >= most, stated)

    def _mark_reviewed(self) -> None:
        labels = self._labels
        classes = {n: index for n, (index, _) in self._meanings.items() if index is not None}
        if self._own:
            for frame, row in zip(self._own.frames, self._own.reviewed, strict=True):
                check_frame(self._clip, frame, self._where)
                for c, seen in enumerate(row):
                    if seen == "1" and c + 1 in classes:
                        labels.reviewed.add((frame, classes[c + 1]))
            return
        seen_frames = {frame for frame, _ in labels.planes}
        if self._target.reviewed_all:
            seen_frames = set(range(self._clip.shape[0]))
        labels.reviewed = {(f, index) for f in seen_frames for index in classes.values()}
