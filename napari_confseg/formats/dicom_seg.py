"""DICOM: each clip as an ultrasound cine, and its marks as segmentations that refer to it.

Written by hand from PS3.3 C.8.5.6 (ultrasound), A.51 and C.8.20 (segmentation): the usual writer
refuses segmentations of images without a frame of reference, which ultrasound cines are.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
    UltrasoundMultiFrameImageStorage,
)

from napari_confseg import __version__
from napari_confseg.formats.dicom_seg_reading import (
    CREATOR,
    FRAMES,
    GROUP,
    KIND,
    RESAMPLED,
    REVIEWED,
    find,
    recognises,
)
from napari_confseg.formats.label_source import EXCLUDED_SUFFIX
from napari_confseg.formats.reviewed import reviewed_clip, write_reviewed
from napari_confseg.store import EXCLUDED, RATER_KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item

__all__ = ["find", "recognises", "write"]

DAY, TIME = "20000101", "000000"
"""Dates are asked for and unknown: one for all, so that the same dataset gives the same bytes."""


def write(job: Export) -> None:
    """Write ``<clip>.dcm``, ``<clip>_seg.dcm`` and ``<clip>_seg_at<percent>.dcm``.

    The first segmentation is FRACTIONAL, PROBABILITY, with 100 for certain, so percents stand in it
    as they are; the second BINARY at the threshold, for the many viewers that show no other. What
    is excluded of a class is a segment of its own. Frames on which a segment is empty are left out,
    as is usual. What was reviewed, and which frames of the clip these are, stands in a private
    block and in ``reviewed.json``, for DICOM has no word for it.
    """
    reviewed = {}
    for item in job.items():
        source = cine(job, item)
        save_cine(source, job.out / f"{item.name}.dcm")
        excluded = item.planes == EXCLUDED
        planes = np.where(excluded, 0, item.planes)
        masked = np.flatnonzero(excluded.any((0, 2, 3)))
        at = job.request.threshold
        for path, values, sure, threshold in (
            (f"{item.name}_seg.dcm", planes, 100, None),
            (f"{item.name}_seg_at{at}.dcm", planes >= at, 1, at),
        ):
            stack = np.concatenate([values, sure * excluded[:, masked]], 1).astype(np.uint8)
            segments = [*_segments(job), *_segments(job, masked.tolist())]
            _segmentation(job, item, source, stack, segments, job.out / path, threshold)
        reviewed[item.name] = reviewed_clip(item)
    write_reviewed(job, reviewed)
    job.notes.append(
        "_seg.dcm holds the percents (FRACTIONAL); "
        f"_seg_at{job.request.threshold}.dcm is cut there (BINARY)."
    )


def uid(*parts: object) -> str:
    """Return a UID that depends on `parts` alone (PS3.5 B.2: 2.25 and 128 bits)."""
    digest = hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _base(job: Export, item: Item, sop_class: str, instance: str, syntax: str) -> FileDataset:
    """Return what both kinds of object have: patient, study, equipment."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(instance)
    meta.TransferSyntaxUID = UID(syntax)
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, instance
    ds.SpecificCharacterSet = "ISO_IR 192"  # labels are in any script
    ds.PatientName = f"{item.record.patient}^"
    ds.PatientID = item.record.patient
    ds.PatientBirthDate = ds.PatientSex = ""
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "imported by allow-list"
    ds.StudyInstanceUID = uid(job.manifest.cohort_id, item.record.patient)
    ds.StudyDate, ds.StudyTime = DAY, TIME
    ds.StudyID = "1"
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.Manufacturer = "napari-confseg"
    ds.ManufacturerModelName = "confseg export"
    ds.DeviceSerialNumber = job.manifest.cohort_id[:16]
    ds.SoftwareVersions = __version__
    ds.ContentDate = ds.SeriesDate = DAY
    ds.ContentTime = ds.SeriesTime = TIME
    ds.PatientOrientation = None
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelRepresentation = 0
    ds.Rows, ds.Columns = item.record.shape
    return ds


