"""Labels as annotation tools write them: what they come to, and what is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_confseg.formats import voc, xml_tree
from napari_confseg.formats.labels import LabelImportRequest, detect, import_labels
from napari_confseg.store import Cohort, StoreError

if TYPE_CHECKING:
    from typing import Any

    from napari_confseg.formats.labels import ImportReport
    from napari_confseg.store import Rater

CASES = Path(__file__).parent / "cases"
Y, X = np.mgrid[:48, :64]
DISTANCE = np.hypot(Y - 24, X - 30)
RING = (DISTANCE <= 14) & (DISTANCE > 6)
DISC = DISTANCE <= 14


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    return (left <= X) & (right > X) & (top <= Y) & (bottom > Y)


BAR, SQUARE, BOX = rectangle(10, 4, 50, 8), rectangle(20, 12, 40, 30), rectangle(4, 36, 14, 42)
CIRCLE = np.hypot(Y - 33.5, X - 49.5) <= 8
EMPTY = np.zeros((48, 64), bool)
MASK = EMPTY.copy()
MASK[5, 11:13] = MASK[6, 10:14] = True

DRAWN: dict[str, dict[tuple[int, str], np.ndarray]] = {
    "cvat": {(1, "pleura"): SQUARE, (1, "b-line"): BOX},
    "voc": {(1, "pleura"): BAR, (1, "b-line"): RING},
    "label-studio": {(1, "pleura"): BAR, (1, "b-line"): RING},
    "labelme": {
        (1, "pleura"): BAR,
        (1, "b-line"): RING,
        (1, "a-line"): CIRCLE,
        (1, "consolidation"): SQUARE,
    },
    "yolo": {(1, "pleura"): BAR, (1, "b-line"): DISC},
    "cvat-video": {
        (0, "b-line"): rectangle(4, 10, 14, 20),
        (1, "b-line"): rectangle(14, 10, 24, 20),
        (2, "b-line"): rectangle(24, 10, 34, 20),
        (1, "pleura"): SQUARE,
        (3, "a-line"): MASK,
    },
    "label-studio-video": {
        (0, "b-line"): rectangle(4, 12, 14, 24),
        (1, "b-line"): rectangle(14, 12, 24, 24),
        (2, "b-line"): rectangle(24, 12, 34, 24),
    },
    "via": {
        (1, "pleura"): SQUARE | (np.hypot(np.maximum(np.maximum(5 - X, X - 40), 0), Y - 3) <= 3.5),
        (1, "b-line"): BOX,
        (1, "a-line"): np.hypot(Y - 34, X - 50) <= 8,
        (1, "consolidation"): ((X - 50) / 4) ** 2 + ((Y - 14) / 10) ** 2 <= 1,
    },
}
"""What the case files show, by (frame, class)."""

ALL_OF_THEM = {
    "voc": {1},
    "yolo": {1, 2},
    "label-studio": {1, 2},  # the third task was skipped
    "cvat-video": {0, 1, 2, 3},
    "label-studio-video": {0, 1, 2},
}
"""Frames that count as reviewed; else that with the marks."""


def imported(cohort: Cohort, source: Path, **request: Any) -> ImportReport:
    return import_labels(cohort, source, LabelImportRequest(rater="tool", **request))


def codes(cohort: Cohort, source: Path, **request: Any) -> list[str]:
    """What is wrong with `source`, by code."""
    return [p.code for p in imported(cohort, source, **request).problems]


def drawn(cohort: Cohort, clip: str = "clip-1") -> Rater:
    """What came of it."""
    return cohort.clip(clip).rater("tool")


def copied(tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(CASES / name, tmp_path / name))


def test_the_cases_are_known_by_their_files() -> None:
    assert {name: detect(CASES / name) for name in DRAWN} == {
        name: name.removesuffix("-video") for name in DRAWN
    }


@pytest.mark.parametrize("name", DRAWN)
def test_files_of_other_tools_are_read_as_they_were_drawn(cohort: Cohort, name: str) -> None:
    report = imported(cohort, CASES / name, confidence=70)
    assert report.problems == []
    tool = drawn(cohort)
    found = {
        (frame, spec.name): plane == 70
        for spec in cohort.meta.classes
        for frame, plane in enumerate(tool.read_planes(spec.index))
        if plane.any()
    }
    assert found.keys() == DRAWN[name].keys()
    for place, mask in DRAWN[name].items():
        assert np.array_equal(found[place], mask), place
    seen = np.argwhere(tool.read_status() == 2)
    assert set(seen[:, 0].tolist()) == ALL_OF_THEM.get(name, {1})
    names = {cohort.meta.classes[c].name for c in seen[:, 1].tolist()}
    assert names >= {c for _, c in DRAWN[name]}


@pytest.mark.parametrize(("name", "frames"), [("cvat", {1, 2}), ("cvat-video", set(range(6)))])
def test_all_frames_that_are_listed_can_be_taken_for_reviewed(
    cohort: Cohort, name: str, frames: set[int]
) -> None:
    assert codes(cohort, CASES / name, reviewed="all") == []
    status = drawn(cohort).read_status()
    assert set(np.flatnonzero((status == 2).any(1)).tolist()) == frames


CHANGES: list[tuple[str, str, str, str, str]] = [
    ("cvat", "annotations.xml", '"pleura" occ', '"probe" occ', "class-unknown"),
    ("cvat", "annotations.xml", 'width="64"', 'width="65"', "image-size"),
    ("cvat", "annotations.xml", "clip-1/000001.jpg", "clip-1/000077.jpg", "frame-range"),
    ("cvat", "annotations.xml", "20.00,12.00", "nan,12.00", "shape"),
    ("cvat", "annotations.xml", "20.00,12.00", "1e300,12.00", "shape"),
    ("cvat", "annotations.xml", "<polygon", "<cuboid", "xml"),
    ("cvat", "annotations.xml", "<box", '<cuboid label="b-line" xtl1="4"/><box', "shape"),
    (
        "cvat",
        "annotations.xml",
        '<box label="b-line"',
        '<tag label="b-line"/><box label="b-line"',
        "shape",
    ),
    ("cvat", "annotations.xml", '<image id="1"', '<image id="1" name=""', "xml"),
    (
        "cvat",
        "annotations.xml",
        "<annotations>",
        "<!DOCTYPE a []><annotations>",
        "xml",
    ),
    ("cvat-video", "annotations.xml", "1, 2, 1, 4", "1, 2, 1, -4", "shape"),
    ("cvat-video", "annotations.xml", "1, 2, 1, 4", "1, 2, 1, 5", "shape"),
    ("cvat-video", "annotations.xml", 'left="10"', 'left="62"', "shape"),
    ("cvat-video", "annotations.xml", '<polygon frame="2" k', '<polygon frame="4" k', ""),
    ("cvat-video", "annotations.xml", "clip-1.mp4", "clip-8.mp4", "clip-unknown"),
    ("label-studio", "project.json", '"original_width": 64', '"original_width": 48', "shape"),
    ("label-studio", "project.json", '"rle": [0', '"rle": [1', "shape"),
    ("label-studio", "project.json", '"rle": [', '"imageDataURL": [', "shape"),
    ("label-studio", "project.json", '"image_rotation": 0', '"image_rotation": 90', "shape"),
    ("label-studio", "project.json", '"brushlabels": ["pleura"]', '"brushlabels": []', "shape"),
    ("label-studio-video", "tasks.json", '"framesCount": 6', '"framesCount": 60', "track"),
    ("label-studio-video", "tasks.json", '"frame": 3', '"frame": 33', "track"),
    ("labelme", "clip-1/000001.json", '"circle"', '"point"', "shape"),
    ("labelme", "clip-1/000001.json", '"rectangle"', '"points"', "shape"),
    ("labelme", "clip-1/000001.json", "iVBORw0KGgo", "iVBORw0KGgp", "shape"),
    ("labelme", "clip-1/000001.json", '"imageHeight": 48', '"imageHeight": 47', "image-size"),
    ("labelme", "clip-1/000002.json", "{", "[", "json"),
    ("labelme", "clip-1/000002.json", '"shapes"', '"forms"', "labelme"),
    ("via", "project.json", '"name": "circle"', '"name": "point"', "shape"),
    ("via", "project.json", '"cx": 50', '"cx": 500', "shape"),
    ("via", "project.json", "[12, 12, 29, 29]", "[12, 12, 29]", "shape"),
    ("via", "project.json", '"label": "a-line"', '"label": ""', "class-unknown"),
    (
        "yolo",
        "labels/clip-1_000001.txt",
        "0 0.15625 ",
        "0 0.1 0.1 0.1 0.1\n0 0.15625 ",
        "shape",
    ),
    ("yolo", "labels/clip-1_000001.txt", "0 0.15625 ", "0 1.5625 ", "shape"),
    ("yolo", "labels/clip-1_000001.txt", "0 0.15625 ", "7 0.15625 ", "shape"),
    ("yolo", "labels/clip-1_000001.txt", "0 0.15625 ", "0 nan ", "shape"),
    ("yolo", "data.yaml", "names", "labels", "yolo"),
    ("yolo", "data.yaml", "pleura", "probe", "class-unknown"),
    ("voc", "labelmap.txt", "pleura:::", "pleura:1,2,3::", "shape"),
    ("voc", "labelmap.txt", "pleura:::", "pleura:1,2::", "voc"),
]
"""Case, file, text, what comes in its place, and the code of the problem that this is."""


@pytest.mark.parametrize(("name", "file", "old", "new", "code"), CHANGES)
def test_what_cannot_be_read_right_is_named_and_its_clip_left_out(
    cohort: Cohort, tmp_path: Path, name: str, file: str, old: str, new: str, code: str
) -> None:
    source = copied(tmp_path, name)
    text = (source / file).read_text(encoding="utf-8")
    assert old in text
    (source / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    report = imported(cohort, source)
    if not code:  # a polygon that does not change is known between its keyframes
        assert report.problems == []
        return
    assert code in {p.code for p in report.problems}
    assert all(p.path and p.message for p in report.problems)
    assert report.clips == []
    assert cohort.clip("clip-1").raters() == []


def test_a_class_can_be_left_out_by_name(cohort: Cohort, tmp_path: Path) -> None:
    source = copied(tmp_path, "labelme")
    path = source / "clip-1" / "000001.json"
    path.write_text(path.read_text().replace('"a-line"', '"probe"').replace("circle", "points"))
    report = imported(cohort, source)
    assert [p.code for p in report.problems] == ["class-unknown", "class-unknown"]
    assert "--classes 'probe=CLASS'" in report.problems[0].hint + report.problems[1].hint
    assert report.clips == []
    assert codes(cohort, source, classes={"probe": ""}) == []
    assert drawn(cohort).read_plane(1, 2).any()


def test_of_several_annotations_one_author_is_taken(cohort: Cohort, tmp_path: Path) -> None:
    source = copied(tmp_path, "label-studio")
    path = source / "project.json"
    tasks = json.loads(path.read_text())
    other = json.loads(json.dumps(tasks[0]["annotations"][0])) | {"completed_by": 2}
    other["result"] = other["result"][1:]
    tasks[0]["annotations"].append(other)
    path.write_text(json.dumps(tasks))
    assert codes(cohort, source) == ["several-raters"]
    assert codes(cohort, source, author="2") == []
    tool = drawn(cohort)
    assert not tool.read_plane(1, 2).any()
    assert tool.read_plane(1, 0).any()
    # The second task was submitted by the other person: it says nothing of what this one saw.
    assert np.flatnonzero((tool.read_status() == 2).any(1)).tolist() == [1]


def test_shapes_that_label_studio_keeps_in_two_results(cohort: Cohort, tmp_path: Path) -> None:
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    box = {"x": 50, "y": 50, "width": 25, "height": 12.5, "rotation": 90}
    ellipse = {"x": 25, "y": 50, "radiusX": 12.5, "radiusY": 12.5, "ellipselabels": ["a-line"]}
    corners = [[12.5, 25], [25, 25], [25, 50], [12.5, 50]]
    polygon = {"points": corners, "polygonlabels": ["b-line"], "closed": True}
    results = [
        {"id": "a", "type": "rectangle", "value": box, **size},
        {"id": "a", "type": "labels", "value": {**box, "labels": ["pleura"]}, **size},
        {"id": "b", "type": "ellipselabels", "value": ellipse, **size},
        {"id": "c", "type": "polygonlabels", "value": polygon, **size},
        {"id": "d", "type": "choices", "value": {"choices": ["good"]}},
    ]
    task = {
        "data": {"image": "s3://bucket/clip-1/000003.png"},
        "annotations": [{"result": results}],
    }
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task]))
    assert codes(cohort, path, confidence=70) == []
    planes = [drawn(cohort).read_plane(3, c) == 70 for c in range(3)]
    assert np.array_equal(planes[0], rectangle(26, 24, 32, 40))  # turned about its corner
    assert np.array_equal(planes[1], ((X - 15.5) / 8) ** 2 + ((Y - 23.5) / 6) ** 2 <= 1)
    assert np.array_equal(planes[2], rectangle(8, 12, 16, 24))


def test_what_yolo_predicts_has_its_confidence(cohort: Cohort, tmp_path: Path) -> None:
    source = copied(tmp_path, "yolo")
    path = source / "labels" / "clip-1_000001.txt"
    first, second = path.read_text().splitlines()
    path.write_text(f"{first} 0.334\n{second} 0.001\n")
    assert codes(cohort, source) == []
    tool = drawn(cohort)
    assert np.unique(tool.read_plane(1, 0)).tolist() == [0, 33]
    assert np.unique(tool.read_plane(1, 2)).tolist() == [0, 1]


def test_yolos_pictures_must_be_of_the_clips_size(cohort: Cohort, tmp_path: Path) -> None:
    source = copied(tmp_path, "yolo")
    (source / "images").mkdir()
    Image.new("L", (32, 24)).save(source / "images" / "clip-1_000001.png")
    assert codes(cohort, source) == ["image-size"]
    assert cohort.clip("clip-1").raters() == []


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_void_of_a_mask_is_excluded(cohort: Cohort, tmp_path: Path, mode: str) -> None:
    source = tmp_path / "voc"
    (source / "SegmentationClass").mkdir(parents=True)
    (source / "labelmap.txt").write_text("background:0,0,0::\nb-line:9,8,7::\nignored:1,1,1::\n")
    coded = np.where(RING, 1, 0).astype(np.uint8)
    coded[:3] = 255 if mode != "RGB" else 2
    image = Image.fromarray(coded)
    if mode != "L":
        image.putpalette([0, 0, 0, 9, 8, 7, 1, 1, 1, *range(256 - 9), *[0] * 512])
    image.convert(mode).save(source / "SegmentationClass" / "clip-1_000001.png")
    assert codes(cohort, source, confidence=70) == []
    expected = np.where(RING, 70, 0)
    expected[:3] = 255
    tool = drawn(cohort)
    assert np.array_equal(tool.read_plane(1, 2), expected)
    assert np.argwhere(tool.read_status()).tolist() == [[1, 2]]


def test_labels_of_one_colour_are_told_apart_by_number_or_not_at_all(
    cohort: Cohort, tmp_path: Path
) -> None:
    source = copied(tmp_path, "voc")
    (source / "labelmap.txt").write_text("background:0,0,0::\npleura:9,9,9::\nb-line:9,9,9::\n")
    path = source / "SegmentationClass" / "clip-1_000001.png"
    image = Image.fromarray(np.where(RING, 2, np.where(BAR, 1, 0)).astype(np.uint8))
    image.putpalette([0, 0, 0, *[9] * 765])
    image.convert("RGB").save(path)
    assert codes(cohort, source) == ["shape"]
    image.save(path)
    assert codes(cohort, source) == []
    assert np.array_equal(drawn(cohort).read_plane(1, 2) > 0, RING)


def test_colours_of_classes_are_told_apart_in_a_mask() -> None:
    assert voc._colors(["#010203", "#f0e442"]) == [(0, 0, 0), (1, 2, 3), (240, 228, 66)]
    usual = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]  # as Pascal VOC's first two classes
    for same in (["#bbbbbb", "#bbbbbb"], ["#000000", "#bbbbbb"], ["#e0e0c0", "#bbbbbb"]):
        assert voc._colors(same) == usual


def test_a_number_that_no_label_has_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    source = copied(tmp_path, "voc")
    path = source / "SegmentationClass" / "clip-1_000001.png"
    Image.fromarray(np.where(RING, np.uint8(9), np.uint8(0))).save(path)
    assert codes(cohort, source) == ["shape"]
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(path)
    assert codes(cohort, source) == ["shape"]


def test_via_asks_which_attribute_is_the_class(cohort: Cohort, tmp_path: Path) -> None:
    source = copied(tmp_path, "via") / "project.json"
    data = json.loads(source.read_text().replace('"label"', '"what"'))
    assert codes(_written(cohort, source, data), source) == []
    for picture in data["_via_img_metadata"].values():
        for region in picture["regions"]:
            region["region_attributes"]["how"] = "sharp"
    (problem,) = imported(_written(cohort, source, data), source).problems
    assert "how, what" in problem.message
    assert "'class'" in problem.hint


def _written(cohort: Cohort, path: Path, data: Any) -> Cohort:
    path.write_text(json.dumps(data))
    return cohort


def test_annotations_of_via_alone(cohort: Cohort, tmp_path: Path) -> None:
    data = json.loads((CASES / "via" / "project.json").read_text())["_via_img_metadata"]
    path = tmp_path / "via.json"
    path.write_text(json.dumps(data))
    with pytest.raises(StoreError, match="not recognised"):
        imported(cohort, path)
    assert codes(cohort, path, format="via") == []
    assert drawn(cohort).read_plane(1, 2).any()


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE a><annotations/>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>',
        "<annotations>" * 50 + "</annotations>" * 50,
        "<annotations><a></annotations>",
        "",
        "<annotations>&b;</annotations>",
        '<?xml version="1.0" encoding="nothing"?><annotations/>',
    ],
)
def test_xml_that_is_more_or_less_than_it_should_be(tmp_path: Path, text: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    with pytest.raises(StoreError) as refused:
        xml_tree.read_xml(path)
    (problem,) = refused.value.problems
    assert (problem.code, problem.path) == ("xml", str(path))


def test_very_many_elements_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations>{'<a/>' * 1000}</annotations>")
    assert len(xml_tree.read_xml(path)) == 1000
    monkeypatch.setattr(xml_tree, "_MOST_ELEMENTS", 999)
    with pytest.raises(StoreError, match="more than 999 elements"):
        xml_tree.read_xml(path)


def test_no_frame_beside_those_of_the_task_is_taken_for_reviewed(
    cohort: Cohort, tmp_path: Path
) -> None:
    """A task of every second frame from the second one on, with a skeleton that is left out."""
    text = (CASES / "cvat-video" / "annotations.xml").read_text()
    text = text.replace("<start_frame>0", "<start_frame>1")
    text = text.replace("<frame_filter>", "<frame_filter>step=2")
    head = text.split("  <track", 1)[0]
    skeleton = (
        '<track id="9" label="probe"><skeleton frame="1" keyframe="1"/>'
        '<track id="0" label="tip"><points frame="1" points="1,1"/></track></track></annotations>'
    )
    path = tmp_path / "annotations.xml"
    path.write_text(head + skeleton)
    left_out = {"probe": ""}
    assert "nothing-found" in set(codes(cohort, path, classes=left_out))
    assert set(codes(cohort, path)) == {"class-unknown"}
    assert codes(cohort, path, classes=left_out, reviewed="all") == []
    status = drawn(cohort).read_status()
    assert np.flatnonzero((status == 2).any(1)).tolist() == [1, 3, 5]


PROJECT = """<annotations><version>1.1</version><meta><project><tasks>
<task><id>4</id><name>other</name><frame_filter>step=2</frame_filter><stop_frame>5</stop_frame>
<source>videos/clip-1.mp4</source></task>
<task><id>5</id><name>clip-2</name></task></tasks>
<labels><label><name>b-line</name></label><label><name>rib</name></label></labels></project></meta>
<image id="2" name="frame_000002" task_id="5" width="64" height="48">
<box label="rib" xtl="20" ytl="10" xbr="40" ybr="16" rotation="90"/>
<ellipse label="b-line" cx="50" cy="20" rx="8" ry="4"/>
<polyline label="pleura" points="5.5,3.5;40.5,3.5"/></image>
<track id="0" label="b-line" task_id="4">
<box frame="0" keyframe="1" outside="0" xtl="4" ytl="10" xbr="14" ybr="20"/>
<box frame="4" keyframe="1" outside="1" xtl="24" ytl="10" xbr="34" ybr="20"/></track>
<track id="1" label="rib" task_id="4">
<polygon frame="2" keyframe="1" outside="0" points="20,12;40,12;40,30;20,30"/>MORE</track>
</annotations>"""


def test_tasks_of_a_project_with_every_second_frame(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(PROJECT.replace("MORE", ""))
    assert codes(cohort, path, confidence=70) == []
    first, second = (drawn(cohort, f"clip-{i}") for i in (1, 2))
    lines, ribs = first.read_planes(2) == 70, first.read_planes(5) == 70
    assert np.array_equal(lines[0], rectangle(4, 10, 14, 20))
    assert np.array_equal(lines[2], rectangle(14, 10, 24, 20))  # half way, and then outside
    assert not lines[[1, 3, 4, 5]].any()
    assert [bool(plane.any()) for plane in ribs] == [False, False, True, False, True, False]
    assert np.array_equal(ribs[4], SQUARE)  # it stays until it is outside
    assert np.array_equal(second.read_plane(2, 5) == 70, rectangle(27, 3, 33, 23))
    ellipse = ((X - 49.5) / 8) ** 2 + ((Y - 19.5) / 4) ** 2 <= 1
    assert np.array_equal(second.read_plane(2, 2) == 70, ellipse)
    assert second.read_plane(2, 0)[0:7, 5:41].all()
    assert np.argwhere(second.read_status() == 2).tolist() == [[2, 0], [2, 2], [2, 5]]


def test_a_polygon_that_moves_between_keyframes_is_not_guessed(
    cohort: Cohort, tmp_path: Path
) -> None:
    moved = '<polygon frame="6" keyframe="1" outside="0" points="20,12;40,12;40,30;21,30"/>'
    path = tmp_path / "annotations.xml"
    path.write_text(PROJECT.replace("MORE", moved))
    (problem,) = imported(cohort, path).problems
    assert (problem.code, problem.path) == ("track", "annotations.xml track 1")
    assert "keyframes 2 and 6" in problem.message
    assert cohort.clip("clip-1").raters() == []
    assert cohort.clip("clip-2").raters() == ["tool"]
