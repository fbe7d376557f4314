"""Keys and clicks of the commonest acts, counted in the real window.

``docs/how-to/annotate.md`` has them.

A key with its modifiers, a click, a drag and a stroke count one each. That they suffice is what is
tested: each act is done with these and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_confseg.annotate.accepting import Which
from napari_confseg.annotate.review_progress import reviewed_frames
from napari_confseg.annotate.view import Tool
from napari_confseg.store import Cohort, Status
from napari_confseg.widgets.annotate.import_dialog import ImportDialog
from napari_confseg.widgets.readers import drop_targets
from tests.annotate.edits import paint
from tests.annotate.tools.pictures import texture
from tests.conftest import add_clip, clip_meta
from tests.ingest.films import film, moving
from tests.widgets.bench import SHAPE, Bench, drop, make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qtpy.QtWidgets import QWidget

LEFT, SHIFT = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier


class Tally:
    """A hand that counts what it does.

    Parameters
    ----------
    bench : Bench
        Whose window.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench, self.n = bench, 0

    def key(self, key: str) -> None:
        """Press a key on the canvas."""
        self._bench.hand.key(key)
        self.n += 1

    def stroke(self, points: Sequence[tuple[float, float]]) -> None:
        """Paint."""
        self._bench.hand.stroke(points)
        self.n += 1

    def canvas(self, y: float, x: float) -> None:
        """Click on the canvas."""
        self._bench.hand.click(y, x)
        self.n += 1

    def click(self, widget: QWidget) -> None:
        """Click a button."""
        assert widget.isEnabled()
        QTest.mouseClick(widget, LEFT, pos=widget.rect().center())
        self.n += 1

    def drag(self, widget: QWidget, start: QPoint, end: QPoint, held: Any) -> None:
        """Drag over a widget, a modifier held."""
        QTest.mousePress(widget, LEFT, held, start)
        QTest.mouseMove(widget, (start + end) / 2)
        QTest.mouseMove(widget, end)
        QTest.mouseRelease(widget, LEFT, held, end)
        self.n += 1


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    """Two clips of 24 frames, one of 217; a model has marked the first."""
    made = make_cohort(tmp_path / "cohort.zarr")
    for name in ("clip-1", "clip-2"):
        with made.new_clip(name, shape=SHAPE) as new:
            for _ in range(24):
                new.append(texture(SHAPE))  # what is carried finds it again
            new.finish(clip_meta(24))
    add_clip(made, "clip-3", n_frames=217, shape=(48, 64))
    model = made.clip("clip-1").create_rater("net", kind="model", label="Net")
    for frame in range(24):
        for c in (0, 2):
            plane = np.zeros(SHAPE, np.uint8)
            plane[20 + 10 * c : 30 + 10 * c, 20:60] = 80
            model.write_plane(frame, c, plane)
    model.write_status(np.full((24, 3), Status.REVIEWED, np.uint8))
    return made


@pytest.fixture
def at_work(make_napari_viewer: Callable[..., Any], cohort: Cohort) -> Iterator[Bench]:
    """A reader's window on the first clip."""
    made = Bench(make_napari_viewer(show=True))
    made.open(cohort)
    yield made
    made.close()


