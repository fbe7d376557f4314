"""Our own exports brought back: exact where the format holds confidence, cut where it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import numpy as np
import pytest
import slicerio

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
from napari_confseg.formats.export import ExportRequest, export
from napari_confseg.formats.labels import LabelImportRequest, import_labels
from napari_confseg.formats.origin import TELLERS
from napari_confseg.store import Cohort, Sector, Spacing, validate
from tests.conftest import add_clip
from tests.formats.test_labels import PAINTED, alike, lines, write

if TYPE_CHECKING:
    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.store import Rater


SCHEMA = Path(__file__).parent / "annotate-ultrasound.schema.json"
"""What a file of AnnotateUltrasound must hold, in our words after its published schema."""
EXACT = (
    "coco",
    "nrrd",
    "dicom-seg",
    "png",
    "tiff",
    "nifti",
    "ome-zarr",
    "cvat",
    "label-studio",
    "labelme",
    "via",
)
"""Formats that hold the confidences, if only beside what is cut."""


@pytest.fixture(scope="module")
def gapped(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The dataset without every second frame."""
    cohort = Cohort.open(dataset.folder.parent.parent / "study.zarr", read_only=True)
    request = dataset.manifest.request.model_copy(update={"frames": FramePolicy.parse("every:2")})
    return build(cohort, request, tmp_path_factory.mktemp("gapped") / "toy")


@pytest.fixture
def study(dataset: Dataset, tmp_path: Path, state_dir: Path) -> Cohort:
    """The cohort that the dataset was built from, for this test alone."""
    shutil.copytree(dataset.folder.parent.parent / "study.zarr", tmp_path / "study.zarr")
    return Cohort.open(tmp_path / "study.zarr")


def both(study: Cohort, clip: str) -> tuple[Rater, Rater]:
    return study.clip(clip).rater("anna"), study.clip(clip).rater("back")


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("every", [1, 2])
def test_exact_with_what_was_reviewed(
    dataset: Dataset, gapped: Dataset, study: Cohort, tmp_path: Path, name: str, every: int
) -> None:
    dataset = gapped if every == 2 else dataset
    assert dataset.manifest.clips[0].frames == ((0, 2) if every == 2 else (0, 1, 2))
    export(dataset, ExportRequest(format=name), tmp_path / "out")
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=1))
    assert (report.format, report.problems) == (name, [])
    if name in TELLERS:
        assert (report.kind, report.made_by) == ("human", "anna")  # the files say it
    assert [c.clip for c in report.clips] == dataset.clips()
    for record in dataset.manifest.clips:
        mine, back = both(study, record.clip)
        frames = list(record.frames)
        for c in range(3):
            assert np.array_equal(back.read_planes(c)[frames], mine.read_planes(c)[frames])
            reviewed = mine.read_status()[:, c] == 2
            assert np.array_equal((back.read_status()[:, c] == 2)[frames], reviewed[frames])
            others = np.delete(back.read_planes(c), frames, 0)
            assert not others.any()
    assert not validate(study.store)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_labels_of_resized_frames_stay_out_though_their_size_is_the_clips(
    dataset: Dataset, study: Cohort, tmp_path: Path
) -> None:
    wanted = {"clips": ("c0",), "parts": {"train": 1.0}, "folds": 0}
    wanted |= {"spacing": 0.25, "size": (48, 64)}
    request = dataset.manifest.request.model_copy(update=wanted)
    resized = build(study, request, tmp_path / "resized")
    assert resized.manifest.clips[0].shape == (48, 64)
    for name in (*EXACT, "nnunet", "annotate-ultrasound", "yolo", "voc"):
        export(resized, ExportRequest(format=name), tmp_path / name)
        report = import_labels(study, tmp_path / name, LabelImportRequest(rater="back"))
        assert ({p.code for p in report.problems}, report.clips) == ({"resampled"}, []), name


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


def cut(plane: np.ndarray, at: int, confidence: int) -> np.ndarray:
    return np.where(plane == 255, 255, np.where(plane >= at, confidence, 0))


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("nrrd", "*_confidence.nrrd"),
        ("dicom-seg", "*_seg.dcm"),
        ("coco", "annotations/confidence_*.json"),
    ],
)
def test_what_is_cut_comes_back_as_it_was_cut(
    dataset: Dataset, study: Cohort, tmp_path: Path, name: str, exact: str
) -> None:
    export(dataset, ExportRequest(format=name, threshold=40), tmp_path / "out")
    for path in (tmp_path / "out").glob(exact):
        path.unlink()
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back", confidence=55))
    assert (report.format, report.problems) == (name, [])
    for record in dataset.manifest.clips:
        mine, back = both(study, record.clip)
        for c in range(3):
            assert np.array_equal(back.read_planes(c)[:3], cut(mine.read_planes(c)[:3], 40, 55))
        reviewed = {(t, c) for t, c in np.argwhere(mine.read_status() == 2).tolist() if c < 3}
        if name == "nrrd":  # nothing says what was reviewed but a mark on the frame
            marked = {t for t in range(3) if any(mine.read_plane(t, c).any() for c in range(3))}
            reviewed = {(t, c) for t in marked for c in range(3)}
        assert set(map(tuple, np.argwhere(back.read_status() == 2).tolist())) == reviewed


