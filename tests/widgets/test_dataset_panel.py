"""The Dataset panel in a real window: from two raters to an export, by mouse."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from zarr.storage import LocalStore

from napari_confseg.annotate.dataset.model import Task
from napari_confseg.annotate.dataset.results import PREVIEW
from napari_confseg.dataset.frozen import Dataset
from napari_confseg.store import Cohort
from napari_confseg.widgets.dataset.panel import DatasetPanel
from napari_confseg.widgets.demo.hand import Hand
from tests.agreement.opinions import read_clip
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qtpy.QtWidgets import QAbstractButton, QComboBox, QWidget


@pytest.fixture
def study(tmp_path: Path, state_dir: Path) -> Cohort:
    cohort = Cohort.create(LocalStore(tmp_path / "ward.zarr"), name="ward")
    for i in range(4):
        add_clip(cohort, f"c{i}", patient=f"p{i}", n_frames=3)
        read_clip(cohort, f"c{i}", {"anna": (1.0, 0.0), "bert": (0.7, 1.0)}, seed=i)
    return Cohort.open(tmp_path / "ward.zarr")


class Lead:
    """A hand on the panel."""

    def __init__(self, viewer: Any) -> None:
        self.panel = DatasetPanel(viewer)
        viewer.window.add_dock_widget(self.panel, name="Dataset", area="right")
        self.hand = Hand(viewer)
        self.hand.window.resize(1280, 720)

    def settle(self) -> None:
        """Wait until nothing is worked on and nothing waits."""
        panel = self.panel
        self.hand.wait_until(
            lambda: panel.tasks.free and not panel.tasks.waiting and not panel._counting.isActive(),
            60,
        )

    def click(self, button: QAbstractButton, at: QPoint | None = None) -> None:
        """Bring a button into view and click it."""
        self.area().ensureWidgetVisible(button)
        assert button.isEnabled(), button.text()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=at or QPoint())
        self.settle()

    def tick(self, box: QAbstractButton) -> None:
        """Click a box where its square is."""
        self.click(box, QPoint(8, box.height() // 2))

    def area(self) -> Any:
        """The page on show, as it scrolls."""
        return self.panel.tabs.currentWidget()

    def turn_to(self, page: QWidget) -> None:
        """Click on a page's tab."""
        tabs = self.panel.tabs
        index = next(i for i in range(tabs.count()) if tabs.widget(i).widget() is page)
        QTest.mouseClick(
            tabs.tabBar(), Qt.MouseButton.LeftButton, pos=tabs.tabBar().tabRect(index).center()
        )
        assert tabs.currentIndex() == index
        self.settle()
        self.nothing_cut_off(page)

    def nothing_cut_off(self, page: QWidget) -> None:
        """Nothing scrolls sideways: what is wider than its place would be cut off."""
        assert page.minimumSizeHint().width() <= self.area().viewport().width()
        window, panel = self.hand.window, self.panel
        assert panel.mapTo(window, panel.rect().bottomRight()).x() < window.width()

    def choose(self, chooser: QComboBox, text: str) -> None:
        """Choose by keyboard: the list of a chooser is a window of the desktop's own."""
        chooser.setFocus()
        while chooser.currentText() != text:
            before = chooser.currentIndex()
            QTest.keyClick(chooser, Qt.Key.Key_Down)
            assert chooser.currentIndex() > before, f"{text} is not offered"


@pytest.fixture
def lead(make_napari_viewer: Callable[..., Any], study: Cohort) -> Iterator[Lead]:
    made = Lead(make_napari_viewer(show=True))
    yield made
    made.panel.session.close_clip()
    made.__dict__.clear()  # pytest keeps fixtures a little longer than the window may live


