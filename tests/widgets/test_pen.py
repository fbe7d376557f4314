"""A pen's tilt as confidence: real tablet events on the canvas of a real window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QInputDevice, QPointingDevice, QTabletEvent
from qtpy.QtWidgets import QApplication

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.widgets.annotate.pen import confidence_of

if TYPE_CHECKING:
    from tests.widgets.bench import Bench

CAN_TILT = QInputDevice.Capability.XTilt | QInputDevice.Capability.YTilt


@pytest.mark.parametrize(
    ("x", "y", "percent"),
    [(0, 0, 100), (15, 0, 100), (0, -60, 10), (60, 60, 10), (37.5, 0, 55), (0, 37.5, 55)],
)
def test_upright_is_certain_and_flat_is_unsure(x: float, y: float, percent: int) -> None:
    assert confidence_of(x, y) == percent


def touch(bench: Bench, tilt: float, capabilities: QInputDevice.Capability = CAN_TILT) -> None:
    """Let a pen touch the canvas, and paint with the mouse events that Qt makes of it."""
    at = QPointF(bench.hand.at(40, 40))
    pen = QPointingDevice(
        "pen",
        1,
        QInputDevice.DeviceType.Stylus,
        QPointingDevice.PointerType.Pen,
        capabilities,
        1,
        1,
    )
    down, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QTabletEvent(
        QEvent.Type.TabletPress, pen, at, at, 0.1, tilt, 0, 0, 0, 0, none, down, down
    )
    QApplication.sendEvent(bench.hand.canvas, event)
    bench.hand.stroke([(40, 40), (40, 60)])
    bench.hand.wait(100)


def test_a_tilted_pen_paints_with_its_confidence(bench: Bench) -> None:
    session = bench.session
    session.confidence = 80
    touch(bench, 60)
    assert session.strokes[-1].confidence == 80  # not asked for
    bench.panel.pen.choice.trigger()
    assert Preferences.load().pen_tilt
    session.frame = 3  # on marks, a stroke of less would change nothing
    touch(bench, 60)
    session.frame = 1
    touch(bench, 0)
    session.frame = 2
    touch(bench, 60, QInputDevice.Capability.Pressure)  # knows no tilt
    assert [stroke.confidence for stroke in session.strokes] == [80, 10, 100, 100]
