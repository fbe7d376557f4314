"""DICOM: ultrasound cine and segmentations, by highdicom, pydicom and dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.formats.export import ExportRequest, export

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.dataset.frozen import Dataset


@pytest.fixture(scope="module")
def folder(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dicom") / "out"
    export(dataset, ExportRequest(format="dicom-seg", threshold=40), out)
    return out


def test_cine_by_pydicom(dataset: Dataset, folder: Path) -> None:
    import pydicom

    for clip in dataset.clips():
        ds = pydicom.dcmread(folder / f"{clip}.dcm")
        assert np.array_equal(ds.pixel_array, dataset.frames(clip))
        assert float(ds.FrameTime) == pytest.approx(50)
        assert ("SequenceOfUltrasoundRegions" in ds) == (clip != "c3")
        assert "FrameOfReferenceUID" not in ds


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("at", [None, 40])
def test_segmentations_by_highdicom(dataset: Dataset, folder: Path, at: int | None) -> None:
    import highdicom as hd

    for clip in dataset.clips():
        path = folder / f"{clip}_seg{f'_at{at}' if at else ''}.dcm"
        seg = hd.seg.segread(path)
        labels = ["Pleural line", "A-line", "B-line"]
        masked = ["Pleural line (excluded)"] if clip == "c1" else []
        assert [s.SegmentLabel for s in seg.SegmentSequence] == labels + masked
        (series,) = seg.ReferencedSeriesSequence
        source = series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
        values = seg.get_pixels_by_source_frame(
            source,
            [1, 2, 3],
            combine_segments=False,
            rescale_fractional=False,
            assert_missing_frames_are_empty=True,
        )
        planes = dataset.planes(clip, "anna").transpose(0, 2, 3, 1)
        excluded = planes == 255
        planes = np.where(excluded, 0, planes)
        assert np.array_equal(values[..., :3], planes if at is None else planes >= at)
        assert np.array_equal(values[..., 3:] > 0, excluded[..., : len(masked)])
        if at is None:
            assert seg.MaximumFractionalValue == 100


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error(folder: Path) -> None:
    for path in sorted(folder.glob("*.dcm")):
        said = subprocess.run(
            ["dciodvfy", "-new", path], capture_output=True, text=True, check=False
        )
        errors = [x for x in (said.stdout + said.stderr).splitlines() if x.startswith("Error")]
        assert not errors, path.name


def test_same_bytes(dataset: Dataset, folder: Path, tmp_path: Path) -> None:
    export(dataset, ExportRequest(format="dicom-seg", threshold=40), tmp_path / "again")
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
