"""A reader accepts a model's marks in a real window, with mouse and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QSpinBox, QWidget

from napari_confseg.annotate.accepting import ByHand
from napari_confseg.store import Status
from napari_confseg.widgets.demo.hand import wait
from tests.widgets.bench import SHAPE, Bench, make_cohort, planes_by_plain_zarr

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort

B_LINE, PLEURA, FRAMES = 2, 0, 40
BOX = np.s_[20:50, 20:60]


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    """A clip on which a run marks B-lines and pleura on every frame."""
    made = make_cohort(tmp_path / "cohort.zarr", "clip-1", n_frames=FRAMES)
    rater = made.clip("clip-1").create_rater(
        "run-1", kind="model", label="Run 1", run="/runs/soft-1123"
    )
    for frame in range(FRAMES):
        plane = np.zeros(SHAPE, np.uint8)
        plane[BOX] = 80
        plane[60:64, 20 : 21 + frame] = 40
        for c in (PLEURA, B_LINE):
            rater.write_plane(frame, c, plane)
    return made


def press(bench: Bench, widget: QWidget) -> None:
    """Click on the widget, scrolled into sight."""
    page = bench.panel.form.pages.currentWidget()
    page.ensureWidgetVisible(widget)
    wait(50)
    assert widget.isVisible()
    assert widget.isEnabled(), widget.toolTip()
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=widget.rect().center())
    wait(20)


def choose(bench: Bench, chooser: QComboBox, words: str) -> None:
    """Open the list and click on an entry."""
    press(bench, chooser)
    view = chooser.view()
    index = view.model().index(chooser.findText(words), 0)
    view.scrollTo(index)
    wait(50)
    where = view.visualRect(index).center()
    QTest.mouseMove(view.viewport(), where)
    # A list that has just opened takes a click within this time for the one that opened it.
    wait(QApplication.doubleClickInterval() + 50)
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    wait(50)
    assert chooser.currentText() == words


def type_in(bench: Bench, box: QSpinBox, number: int) -> None:
    """Type a number and leave with Tab."""
    press(bench, box)
    box.selectAll()
    QTest.keyClicks(box, str(number))
    QTest.keyClick(box, Qt.Key.Key_Tab)
    wait(20)


def test_a_range_of_all_classes_above_a_threshold_is_one_undo(bench: Bench, cohort: Cohort) -> None:
    session, form, hand = bench.session, bench.panel.form, bench.hand
    accept = form.accept
    session.frame = 3
    hand.stroke([(70, 30), (70, 60)])  # painted by hand: stays
    bench.until(lambda: len(session.strokes) == 1)
    mine = session.planes["b-line"][3].copy()
    assert accept.source.currentText() == "Run 1 (model)"

    choose(bench, accept.which, "Frames")
    type_in(bench, accept.first, 3)
    type_in(bench, accept.last, 30)
    press(bench, accept.accept)
    bench.until(lambda: len(session.strokes) == 2)
    assert form.message.text().startswith(
        "Accepted from Run 1 (model): Pleural line, B-line on frames 3 to 30, at its own confidence"
    )
    assert "Stays as it was, painted by hand: frame 4." in form.message.text()
    assert np.array_equal(session.planes["b-line"][3], mine)
    theirs = np.zeros(SHAPE, np.uint8)
    theirs[BOX] = 80  # what is below 50 % is not taken
    for frame in (2, 4, 29):
        assert np.array_equal(session.planes["b-line"][frame], theirs)
    assert not session.planes["b-line"][[0, 1, 30, 39]].any()
    assert not (session.status == Status.REVIEWED).any()
    assert session.flush()
    stored = planes_by_plain_zarr(cohort, "clip-1", "dr-ada")
    assert np.array_equal(stored[:, PLEURA], session.planes["pleura"])
    record = cohort.clip("clip-1").rater("dr-ada").read_strokes()[-1].accepted
    assert record is not None
    assert (record.source, record.version, record.threshold) == ("run-1", "soft-1123", 50)

    hand.key("Ctrl+Z")
    assert not session.planes["pleura"].any()
    assert np.array_equal(session.planes["b-line"][3], mine)
    assert session.planes["b-line"][:].any(axis=(1, 2)).sum() == 1

    # The commonest on one key; what was painted by hand is added to where one chooses so.
    hand.key("Shift+T")
    assert np.array_equal(session.planes["pleura"][3], theirs)
    assert np.array_equal(session.planes["b-line"][3], mine)
    choose(bench, accept.by_hand, "Add to what I painted by hand")
    assert session.acceptor.settings.by_hand is ByHand.ADD
    hand.key("Shift+T")
    assert np.array_equal(session.planes["b-line"][3], np.where(mine, mine, theirs))


def test_the_form_says_why_it_cannot(bench: Bench, cohort: Cohort) -> None:
    session, accept = bench.session, bench.panel.form.accept
    session.locked = frozenset(c.name for c in session.classes)
    assert not accept.accept.isEnabled()
    assert "locked or hidden" in accept.accept.toolTip()
    session.locked = frozenset()
    assert accept.accept.isEnabled()
    session.access.set_rule("always")
    assert not accept.isVisible()
    bench.hand.key("Shift+T")
    assert "read blinded" in bench.panel.form.message.text()
    assert not session.planes["b-line"].any()
