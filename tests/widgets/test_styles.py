"""Marks as contours or hatching: read without colour, painted as before. Pens paint like mice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QPointF, Qt
from qtpy.QtGui import QInputDevice, QPointingDevice, QTabletEvent

from napari_confseg.annotate.contours import ContourPlanes
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.view import Style
from napari_confseg.widgets.layers.contour_lines import NAME
from tests.annotate.edits import paint
from tests.widgets.bench import Bench, make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_confseg.store import Cohort


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return make_cohort(tmp_path / "cohort.zarr", "clip-3", "clip-4")


@pytest.fixture
def bench(make_napari_viewer: Callable[..., Any], cohort: Cohort) -> Iterator[Bench]:
    made = Bench(make_napari_viewer(show=True))
    made.open(cohort, clip="clip-3")
    yield made
    made.close()


def lines(bench: Bench) -> np.ndarray:
    """What of the lines is on the canvas."""
    return np.asarray(bench.viewer.layers[NAME]._slice.image.raw)


def test_styles_and_pens(bench: Bench, cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    a_pen_is_left_to_qt_which_makes_a_mouse_of_it(bench)
    marks_as_lines(bench, monkeypatch)
    bench.begin_anew(cohort, "clip-3")
    lines_follow_the_clip_and_go(bench)


def marks_as_lines(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    session, layers, hand = bench.session, bench.viewer.layers, bench.hand
    hand.stroke([(20, 20), (20, 60)])
    bench.until(lambda: len(session.strokes) == 1)
    assert NAME not in layers

    bench.panel.form.style_row.buttons[Style.CONTOURS].click()
    assert Preferences.load().style is Style.CONTOURS
    assert layers.selection.active is bench.layer()  # one goes on painting in one's own plane
    ink = np.asarray(layers[NAME].data[0])
    assert set(np.unique(ink)) == {0, 3}  # the third class
    assert (session.planes["b-line"][0][ink == 3] == 60).all()
    faint = {float(bench.layer().get_color(v)[3]) for v in (30, 90)}
    assert len(faint) == 1

    read: list[int] = []
    drawn = ContourPlanes.frame

    def noted(self: ContourPlanes, index: int) -> Any:
        read.append(index)
        return drawn(self, index)

    monkeypatch.setattr(ContourPlanes, "frame", noted)
    session.confidence = 90
    hand.stroke([(60, 20), (60, 90)])
    bench.until(lambda: len(session.strokes) == 2)
    bench.until(lambda: lines(bench)[50:70].any())
    assert set(read) == {0}  # only the frame on show is drawn
    assert set(np.unique(session.planes["b-line"][0])) == {0, 60, 90}  # painted as before
    contours = lines(bench)

    hand.key("Ctrl+Z")
    assert not lines(bench)[50:70].any()
    session.threshold = 61
    assert not lines(bench).any()
    session.threshold = 0
    hand.key("Shift+S")
    assert session.style is Style.HATCHING
    assert lines(bench).any()
    assert not np.array_equal(lines(bench)[:40], contours[:40])
    session.hidden = frozenset({"b-line"})
    assert not lines(bench).any()
    session.hidden = frozenset()


def lines_follow_the_clip_and_go(bench: Bench) -> None:
    session, layers = bench.session, bench.viewer.layers
    session.style = Style.CONTOURS
    paint(session, (10, 10, 30, 30), confidence=30)
    bench.panel.cohort_actions.open_clip("clip-4")  # another clip in the same layers
    assert not lines(bench).any()
    paint(session, (10, 10, 30, 30), confidence=30, frame=2)
    assert not lines(bench).any()
    session.frame = 2
    assert lines(bench).any()
    layers.remove(layers[NAME])  # from napari's own list
    assert session.style is Style.FILL
    assert float(bench.layer().get_color(30)[3]) < float(bench.layer().get_color(90)[3])
    session.style = Style.HATCHING
    session.close_clip()
    assert len(layers) == 0


def a_pen_is_left_to_qt_which_makes_a_mouse_of_it(bench: Bench) -> None:
    made = Qt.ApplicationAttribute.AA_SynthesizeMouseForUnhandledTabletEvents
    assert QCoreApplication.testAttribute(made)
    pen = QPointingDevice(
        "pen",
        1,
        QInputDevice.DeviceType.Stylus,
        QPointingDevice.PointerType.Pen,
        QInputDevice.Capability.Pressure,
        1,
        2,
    )
    at = QPointF(bench.hand.at(20, 20))
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    for kind in (QEvent.Type.TabletPress, QEvent.Type.TabletMove, QEvent.Type.TabletRelease):
        event = QTabletEvent(kind, pen, at, at, 0.5, 0, 0, 0, 0, 0, none, left, left)
        QCoreApplication.sendEvent(bench.hand.canvas, event)
        assert not event.isAccepted(), kind
