"""The M-mode in napari's real window: key and button, a beam dragged, the dock, Esc, a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_confseg.annotate.view import Tool
from napari_confseg.store import Cohort
from napari_confseg.widgets.layers.beam_line import _NAME
from tests.widgets.bench import SHAPE, Bench, make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

N = 30


@pytest.fixture
def window(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, state_dir: Path
) -> Iterator[Bench]:
    cohort = make_cohort(tmp_path / "cohort.zarr", "clip-1", "clip-2", n_frames=N)
    made = Bench(make_napari_viewer(show=True))
    made.open(Cohort.open(cohort.location))
    yield made
    made.close()


def lit(bench: Bench) -> Tool:
    """The one tool whose button is down."""
    (tool,) = (t for t, b in bench.panel.form.tools.buttons.items() if b.isChecked())
    return tool


def drawn(bench: Bench) -> Any:
    """The beam on the picture; None if there is none."""
    overlay = bench.viewer.layers[bench.session.clip.name]._overlays[_NAME]
    return overlay.points if overlay.visible else None


def test_a_beam_is_taken_dragged_and_left(window: Bench, tmp_path: Path) -> None:
    bench, session, hand, mode = window, window.session, window.hand, window.session.m_mode
    session.tool = Tool.ERASE
    hand.key("Ctrl+Shift+M")
    assert session.tool is lit(bench) is Tool.M_MODE
    panel = bench.panel.m_mode.panel
    bench.until(lambda: mode.picture.complete and panel.view.isVisible())
    hand.wait(100)
    assert drawn(bench)[:, 0] == pytest.approx(SHAPE[1] / 2, abs=1)  # in the middle at first

    hand.stroke([(30, 40), (50, 70), (60, 90)])
    assert drawn(bench)[:, 0] == pytest.approx(90.5, abs=1.5)
    bench.until(lambda: mode.picture.complete)
    assert panel.words.text() == f"Beam {round(mode.beam.lateral)} px from the left"
    x = round(float(mode.beam.x[0]))
    rows = np.rint(mode.beam.y).astype(int)
    between = np.asarray(session.clip.frames)[:, rows, x - 1 : x + 2]
    assert (between.min(axis=2) <= mode.picture.values.T).all()
    assert not session.strokes  # nothing is marked by it

    at = QPoint(round(panel.view.x_of(21)), round(panel.view.picture_rect().bottom() - 5))
    QTest.mouseClick(panel.view, Qt.MouseButton.LeftButton, pos=at)
    assert session.frame == 21
    top = panel.view.picture_rect().top()
    start = QPoint(at.x(), round(panel.view.y_of(panel.view.pleura[0])))
    end = QPoint(at.x(), round(top + 30))
    QTest.mousePress(panel.view, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(panel.view, end)
    QTest.mouseRelease(panel.view, Qt.MouseButton.LeftButton, pos=end)
    assert panel.view.pleura == (
        pytest.approx(panel.view.depth_at(end.y()), abs=0.1),
        "as you set it",
    )
    assert session.frame == 21

    panel.save_to(str(tmp_path / "m-mode.png"))
    with Image.open(tmp_path / "m-mode.png") as picture:
        assert picture.size == (2 * panel.view.width(), 2 * panel.view.height())

    # Another tool may be taken meanwhile: the M-mode stays in sight, the beam stays where it is.
    bench.panel.form.tools.buttons[Tool.BRUSH].click()
    assert session.tool is lit(bench) is Tool.BRUSH
    place = drawn(bench)[0, 0]
    hand.stroke([(30, 20), (30, 40)])
    bench.until(lambda: len(session.strokes) == 1)
    assert drawn(bench)[0, 0] == place
    session.undo()

    bench.panel.form.tools.buttons[Tool.M_MODE].click()
    assert lit(bench) is Tool.M_MODE
    bench.panel.cohort_actions.open_clip("clip-2")
    bench.until(lambda: mode.picture.complete)
    assert drawn(bench) is not None
    hand.key("Escape")
    assert session.tool is lit(bench) is Tool.BRUSH
    assert drawn(bench) is None
    assert bench.panel.m_mode.panel is None
    hand.key("Ctrl+Shift+M")
    bench.panel.m_mode.panel.parentWidget().title.close_button.click()
    bench.until(lambda: not mode.shown)
    assert session.tool is lit(bench) is Tool.BRUSH