def cine(job: Export, item: Item) -> FileDataset:
    """Return the frames as an Ultrasound Multi-frame Image."""
    instance = uid(item.record.source_sha256, item.record.shape, "image")
    ds = _base(job, item, UltrasoundMultiFrameImageStorage, instance, ExplicitVRLittleEndian)
    ds.Modality = "US"
    ds.SeriesInstanceUID = uid(instance, "series")
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.SeriesDescription = item.name
    ds.Laterality = ""
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.NumberOfFrames = len(item.frames)
    ds.FrameIncrementPointer = 0x00181063
    ds.FrameTime = f"{1000 * item.interval:.6g}"
    if item.record.spacing:
        ds.SequenceOfUltrasoundRegions = Sequence([_region(item)])
    ds.PixelData = _even(item.frames.tobytes())
    return ds


def save_cine(source: FileDataset, path: Path) -> None:
    """Save what :func:`cine` made."""
    source.save_as(path, enforce_file_format=True)


def _region(item: Item) -> Dataset:
    """Return the calibration of the whole frame (PS3.3 C.8.5.5)."""
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1  # 2D, tissue
    region.RegionFlags = 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1 = item.record.shape[1] - 1
    region.RegionLocationMaxY1 = item.record.shape[0] - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX, region.PhysicalDeltaY = item.spacing[1] / 10, item.spacing[0] / 10
    return region


def _segmentation(
    job: Export,
    item: Item,
    source: FileDataset,
    values: NDArray[np.uint8],
    segments: list[Dataset],
    path: Path,
    threshold: int | None,
) -> None:
    """Write planes ``(T, segments, Y, X)``, percents or, with a threshold, yes and no."""
    kind = "fractional" if threshold is None else f"binary {threshold}"
    digest = item.record.raters[job.rater].source_sha256
    instance = uid(source.SOPInstanceUID, job.rater, digest, kind)
    ds = _base(job, item, SegmentationStorage, instance, ExplicitVRLittleEndian)
    ds.Modality = "SEG"
    ds.SeriesInstanceUID = uid(instance, "series")
    ds.SeriesNumber, ds.InstanceNumber = 2 if threshold is None else 3, 1
    ds.SeriesDescription = f"{job.rater}, {kind}"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ContentLabel = "CONFSEG"
    ds.ContentDescription = "confidence in percent" if threshold is None else f">= {threshold} %"
    ds.ContentCreatorName = f"{job.rater}^"
    ds.LossyImageCompression = "00"
    ds.SegmentsOverlap = "YES"
    # Segment by segment, its frames in order; an object needs one frame at least.
    marked = np.argwhere(values.any((2, 3)).T).tolist()
    places: list[tuple[int, int]] = [(c, t) for c, t in marked] or [(0, 0)]
    stack = np.stack([values[t, c] for c, t in places])
    if threshold is None:
        ds.SegmentationType, ds.SegmentationFractionalType = "FRACTIONAL", "PROBABILITY"
        ds.MaximumFractionalValue = 100
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit = 7
        ds.PixelData = _even(stack.tobytes())
    else:
        ds.SegmentationType = "BINARY"
        ds.BitsAllocated = ds.BitsStored = 1
        ds.HighBit = 0
        ds.PixelData = pack_bits(stack)
    ds.NumberOfFrames = len(places)
    for number, segment in enumerate(segments, 1):
        segment.SegmentNumber = number
    ds.SegmentSequence = Sequence(segments)
    _add_own(ds, job, item)
    _groups(ds, item, source, places)
    if threshold is None:
        # Not deflated, which fewer can read; one bit a pixel cannot be run-length coded.
        ds.compress(RLELossless, generate_instance_uid=False, encoding_plugin="pydicom")
    ds.save_as(path, enforce_file_format=True)


def _even(data: bytes) -> bytes:
    return data + b"\x00" * (len(data) % 2)


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return Sequence([code])


def _add_own(ds: FileDataset, job: Export, item: Item) -> None:
    block = ds.private_block(GROUP, CREATOR, create=True)
    block.add_new(FRAMES, "UL", list(item.record.frames))
    rows = ("".join("1" if seen else "0" for seen in row) for row in item.reviewed)
    block.add_new(REVIEWED, "UT", ",".join(rows))
    block.add_new(KIND, "LO", job.kind)
    block.add_new(RESAMPLED, "US", int(item.resampled))


