"""Model of the Dataset panel: from two raters to an export, and what can go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError
from zarr.storage import LocalStore

from napari_confseg.agreement.consensus import ConsensusRequest
from napari_confseg.annotate.dataset.model import DatasetModel
from napari_confseg.annotate.dataset.requests import rater_choices, rater_of_export
from napari_confseg.annotate.dataset.results import PREVIEW
from napari_confseg.dataset.build import BuildStopped
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.formats.export import ExportRequest
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
def bench(study: Cohort) -> DatasetModel:
    made = DatasetModel()
    made.open(study)
    do(made, made.look)
    return made


def do(
    bench: DatasetModel, make: Callable[[], Task], cancelled: Callable[[], bool] | None = None
) -> None:
    """Run a task as a panel would, in this thread."""
    try:
        task = make()
        result = task.work(lambda *_: None, cancelled or (lambda: False))
    except (StoreError, OSError, BuildStopped) as error:
        bench.fail(error)
    else:
        task.take(result)


def codes(bench: DatasetModel) -> set[str]:
    return {p.code for p in bench.state.problems}


HALVES = {"train": 0.5, "val": 0.25, "test": 0.25}


def ask_build(bench: DatasetModel, folder: str | None = None, **fields: Any) -> None:
    """Change some fields of the request for a dataset."""
    request = BuildRequest(**(dict(bench.state.build) | fields))
    bench.request_build(request, folder)


def test_the_whole_way(bench: DatasetModel, study: Cohort, tmp_path: Path) -> None:
    told: list[Any] = []
    bench.changed.connect(told.append)
    do(bench, bench.compare)
    compared = bench.state.compared
    assert compared is not None
    assert compared.agreement.raters == ("anna", "bert")  # not the one who has only looked
    assert compared.worst
    assert compared.worst[0].picture.shape[2] == 3
    do(bench, lambda: bench.write_report(tmp_path / "page.html"))
    assert "Worst disagreements" in (tmp_path / "page.html").read_text(encoding="utf-8")

    bench.request_consensus(ConsensusRequest(method="mean"))
    shown: list[Overlay] = []
    do(bench, lambda: bench.preview_consensus("c1", shown.append))
    assert "mean" not in study.clip("c1").raters()
    do(bench, bench.write_consensus)
    written = study.clip("c1").rater("mean")
    (overlay,) = shown
    assert overlay.name == PREVIEW
    assert set(overlay.planes) == {"pleura", "a-line"}
    for name, planes in overlay.planes.items():
        assert np.array_equal(planes, written.read_planes(study.meta.class_index(name)))

    do(bench, bench.look)
    ask_build(bench, parts=HALVES)
    do(bench, bench.preview_build)
    preview = bench.state.preview
    assert preview is not None
    assert (preview.request.raters, preview.frames, preview.patients) == (("mean",), 8, 4)
    do(bench, bench.build_version)
    assert [v.number for v in bench.state.versions] == [1]
    assert bench.state.findings == ("Built version 1.",)
    do(bench, bench.build_version)
    assert bench.state.findings == ("Nothing has changed since version 1.",)
    ask_build(bench, classes=("pleura",))
    do(bench, bench.build_version)
    do(bench, lambda: bench.compare_versions(1, 2))
    assert bench.state.findings[0] == "From version 1 to version 2:"
    assert any(line.startswith("classes:") for line in bench.state.findings)

    bench.request_export(ExportRequest(format="coco"), version=1)
    place = bench.export_place()
    assert place == tmp_path / "ward-dataset-exports" / "v1-coco-at50"
    do(bench, bench.export_version)
    assert (place / "annotations" / "instances_train.json").is_file()
    assert bench.state.exported[0].endswith(str(place))
    do(bench, bench.export_version)  # there is something now
    assert codes(bench) == {"exists"}
    assert told[-1] is bench.state


def test_a_stopped_build_says_so_and_goes_on(bench: DatasetModel) -> None:
    ask_build(bench, parts=HALVES)
    calls: list[int] = []
    do(bench, bench.build_version, lambda: len(calls) == 2 or bool(calls.append(1)))
    assert "stopped after 3 of 4 clips" in bench.state.resumable
    assert not bench.state.versions
    do(bench, bench.build_version)
    assert not bench.state.resumable
    assert len(bench.state.versions) == 1


def test_a_changed_source_is_told(bench: DatasetModel, study: Cohort) -> None:
    ask_build(bench, parts=HALVES)
    do(bench, bench.build_version)
    do(bench, lambda: bench.check(1))
    assert bench.state.findings == ("Version 1 is whole, and its sources are as they were.",)
    study.clip("c2").rater("anna").write_plane(1, 0, np.full((48, 64), 40, np.uint8))
    do(bench, lambda: bench.check(1))
    assert bench.state.findings == ("c2: marks of anna changed",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"parts": {"train": 0.7, "val": 0.2, "test": 0.2}},
        {"name": "Not Legal"},
        {"size": (2, 2)},
        {"folds": 1},
    ],
)
def test_choices_that_make_no_sense_are_no_request(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BuildRequest(**({"name": "ward"} | wrong))


def test_another_request_forgets_what_came_of_the_last(bench: DatasetModel) -> None:
    do(bench, bench.compare)
    bench.choose_raters(("anna",))
    assert bench.state.compared is None
    do(bench, bench.compare)
    assert codes(bench) == {"too-few-raters"}
    do(bench, bench.write_consensus)
    assert bench.state.made is not None
    assert codes(bench) == set()
    bench.request_consensus(ConsensusRequest(method="mean"))
    assert bench.state.made is None
    ask_build(bench, parts=HALVES)
    do(bench, bench.build_version)
    assert bench.state.findings
    bench.request_export(ExportRequest(format="png"))
    do(bench, bench.export_version)
    assert bench.state.exported
    bench.request_export(ExportRequest(format="tiff"))
    assert bench.state.exported == ()
    ask_build(bench, seed=1)
    assert bench.state.findings == ()


def test_one_rater_nobody_and_one_patient(tmp_path: Path) -> None:
    cohort = Cohort.create(LocalStore(tmp_path / "small.zarr"), name="small")
    add_clip(cohort, "c0", n_frames=3)
    bench = DatasetModel()
    bench.open(cohort)
    for task in (bench.look, bench.compare):
        do(bench, task)
    assert codes(bench) == {"too-few-raters"}
    do(bench, bench.preview_build)
    assert codes(bench) == {"too-few-raters"}
    read_clip(cohort, "c0", {"anna": (1.0, 0.0)})
    do(bench, bench.look)
    (anna,) = rater_choices(bench.state.found, frozenset())
    assert (anna.name, anna.frames) == ("anna", 2)
    do(bench, bench.compare)
    assert codes(bench) == {"too-few-raters"}
    do(bench, bench.preview_build)
    assert bench.state.preview is not None
    assert {p.code for p in bench.state.preview.problems} == {"split"}
    ask_build(bench, parts={"train": 1})
    do(bench, bench.build_version)
    assert len(bench.state.versions) == 1


def test_what_is_damaged_keeps_nobody_out(
    bench: DatasetModel, study: Cohort, tmp_path: Path
) -> None:
    ask_build(bench, parts=HALVES)
    do(bench, bench.build_version)
    (tmp_path / "ward-dataset" / "v1" / "manifest.json").write_text("{}")
    (tmp_path / "ward.zarr" / "c1" / "zarr.json").write_text('{"zarr_format": 3}')
    bench.open(study)
    do(bench, bench.look)
    assert {r.name: r.clips for r in bench.state.found} == {"anna": 3, "bert": 3, "lead": 1}
    assert [v.content for v in bench.state.versions] == ["manifest cannot be read"]
    do(bench, lambda: bench.check(1))
    assert codes(bench) == {"manifest"}


def test_a_place_that_cannot_be_written_costs_nothing(bench: DatasetModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ask_build(bench, str(tmp_path / "file" / "ds"))
    do(bench, bench.build_version)
    assert codes(bench) == {"disk"}
    bench.open(None)
    do(bench, bench.compare)
    assert codes(bench) == {"no-cohort"}


def test_the_rater_that_is_shown_is_the_one_exported(bench: DatasetModel, tmp_path: Path) -> None:
    do(bench, bench.build_version)
    (version,) = bench.state.versions
    assert [r.title for r in version.raters] == ["anna (reader)", "bert (reader)"]
    shown = []
    # Nobody has touched the list; another is chosen; one that only another version had.
    for rater, folder in ((None, "first"), ("bert", "second"), ("gone", "third")):
        request = ExportRequest(format="png", rater=rater)
        bench.request_export(request, folder=str(tmp_path / folder))
        version = bench.version_to_export()
        shown.append(rater_of_export(request, version.raters if version else ()))
        do(bench, bench.export_version)
        assert not codes(bench)
    assert shown == ["anna", "bert", "anna"]
    said = [(tmp_path / n / "EXPORT.md").read_text("utf-8") for n in ("first", "second", "third")]
    assert ["Rater `anna`" in t for t in said] == [True, False, True]
    assert "Rater `bert`" in said[1]
