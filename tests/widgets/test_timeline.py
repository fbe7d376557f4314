"""The timeline in the real window, by a real mouse and real keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_confseg.annotate.timeline import UNKNOWN
from napari_confseg.annotate.tools.filling import Origin
from napari_confseg.store import Status
from napari_confseg.widgets.demo.hand import wait
from tests.annotate.edits import paint
from tests.annotate.tools.pictures import texture
from tests.conftest import add_clip, clip_meta
from tests.widgets.bench import SHAPE, make_cohort

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort
    from napari_confseg.widgets.annotate.timeline import TimelineView
    from tests.widgets.bench import Bench

LEFT, SHIFT = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    """A clip whose picture stands still until it is only noise."""
    made = make_cohort(tmp_path / "cohort.zarr")
    with made.new_clip("cut", shape=SHAPE) as new:
        for t in range(24):
            new.append(texture(SHAPE) if t < 10 else texture(SHAPE, seed=t, grain=0.5))
        new.finish(clip_meta(24))
    return made


def at(line: TimelineView, frame: int, row: str = "reviewed") -> QPoint:
    """A point of the timeline over a frame."""
    top, bottom = getattr(line._rows, row)
    return QPoint(int(line.x_of(frame)), (top + bottom) // 2)


def turn(line: TimelineView, frame: int, notches: int, held: object = None) -> None:
    """Turn the wheel over a frame."""
    where = QPointF(at(line, frame))
    event = QWheelEvent(
        where,
        QPointF(line.mapToGlobal(where.toPoint())),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        held or Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(line, event)


def lane_pixels(line: TimelineView, lane: int, frame: int) -> np.ndarray:
    """What is drawn of a class on a frame, rgb (height, width, 3)."""
    image = line.grab().toImage()
    image = image.convertToFormat(image.Format.Format_RGBA8888)
    pixels = np.frombuffer(image.constBits(), np.uint8)
    pixels = pixels.reshape(image.height(), image.bytesPerLine() // 4, 4)[..., :3]
    top, bottom = line._rows.lanes[lane]
    left, right = round(line._x_at(frame)), round(line._x_at(frame + 1))
    return pixels[top:bottom, left:right].copy()


def test_the_timeline_in_a_window(bench: Bench, cohort: Cohort) -> None:
    painted_carried_and_filled_frames_look_different_and_are_seen_again(bench)
    bench.begin_anew(cohort, "cut")
    a_long_clip_by_wheel_drag_and_keys(bench, cohort)


def painted_carried_and_filled_frames_look_different_and_are_seen_again(bench: Bench) -> None:
    session, line = bench.session, bench.panel.form.transport.timeline
    c = session.class_index()
    color = np.array([int(session.classes[c].color[i : i + 2], 16) for i in (1, 3, 5)])
    session.confidence = 90
    bench.hand.stroke([(40, 40), (40, 80)])
    bench.until(lambda: len(session.strokes) == 1)
    session.reach = 20
    bench.hand.key("Ctrl+Shift+Right")  # as far as the picture is the same
    bench.until(lambda: "nothing is left: the picture matches by" in session.message)
    carrying = session.strokes[1].carrying
    assert carrying is not None
    assert carrying.lost == 10
    assert [t for t, _ in carrying.matches] == list(range(1, 11))
    assert all(match > 90 for _, match in carrying.matches[:-1])
    paint(session, (30, 30, 50, 60), confidence=90, frame=14)
    paint(session, (30, 30, 50, 60), confidence=90, frame=20)
    session.frame = 17
    session.toolkit.interpolate()
    session.frame = 23
    bench.hand.wait(50)

    def looks() -> list[float]:
        """Share of the bar that has the full colour: painted, carried, filled, nothing."""
        shares = []
        for frame in (0, 5, 17, 12):
            found = (lane_pixels(line, c, frame) == color).all(axis=2)
            bar = found[found.any(axis=1).argmax() :, :-1]
            shares.append(float(bar.mean()))
        return shares

    painted, carried, filled, nothing = looks()
    assert painted > 0.9
    assert 0.2 < carried < 0.75
    assert 0.3 < filled < 0.75
    assert nothing == 0
    assert not np.array_equal(lane_pixels(line, c, 5), lane_pixels(line, c, 17))
    for frame, words in (
        (0, "B-line: 90 %, painted"),
        (5, "% , carried; the picture matches by".replace("% ,", "%,")),
        (17, "filled between painted frames"),
        (10, "Carried marks were lost: the picture matches by"),
        (12, "Nothing is marked"),
    ):
        told = line.words_at(line.x_of(frame))
        assert told.startswith(f"Frame {frame + 1} of 24")
        assert words in told

    before, kept = looks(), line.model.match.copy()
    assert (kept != UNKNOWN).sum() == 10
    bench.session.close_clip()
    bench.panel.cohort_actions.open_clip("cut")  # what is known of the way is in the record
    session.class_name, session.frame = "b-line", 23
    bench.hand.wait(100)
    np.testing.assert_array_equal(line.model.match, kept)
    assert looks() == before
    bench.hand.key("Ctrl+Z")
    bench.until(lambda: line.model.origin[17, c] == Origin.NONE)
    bench.hand.wait(50)
    session.frame = 23
    assert looks()[2] == 0


def a_long_clip_by_wheel_drag_and_keys(bench: Bench, cohort: Cohort) -> None:
    add_clip(cohort, "long", n_frames=900, shape=(24, 32))
    bench.panel.cohort_actions.open_clip("long")
    bench.hand.wait(200)
    session, line = bench.session, bench.panel.form.transport.timeline
    assert line.in_sight.whole
    paint(session, (4, 4, 9, 9), confidence=60, frame=503)
    # A click on a bar that stands for several frames goes to the one that it shows.
    lane = line._rows.lanes[session.class_index()]
    where = QPoint(int(line.x_of(503)), (lane[0] + lane[1]) // 2)
    QTest.mouseClick(line, LEFT, pos=where)
    assert session.frame == 503

    # The wheel zooms about the mouse, and sideways with Shift.
    for _ in range(13):
        turn(line, 503, 1)
    assert 30 < line.in_sight.length < 80
    assert abs(line.x_of(503) - where.x()) < line.width() / line.in_sight.length
    start = line.in_sight.start
    turn(line, 503, -1, SHIFT)
    assert line.in_sight.start > start
    turn(line, 503, 1, SHIFT)

    # Frames passed over with Shift are reviewed, exactly those, as one edit.
    QTest.mousePress(line, LEFT, SHIFT, at(line, 500))
    QTest.mouseMove(line, at(line, 503))
    assert line._reviewing == range(500, 504)
    QTest.mouseMove(line, at(line, 510))
    QTest.mouseRelease(line, LEFT, SHIFT, at(line, 510))
    reviewed = (session.status == Status.REVIEWED).all(axis=1)
    assert np.flatnonzero(reviewed).tolist() == list(range(500, 511))
    assert session.frame == 503
    bench.hand.key("PageDown")  # next that is not reviewed
    assert session.frame == 511

    # A drag goes along with the mouse, also beyond what is in sight.
    QTest.mousePress(line, LEFT, pos=at(line, 505))
    for x in (line.width() // 2, line.width() - 3, line.width() + 30):
        QTest.mouseMove(line, QPoint(x, 20))
        assert line.in_sight.holds(session.frame)
    QTest.mouseRelease(line, LEFT, pos=QPoint(line.width() + 30, 20))
    assert session.frame > 511

    # Where one goes by other means, the timeline follows; the overview moves it back.
    length = line.in_sight.length
    session.frame = 40
    assert line.in_sight.holds(40)
    assert line.in_sight.length == pytest.approx(length)
    overview = (line._rows.overview[0] + line._rows.overview[1]) // 2
    QTest.mouseClick(line, LEFT, pos=QPoint(line.width() // 2, overview))
    assert line.in_sight.holds(450)
    assert session.frame == 40

    QTest.mouseDClick(line, LEFT, pos=at(line, 450))
    assert line.in_sight.whole
    session.frame = 700
    for way in ("Up", "Up", "Down"):
        length = line.in_sight.length
        bench.hand.key(f"Ctrl+Shift+{way}")
        assert (line.in_sight.length < length) is (way == "Up")
        assert line.in_sight.holds(700)
    bench.hand.key("Ctrl+Shift+Home")
    assert line.in_sight.whole


def test_the_playhead_stays_in_sight_while_it_plays(unseen_bench: Bench, cohort: Cohort) -> None:
    bench = unseen_bench
    bench.open(cohort, clip="cut")
    session, line = bench.session, bench.panel.form.transport.timeline
    line.zoom(0.1, 0)
    assert line.in_sight.length == 8
    seen = []
    session.events.frame.connect(lambda frame: seen.append((frame, line.in_sight.holds(frame))))
    bench.panel.form.transport.play.click()
    bench.until(lambda: any(frame > 9 for frame, _ in seen))
    bench.panel.form.transport.play.click()
    assert all(inside for _, inside in seen)

    # In a wider dock there are more pixels, on which the last frame is the last again.
    paint(session, (30, 30, 50, 60), confidence=100, frame=23)
    line.show_whole()
    session.frame = 0
    last = session.class_index("b-line")
    color = np.array([int(session.classes[last].color[i : i + 2], 16) for i in (1, 3, 5)])
    for width in (320, 420):
        bench.panel.resize(width, 900)
        wait(50)
        assert (lane_pixels(line, last, 23)[2:-2, :-1] == color).all()
    session.undo()

    # Planes that opening left aside are looked at in the pauses, and none is missed.
    for frame in range(6):
        paint(session, (30, 30, 50, 60), confidence=30 + frame, frame=frame)
    c = session.class_index("b-line")
    line.model.begin(session.strokes, session.marked)
    line.model.highest[:] = 0
    assert line.model.read(session.editor.plane, budget=2 * SHAPE[0] * SHAPE[1])
    assert np.count_nonzero(line.model.highest) == 2
    line._reader.start()
    bench.until(lambda: not line._reader.isActive())
    assert line.model.highest[:6, c].tolist() == list(range(30, 36))
