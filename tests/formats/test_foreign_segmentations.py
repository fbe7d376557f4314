"""Segmentations in DICOM that highdicom writes, of a cine with a place in space, come in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage

from napari_confseg.formats.labels import LabelImportRequest, import_labels
from napari_confseg.store import Cohort, Status
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (6, 47, 63)  # no whole bytes a frame, one bit a pixel
PLEURA, B_LINE = 0, 2


def cine(path: Path) -> FileDataset:
    """A cine of :data:`SHAPE`, as far as highdicom asks for one."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = hd.UID()
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(ds, name, hd.UID())
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        setattr(ds, name, "")
    ds.StudyID = ds.StudyDate = ds.StudyTime = ds.ReferringPhysicianName = ""
    ds.Modality, ds.PhotometricInterpretation = "US", "MONOCHROME2"
    ds.NumberOfFrames, ds.Rows, ds.Columns = SHAPE
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    shared, ds.PerFrameFunctionalGroupsSequence = Dataset(), []
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [1, 1]
    shared.PixelMeasuresSequence[0].SliceThickness = 1
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SharedFunctionalGroupsSequence = [shared]
    for t in range(SHAPE[0]):
        group = Dataset()
        group.PlanePositionSequence = [Dataset()]
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, t]
        ds.PerFrameFunctionalGroupsSequence.append(group)
    ds.PixelData = bytes(int(np.prod(SHAPE)) + int(np.prod(SHAPE)) % 2)
    ds.save_as(path, enforce_file_format=True)
    return ds


def segmentation(source: FileDataset, kind: str, values: np.ndarray, path: Path) -> None:
    names = ["B line", "Pleural line"]
    made = hd.seg.Segmentation(
        [source],
        values,
        hd.seg.SegmentationTypeValues[kind],
        [
            hd.seg.SegmentDescription(
                number,
                name,
                codes.SCT.Tissue,
                codes.SCT.Tissue,
                hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number, name in enumerate(names, 1)
        ],
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="somebody",
        manufacturer_model_name="something",
        software_versions="1",
        device_serial_number="1",
        max_fractional_value=200,
    )
    made.save_as(path)


@pytest.mark.filterwarnings("ignore")  # highdicom's and pydicom's own, of what we leave out
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_highdicoms_segmentations_come_in(tmp_path: Path, state_dir: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    certain = np.round(rng.random((*SHAPE, 2)) * 100) / 100  # percents
    certain[1] = certain[3, ..., 1] = 0
    marks = certain > 0.7
    marks[..., 1] &= ~marks[..., 0]  # a label map has one for each pixel
    values = {
        "BINARY": marks.astype(np.uint8),
        "FRACTIONAL": certain,
        "LABELMAP": (marks[..., 0] + 2 * marks[..., 1]).astype(np.uint8),
    }[kind]
    source = tmp_path / "scan.dcm"
    segmentation(cine(source), kind, values, tmp_path / "anything.dcm")
    cohort = Cohort.create(tmp_path / "c.zarr", name="c")
    add_clip(cohort, "clip-1", n_frames=SHAPE[0], shape=SHAPE[1:])
    clip = cohort.clip("clip-1")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    clip.update_meta(provenance=clip.meta.provenance.model_copy(update={"source_sha256": digest}))
    request = LabelImportRequest(rater="peer", confidence=66)
    report = import_labels(cohort, tmp_path, request)
    assert (report.format, report.problems) == ("dicom-seg", [])
    peer = clip.rater("peer")
    for index, segment in ((B_LINE, 0), (PLEURA, 1)):
        expected = np.where(marks[..., segment], 66, 0)
        if kind == "FRACTIONAL":
            expected = np.rint(100 * certain[..., segment])
        assert np.array_equal(peer.read_planes(index), expected)
    reviewed = np.argwhere(peer.read_status() == Status.REVIEWED).tolist()
    assert reviewed == [[t, c] for t in (0, 2, 3, 4, 5) for c in (PLEURA, B_LINE)]