def stop_a_build(lead: Lead) -> None:
    """Click Stop while the second clip is being packed; a toy would be done before one could."""
    panel = lead.panel
    task = panel.model.build_version()

    def work(report: Callable[[int, int, str], None], cancelled: Callable[[], bool]) -> Any:
        def slowly(done: int, of: int, what: str) -> None:
            report(done, of, what)
            while done == 1 and not cancelled():
                sleep(0.01)

        return task.work(slowly, cancelled)

    panel.run(lambda: Task(task.title, work, task.take))
    lead.hand.wait_until(lambda: panel.line.bar.value() == 1)
    QTest.mouseClick(panel.line.stop, Qt.MouseButton.LeftButton)
    lead.settle()


def test_from_two_raters_to_an_export(lead: Lead, study: Cohort, tmp_path: Path) -> None:
    panel, session = lead.panel, lead.panel.session
    assert not panel.tabs.isVisible()
    assert "Open" in panel.cohort_name.text() or "open one" in panel.cohort_name.text()
    session.open_cohort(study)
    lead.settle()

    lead.click(panel.agreement.compare)
    assert "4 clips of 4 patients, 8 frames compared." in panel.agreement.facts.text()
    assert panel.agreement.scores.topLevelItem(0).text(0) == "anna – bert"
    lead.nothing_cut_off(panel.agreement)
    lead.click(panel.agreement.pictures[0])
    assert panel.problem.isVisible()  # nobody has said who reads
    session.reader.choose("Lead")
    lead.click(panel.agreement.pictures[0])
    assert not panel.problem.isVisible()
    shown = panel.model.state.compared.worst[0]
    assert (session.clip.name, session.frame) == (shown.score.clip, shown.frame)
    assert {o.name for o in session.overlays} == {"anna", "bert"}

    lead.turn_to(panel.consensus)
    lead.choose(panel.consensus.method, "Mean")
    session.access.set_rule("until-reviewed")  # a reader is told why they may not see it
    lead.click(panel.consensus.preview)
    assert panel.problem.isVisible()
    assert "read blinded" in panel.model.state.problems[0].hint
    assert session.overlays == ()
    session.access.set_rule("none")
    lead.click(panel.consensus.preview)
    assert PREVIEW in {o.name for o in session.overlays}
    assert "mean" not in session.clip.raters()
    lead.click(panel.consensus.write)
    assert "mean" in {o.name for o in session.overlays}
    assert PREVIEW not in {o.name for o in session.overlays}
    assert "on 4 clips" in panel.consensus.facts.text()

    lead.choose(panel.consensus.method, "Majority")  # what came of the last does not stay
    assert panel.consensus.facts.text() == ""

    lead.turn_to(panel.build)
    assert panel.build.raters.boxes["mean"].isChecked()
    assert not panel.build.raters.boxes["anna"].isChecked()
    assert "4 clips of 4 patients, 8 frames." in panel.build.preview.facts.text()
    lead.tick(panel.build.classes.boxes["rib"])
    assert "rib" not in panel.model.state.preview.request.classes
    train = panel.build.shares.spins["train"]
    train.setValue(60)
    assert "must add up to 100 %; now 90 %" in panel.build.form.errors["parts"].text()
    assert not panel.build.build.isEnabled()
    train.setValue(70)
    lead.settle()
    assert panel.build.form.errors["parts"].text() == ""
    stop_a_build(lead)
    assert "stopped after 2 of 4 clips" in panel.build.preview.warning.text()
    assert panel.build.build.text() == "Resume building version 1"
    lead.click(panel.build.build)
    dataset = Dataset.open(tmp_path / "ward-dataset")
    assert dataset.manifest.raters == ("mean",)
    assert "rib" not in dataset.manifest.class_names()

    lead.turn_to(panel.export)
    lead.choose(panel.export.format, "COCO (cut at a threshold)")
    assert panel.model.state.export.format == "coco"
    lead.click(panel.export.export)
    assert not panel.model.state.problems
    assert (tmp_path / "ward-dataset-exports" / "v1-coco-at50" / "EXPORT.md").is_file()
    assert "files in" in panel.export.facts.text()

    lead.turn_to(panel.versions)
    lead.click(panel.versions.check)
    assert panel.versions.findings.toPlainText().startswith("Version 1 is whole")
    assert not panel.problem.isVisible()
