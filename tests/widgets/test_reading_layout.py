"""The reading layout, the pinned row of frames, and reviewing many frames at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget, QLabel

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.dataset.manifest import FramePolicy
from napari_confseg.store import Status
from napari_confseg.widgets.calibrate.panel import CalibratePanel
from tests.conftest import add_clip
from tests.widgets.bench import let_go

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_confseg.store import Cohort
    from tests.widgets.bench import Bench

HORIZONTAL = Qt.Orientation.Horizontal
SHIFT = Qt.KeyboardModifier.ShiftModifier


def share(bench: Bench) -> float:
    """How much of 1280 x 720 is canvas."""
    canvas = bench.viewer.window._qt_viewer.canvas.native
    return float(canvas.width() * canvas.height() / (1280 * 720))


def test_the_reading_layout(bench: Bench, cohort: Cohort) -> None:
    folded_away_and_back_and_closed(bench)
    bench.begin_anew(cohort)
    the_dataset_panel_leaves_as_much(bench)


def folded_away_and_back_and_closed(bench: Bench) -> None:
    window, inside = bench.hand.window, bench.viewer.window._qt_viewer
    window.resize(1280, 720)
    inside.dockLayerControls.hide()  # closed by the person: it stays so
    bench.hand.wait(200)
    button = bench.panel.form.bar.reading
    bench.hand.key("F11")
    bench.hand.wait(300)
    assert share(bench) >= 0.7
    assert window.height() == 720
    assert button.isChecked()
    assert not inside.dockLayerList.isVisible()
    assert Preferences.load().reading_layout
    camera, fitted = bench.viewer.scene.camera, bench.viewer.scene.camera.zoom
    bench.hand.key("F12")  # the work list, beneath the picture
    bench.until(lambda: camera.zoom < fitted)
    bench.viewer.reset_view()
    small = camera.zoom
    bench.hand.key("F12")
    bench.until(lambda: camera.zoom > small)
    assert camera.zoom == pytest.approx(fitted)
    camera.zoom *= 2  # by hand: so it stays
    bench.hand.key("F12")
    bench.until(lambda: bench.panel.work_list.shown)
    bench.hand.wait(300)
    assert camera.zoom == pytest.approx(2 * fitted)
    bench.hand.key("F12")
    button.click()
    bench.until(lambda: inside.dockLayerList.isVisible())
    assert inside.dims.isVisible()
    assert window.statusBar().isVisible()
    assert not inside.dockLayerControls.isVisible()
    assert not Preferences.load().reading_layout

    bench.session.close_clip()
    Preferences.load().model_copy(update={"reading_layout": True}).save()
    bench.panel.cohort_actions.open_clip("clip-2")  # remembered from the last sitting
    assert bench.panel.reading.on
    assert not inside.dockLayerList.isVisible()

    dialog = ConfirmCloseDialog(window)  # napari's question whether to close
    dialog.show()
    bench.hand.wait(50)
    words = " ".join(label.text() for label in dialog.findChildren(QLabel))
    dialog.reject()
    assert "Confirm to close window" in words
    assert "All that you marked is saved. A training that is running goes on" in words


def the_dataset_panel_leaves_as_much(bench: Bench) -> None:
    """Of every page, with what it asks of whoever wants more than is asked at first."""
    window, inside = bench.hand.window, bench.viewer.window._qt_viewer
    _, panel = bench.viewer.window.add_plugin_dock_widget("napari-confseg", "Dataset")
    assert bench.panel.reading.on
    window.resize(1280, 720)
    panel.build.form.editors["size"].set_value((4096, 4096))
    panel.build.form.editors["frames"].set_value(FramePolicy(kind="every", n=1000))
    panel.export.form.editors["band"].set_value((100, 100))
    shares = []
    for i in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(i)
        bench.hand.wait(50)
        dock = inside.canvas.native.window().findChildren(QDockWidget)
        window.resizeDocks([d for d in dock if d.isAncestorOf(panel)], [1], HORIZONTAL)
        bench.hand.wait(100)
        assert window.width() == 1280
        shares.append(round(share(bench), 3))
    assert min(shares) >= 0.7, shares


def in_sight(widget: QWidget, window: QWidget) -> bool:
    """Whether all of a widget is drawn."""
    whole = widget.visibleRegion().boundingRect().size() == widget.size()
    return bool(whole) and window.rect().contains(widget.mapTo(window, widget.rect().bottomRight()))


def test_the_pinned_row(bench: Bench, cohort: Cohort) -> None:
    what_is_pressed_most_is_in_sight(bench)
    bench.begin_anew(cohort)
    reviewed_and_on_and_217_frames_in_two_acts(bench, cohort)


def what_is_pressed_most_is_in_sight(bench: Bench) -> None:
    bench.hand.window.resize(1280, 720)
    transport, state = bench.panel.form.transport, bench.panel.form.save_state
    before = None
    for low in (False, True):
        bar = bench.panel.form.pages.currentWidget().verticalScrollBar()
        bar.setValue(bar.maximum() if low else 0)
        bench.hand.wait(100)
        pinned = (transport.play, transport.timeline, transport.reviewed, transport.next)
        for widget in (*pinned, transport.on, state):
            assert in_sight(widget, bench.hand.window), widget
        at = transport.on.mapTo(bench.hand.window, QPoint())
        assert before in (None, at)
        before = at
        bench.session.message = "A sentence that comes.\nAnd its second line."  # nothing moves
    bench.viewer.scene.camera.zoom /= 3
    for theme in ("light", "dark"):
        bench.viewer.theme = theme
        bench.hand.wait(100)
        surround = bench.viewer.screenshot(canvas_only=True)[2, 2, :3]
        assert surround.tolist() == [0, 0, 0], theme


def reviewed_and_on_and_217_frames_in_two_acts(bench: Bench, cohort: Cohort) -> None:
    session = bench.session
    for frame in range(3):
        assert session.frame == frame
        bench.hand.key("Shift+PageDown")
    assert (session.status[:3] == Status.REVIEWED).all()
    assert not session.status[3:].any()
    bench.panel.form.transport.on.click()
    assert session.frame == 4
    session.undo()
    assert session.frame == 3
    assert not session.status[3].any()

    # Many at once.
    add_clip(cohort, "long", n_frames=217)
    bench.panel.cohort_actions.open_clip("long")
    bench.hand.wait(200)
    strip = bench.panel.form.transport.timeline
    session.frame = 40
    middle = strip.height() // 2

    def at(frame: int) -> QPoint:
        return QPoint(int(strip.x_of(frame)), middle)

    # Shift and a click: from the frame on show to there.
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, SHIFT, at(216))
    assert (session.status[40:] == Status.REVIEWED).all()
    assert not session.status[:40].any()
    assert session.frame == 40
    assert "41 to 217" in session.message
    # Shift and a drag: what is passed over.
    QTest.mousePress(strip, Qt.MouseButton.LeftButton, SHIFT, at(60))
    QTest.mouseMove(strip, at(0))
    QTest.mouseRelease(strip, Qt.MouseButton.LeftButton, SHIFT, at(0))
    assert (session.status == Status.REVIEWED).all()
    assert len(session.strokes) == 2  # each is one edit
    session.undo()
    assert not session.status[:40].any()
    assert session.flush()
    stored = cohort.clip("long").rater(session.rater).read_status()
    np.testing.assert_array_equal(stored, session.status)


def test_a_strip_to_paint_with(unseen_bench: Bench, cohort: Cohort) -> None:
    """Calibrate, as an example: class and confidence are at hand and follow the session."""
    bench = unseen_bench
    bench.open(cohort)
    panel: Any = CalibratePanel(bench.viewer)
    panel.show()
    QTest.qWait(50)
    strip, session = panel.paint_strip, bench.session
    session.hidden = frozenset({"rib"})
    strip.classes["rib"].click()
    assert session.class_name == "rib"
    assert not session.hidden
    strip.bar.wanted.emit(35)
    assert session.confidence == 35
    session.class_name, session.confidence = "pleura", 90
    assert strip.classes["pleura"].isChecked()
    assert not strip.classes["rib"].isChecked()
    assert strip.percent.text() == "90 %"
    let_go(panel)
