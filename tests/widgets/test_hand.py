"""The hand: the tool that is lit is the tool in hand, and picture and marks never come apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer
from napari.layers.utils._link_layers import get_linked_layers
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_confseg.annotate.view import Style, Tool
from napari_confseg.widgets.demo.hand import press_key, wait
from tests.widgets.bench import Bench, make_cohort
from tests.widgets.random_walk import Walk

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return make_cohort(tmp_path / "cohort.zarr", "clip-1", "clip-2")


def lit(bench: Bench) -> Tool:
    """The tool whose button is down."""
    (tool,) = (t for t, b in bench.panel.form.tools.buttons.items() if b.isChecked())
    return tool


def standing(bench: Bench) -> int:
    """How many strokes there are that were not undone."""
    return sum(not stroke.undone for stroke in bench.session.strokes)


def camera(bench: Bench) -> tuple[float, ...]:
    """Where the picture is on the canvas."""
    seen = bench.viewer.scene.camera
    return (*map(float, seen.center), float(seen.zoom))


def test_layers_of_a_clip_stay_where_they_are(bench: Bench) -> None:
    viewer, session, hand = bench.viewer, bench.session, bench.hand
    order = [layer.name for layer in viewer.layers]
    viewer.layers.selection.active = bench.layer("clip-1")
    hand.key("2")  # napari: transform the picture
    assert session.tool is lit(bench) is Tool.BRUSH
    assert viewer.layers.selection.active is bench.layer()
    hand.stroke([(40, 30), (40, 60)])
    bench.until(lambda: session.strokes)
    rows = np.flatnonzero(session.planes["b-line"][0].any(axis=1))
    assert 35 <= rows.min() <= rows.max() <= 45
    hand.key("7")  # napari: transform the class
    assert session.tool is lit(bench) is Tool.BRUSH
    assert bench.layer().mode == "paint"

    for layer in viewer.layers:
        before = layer.affine.affine_matrix.copy(), layer.scale.copy()
        layer.translate = (0, 5, 5)
        layer.scale = (1, 2, 2)
        layer.rotate = 30
        layer.affine = np.diag([1.0, 3, 3, 1])
        assert not layer.translate.any()
        assert np.array_equal(layer.scale, before[1])
        assert np.allclose(layer.rotate, np.eye(3))
        assert np.array_equal(layer.affine.affine_matrix, before[0])
        layer.mode = "transform"
        assert layer.mode != "transform"
    assert "stay" in session.message
    viewer.layers.selection.active = bench.layer()
    for key in ("Ctrl+Y", "Ctrl+E", "Ctrl+T", "Ctrl+G", "Ctrl+Alt+T"):
        hand.key(key)
        assert viewer.dims.ndisplay == 2
        assert viewer.dims.order == (0, 1, 2)
        assert not viewer.canvas.grid.enabled
        assert all(np.allclose(layer.affine.affine_matrix, np.eye(4)) for layer in viewer.layers)
    viewer.layers.move(0, len(viewer.layers))
    bench.until(lambda: [layer.name for layer in viewer.layers] == order)
    viewer.layers.select_all()
    hand.key("Ctrl+Delete")
    assert [layer.name for layer in viewer.layers] == order
    bench.layer().data = bench.layer().data[:]
    assert bench.layer().data is session.planes["b-line"]
    napari_s_controls_hide_no_mark(bench)


def napari_s_controls_hide_no_mark(bench: Bench) -> None:
    layer, session = bench.layer(), bench.session
    for name, value in {
        "preserve_labels": True,
        "contiguous": False,
        "show_selected_label": True,
        "contour": 1,
        "n_edit_dimensions": 3,
    }.items():
        before = getattr(layer, name)
        setattr(layer, name, value)
        assert getattr(layer, name) == before
    colors = layer.colormap
    layer.new_colormap()
    assert np.allclose(layer.colormap.map(np.uint8(60)), colors.map(np.uint8(60)))
    layer.opacity = 0.3
    assert session.opacity == pytest.approx(0.3)
    assert bench.layer("A-line").opacity == pytest.approx(0.3)


def test_a_copy_of_a_class_is_not_taken_for_it(bench: Bench) -> None:
    session, viewer = bench.session, bench.viewer
    viewer.layers.selection.active = bench.layer()
    _duplicate_layer(viewer.layers)
    copy = next(layer for layer in viewer.layers if layer.name == "B-line copy")
    viewer.layers.selection.active = copy
    assert "B-line copy is no layer of this clip" in session.message
    assert lit(bench) is Tool.PAN
    bench.panel.form.tools.buttons[Tool.BRUSH].click()  # for the class itself
    assert viewer.layers.selection.active is bench.layer()
    bench.hand.stroke([(40, 40), (40, 60)])
    bench.until(lambda: standing(bench) == 1)
    assert not copy.data.any()


def test_the_tool_lit_is_the_tool_in_hand(bench: Bench) -> None:
    session, hand, form = bench.session, bench.hand, bench.panel.form
    form.tools.buttons[Tool.B_LINE].click()
    hand.key("2")
    hand.stroke([(20, 30), (20, 60)])
    hand.key("Shift+Q")
    hand.key("Shift+Q")
    form.palette_.rows["a-line"].eye.click()
    bench.layer("Pleural line").visible = False
    bench.layer("Pleural line").visible = True
    before, strokes = camera(bench), len(session.strokes)
    assert session.tool is lit(bench) is Tool.BRUSH
    hand.stroke([(60, 30), (60, 60)])
    bench.until(lambda: len(session.strokes) == strokes + 1)
    assert camera(bench) == before
    hand.key("1")
    bench.layer().visible = False
    bench.layer().visible = True  # and not what it was when it was hidden
    assert session.tool is lit(bench) is Tool.ERASE
    assert bench.layer().mode == "erase"
    bench.layer().mode = "pick"
    assert bench.layer().mode == "erase"
    form.tools.buttons[Tool.ERASE].click()  # the one that is lit
    assert session.tool is lit(bench) is Tool.ERASE
    session.hidden, session.style = frozenset(), Style.CONTOURS
    for shown in (False, True):  # napari's V goes through the selected ones, lines among them
        bench.viewer.layers.select_all()
        bench.viewer.layers.toggle_selected_visibility()
        bench.until(lambda: session.style is Style.FILL)
        assert [layer.visible for layer in bench.viewer.layers] == [shown] * 4
    form.tools.buttons[Tool.ERASE].click()
    bench.viewer.layers.link_layers(bench.viewer.layers)
    session.confidence = 70
    assert not get_linked_layers(bench.layer())
    for further in (
        a_class_that_cannot_be_painted_says_why_and_nothing_moves,
        a_quick_flick_paints_to_where_the_button_is_let_go,
        fill_and_brush_keep_to_what_may_be_marked,
    ):
        while session.undo():
            pass
        session.tool, session.frame, session.confidence = Tool.BRUSH, session.frame + 1, 60
        bench.viewer.reset_view()
        wait(30)
        further(bench)


def a_class_that_cannot_be_painted_says_why_and_nothing_moves(bench: Bench) -> None:
    session, hand = bench.session, bench.hand
    for why, change in {
        "locked": {"locked": frozenset({"b-line"})},
        "hidden": {"hidden": frozenset({"b-line"})},
        "hidden: Shift+W": {"marks_shown": False},
    }.items():
        session.message = ""
        for name, value in change.items():
            setattr(session, name, value)
        before = camera(bench)
        for tool in (Tool.BRUSH, Tool.FILL, Tool.B_LINE, Tool.POLYGON):
            session.tool = tool
            hand.stroke([(40, 30), (60, 60)])
            assert session.tool is lit(bench) is tool
            assert camera(bench) == before, (why, tool)
            assert why.split(":")[0] in session.message
            session.message = ""
        session.locked, session.hidden, session.marks_shown = frozenset(), frozenset(), True
    session.tool = Tool.BRUSH
    assert not standing(bench)
    hand.stroke([(40, 30), (60, 60)])
    bench.until(lambda: standing(bench))
    session.tool = Tool.PAN
    hand.stroke([(40, 30), (60, 60)])
    assert camera(bench) != before


def test_keys_act_wherever_the_focus_is(bench: Bench) -> None:
    session, viewer, form = bench.session, bench.viewer, bench.panel.form
    bench.hand.stroke([(40, 30), (40, 60)])
    bench.until(lambda: session.strokes)
    bench.hand.activate()
    places: list[Any] = [
        form.opacity.slider,
        form.fill.every,
        bench.hand.window._qt_viewer.layers,
        bench.hand.canvas,
    ]
    for n, place in enumerate(places):
        for layer in ("clip-1", "B-line")[n % 2 :][:1]:
            viewer.layers.selection.active = bench.layer(layer)
            QTest.mouseClick(place, Qt.MouseButton.LeftButton) if place is form.fill.every else None
            session.frame = 2
            press_key(place, "Right")
            assert session.frame == 3, (place, layer)
            press_key(place, "Left")
            press_key(place, "Left")
            assert session.frame == 1
            press_key(place, "1")
            assert session.tool is lit(bench) is Tool.ERASE
            press_key(place, "2")
            assert session.tool is lit(bench) is Tool.BRUSH
            press_key(place, "X")
            assert session.tool is Tool.ERASE
            press_key(place, "X")
            size, confidence = session.brush_size, session.confidence
            press_key(place, "BracketRight")
            press_key(place, "Equal")
            assert (session.brush_size, session.confidence) == (size + 1, confidence + 1)
            press_key(place, "Minus")
            press_key(place, "BracketLeft")
            viewer.layers.selection.active = bench.layer(layer)
            press_key(place, "Ctrl+Z")
            assert session.strokes[0].undone
            press_key(place, "Ctrl+Shift+Z")
            session.tool = Tool.BRUSH
            QTest.keyPress(place, Qt.Key.Key_Space)
            assert session.tool is lit(bench) is Tool.PAN
            QTest.keyRelease(place, Qt.Key.Key_Space)
            assert session.tool is lit(bench) is Tool.BRUSH
    field = form.notes.tags
    form.notes_section.open(True)
    wait(50)
    field.setFocus()
    session.frame = 2
    for key in ("Right", "1", "Space", "X"):
        press_key(field, key)
    assert (session.frame, session.tool) == (2, Tool.BRUSH)
    assert field.text() == "1 x"
    session.close_clip()
    bench.hand.canvas.setFocus()
    bench.hand.key("Right")  # napari's again


def a_quick_flick_paints_to_where_the_button_is_let_go(bench: Bench) -> None:
    session, hand = bench.session, bench.hand
    hand.move(40, 30)
    QTest.mousePress(hand.canvas, Qt.MouseButton.LeftButton, pos=hand.at(40, 30))
    QTest.mouseRelease(hand.canvas, Qt.MouseButton.LeftButton, pos=hand.at(40, 70))
    bench.until(lambda: standing(bench))
    columns = np.flatnonzero(session.planes["b-line"][session.frame].any(axis=0))
    assert columns.min() <= 28
    assert columns.max() >= 72
    assert len(columns) == np.ptp(columns) + 1


def fill_and_brush_keep_to_what_may_be_marked(bench: Bench) -> None:
    session, hand = bench.session, bench.hand
    session.tool = Tool.FILL
    hand.click(40, 60)
    assert not standing(bench)
    assert "100 % of the picture is open there" in session.message
    session.tool = Tool.EXCLUDE
    hand.stroke([(40, 40), (40, 80)])
    bench.until(lambda: standing(bench))
    session.tool, session.threshold = Tool.BRUSH, 70
    hand.stroke([(20, 60), (60, 60)])
    bench.until(lambda: standing(bench) == 2)
    assert session.planes["b-line"][session.frame, 40, 60] == 255
    assert session.planes["b-line"][session.frame, 25, 60] == 60 == session.threshold
    session.tool = Tool.FILL
    hand.click(40, 60)
    assert standing(bench) == 2
    assert "excluded" in session.message
    session.confidence = 90
    hand.click(25, 60)
    bench.until(lambda: standing(bench) == 3)
    assert session.planes["b-line"][session.frame, 25, 60] == 90
    assert session.planes["b-line"][session.frame, 55, 60] == 60  # in one piece, and no further


def test_a_random_walk_over_the_whole_window(bench: Bench, cohort: Cohort) -> None:
    Walk(bench, cohort, seed=5).run(40)
