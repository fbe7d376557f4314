"""Our own exports brought back: exact where the format holds confidence, cut where it does not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.formats.export import ExportRequest, export
from napari_confseg.formats.labels import LabelImportRequest, import_labels
from napari_confseg.store import Cohort, validate
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.store import Rater


EXACT = ("coco", "nrrd", "cvat", "label-studio", "labelme")


@pytest.fixture
def study(dataset: Dataset, tmp_path: Path, state_dir: Path) -> Cohort:
    """The cohort that the dataset was built from, for this test alone."""
    shutil.copytree(dataset.folder.parent.parent / "study.zarr", tmp_path / "study.zarr")
    return Cohort.open(tmp_path / "study.zarr")


def both(study: Cohort, clip: str) -> tuple[Rater, Rater]:
    return study.clip(clip).rater("anna"), study.clip(clip).rater("back")


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
@pytest.mark.parametrize("name", EXACT)
def test_exact_with_what_was_reviewed(
    dataset: Dataset, study: Cohort, tmp_path: Path, name: str
) -> None:
    export(dataset, ExportRequest(format=name), tmp_path / "out")
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=1))
    assert (report.format, report.problems) == (name, [])
    if name in ("coco", "nrrd"):
        assert (report.kind, report.made_by) == ("human", "anna")  # the files say it
    assert [c.clip for c in report.clips] == dataset.clips()
    for record in dataset.manifest.clips:
        mine, back = both(study, record.clip)
        frames = list(record.frames)
        for c in range(3):
            assert np.array_equal(back.read_planes(c)[frames], mine.read_planes(c)[frames])
            reviewed = mine.read_status()[:, c] == 2
            assert np.array_equal((back.read_status()[:, c] == 2)[frames], reviewed[frames])
    assert not validate(study.store)


def test_nnunet_comes_back_as_it_was_cut(dataset: Dataset, study: Cohort, tmp_path: Path) -> None:
    export(dataset, ExportRequest(format="nnunet", threshold=40), tmp_path / "out")
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=70))
    assert not report.problems
    seen = 0
    for record in dataset.manifest.clips:
        mine, back = both(study, record.clip)
        for frame in np.flatnonzero((back.read_status() == 2).any(1)).tolist():
            planes = np.stack([mine.read_plane(frame, c) for c in range(3)])
            excluded = (planes == 255).any(0)  # nnU-Net ignores a pixel for all classes at once
            expected = np.where(planes >= 40, 70, 0)
            expected[:, excluded] = 255
            assert np.array_equal([back.read_plane(frame, c) for c in range(3)], expected)
            seen += 1
    assert seen == 11


def test_polygons_come_back_as_the_pixels_they_were(tmp_path: Path, state_dir: Path) -> None:
    """VIA: areas with holes, specks and lines of one pixel, at several confidences."""
    study = Cohort.create(tmp_path / "study.zarr", name="study")
    y, x = np.mgrid[:48, :64]
    ring = np.hypot(y - 24, x - 30)
    plane = np.where(ring < 14, np.where(ring < 6, 0, 80), 0).astype(np.uint8)
    plane[24] = 35
    plane[3, 5::9] = 35
    plane[40:, 50:] = 255
    for i in range(2):
        add_clip(study, f"c{i}", patient=f"p{i}", n_frames=2)
        rater = study.clip(f"c{i}").create_rater("anna", kind="human")
        rater.write_plane(1, 0, plane)
        rater.write_plane(0, 2, plane[::-1, ::-1])
        status = np.zeros((2, len(study.meta.classes)), np.uint8)
        status[:, (0, 2)] = 2
        status[i, 2] = 0
        rater.write_status(status)
    request = BuildRequest(name="toy", classes=("pleura", "b-line"), parts={"a": 0.5, "b": 0.5})
    frozen = build(study, request, tmp_path / "toy")
    export(frozen, ExportRequest(format="via"), tmp_path / "out")
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=1))
    assert (report.format, report.problems) == ("via", [])
    for record in frozen.manifest.clips:
        mine, back = both(study, record.clip)
        for frame in record.frames:
            for c in (0, 2):
                assert np.array_equal(back.read_plane(frame, c), mine.read_plane(frame, c))
        frames = list(record.frames)
        assert np.array_equal(back.read_status()[frames] == 2, mine.read_status()[frames] == 2)


def test_yolo_comes_back_as_it_was_cut(dataset: Dataset, study: Cohort, tmp_path: Path) -> None:
    facts = export(dataset, ExportRequest(format="yolo", threshold=40), tmp_path / "out")
    assert any("1 frames are left out" in note for note in facts["notes"])
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=70))
    assert (report.format, report.problems) == ("yolo", [])
    seen = 0
    for record in dataset.manifest.clips:
        mine, back = both(study, record.clip)
        for frame, c in np.argwhere(back.read_status() == 2).tolist():
            plane = mine.read_plane(frame, c)
            expected = np.where((plane >= 40) & (plane != 255), 70, 0)
            assert np.array_equal(back.read_plane(frame, c), expected)
            seen += 1
    assert seen == 33


@pytest.mark.parametrize("band", [None, (30, 60)])
def test_index_masks_come_back_with_what_overlaps_excluded(
    dataset: Dataset, study: Cohort, tmp_path: Path, band: tuple[int, int] | None
) -> None:
    request = ExportRequest(format="voc", threshold=40, band=band)
    facts = export(dataset, request, tmp_path / "out")
    assert facts["threshold"] == (60 if band else 40)
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=70))
    assert (report.format, report.problems) == ("voc", [])
    low, high = band or (40, 40)
    seen = 0
    for record in dataset.manifest.clips:
        mine, back = both(study, record.clip)
        for frame in np.flatnonzero((back.read_status()[:, :3] == 2).all(1)).tolist():
            planes = np.stack([mine.read_plane(frame, c) for c in range(3)])
            marked = (planes >= high) & (planes != 255)
            void = (planes == 255).any(0) | ((planes >= low) & (planes < high)).any(0)
            void |= marked.sum(0) > 1
            expected = np.where(void, 255, np.where(marked, 70, 0))
            assert np.array_equal([back.read_plane(frame, c) for c in range(3)], expected)
            seen += 1
    assert seen == 11


def test_slicers_segments_come_back_as_they_were_cut(
    dataset: Dataset, study: Cohort, tmp_path: Path
) -> None:
    export(dataset, ExportRequest(format="nrrd", threshold=40), tmp_path / "out")
    for path in (tmp_path / "out").glob("*_confidence.nrrd"):
        path.unlink()
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=55))
    # c0's frames are 0, 1, 2 as in the clip; a dataset of every second frame could not come back.
    assert not report.problems
    for record in dataset.manifest.clips:
        mine, back = both(study, record.clip)
        assert record.frames == (0, 1, 2)
        for c in range(3):
            planes = mine.read_planes(c)[:3]
            expected = np.where((planes >= 40) & (planes != 255), 55, 0)
            assert np.array_equal(back.read_planes(c)[:3], expected)
        marked = {t for t in range(3) if any((mine.read_plane(t, c) >= 40).any() for c in range(3))}
        assert set(np.flatnonzero((back.read_status() == 2).any(1)).tolist()) <= marked