def test_slicers_segments_keep_their_frames(gapped: Dataset, study: Cohort, tmp_path: Path) -> None:
    """Slicer keeps where a volume lies, cuts it to what is marked, and drops our own words."""
    out = tmp_path / "out"
    export(gapped, ExportRequest(format="nrrd", threshold=40), out)
    for clip, frames in (("c0", None), ("c1", (1, 2))):
        path = out / f"{clip}_at40.seg.nrrd"
        found = slicerio.read_segmentation(str(path))
        found["voxels"] = np.ascontiguousarray(found["voxels"][:, 5:, 7:])
        if frames:  # as an export of frames 1 and 2 alone
            found["ijkToLPS"][2, 3] = 1
        found["ijkToLPS"][:2, 3] += np.diag(found["ijkToLPS"])[:2] * (5, 7)
        found["referenceImageExtentOffset"] = [5, 7, 0]
        for key in ("confseg_frames", "confseg_times"):
            del found[key]
        slicerio.write_segmentation(str(tmp_path / f"{clip}.seg.nrrd"), found)
    request = LabelImportRequest(rater="back", confidence=55)
    report = import_labels(study, tmp_path / "c0.seg.nrrd", request)
    assert [p.code for p in report.problems] == ["frames"]  # 0 and 2, or 0 and 1?
    report = import_labels(study, tmp_path / "c1.seg.nrrd", request)
    assert report.problems == []
    mine, back = both(study, "c1")
    for c in range(3):
        expected = cut(mine.read_planes(c), 40, 55)
        assert np.array_equal(back.read_planes(c)[2, 7:, 5:], expected[2, 7:, 5:])
        assert not back.read_planes(c)[0].any()


def test_volumes_that_were_turned_are_turned_back(
    dataset: Dataset, study: Cohort, tmp_path: Path
) -> None:
    """By nibabel to its own axes; SimpleITK writes them anew, as other numbers."""
    import nibabel
    import SimpleITK as sitk  # noqa: N813

    export(dataset, ExportRequest(format="nifti"), tmp_path / "out")
    for path in (tmp_path / "out" / "c0").glob("*.nii.gz"):
        nibabel.save(nibabel.as_closest_canonical(nibabel.load(path)), path)
    for path in (tmp_path / "out" / "c1").glob("*.nii.gz"):
        sitk.WriteImage(sitk.ReadImage(str(path), sitk.sitkFloat64), str(path))
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back"))
    assert report.problems == []
    for clip in ("c0", "c1", "c2"):
        mine, back = both(study, clip)
        for c in range(3):
            assert np.array_equal(back.read_planes(c)[:3], mine.read_planes(c)[:3])


def test_lines_go_out_as_they_came_in(tmp_path: Path, state_dir: Path) -> None:
    """AnnotateUltrasound's lines become planes, then its lines again, on a curved scan."""
    cohort = Cohort.create(tmp_path / "c.zarr", name="c")
    angles = np.linspace(-0.45, 0.45, 30)
    arcs = [(-20 + r * np.cos(a), 32 + r * np.sin(a)) for r, a in ((64, a) for a in angles)]
    arcs += [(-20 + 22 * np.cos(a), 32 + 22 * np.sin(a)) for a in angles[::-1]]
    add_clip(cohort, "clip-1", n_frames=6)
    sector = Sector(kind="curved", polygon=tuple((float(y), float(x)) for y, x in arcs))
    spacing = Spacing(y=0.5, x=0.5, source="dicom-region")
    cohort.clip("clip-1").update_meta(sector=sector, spacing=spacing)
    shrunk = {k: [[(x / 2, y / 2) for x, y in line] for line in v] for k, v in PAINTED.items()}
    source = write(tmp_path / "in", "clip-1.json", lines(shrunk, frame=4))
    request = LabelImportRequest(rater="tom", line_width=5)
    assert not import_labels(cohort, source, request).problems
    wanted = BuildRequest(
        name="toy", raters=("tom",), classes=("pleura", "b-line"), parts={"train": 1.0}
    )
    made = build(cohort, wanted, tmp_path / "toy")
    assert made.manifest.clips[0].frames == (4,)
    export(made, ExportRequest(format="annotate-ultrasound"), tmp_path / "out")
    said = json.loads((tmp_path / "out" / "clip-1.tom.json").read_text())
    assert {k: said[k] for k in ("mask_type", "center_rows_px", "center_cols_px")} == {
        "mask_type": "fan",
        "center_rows_px": -20,
        "center_cols_px": 32,
    }
    (frame,) = said["frame_annotations"]
    assert frame["frame_number"] == 0  # of the cine beside it
    assert [len(frame[k]) for k in PAINTED] == [1, 1]  # the pleura is straight
    jsonschema.validate(said, json.loads(SCHEMA.read_text()))
    back = request.model_copy(update={"rater": "back"})
    report = import_labels(cohort, tmp_path / "out", back)
    assert (report.problems, report.kind, report.made_by) == ([], "imported", "tom")
    for c in (0, 2):
        planes = [cohort.clip("clip-1").rater(r).read_planes(c) for r in ("tom", "back")]
        assert np.flatnonzero(planes[1].any((1, 2))).tolist() == [4]
        assert alike(planes[0] > 0, planes[1] > 0) > 0.85


def test_columns_of_b_lines_come_back_in_a_linear_scan(
    gapped: Dataset, study: Cohort, tmp_path: Path
) -> None:
    export(gapped, ExportRequest(format="annotate-ultrasound", threshold=40), tmp_path / "out")
    report = import_labels(study, tmp_path / "out", LabelImportRequest(rater="back"))
    assert (report.format, report.problems, report.kind) == ("annotate-ultrasound", [], "human")
    for record in gapped.manifest.clips:
        mine, back = both(study, record.clip)
        columns = [r.read_planes(2)[[0, 2]] >= 40 for r in (mine, back)]
        assert np.array_equal(columns[0].any(1), columns[1].any(1))
        reviewed = np.argwhere(back.read_status() == 2).tolist()
        assert reviewed == [[t, c] for t in (0, 2) for c in (0, 2)]


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
