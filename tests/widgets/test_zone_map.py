"""The zone map in napari's real window: from the work list to a zone's clip, and what is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from napari_confseg.annotate.access import Role
from napari_confseg.store import Cohort
from napari_confseg.widgets.annotate.worklist import WorkListPanel
from napari_confseg.widgets.annotate.zone_map import ZoneMapPanel
from tests.conftest import add_clip
from tests.readouts.chest import CLIPS, N_FRAMES, PLEURA, SHAPE, b_line, make, read
from tests.widgets.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def window(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, state_dir: Path
) -> Iterator[Bench]:
    cohort = make(tmp_path / "c.zarr", CLIPS, rater="dr-ada")
    read(cohort, {"l2-new": {"pleura": PLEURA, "b-line": b_line(0, 40)}}, "bert")
    add_clip(cohort, "other", n_frames=N_FRAMES, shape=SHAPE)
    cohort.clip("other").update_meta(patient="p2", zone="R4")
    made = Bench(make_napari_viewer(show=True))
    made.open(Cohort.open(cohort.location), clip="l2-new")
    yield made
    made.close()


def choose(chooser: Any, data: object) -> None:
    """Choose an entry of a list, as a person does."""
    at = chooser.findData(data)
    assert at >= 0
    chooser.setCurrentIndex(at)
    chooser.activated.emit(at)


def test_from_the_work_list_to_the_clip_of_a_zone(window: Bench, tmp_path: Path) -> None:
    bench, session = window, window.session
    bench.panel.form.head.list.click()
    bench.hand.wait(300)
    (work_list,) = bench.hand.window.findChildren(WorkListPanel)
    QTest.mouseClick(work_list.zones, LEFT)
    (panel,) = bench.hand.window.findChildren(ZoneMapPanel)
    model, chest = panel.model, panel.chest
    bench.until(lambda: model.shown is not None)
    assert model.patient == "p1"
    assert [model.examinations[i].day for i in range(2)] == [0, 3]
    assert panel.examinations.currentText() == "Day 3, 5 clips"
    assert model.current == "L2"
    assert {z: c.words for z, c in model.changes().items()} == {"R1": "+63 %", "L4": "+consolid."}
    assert "Not on this chest: nowhere (no zone)." in panel.note.text()
    assert "75 %" in panel._words("R1")

    QTest.mouseClick(chest, LEFT, pos=chest.center_of("R1").toPoint())
    assert session.clip.name == "r1-new"
    assert model.current == "R1"
    for expected in ("l4-new", "l4-again", "l4-new"):  # one after the other
        bench.until(lambda: model.shown is not None)
        QTest.mouseClick(chest, LEFT, pos=chest.center_of("L4").toPoint())
        assert session.clip.name == expected
    QTest.mouseClick(chest, LEFT, pos=chest.center_of("R2").toPoint())  # without a clip
    assert session.clip.name == "l4-new"
    assert chest.zone_at(QPointF(1, 1)) == ""

    panel.save_to(str(tmp_path / "chest.png"))
    panel.save_to(str(tmp_path / "chest.svg"))
    with Image.open(tmp_path / "chest.png") as picture:
        assert picture.width > 1500
    ElementTree.parse(tmp_path / "chest.svg")

    choose(panel.examinations, 0)
    assert (model.shown.day, model.changes()) == (0, {})
    choose(panel.examinations, 1)
    choose(panel.raters, "bert")
    bench.until(lambda: model.shown is not None and model.shown.zones["L2"][0].frames == 2)
    assert model.shown.zones["L2"][0].level == 2
    assert model.shown.zones["R1"][0].level is None  # not his
    choose(panel.schemes, 8)
    assert len(chest._drawing.boxes) == 8

    # Read blinded, nobody else is shown on it, to a reviewer neither: it could not be noted.
    session.access.set_rule("until-reviewed")
    session.reader.choose_role(Role.REVIEWER)
    bench.until(lambda: model.rater == "" and model.known)
    assert model.raters() == [("", "My findings")]
    assert model.shown.zones["L2"][0].level == 0  # Ada's own
    assert session.clip_notes.current.unblinded is None

    # Beside a picture stands the chest of the same patient.
    bench.panel.cohort_actions.open_clip("other")
    bench.until(lambda: model.known and model.current == "R4")
    assert model.patient == panel.patients.currentData() == "p2"
    choose(panel.patients, "p1")  # unless another is asked for
    bench.until(lambda: model.known)
    assert (model.patient, model.current) == ("p1", "")
