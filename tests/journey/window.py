"""One napari window with the four panels of the road, and a person at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QInputDialog,
    QWidget,
)

from napari_confseg.widgets.annotate.import_dialog import ImportDialog
from napari_confseg.widgets.annotate.panel import AnnotatePanel
from napari_confseg.widgets.dataset.panel import DatasetPanel
from napari_confseg.widgets.demo.hand import Hand
from napari_confseg.widgets.review.panel import ReviewPanel
from napari_confseg.widgets.train.panel import TrainPanel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from qtpy.QtWidgets import QAbstractButton, QScrollArea


class Window:
    """A viewer with the panels as tabs of one dock, and a hand on mouse and keyboard.

    Parameters
    ----------
    viewer : napari.Viewer
        One whose window is shown.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.annotate = AnnotatePanel(viewer)
        self.review = ReviewPanel(viewer)
        self.dataset = DatasetPanel(viewer)
        self.train = TrainPanel(viewer)
        self.session = self.annotate.session
        self.hand = Hand(viewer)
        self.hand.window.resize(1150, 800)
        for name in ("annotate", "review", "dataset", "train"):
            viewer.window.add_dock_widget(
                getattr(self, name), name=name.capitalize(), area="right", tabify=name != "annotate"
            )
        self.turn_to(self.annotate)

    def close(self) -> None:
        """Close the clip and let go of the window: pytest keeps fixtures a little longer."""
        self.session.close_clip()
        self.__dict__.clear()

    # ---- mouse and keyboard -------------------------------------------------------------------

    def turn_to(self, panel: QWidget) -> None:
        """Bring a panel's tab to the front."""
        panel.parentWidget().raise_()
        self.hand.wait_until(panel.isVisible)
        self.hand.wait(100)

    def at_the_foot(self, panel: QWidget, widget: QWidget) -> None:
        """Check that a widget is in sight at the foot of its panel, with nothing empty beneath."""
        bottom = widget.mapTo(panel, widget.rect().bottomLeft()).y()
        strip = getattr(panel, "paint_strip", None)
        under = strip.height() if strip is not None and strip.isVisible() else 0
        assert panel.height() - 60 - under < bottom < panel.height(), (bottom, panel.height())

    def click(self, button: QAbstractButton) -> None:
        """Scroll to a button and click it: on the square of a box to tick, else in the middle."""
        self.scroll_to(button)
        assert button.isEnabled(), button.text()
        box = isinstance(button, QCheckBox)
        at = QPoint(8, button.height() // 2) if box else button.rect().center()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=at)
        self.hand.wait()

    def scroll_to(self, widget: QWidget) -> None:
        """Bring a widget of a scrolled page into view."""
        parent: Any = widget
        while parent is not None and not hasattr(parent, "ensureWidgetVisible"):
            parent = parent.parentWidget()
        if parent is not None:
            area: QScrollArea = parent
            area.ensureWidgetVisible(widget)
        self.hand.wait_until(widget.isVisible)

    def tick(self, boxes: Any, *names: str) -> None:
        """Tick these of a list of boxes, and no others."""
        for name, box in boxes.items():
            if box.isEnabled() and box.isChecked() != (name in names):
                self.click(box)
        assert {n for n, b in boxes.items() if b.isChecked()} == set(names)

    def choose(self, chooser: QComboBox, text: str) -> None:
        """Choose an entry that begins so, by keyboard."""
        self.scroll_to(chooser)
        chooser.setFocus()
        QTest.keyClick(chooser, Qt.Key.Key_Home)
        while not chooser.currentText().startswith(text):
            before = chooser.currentIndex()
            QTest.keyClick(chooser, Qt.Key.Key_Down)
            offered = [chooser.itemText(i) for i in range(chooser.count())]
            assert chooser.currentIndex() > before, f"{text} is not among {offered}"
        self.hand.wait()

    def answer(
        self, ask: Callable[[], None], kind: type[QDialog], do: Callable[[Any], None]
    ) -> None:
        """Do what opens a dialog that blocks, and `do` what a person does in it."""
        answered: list[bool] = []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if isinstance(dialog, kind):
                answered.append(True)
                do(dialog)
            else:
                timer.start(20)

        timer = QTimer()
        timer.setSingleShot(True)
        timer.timeout.connect(look)
        timer.start(20)
        ask()
        timer.stop()
        assert answered

    # ---- what a person does -------------------------------------------------------------------

    def read_as(self, name: str) -> None:
        """Change who reads, by the button with the reader's name."""

        def type_name(dialog: QInputDialog) -> None:
            dialog.setTextValue(name)
            QTest.keyClick(dialog, Qt.Key.Key_Return)

        self.turn_to(self.annotate)
        self.answer(lambda: self.click(self.annotate.form.bar.reader), QInputDialog, type_name)
        assert self.annotate.form.bar.reader.text() == name

    def import_clip(self, source: Path, patient: str) -> str:
        """Import a file through the dialog; return the clip's name."""
        cohort = self.session.cohort
        assert cohort is not None
        before = set(cohort.clips())

        def fill(dialog: ImportDialog) -> None:
            dialog.add([str(source)])
            QTest.keyClicks(dialog.form["patient"], patient)
            ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
            QTest.mouseClick(ok, Qt.MouseButton.LeftButton)

        menu = self.annotate.form.bar.menu
        wanted = next(a for a in menu.actions() if a.text().startswith("Import clips"))
        self.answer(wanted.trigger, ImportDialog, fill)
        self.hand.wait_until(lambda: len(cohort.clips()) > len(before))
        (clip,) = set(cohort.clips()) - before
        self.hand.wait_until(lambda: clip in self.session.worklist.names())
        return clip

    def open(self, clip: str) -> None:
        """Open a clip of the work list."""
        assert self.annotate.cohort_actions.open_clip(clip), self.session.message
        self.hand.wait(100)

    def stroke(self, keys: Sequence[str], *points: tuple[float, float]) -> None:
        """Press the keys for class and confidence, then paint from point to point."""
        for key in keys:
            self.hand.key(key)
        n = len(self.session.strokes)
        self.hand.stroke(points, steps=3)
        self.hand.wait_until(lambda: len(self.session.strokes) > n)

    def settle(self) -> None:
        """Wait until Review and Dataset have nothing at work and nothing waiting."""
        review, dataset = self.review, self.dataset
        self.hand.wait_until(
            lambda: (
                review.review.state.pending is None
                and not review.jobs.busy
                and dataset.tasks.free
                and not dataset.tasks.waiting
                and not dataset._counting.isActive()
            )
        )
        self.hand.wait(50)

    def page(self, page: QWidget) -> None:
        """Click on the tab of a page of the Dataset panel."""
        tabs = self.dataset.tabs
        index = next(i for i in range(tabs.count()) if tabs.widget(i).widget() is page)
        QTest.mouseClick(
            tabs.tabBar(), Qt.MouseButton.LeftButton, pos=tabs.tabBar().tabRect(index).center()
        )
        assert tabs.currentIndex() == index
        self.settle()
