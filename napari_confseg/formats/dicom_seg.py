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
from napari_confseg.store import EXCLUDED, RATER_KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item

DAY, TIME = "20000101", "000000"
"""Dates are asked for and unknown: one for all, so that the same dataset gives the same bytes."""


def write(job: Export) -> None:
    """Write ``<clip>.dcm``, ``<clip>_seg.dcm`` and ``<clip>_seg_at<percent>.dcm``.

    The first segmentation is FRACTIONAL, PROBABILITY, with 100 for certain, so percents stand in it
    as they are; the second BINARY at the threshold, for the many viewers that show no other. Frames
    on which a segment is empty are left out, as is usual; what was reviewed stands in
    ``reviewed.json``, for DICOM has no word for it.
    """
    reviewed, excluded = {}, 0
    for item in job.items():
        source = _cine(job, item)
        source.save_as(job.out / f"{item.name}.dcm", enforce_file_format=True)
        planes = np.where(item.planes == EXCLUDED, 0, item.planes)
        excluded += int((item.planes == EXCLUDED).sum())
        _segmentation(job, item, source, planes, job.out / f"{item.name}_seg.dcm", None)
        at = job.options.threshold
        path = job.out / f"{item.name}_seg_at{at}.dcm"
        _segmentation(job, item, source, (planes >= at).astype(np.uint8), path, at)
        reviewed[item.name] = {
            "part": item.part,
            "frames": list(item.record.frames),
            "reviewed": item.reviewed.astype(int).tolist(),
        }
    job.write_json(job.out / "reviewed.json", {"classes": job.classes, "clips": reviewed})
    job.notes.append(
        "_seg.dcm holds the percents (FRACTIONAL); "
        f"_seg_at{job.options.threshold}.dcm is cut there (BINARY)."
    )
    if excluded:
        job.notes.append(f"{excluded} excluded pixels count as not marked: DICOM cannot say more.")


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


def _cine(job: Export, item: Item) -> FileDataset:
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
    path: Path,
    threshold: int | None,
) -> None:
    """Write planes ``(T, C, Y, X)``, percents or, with a threshold, yes and no."""
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
    ds.SegmentSequence = Sequence([_segment(job, c) for c in range(values.shape[1])])
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


def _segment(job: Export, c: int) -> Dataset:
    spec = job.manifest.classes[c]
    segment = Dataset()
    segment.SegmentNumber = c + 1
    segment.SegmentLabel = spec.label
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
    image.PurposeOfReferenceCodeSequence = _code(
        "121322", "DCM", "Source Image for Image Processing Operation"
    )
    derivation = Dataset()
    derivation.SourceImageSequence = Sequence([image])
    derivation.DerivationCodeSequence = _code("113076", "DCM", "Segmentation")
    group.DerivationImageSequence = Sequence([derivation])
    return group
