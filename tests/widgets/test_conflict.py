"""Two machines paint the same frame: the first comes back, sees both versions, and decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QToolButton, QWidget

from napari_confseg.annotate.view import Tool
from napari_confseg.widgets.demo.hand import wait
from tests.annotate.edits import paint
from tests.other_machine import OtherMachine, stored
from tests.widgets.bench import Bench, make_cohort

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Choice, Cohort

B_LINE = 2
NARROW = 300


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    """One clip, large enough to paint on."""
    return make_cohort(tmp_path / "cohort.zarr", "clip-1")


@pytest.fixture
def other(cohort: Cohort, tmp_path: Path) -> OtherMachine:
    """Where somebody else works under Dr. Ada's name."""
    return OtherMachine(cohort, "clip-1", "dr-ada", tmp_path / "other-machine")


def click(widget: QWidget) -> None:
    """Click where the widget is."""
    assert widget.isVisible()
    assert widget.isEnabled()
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=widget.rect().center())


def lose(bench: Bench, other: OtherMachine) -> None:
    """Paint, lose the clip to another machine, and notice it with the next stroke."""
    session, form = bench.session, bench.panel.form
    paint(session, (4, 4, 9, 9), frame=2)
    assert session.flush()
    wake = session.editor._writer._pending_edits.wake  # type: ignore[union-attr]
    bench.until(lambda: bool(wake._waiters))  # the store's thread has looked once more, and rests
    other.take_over()
    if bench.shown:
        bench.hand.stroke([(40, 30), (40, 60)])
    else:
        paint(session, (38, 30, 43, 60))
    bench.until(lambda: "has taken over" in form.save_state.line.text())


@pytest.mark.parametrize("choice", ["mine", "theirs", "both"])
def test_who_comes_back_sees_both_versions_and_decides(
    bench: Bench, other: OtherMachine, cohort: Cohort, choice: Choice
) -> None:
    session, form = bench.session, bench.panel.form
    banner, saving = form.conflict, form.save_state
    lose(bench, other)
    assert saving.line.text().startswith("ann on ward-7 has taken over, since ")
    waits = "1 stroke of yours waits safely on this computer."
    bench.until(lambda: saving.detail.text().startswith(waits))
    assert not banner.isVisible()
    click(saving.take_over)
    assert "still held" in form.message.text()
    other.paint(0, (36, 40, 60, 50), 90, B_LINE)
    click(saving.take_over)
    bench.until(banner.isVisible)
    assert not saving.take_over.isVisible()
    assert "1 stroke from " in banner.detail.text()
    assert "met 1 newer one of " in banner.detail.text()

    brush = form.tools.buttons[Tool.BRUSH]
    assert not brush.isEnabled()
    assert brush.toolTip().startswith("Decide first which strokes to keep")
    theirs = session.planes["b-line"][:]
    bench.hand.stroke([(80, 30), (80, 60)])  # moves the picture
    np.testing.assert_array_equal(session.planes["b-line"], theirs)
    bench.viewer.reset_view()

    session.frame = 3
    click(banner.next)
    assert session.frame == 0
    before = bench.viewer.screenshot(canvas_only=True, flash=False)
    click(banner.mine)
    assert not banner.mine.isEnabled()  # it is read beside the window
    bench.until(lambda: "mine on top, for a look" in banner.seen.text())
    mine = session.planes["b-line"][:]
    assert mine[0, 40, 32]
    looked = bench.viewer.screenshot(canvas_only=True, flash=False)
    assert not np.array_equal(looked, before)
    click(banner.mine)
    np.testing.assert_array_equal(session.planes["b-line"], theirs)
    again = bench.viewer.screenshot(canvas_only=True, flash=False)
    np.testing.assert_array_equal(again, before)

    click(banner.choices[choice])
    assert not session.writable  # until all is read anew
    bench.until(lambda: session.writable)
    assert not banner.isVisible()
    assert form.message.text().startswith(f"Kept {choice}")
    expected = mine if choice == "mine" else theirs
    np.testing.assert_array_equal(session.planes["b-line"], expected)
    assert brush.isEnabled()
    assert brush.toolTip().startswith("Brush")
    assert ("dr-ada-2" in form.others.boxes) is (choice == "both")
    n = len(session.strokes)
    bench.hand.stroke([(80, 30), (80, 60)])
    bench.until(lambda: len(session.strokes) == n + 1)
    assert session.flush()
    now = stored(cohort, "clip-1", "dr-ada", 0, B_LINE)
    np.testing.assert_array_equal(now, session.planes["b-line"][0])
    assert now[80, 40]


def test_the_banner_fits_a_narrow_panel_and_takes_the_keyboard(
    unseen_bench: Bench, other: OtherMachine, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = unseen_bench
    bench.open(cohort)
    form = bench.panel.form
    banner = form.conflict
    bench.panel.resize(NARROW, 900)
    lose(bench, other)
    monkeypatch.setenv("LOGNAME", "a" * 70)  # the account of whoever paints there
    other.paint(0, (36, 40, 60, 50), 90, B_LINE)
    monkeypatch.undo()
    click(form.save_state.take_over)
    bench.until(banner.isVisible)
    wait(200)  # Qt lays the rows out anew
    assert bench.panel.minimumSizeHint().width() <= NARROW
    right = bench.panel.rect().right()
    for child in banner.findChildren(QWidget):
        if not child.isVisible():
            continue
        assert child.mapTo(bench.panel, child.rect().topRight()).x() <= right
        if isinstance(child, QToolButton):
            assert child.width() >= child.minimumSizeHint().width()
        assert child.height() >= max(child.heightForWidth(child.width()), 0)
    stops, at = [], banner.frames
    while banner.isAncestorOf(at):
        stops.append(at)
        at = at.nextInFocusChain()
        while not at.isVisible() or not at.focusPolicy() & Qt.FocusPolicy.TabFocus:
            at = at.nextInFocusChain()
    assert {banner.frames, banner.mine, *banner.choices.values()} <= set(stops)
    bench.session.frame = 4
    bench.panel.activateWindow()
    wait(100)
    banner.frames.setFocus()
    QTest.keyClick(banner.frames, Qt.Key.Key_Tab)
    QTest.keyClick(banner.frames, Qt.Key.Key_Return)
    bench.until(lambda: bench.session.frame == 0)
    QTest.keyClick(banner.choices["theirs"], Qt.Key.Key_Space)
    bench.until(lambda: bench.session.writable)
    assert not banner.isVisible()