def _segments(job: Export, excluded: list[int] | None = None) -> list[Dataset]:
    """Return the segments of the marks of all classes, or of what is excluded of some."""
    if excluded is None:
        return [_segment(job, c, "") for c in range(len(job.classes))]
    return [_segment(job, c, EXCLUDED_SUFFIX) for c in excluded]


def _segment(job: Export, c: int, suffix: str) -> Dataset:
    spec = job.manifest.classes[c]
    segment = Dataset()
    fits = len(spec.label + EXCLUDED_SUFFIX) <= 64  # what LO takes
    segment.SegmentLabel = (spec.label if fits else spec.name) + suffix
    # Private codes: a finding gets a standard one when someone has agreed on it, not before.
    segment.SegmentedPropertyCategoryCodeSequence = _code("finding", "99CONFSEG", "Finding")
    segment.SegmentedPropertyTypeCodeSequence = _code(spec.name[:16], "99CONFSEG", spec.label)
    human = any(
        RATER_KINDS[c.raters[job.rater].kind].hand == "person"
        for c in job.manifest.clips
        if job.rater in c.raters
    )
    segment.SegmentAlgorithmType = "MANUAL" if human else "AUTOMATIC"
    if not human:
        segment.SegmentAlgorithmName = job.rater
    segment.RecommendedDisplayCIELabValue = _cielab(spec.color)
    return segment


def _cielab(color: str) -> list[int]:
    """Return a colour as PS3.3 C.10.7.1.1 wants it: L, a and b, each 0..65535."""
    from skimage.color import rgb2lab

    rgb = np.array([[[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]]])
    light, a, b = rgb2lab(rgb, illuminant="D50")[0, 0]
    scaled = (light / 100, (a + 128) / 255, (b + 128) / 255)
    return [round(65535 * float(np.clip(v, 0, 1))) for v in scaled]


def _groups(
    ds: FileDataset, item: Item, source: FileDataset, places: list[tuple[int, int]]
) -> None:
    """Say of each frame which segment and which frame of the cine it is."""
    organisation = uid(ds.SOPInstanceUID, "dimensions")
    ds.DimensionOrganizationSequence = Sequence([Dataset()])
    ds.DimensionOrganizationSequence[0].DimensionOrganizationUID = organisation
    indices = []
    for pointer, group, label in (
        (0x0062000B, 0x0062000A, "segment"),  # ReferencedSegmentNumber
        (0x00209128, 0x00209111, "frame"),  # TemporalPositionIndex
    ):
        index = Dataset()
        index.DimensionOrganizationUID = organisation
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        index.DimensionDescriptionLabel = label
        indices.append(index)
    ds.DimensionIndexSequence = Sequence(indices)
    shared = Dataset()
    if item.record.spacing:
        measures = Dataset()
        measures.PixelSpacing = [f"{v:.8g}" for v in item.spacing]
        measures.SliceThickness = "1"
        shared.PixelMeasuresSequence = Sequence([measures])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence([_frame_group(source, c, t) for c, t in places])
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    series.ReferencedInstanceSequence = Sequence([reference])
    ds.ReferencedSeriesSequence = Sequence([series])


def _frame_group(source: FileDataset, c: int, t: int) -> Dataset:
    group = Dataset()
    content = Dataset()
    content.DimensionIndexValues = [c + 1, t + 1]
    content.TemporalPositionIndex = t + 1
    group.FrameContentSequence = Sequence([content])
    segment = Dataset()
    segment.ReferencedSegmentNumber = c + 1
    group.SegmentIdentificationSequence = Sequence([segment])
    image = Dataset()
    image.ReferencedSOPClassUID = source.SOPClassUID
    image.ReferencedSOPInstanceUID = source.SOPInstanceUID
    image.ReferencedFrameNumber = t + 1
    image.SpatialLocationsPreserved = "YES"  # else readers refuse to look marks up by frame
    image.PurposeOfReferenceCodeSequence = _code(
        "121322", "DCM", "Source Image for Image Processing Operation"
    )
    derivation = Dataset()
    derivation.SourceImageSequence = Sequence([image])
    derivation.DerivationCodeSequence = _code("113076", "DCM", "Segmentation")
    group.DerivationImageSequence = Sequence([derivation])
    return group