def test_the_acts_of_reading(at_work: Bench, cohort: Cohort) -> None:
    bench, session, form = at_work, at_work.session, at_work.panel.form
    counted: dict[str, int] = {}

    def count(act: str, did: Tally, done: bool) -> None:
        assert done, act
        counted[act] = did.n

    did = Tally(bench)
    for key in ("G", "Shift+R"):
        did.key(key)
    did.canvas(30, 20)
    did.canvas(34, 90)
    bench.until(lambda: len(session.strokes) == 1)
    count("a pleural line by two clicks", did, session.planes["pleura"][0].any())

    did = Tally(bench)
    did.key("Shift+PageDown")
    count("reviewed, and on", did, (session.status[0] == Status.REVIEWED).all() and session.frame)

    session.class_name, session.frame = "b-line", 1
    paint(session, (40, 60, 60, 90), frame=1)
    did = Tally(bench)
    did.key("Shift+Right")  # carried on, and there
    bench.until(lambda: session.frame == 2 and session.planes["b-line"][2].any())
    did.key("1")
    did.stroke([(50, 62), (50, 70)])
    bench.until(lambda: session.strokes[-1].tool == "erase")
    did.key("2")
    count("a B-line carried on and corrected", did, session.tool is Tool.BRUSH)

    session.others.show("net")
    session.frame = 6
    did = Tally(bench)
    did.key("Shift+T")
    bench.until(lambda: session.planes["b-line"][6].any())
    count("a model's marks on one frame, every class", did, session.planes["pleura"][6].any())

    did = Tally(bench)
    form.accept.which.setCurrentIndex(form.accept.which.findData(Which.ALL))
    form.accept.which.activated.emit(form.accept.which.currentIndex())
    did.n += 2  # a list is opened, and a row chosen
    did.click(form.accept.accept)
    bench.until(lambda: session.planes["b-line"][20].any())
    count("a model's marks on 24 frames", did, session.planes["pleura"][20].any())

    did = Tally(bench)
    did.key("Ctrl+Z")
    count("all of that undone", did, not session.planes["b-line"][20].any())

    did = Tally(bench)
    for key in ("Shift+W", "Shift+W"):
        did.key(key)
    count("a look beneath the marks", did, session.marks_shown)

    did = Tally(bench)
    did.key("Ctrl+Shift+PageDown")
    count("the next clip with work left", did, session.clip.name == "clip-2")

    bench.panel.cohort_actions.open_clip("clip-3")
    bench.hand.wait(100)
    line = form.transport.timeline
    top, bottom = line._rows.reviewed
    ends = [QPoint(int(line.x_of(t)), (top + bottom) // 2) for t in (0, 216)]
    did = Tally(bench)
    did.drag(line, *ends, SHIFT)
    count("217 frames without a finding reviewed", did, reviewed_frames(session.status).all())

    assert counted == {
        "a pleural line by two clicks": 4,
        "reviewed, and on": 1,
        "a B-line carried on and corrected": 4,
        "a model's marks on one frame, every class": 1,
        "a model's marks on 24 frames": 3,
        "all of that undone": 1,
        "a look beneath the marks": 2,
        "the next clip with work left": 1,
        "217 frames without a finding reviewed": 1,
    }


def test_the_first_stroke_on_one_s_own_clip(
    make_napari_viewer: Callable[..., Any],
    tmp_path: Path,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    scan = tmp_path / "mine.avi"
    film(scan, moving(5))
    bench = Bench(make_napari_viewer(show=True))
    session, did = bench.session, Tally(bench)
    clicks = QTimer()  # the dialog holds up whoever opened it

    def import_it() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, ImportDialog):
            clicks.stop()
            did.click(dialog.buttons.button(QDialogButtonBox.StandardButton.Ok))

    clicks.timeout.connect(import_it)
    clicks.start(50)
    (canvas, *_) = drop_targets(bench.hand.window)
    assert drop(canvas, scan)
    did.n += 1
    bench.until(lambda: session.clip is not None)
    bench.hand.wait(200)
    did.stroke([(20, 20), (20, 40)])
    bench.until(lambda: session.strokes)
    assert did.n == 3
    assert session.cohort.location == str(tmp_path / "study.zarr")
    bench.close()


def test_going_on_where_one_was(
    make_napari_viewer: Callable[..., Any], cohort: Cohort, state_dir: Path
) -> None:
    first = Bench(make_napari_viewer(show=True))
    first.open(cohort)
    first.session.frame, first.session.tool = 9, Tool.POLYGON
    first.panel.cohort_actions.close_cohort()
    again = first
    again.hand.wait(200)
    assert again.panel.cohort_actions.open(cohort.location, "Dr. Ada")  # one click on its name
    session = again.session
    assert (session.clip.name, session.frame, session.tool) == ("clip-1", 9, Tool.POLYGON)
    assert session.class_name == "b-line"
    again.close()
