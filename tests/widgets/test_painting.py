"""A hand paints in a real window; the store, opened by plain zarr, holds exactly that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.view import Tool
from tests.widgets.bench import SHAPE, Bench, make_cohort, planes_by_plain_zarr

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return make_cohort(tmp_path / "cohort.zarr", "clip-1", "clip-2")


def test_what_the_hand_paints_is_what_the_store_holds(bench: Bench, cohort: Cohort) -> None:
    session, hand = bench.session, bench.hand
    seen: list[tuple[int, int, int, str, int]] = []
    was = np.zeros((3, 6, *SHAPE), np.uint8)  # (C, T, Y, X)

    def note(confidence: int, tool: str) -> None:
        nonlocal was
        bench.until(lambda: len(session.strokes) > len(seen))
        now = np.stack([session.planes[c.name] for c in session.classes])
        changed = np.argwhere(now != was)
        assert len({(c, t) for c, t, _, _ in changed.tolist()}) == 1  # one class, one frame
        c, t = changed[0, :2].tolist()
        assert set(now[c, t][now[c, t] != was[c, t]].tolist()) == {confidence}
        seen.append((c, t, confidence, tool, len(changed)))
        was = now.copy()

    hand.key("0")
    hand.stroke([(20, 20), (60, 40)])
    note(90, "brush")
    hand.key("H")  # A-line
    hand.key("9")
    bench.panel.form.tools.buttons[Tool.POLYGON].click()
    hand.polygon([(10, 70), (10, 110), (40, 110), (40, 70)])
    note(60, "polygon")
    hand.key("8")
    bench.panel.form.tools.buttons[Tool.FILL].click()
    hand.click(20, 90)
    note(30, "fill")
    session.frame = 3
    bench.panel.form.tools.buttons[Tool.BRUSH].click()
    hand.key("W")  # surer by 5
    hand.stroke([(70, 20), (70, 100)])
    note(35, "brush")
    hand.key("1")  # napari's own key for erasing
    hand.stroke([(70, 60), (70, 80)])
    note(0, "erase")
    bench.panel.form.tools.buttons[Tool.EXCLUDE].click()
    hand.stroke([(30, 30), (30, 50)])
    note(255, "exclude")
    assert set(np.unique(was)) == {0, 30, 35, 90, 255}

    before_undo = was
    for _ in range(3):
        hand.key("Ctrl+Z")
    assert [s.undone for s in session.strokes] == [False] * 3 + [True] * 3
    assert session.frame == 3
    hand.key("Ctrl+Shift+Z")
    hand.key("Ctrl+Shift+Z")
    expected = before_undo.copy()
    expected[1, 3][expected[1, 3] == 255] = 0
    assert session.flush()

    stored = planes_by_plain_zarr(cohort, "clip-1", "dr-ada").swapaxes(0, 1)
    assert np.array_equal(stored, expected)
    layers = np.stack([bench.layer(c.label).data for c in session.classes])
    assert np.array_equal(layers, expected)
    strokes = cohort.clip("clip-1").rater("dr-ada").read_strokes()
    record = [s.model_dump(mode="json") for s in strokes]
    told = [(s["class_index"], s["frame"], s["confidence"], s["tool"], s["pixels"]) for s in record]
    assert told == seen
    assert [s["undone"] for s in record] == [False] * 5 + [True]


def test_strokes_clips_and_layers(bench: Bench, cohort: Cohort) -> None:
    a_stroke_keeps_class_frame_and_confidence_whatever_happens(bench)
    for further in (
        another_clip_has_its_own_undo,
        what_other_code_paints_is_a_stroke_too,
        napari_s_own_controls_change_the_session,
        layers_taken_from_the_list_lose_nothing,
    ):
        bench.begin_anew(cohort)
        further(bench)


def a_stroke_keeps_class_frame_and_confidence_whatever_happens(bench: Bench) -> None:
    session, hand = bench.session, bench.hand
    session.confidence = 90
    hand.press(40, 30)
    hand.move(40, 50)
    hand.key("8")
    hand.key("H")
    bench.viewer.dims.set_current_step(0, 4)  # the wheel, or napari's own play button
    hand.key("Ctrl+Z")  # nothing to undo yet
    hand.move(40, 80)
    hand.release(40, 80)
    bench.until(lambda: session.strokes)
    (stroke,) = session.strokes
    assert (stroke.class_index, stroke.frame, stroke.confidence) == (2, 0, 90)
    assert not session.planes["a-line"].any()
    # What was asked for meanwhile holds from now on.
    bench.until(lambda: bench.viewer.layers.selection.active is bench.layer("A-line"))
    assert session.confidence == 30
    hand.stroke([(70, 30), (70, 50)])
    bench.until(lambda: len(session.strokes) == 2)
    assert (session.strokes[1].class_index, session.strokes[1].confidence) == (1, 30)


def napari_s_own_controls_change_the_session(bench: Bench) -> None:
    session, hand, layer = bench.session, bench.hand, bench.layer()
    session.confidence = 99
    hand.key("Equal")
    hand.key("Equal")
    assert session.confidence == layer.selected_label == 100
    hand.key("M")  # "new label"
    assert layer.selected_label <= 100
    hand.key("X")
    assert session.tool is Tool.ERASE
    hand.key("X")
    assert session.tool is Tool.BRUSH
    layer.selected_label = 40
    assert session.confidence == 40
    assert bench.layer("A-line").selected_label == 40
    layer.brush_size = 21
    assert session.brush_size == 21
    layer.mode = "polygon"
    assert session.tool is Tool.POLYGON
    layer.n_edit_dimensions = 3
    assert layer.n_edit_dimensions == 2
    layer.visible = False
    assert session.hidden == {"b-line"}
    assert session.view().tool is Tool.POLYGON
    assert layer.mode == "pan_zoom"
    layer.visible = True
    assert layer.mode == "polygon"
    bench.viewer.layers.selection.active = bench.layer("A-line")
    assert session.class_name == "a-line"
    bench.viewer.layers.selection.active = bench.layer("clip-1")
    assert session.tool is Tool.PAN
    hand.key("G")
    bench.panel.form.tools.buttons[Tool.BRUSH].click()
    assert bench.viewer.layers.selection.active is bench.layer("Pleural line")


def layers_taken_from_the_list_lose_nothing(bench: Bench) -> None:
    session, hand = bench.session, bench.hand
    hand.stroke([(40, 30), (40, 60)])
    bench.until(lambda: session.strokes)
    marked = session.planes["b-line"][:]
    bench.viewer.layers.remove("B-line")
    assert session.hidden == {"b-line"}
    bench.panel.form.palette_.rows["b-line"].eye.click()
    assert np.array_equal(bench.layer().data, marked)
    hand.key("J")
    bench.panel.form.tools.buttons[Tool.BRUSH].click()
    hand.stroke([(60, 30), (60, 60)])
    bench.until(lambda: len(session.strokes) == 2)
    bench.viewer.layers.remove("clip-1")
    assert session.clip is None
    assert len(bench.viewer.layers) == 0
    assert bench.panel.cohort_actions.open_clip("clip-1")
    assert session.planes["b-line"][:].sum() > marked.sum()


def another_clip_has_its_own_undo(bench: Bench) -> None:
    session, hand = bench.session, bench.hand
    hand.stroke([(40, 30), (40, 60)])
    bench.until(lambda: session.strokes)
    layer, marked = bench.layer(), session.planes["b-line"][:]
    assert bench.panel.cohort_actions.open_clip("clip-2")
    assert bench.layer() is layer  # the layers stay, their data are the other clip's
    assert not layer.data.any()
    hand.key("Ctrl+Z")
    assert not layer.data.any()
    assert bench.panel.cohort_actions.open_clip("clip-1")
    assert np.array_equal(layer.data, marked)
    hand.key("Ctrl+Z")
    assert not layer.data.any()


def what_other_code_paints_is_a_stroke_too(bench: Bench) -> None:
    session, layer = bench.session, bench.layer()
    layer.data_setitem((np.array([1, 1, 2]), np.array([3, 4, 3]), np.array([5, 5, 6])), 40)
    layer.paint((2, 50, 50), 70)
    layer.fill((2, 50, 50), 20)
    assert [(s.frame, s.confidence) for s in session.strokes] == [
        (1, 40),
        (2, 40),
        (2, 70),
        (2, 20),
    ]
    assert session.flush()
    while session.undo():
        pass
    assert not layer.data.any()


def test_the_circle_of_the_brush(bench: Bench, cohort: Cohort) -> None:
    no_brush_waits_in_the_corner(bench)
    bench.begin_anew(cohort)
    nothing_covers_what_lies_within_the_brush(bench)


def no_brush_waits_in_the_corner(bench: Bench) -> None:
    """As when the mouse lies over the canvas and has not moved since the window came."""
    viewer = bench.viewer
    bench.session.brush_size = 40
    viewer.scene.camera.zoom /= 3  # the corners are black
    viewer.mouse_over_canvas = True
    brush = viewer.canvas.overlays._brush_circle
    for seen in (False, True):  # and napari puts it to where it was seen last
        brush.visible = seen
        brush.events.position()
    bench.hand.wait(50)
    corner = np.asarray(viewer.screenshot(canvas_only=True, flash=False))[:40, :40, :3]
    assert brush.visible
    assert not corner.any()


def nothing_covers_what_lies_within_the_brush(bench: Bench) -> None:
    hand, viewer = bench.hand, bench.viewer
    brush = viewer.canvas.overlays._brush_circle
    bench.session.brush_size = 24

    def picture(seen: bool) -> np.ndarray:
        viewer.mouse_over_canvas = seen  # on a screen shared by tests the pointer may be elsewhere
        hand.move(48, 66)
        hand.move(48, 64)
        return np.asarray(viewer.screenshot(canvas_only=True, flash=False)).astype(int)

    bench.until(lambda: np.array_equal(picture(False), picture(False)))  # the layout has settled
    bare = picture(False)
    viewer.canvas.overlay_tiling.padding = (12, 12)  # napari draws its overlays' boxes anew
    changed = (picture(True) != bare).any(axis=-1)
    y, x = np.indices(changed.shape)
    away = np.hypot(y - brush.position[1], x - brush.position[0])
    assert changed[abs(away - brush.size / 2) < 3].any()  # the brush is on show
    assert not changed[away < brush.size / 2 - 4].any()
