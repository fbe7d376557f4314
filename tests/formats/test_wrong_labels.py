"""Labels that are not what they seem: read right, or refused whole, never taken for absence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_confseg.formats.label_source import Target
from napari_confseg.formats.labels import LabelImportRequest, import_labels
from napari_confseg.store import Cohort, Status
from tests.conftest import add_clip
from tests.formats.test_labels import PAINTED, lines, write

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parents[1] / "fuzz" / "seeds"
"""Files with one fault each, of the clip below; the fuzzer begins with them, too."""
CLIP = "clip-979ce062"
PLEURA, B_LINE = 0, 2

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own


@pytest.fixture
def ward(tmp_path: Path, state_dir: Path) -> Cohort:
    """The clip of the cases."""
    made = Cohort.create(tmp_path / "ward.zarr", name="ward")
    add_clip(made, CLIP, n_frames=24, shape=(120, 160), patient="p9")
    return made


def bring(ward: Cohort, source: Path, **request: Any) -> list[str]:
    """Import, and return the codes of problems; if there are any, nothing may have come."""
    report = import_labels(ward, source, LabelImportRequest(rater="peer", **request))
    assert bool(report.clips) != bool(report.problems)
    assert ward.clip(CLIP).raters() == (["peer"] if report.clips else [])
    return [p.code for p in report.problems]


def check_box(ward: Cohort, rater: str = "peer") -> None:
    """The one mark that the cases hold: a box of pleura on frame 2."""
    peer = ward.clip(CLIP).rater(rater)
    expected = np.zeros((24, 120, 160), np.uint8)
    expected[2, 30:50, 40:90] = 80
    assert np.array_equal(peer.read_planes(PLEURA), expected)
    seen = np.argwhere(peer.read_status() == Status.REVIEWED).tolist()
    assert seen == [[2, PLEURA], [2, B_LINE]]


@pytest.mark.parametrize("name", ["bom", "catstr", "strid", "winpath"])
def test_what_can_be_told_is_read_right(ward: Cohort, name: str) -> None:
    assert bring(ward, CASES / f"{name}.json") == []
    check_box(ward)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("catunknown.json", "class-unknown"),
        ("nan.json", "segmentation"),
        ("oddpoly.json", "segmentation"),
        ("rle_as_poly.json", "segmentation"),
        ("rle_neg.json", "segmentation"),
        ("nn_255", "value-undeclared"),
    ],
)
def test_what_cannot_be_told_is_refused_whole(ward: Cohort, name: str, code: str) -> None:
    assert bring(ward, CASES / name) == [code]


def test_the_corrected_rerun_is_not_refused(ward: Cohort) -> None:
    source = CASES / "catunknown.json"
    assert bring(ward, source) == ["class-unknown"]
    assert bring(ward, source, classes={"probe": "pleura"}) == []
    check_box(ward)


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((CASES / "bom.json").read_bytes())
    change(tree)
    return tree


def image(**new: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda tree: tree["images"][0].update(new)


def note(**new: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda tree: tree["annotations"][0].update(new)


def outline(*points: float) -> Callable[[dict[str, Any]], Any]:
    return note(segmentation=[list(points)])


NOT_COCO: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "category not declared": (note(category_id=8), "category-unknown"),
    "category unknown and unused": (
        lambda tree: tree["categories"].append({"id": 3, "name": "probe"}),
        "class-unknown",
    ),
    "category twice": (lambda tree: tree["categories"].append(tree["categories"][0]), "twice"),
    "image twice": (lambda tree: tree["images"].append(tree["images"][0]), "twice"),
    "frame twice": (lambda tree: tree["images"].append(tree["images"][0] | {"id": 2}), "twice"),
    "identifier is a list": (note(category_id=[7]), "malformed"),
    "identifier is true": (note(image_id=True), "malformed"),
    "frame between two": (image(frame=2.5), "malformed"),
    "no frame": (image(clip=CLIP, file_name="scan.png"), "clip-unknown"),
    "reviewed unknown": (image(reviewed_category_ids=[8]), "malformed"),
    "box only": (note(segmentation=[]), "segmentation"),
    "box as a polygon": (outline(40, 30, 90, 50), "segmentation"),
    "empty run": (note(segmentation={"size": [120, 160], "counts": [19200]}), "segmentation"),
    "shares of the picture": (outline(0.2, 0.2, 0.6, 0.2, 0.6, 0.5), "segmentation"),
    "of a larger picture": (outline(300, 30, 400, 30, 400, 90), "segmentation"),
    "infinite": (outline(40, 30, float("inf"), 30, 90, 50), "segmentation"),
    "one line": (outline(40, 30, 90, 30, 60, 30), "segmentation"),
    "crowd as text": (note(iscrowd="0"), "crowd"),
    "score in percent": (note(score=85), "confidence-range"),
    "score no number": (note(score=float("nan")), "confidence-range"),
    "score as text": (note(score="0.5"), "confidence-range"),
    "confidence 255": (note(confidence=255), "confidence-range"),
}


def test_related_faults_of_coco_are_refused_whole(ward: Cohort, tmp_path: Path) -> None:
    codes = {}
    for name, (change, code) in NOT_COCO.items():
        found = bring(ward, write(tmp_path / "s", "labels.json", changed(change)))
        codes[name] = code if code in found else found
    assert codes == {name: code for name, (_, code) in NOT_COCO.items()}


SAME = [
    note(category_id=7.0, image_id="1"),
    image(file_name="C:\\data\\images\\clip-979ce062\\000002.png"),
    image(file_name="/data/images/clip-979ce062_000002.png"),
    image(file_name="clip-979ce062/frame2.png"),
    image(clip=CLIP, frame="2", file_name="scan.png"),
    outline(40, 30, 90, 30, 90, 50, 40, 50, 40, 30),
]


def test_ways_to_write_the_same_are_read_right(ward: Cohort, tmp_path: Path) -> None:
    for number, change in enumerate(SAME):
        source = write(tmp_path / "s", "labels.json", changed(change))
        report = import_labels(ward, source, LabelImportRequest(rater=f"peer-{number}"))
        assert report.problems == []
        check_box(ward, f"peer-{number}")
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "labels.json").write_text(json.dumps(changed(dict)), encoding=encoding)
        request = LabelImportRequest(rater=encoding)
        assert import_labels(ward, tmp_path / "labels.json", request).problems == []
        check_box(ward, encoding)


def nnunet(folder: Path, picture: np.ndarray, labels: dict[str, Any]) -> Path:
    write(folder, "dataset.json", {"labels": labels, "file_ending": ".png"})
    (folder / "labelsTr").mkdir()
    Image.fromarray(picture).save(folder / "labelsTr" / f"{CLIP}_000002.png")
    return folder


@pytest.mark.parametrize(
    ("value", "labels", "code"),
    [
        (1, {"background": 0, "Pleural line": 1, "B-line": 2}, None),
        (1, {"0": "background", "1": "Pleural line", "2": "B-line"}, None),  # version 1
        (3, {"background": 0, "Pleural line": 1}, "value-undeclared"),
        (1, {"background": 0, "Pleural line": 1, "probe": 2}, "class-unknown"),
        (1, {"background": 0, "Pleural line": 1.5}, "labels"),
        (1, {}, "labels"),
    ],
)
def test_values_of_label_maps_are_those_declared(
    ward: Cohort, tmp_path: Path, value: int, labels: dict[str, Any], code: str | None
) -> None:
    picture = np.zeros((120, 160), np.uint8)
    picture[30:50, 40:90] = value
    source = nnunet(tmp_path / "s", picture, labels)
    assert bring(ward, source)[:1] == ([code] if code else [])
    if code is None:
        check_box(ward)


def test_a_coloured_label_map_is_refused(ward: Cohort, tmp_path: Path) -> None:
    source = nnunet(tmp_path / "s", np.zeros((120, 160, 3), np.uint8), {"pleura": 1})
    assert bring(ward, source) == ["image-size"]


def test_frames_that_somebody_else_annotated_are_not_absent(cohort: Cohort, tmp_path: Path) -> None:
    data = lines(PAINTED)
    data["frame_annotations"] += lines(PAINTED, rater="sarah", frame=4)["frame_annotations"]
    source = write(tmp_path / "s", "clip-1.json", data)
    request = LabelImportRequest(rater="t", author="tim")
    report = import_labels(cohort, source, request)
    assert [p.code for p in report.problems] == ["author-unknown"]
    request = LabelImportRequest(rater="t", author="tom")
    assert not import_labels(cohort, source, request).problems
    status = cohort.clip("clip-1").rater("t").read_status()
    assert np.argwhere(status == Status.REVIEWED).tolist() == [[2, PLEURA], [2, B_LINE]]


@pytest.mark.parametrize(
    "frame",
    [
        {"frame_number": 2, "coordinate_space": "LPS"},
        lines({"b_lines": [[(30.0, 30.0), (30.0, 20.0)]]})["frame_annotations"][0],
    ],
)
def test_lines_that_say_nothing_are_refused(
    cohort: Cohort, tmp_path: Path, frame: dict[str, Any]
) -> None:
    data = lines({}) | {"frame_annotations": [frame], "radius1": 90}
    report = import_labels(
        cohort, write(tmp_path / "s", "clip-1.json", data), LabelImportRequest(rater="t")
    )
    assert [p.code for p in report.problems] == ["line"]


def test_names_in_another_script_are_not_alike(cohort: Cohort) -> None:
    first, second, *others = cohort.meta.classes
    named = (
        first.model_copy(update={"label": "胸膜线"}),
        second.model_copy(update={"label": "Linie Ä"}),
        *others,
    )
    target = Target(
        cohort.meta.model_copy(update={"classes": named}), LabelImportRequest(rater="t"), []
    )
    assert target.class_index("胸膜线", "") == 0
    assert target.class_index("linie-ä", "") == 1
    assert target.class_index("B线", "") is None
    assert [p.code for p in target.problems] == ["class-unknown"]
