"""The annotation lead's desk without Qt: from two raters to an export, and what can go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from zarr.storage import LocalStore

from napari_confseg.agreement import consensus
from napari_confseg.annotate.dataset.model import DatasetDesk
from napari_confseg.annotate.dataset.requests import FORMATS, METHODS, rater_choices
from napari_confseg.annotate.dataset.results import PREVIEW
from napari_confseg.dataset.build import BuildStopped
from napari_confseg.formats import export as exports
from napari_confseg.store import Cohort, StoreError
from tests.agreement.opinions import read_clip
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.annotate.dataset.model import Task
    from napari_confseg.annotate.overlays import Overlay


@pytest.fixture
def study(tmp_path: Path) -> Cohort:
    """Four patients, two raters who differ, and one who has only opened a clip."""
    cohort = Cohort.create(LocalStore(tmp_path / "ward.zarr"), name="ward")
    for i in range(4):
        add_clip(cohort, f"c{i}", patient=f"p{i}", n_frames=3)
        read_clip(cohort, f"c{i}", {"anna": (1.0, 0.0), "bert": (0.7, 1.0)}, seed=i)
    cohort.clip("c0").create_rater("lead", kind="human")
    return cohort


@pytest.fixture
def desk(study: Cohort) -> DatasetDesk:
    made = DatasetDesk()
    made.open(study)
    do(made, made.look)
    return made


def do(
    desk: DatasetDesk, make: Callable[[], Task], cancelled: Callable[[], bool] | None = None
) -> None:
    """Run a task as a panel would, in this thread."""
    try:
        task = make()
        result = task.work(lambda *_: None, cancelled or (lambda: False))
    except (StoreError, OSError, BuildStopped) as error:
        desk.fail(error)
    else:
        task.take(result)


def codes(desk: DatasetDesk) -> set[str]:
    return {p.code for p in desk.state.problems}


def test_what_is_offered_is_what_there_is() -> None:
    assert set(METHODS) == set(consensus.METHODS)
    assert set(FORMATS) == set(exports.FORMATS)


def test_the_whole_way(desk: DatasetDesk, study: Cohort, tmp_path: Path) -> None:
    told: list[Any] = []
    desk.changed.connect(told.append)
    do(desk, desk.compare)
    compared = desk.state.compared
    assert compared is not None
    assert compared.agreement.raters == ("anna", "bert")  # not the one who has only looked
    assert compared.worst
    assert compared.worst[0].picture.shape[2] == 3
    do(desk, lambda: desk.write_report(tmp_path / "page.html"))
    assert "Worst disagreements" in (tmp_path / "page.html").read_text(encoding="utf-8")

    desk.want_consensus(method="mean")
    shown: list[Overlay] = []
    do(desk, lambda: desk.preview_consensus("c1", shown.append))
    assert "mean" not in study.clip("c1").raters()
    do(desk, desk.write_consensus)
    written = study.clip("c1").rater("mean")
    (overlay,) = shown
    assert overlay.name == PREVIEW
    assert set(overlay.planes) == {"pleura", "a-line"}
    for name, planes in overlay.planes.items():
        assert np.array_equal(planes, written.read_planes(study.meta.class_index(name)))

    do(desk, desk.look)
    desk.want_build(shares=(50, 25, 25))
    do(desk, desk.preview_build)
    preview = desk.state.preview
    assert preview is not None
    assert (preview.request.raters, preview.frames, preview.patients) == (("mean",), 8, 4)
    do(desk, desk.build_version)
    assert [v.number for v in desk.state.versions] == [1]
    assert desk.state.told == ("Built version 1.",)
    do(desk, desk.build_version)
    assert desk.state.told == ("Nothing has changed since version 1.",)
    desk.want_build(classes=frozenset({"pleura"}))
    do(desk, desk.build_version)
    do(desk, lambda: desk.tell_changes(1, 2))
    assert desk.state.told[0] == "From version 1 to version 2:"
    assert any(line.startswith("classes:") for line in desk.state.told)

    desk.want_export(format="coco", version=1)
    place = desk.export_place()
    assert place == tmp_path / "ward-dataset-exports" / "v1-coco"
    do(desk, desk.export_version)
    assert (place / "train.json").is_file()
    assert desk.state.exported[0].endswith(str(place))
    do(desk, desk.export_version)  # there is something now
    assert codes(desk) == {"exists"}
    assert told[-1] is desk.state


def test_a_stopped_build_says_so_and_goes_on(desk: DatasetDesk) -> None:
    desk.want_build(shares=(50, 25, 25))
    calls: list[int] = []
    do(desk, desk.build_version, lambda: len(calls) == 2 or bool(calls.append(1)))
    assert "stopped after 3 of 4 clips" in desk.state.waiting
    assert not desk.state.versions
    do(desk, desk.build_version)
    assert not desk.state.waiting
    assert len(desk.state.versions) == 1


def test_a_changed_source_is_told(desk: DatasetDesk, study: Cohort) -> None:
    desk.want_build(shares=(50, 25, 25))
    do(desk, desk.build_version)
    do(desk, lambda: desk.check(1))
    assert desk.state.told == ("Version 1 is whole, and its sources are as they were.",)
    study.clip("c2").rater("anna").write_plane(1, 0, np.full((48, 64), 40, np.uint8))
    do(desk, lambda: desk.check(1))
    assert desk.state.told == ("c2: marks of anna changed",)


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"shares": (70, 20, 20)}, "split"),
        ({"raters": frozenset()}, "too-few-raters"),
        ({"classes": frozenset()}, "classes"),
        ({"clips": frozenset()}, "clips"),
        ({"out": "/tmp/Not Legal"}, "name"),
        ({"size": (2, 2)}, "request"),
    ],
)
def test_choices_that_make_no_sense_are_refused(
    desk: DatasetDesk, wish: dict[str, Any], code: str
) -> None:
    desk.want_build(**wish)
    do(desk, desk.build_version)
    assert codes(desk) == {code}
    desk.want_build(seed=1)  # another wish: the complaint goes
    assert codes(desk) == set()


def test_one_rater_nobody_and_one_patient(tmp_path: Path) -> None:
    cohort = Cohort.create(LocalStore(tmp_path / "small.zarr"), name="small")
    add_clip(cohort, "c0", n_frames=3)
    desk = DatasetDesk()
    desk.open(cohort)
    for task in (desk.look, desk.compare):
        do(desk, task)
    assert codes(desk) == {"too-few-raters"}
    do(desk, desk.preview_build)
    assert codes(desk) == {"too-few-raters"}
    read_clip(cohort, "c0", {"anna": (1.0, 0.0)})
    do(desk, desk.look)
    (anna,) = rater_choices(desk.state.found, frozenset())
    assert (anna.name, anna.frames) == ("anna", 2)
    do(desk, desk.compare)
    assert codes(desk) == {"too-few-raters"}
    do(desk, desk.preview_build)
    assert desk.state.preview is not None
    assert {p.code for p in desk.state.preview.problems} == {"split"}
    desk.want_build(shares=(100, 0, 0))
    do(desk, desk.build_version)
    assert len(desk.state.versions) == 1


def test_what_is_damaged_keeps_nobody_out(desk: DatasetDesk, study: Cohort, tmp_path: Path) -> None:
    desk.want_build(shares=(50, 25, 25))
    do(desk, desk.build_version)
    (tmp_path / "ward-dataset" / "v1" / "manifest.json").write_text("{}")
    (tmp_path / "ward.zarr" / "c1" / "zarr.json").write_text('{"zarr_format": 3}')
    desk.open(study)
    do(desk, desk.look)
    assert {r.name: r.clips for r in desk.state.found} == {"anna": 3, "bert": 3, "lead": 1}
    assert [v.content for v in desk.state.versions] == ["manifest cannot be read"]
    do(desk, lambda: desk.check(1))
    assert codes(desk) == {"manifest"}


def test_a_place_that_cannot_be_written_costs_nothing(desk: DatasetDesk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    desk.want_build(out=str(tmp_path / "file" / "ds"))
    do(desk, desk.build_version)
    assert codes(desk) == {"disk"}
    desk.open(None)
    do(desk, desk.compare)
    assert codes(desk) == {"no-cohort"}
