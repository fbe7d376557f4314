"""Labels that others made: lines of AnnotateUltrasound, COCO as it comes, and what can be wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.draw import polygon2mask

from napari_confseg.__main__ import main
from napari_confseg.formats import labels as imports
from napari_confseg.formats.labels import LabelImportRequest, import_labels
from napari_confseg.store import Cohort, Imported, RaterWriter, Spacing, Status, StoreError

PLEURA, B_LINE = 0, 2
FAN = {
    "mask_type": "fan",
    "center_rows_px": -20,
    "center_cols_px": 32,
    "radius1": 22,
    "radius2": 64,
    "image_size_rows": 48,
    "image_size_cols": 64,
}


def lines(
    points: dict[str, list[list[tuple[float, float]]]],
    *,
    rater: str = "tom",
    frame: int = 2,
    space: str = "LPS",
    **more: Any,
) -> dict[str, Any]:
    """An AnnotateUltrasound file as it saves one: points (x, y) in millimetres."""
    sign = -1 if space == "RAS" else 1
    made = {
        kind: [
            {"rater": rater, "line": {"points": [[sign * x, sign * y, 0.0] for x, y in line]}}
            for line in points.get(kind, [])
        ]
        for kind in ("pleura_lines", "b_lines")
    }
    return {
        "SOPInstanceUID": "1.2.3",
        "labels": [],
        "frame_annotations": [{"frame_number": frame, "coordinate_space": space, **made}],
        **FAN,
        **more,
    }


PAINTED = {
    "pleura_lines": [[(20.0, 10.0), (44.0, 10.0)]],
    "b_lines": [[(26.0, 30.0), (34.0, 30.0)]],
}


def write(folder: Path, name: str, data: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(data), encoding="utf-8")
    return folder


def wedge(points: list[tuple[float, float]]) -> np.ndarray:
    """The part of the fan between two rays, drawn as a polygon."""
    angles = [np.arctan2(x - 32, y + 20) for x, y in points]
    around = np.linspace(min(angles), max(angles), 50)
    arc = [(-20 + 64 * np.cos(a), 32 + 64 * np.sin(a)) for a in around]
    back = [(-20 + 22 * np.cos(a), 32 + 22 * np.sin(a)) for a in around[::-1]]
    return np.asarray(polygon2mask((48, 64), np.array(arc + back)))


def alike(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_lines_become_bands_and_parts_of_the_fan(cohort: Cohort, tmp_path: Path) -> None:
    source = write(tmp_path / "slicer", "clip-1.tom.json", lines(PAINTED))
    report = import_labels(
        cohort, source, LabelImportRequest(rater="tom", confidence=80, line_width=3)
    )
    assert (report.format, report.problems) == ("annotate-ultrasound", [])
    tom = cohort.clip("clip-1").rater("tom")
    pleura, b_line = tom.read_plane(2, PLEURA), tom.read_plane(2, B_LINE)
    assert np.array_equal(np.unique(pleura), [0, 80])
    band = np.zeros((48, 64), bool)
    band[9:12, 19:46] = True
    assert np.array_equal(pleura > 0, band)
    assert alike(b_line > 0, wedge(PAINTED["b_lines"][0])) > 0.9
    reviewed = np.argwhere(tom.read_status() == Status.REVIEWED).tolist()
    assert reviewed == [[2, PLEURA], [2, B_LINE]]
    (stroke,) = tom.read_strokes()
    assert (stroke.tool, stroke.confidence) == ("import", 80)


def test_space_spacing_and_crop_lead_to_the_same_pixels(cohort: Cohort, tmp_path: Path) -> None:
    clip = cohort.clip("clip-2")
    clip.update_meta(spacing=Spacing(y=0.5, x=0.25, source="dicom-region"))
    origin = clip.meta.provenance.model_dump() | {"crop": (5, 7, 53, 71)}
    clip.update_meta(provenance=origin)
    moved = {
        k: [[((x + 7) * 0.25, (y + 5) * 0.5) for x, y in line] for line in v]
        for k, v in PAINTED.items()
    }
    fan = {
        "center_rows_px": -15,
        "center_cols_px": 39,
        "image_size_rows": 60,
        "image_size_cols": 80,
    }
    source = write(tmp_path / "s", "clip-1.json", lines(PAINTED, space="RAS"))
    write(source, "clip-2.json", lines(moved, **fan))
    assert not import_labels(cohort, source, LabelImportRequest(rater="tom")).problems
    for c in (PLEURA, B_LINE):
        planes = [cohort.clip(n).rater("tom").read_plane(2, c) for n in ("clip-1", "clip-2")]
        assert planes[0].any()
        assert np.array_equal(*planes)


def test_what_was_struck_out_and_the_first_form_of_the_file(cohort: Cohort, tmp_path: Path) -> None:
    struck = lines(PAINTED)
    struck["frame_annotations"][0]["b_lines"][0]["validation"] = {"status": "invalidated"}
    source = write(tmp_path / "s", "clip-1.json", struck)
    bare = {"frame_annotations": {"1": {"pleura_lines": [[[-20, -10, 0], [-44, -10, 0]]]}}}
    write(source, "clip-2.json", bare)
    assert not import_labels(cohort, source, LabelImportRequest(rater="tom")).problems
    first, second = (cohort.clip(n).rater("tom") for n in ("clip-1", "clip-2"))
    assert not first.read_plane(2, B_LINE).any()
    assert first.read_status()[2, B_LINE] == Status.REVIEWED
    assert np.array_equal(second.read_plane(1, PLEURA), first.read_plane(2, PLEURA))


def test_one_bad_clip_is_left_out_whole_and_the_rest_comes(cohort: Cohort, tmp_path: Path) -> None:
    outside = {"pleura_lines": [[(20.0, 10.0), (90.0, 10.0)]]}
    bad = lines(PAINTED)
    bad["frame_annotations"] += lines(outside, frame=3)["frame_annotations"]
    bad["frame_annotations"] += lines(PAINTED, frame=99)["frame_annotations"]
    source = write(tmp_path / "s", "clip-1.json", bad)
    write(source, "clip-2.json", lines(PAINTED))
    write(source, "clip-9.json", lines(PAINTED))
    (source / "broken.json").write_text("{")
    report = import_labels(cohort, source, LabelImportRequest(rater="tom"))
    assert {p.code for p in report.problems} == {"outside", "frame-range", "clip-unknown", "json"}
    assert [c.clip for c in report.clips] == ["clip-2"]
    assert "tom" not in cohort.clip("clip-1").raters()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"image_size_rows": 49}, "image-size"),
        ({"frame_annotations": [{"pleura_lines": []}]}, "malformed"),
        ({"frame_annotations": []}, "nothing-found"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    cohort: Cohort, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    source = write(tmp_path / "s", "clip-1.json", lines(PAINTED) | change)
    report = import_labels(cohort, source, LabelImportRequest(rater="tom"))
    assert [p.code for p in report.problems] == [code]
    assert not cohort.clip("clip-1").raters()


def test_of_several_raters_one_must_be_named(cohort: Cohort, tmp_path: Path) -> None:
    data = lines(PAINTED)
    data["frame_annotations"] += lines(PAINTED, rater="sarah", frame=4)["frame_annotations"]
    source = write(tmp_path / "s", "clip-1.json", data)
    report = import_labels(cohort, source, LabelImportRequest(rater="sarah"))
    assert [p.code for p in report.problems] == ["several-raters"]
    assert not import_labels(
        cohort, source, LabelImportRequest(rater="sarah", author="sarah")
    ).problems
    planes = cohort.clip("clip-1").rater("sarah").read_planes(PLEURA)
    assert np.flatnonzero(planes.any((1, 2))).tolist() == [4]


def test_matched_by_the_clips_own_file_and_by_a_pair(cohort: Cohort, tmp_path: Path) -> None:
    clip = cohort.clip("clip-1")
    video = b"not really a video"
    clip.update_meta(
        provenance=clip.meta.provenance.model_dump()
        | {"source_sha256": hashlib.sha256(video).hexdigest()}
    )
    source = write(tmp_path / "s", "3038_7062.tom.json", lines(PAINTED))
    (source / "3038_7062.dcm").write_bytes(video)
    write(source, "else.json", lines(PAINTED))
    request = LabelImportRequest(rater="tom", clips={"else": "clip-2"})
    report = import_labels(cohort, source, request, dry_run=True)
    assert [(c.source, c.clip, c.written) for c in report.clips] == [
        ("3038_7062", "clip-1", False),
        ("else", "clip-2", False),
    ]
    assert not clip.raters()
    assert not import_labels(cohort, source, request).problems
    assert clip.raters() == ["tom"]
    again = import_labels(cohort, source, request)
    assert {p.code for p in again.problems} == {"exists"}


def test_an_import_is_undone_as_one(cohort: Cohort, tmp_path: Path) -> None:
    import_labels(
        cohort,
        write(tmp_path / "s", "clip-1.json", lines(PAINTED)),
        LabelImportRequest(rater="tom"),
    )
    with RaterWriter.open(cohort, "clip-1", "tom", kind="imported") as writer:
        writer.undo()
    tom = cohort.clip("clip-1").rater("tom")
    assert not tom.stored_chunks()
    assert not tom.read_status().any()


def test_planes_that_somebody_holds_are_left_alone(cohort: Cohort, tmp_path: Path) -> None:
    source = write(tmp_path / "s", "clip-1.json", lines(PAINTED))
    with RaterWriter.open(cohort, "clip-1", "tom"):
        report = import_labels(cohort, source, LabelImportRequest(rater="tom", kind="human"))
        other = import_labels(cohort, source, LabelImportRequest(rater="tom"))
    assert [p.code for p in report.problems] == ["read-only"]
    assert [p.code for p in other.problems] == ["rater-kind"]  # a reader's name is not free


def coco(**changes: Any) -> dict[str, Any]:
    """A file as others make it: polygons, no confidence, names of their own."""
    data = {
        "images": [
            {"id": 7, "file_name": "clip-1/000003.png", "height": 48, "width": 64},
            {"id": 8, "file_name": "clip-1_000004.png", "height": 48, "width": 64},
        ],
        "categories": [{"id": 1, "name": "B line"}, {"id": 2, "name": "bline artefact"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 1,
                "segmentation": [[10, 10, 30, 10, 30, 20, 10, 20]],
            },
            {
                "id": 2,
                "image_id": 7,
                "category_id": 1,
                "score": 0.33,
                "segmentation": {"size": [48, 64], "counts": [0, 5, 48 * 64 - 5]},
            },
            {
                "id": 3,
                "image_id": 7,
                "category_id": 1,
                "iscrowd": 1,
                "segmentation": {"size": [48, 64], "counts": [48 * 64 - 3, 3]},
            },
        ],
    }
    return data | changes


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
def test_coco_as_others_make_it(cohort: Cohort, tmp_path: Path) -> None:
    source = write(tmp_path / "s", "labels.json", coco())
    request = LabelImportRequest(rater="peer", confidence=65, classes={"bline artefact": ""})
    report = import_labels(cohort, source, request)
    assert (report.format, report.problems) == ("coco", [])
    peer = cohort.clip("clip-1").rater("peer")
    plane = peer.read_plane(3, B_LINE)
    assert (plane[10:20, 10:30] == 65).all()
    assert plane[:5, 0].tolist() == [33] * 5  # run lengths go down the columns
    assert plane[-3:, -1].tolist() == [255] * 3
    assert (plane > 0).sum() == pytest.approx(200 + 5 + 3, abs=35)  # a polygon's edge
    reviewed = np.argwhere(peer.read_status() == Status.REVIEWED).tolist()
    assert reviewed == [[3, B_LINE]]  # nothing says that anybody looked at frame 4
    request = request.model_copy(update={"rater": "looked", "reviewed": "all"})
    assert not import_labels(cohort, source, request).problems
    status = cohort.clip("clip-1").rater("looked").read_status()
    assert np.argwhere(status == Status.REVIEWED).tolist() == [[3, B_LINE], [4, B_LINE]]
    assert (peer.meta.kind, peer.meta.learnt) == ("imported", False)
    assert peer.meta.imported == Imported(format="coco")


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_coco_problems_are_named(cohort: Cohort, tmp_path: Path) -> None:
    bad = coco()
    bad["images"][1] |= {"height": 50}
    bad["annotations"][1] |= {"score": 3}
    bad["annotations"][2] |= {"image_id": 99}
    report = import_labels(
        cohort, write(tmp_path / "s", "labels.json", bad), LabelImportRequest(rater="peer")
    )
    assert {p.code for p in report.problems} == {
        "class-unknown",
        "image-size",
        "confidence-range",
        "image-unknown",
    }
    assert not cohort.clip("clip-1").raters()


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_a_clip_with_any_problem_can_be_imported_again(cohort: Cohort, tmp_path: Path) -> None:
    lacking = coco(images=[coco()["images"][0]])
    other = coco(images=[{"id": 7, "file_name": "clip-2/3.png", "height": 48, "width": 64}])
    other["categories"] = other["categories"][:1]
    source = write(tmp_path / "s", "a.json", lacking)
    write(source, "b.json", other)
    report = import_labels(cohort, source, LabelImportRequest(rater="peer"))
    assert [p.code for p in report.problems] == ["class-unknown"]
    assert [c.clip for c in report.clips] == ["clip-2"]
    request = LabelImportRequest(rater="peer", classes={"bline artefact": "rib"})
    report = import_labels(cohort, source / "a.json", request)
    assert ([c.clip for c in report.clips], report.problems) == (["clip-1"], [])


def test_two_places_of_one_clip_are_both_left_out(cohort: Cohort, tmp_path: Path) -> None:
    source = write(tmp_path / "s", "clip-1.json", lines(PAINTED))
    write(source, "else.json", lines(PAINTED))
    request = LabelImportRequest(rater="tom", clips={"else": "clip-1"})
    report = import_labels(cohort, source, request)
    assert {(p.code, p.path) for p in report.problems} == {
        ("clip-twice", "clip-1"),
        ("clip-twice", "else"),
    }
    assert not cohort.clip("clip-1").raters()


def test_the_command_lists_what_would_come_and_tells_every_problem(
    cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "s", "clip-1.json", lines(PAINTED))
    write(source, "clip-9.json", lines(PAINTED))
    call = ["import-labels", str(source), "--cohort", cohort.location, "--rater", "tom"]
    assert main([*call, "--json"]) == 1  # nobody is there to be asked
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert "--kind" in problem["hint"]
    call += ["--kind", "human", "--made-by", "Tom, on paper"]
    assert main([*call, "--dry-run", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [c["clip"] for c in said["clips"]] == ["clip-1"]
    assert [p["code"] for p in said["problems"]] == ["clip-unknown"]
    assert not cohort.clip("clip-1").raters()
    assert main([*call, "--clips", "clip-9=clip-2", "--label", "Dr. Tom"]) == 0
    assert "came in as rater tom" in capsys.readouterr().out
    tom = cohort.clip("clip-2").rater("tom").meta
    assert (tom.label, tom.kind, tom.learnt) == ("Dr. Tom", "human", False)
    assert tom.imported == Imported(format="annotate-ultrasound", made_by="Tom, on paper")
    assert main(["import-labels", str(tmp_path / "none"), *call[2:]]) == 1
    for wrong in (("--classes", "nothing"), ("--confidence", "0"), ("--format", "webdataset")):
        with pytest.raises(SystemExit, match="2"):
            main([*call, *wrong])


def test_what_is_none_of_the_formats_is_refused() -> None:
    with pytest.raises(StoreError, match="format"):
        imports.detect(Path(__file__))
