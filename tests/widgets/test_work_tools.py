"""The tools that save work in a real window: real clicks; plain zarr has what pure functions say.

Windows are slow to make: each test does several things in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_confseg.annotate.tools.interpolation import between
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.tools.placing import clipped
from napari_confseg.annotate.tools.propagation import carried
from napari_confseg.annotate.tools.snapping import region_of, snapped
from napari_confseg.annotate.view import Tool
from napari_confseg.store import Cohort, Sector, Spacing
from tests.annotate.tools.pictures import texture
from tests.conftest import clip_meta
from tests.widgets.bench import SHAPE, Bench, make_cohort, planes_by_plain_zarr

if TYPE_CHECKING:
    from pathlib import Path

N = 6
SECTOR = Sector(kind="curved", polygon=((8, 50), (8, 78), (70, 120), (90, 64), (70, 8)))


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    """A clip whose picture slides, with a sector and a size; one of noise without either."""
    made = make_cohort(tmp_path / "cohort.zarr", "still")
    wide = texture((SHAPE[0], SHAPE[1] + N))
    with made.new_clip("sliding", shape=SHAPE) as new:
        for t in range(N):
            new.append(np.ascontiguousarray(wide[:, N - t : N - t + SHAPE[1]]))
        known = {"sector": SECTOR, "spacing": Spacing(y=0.5, x=0.5, source="manual")}
        new.finish(clip_meta(N).model_copy(update=known))
    return made


def preview(bench: Bench, label: str = "B-line") -> np.ndarray | None:
    """Where the overlay says that something would be painted, ``bool (Y, X)``."""
    overlay = bench.layer(label)._overlays["confseg_preview"]
    if not overlay.visible:
        return None
    at = overlay.drawing
    shown = np.zeros(SHAPE, bool)
    h, w = at.rgba.shape[:2]
    shown[at.y : at.y + h, at.x : at.x + w] = at.rgba[..., 3] > 0
    return shown


def stored(bench: Bench, cohort: Cohort, name: str = "sliding") -> np.ndarray:
    """The planes ``(C, T, Y, X)`` as plain zarr reads them."""
    assert bench.session.flush()
    return planes_by_plain_zarr(cohort, name, "dr-ada").swapaxes(0, 1)


def test_bands_and_smart_edges(bench: Bench, cohort: Cohort) -> None:
    bands_by_clicks_and_by_a_drag(bench, cohort)
    while bench.session.undo():
        pass
    bench.session.frame, bench.session.class_name = 0, "b-line"
    a_smart_edge_takes_the_place_of_the_polygon(bench, cohort)


def bands_by_clicks_and_by_a_drag(bench: Bench, cohort: Cohort) -> None:
    session, hand, marker = bench.session, bench.hand, bench.session.toolkit.marker
    session.class_name = "a-line"
    hand.key("Shift+B")  # the tool takes its class
    assert (session.tool, session.class_name) == (Tool.B_LINE, "b-line")
    hand.click(30, 60)
    hand.move(30, 64)
    bench.until(lambda: preview(bench) is not None)
    hand.move(30, 70)
    expected = marker.band(Tool.B_LINE, (30, 60), (30, 70), straight=True)
    bench.until(lambda: np.array_equal(preview(bench), expected > 0))
    assert not session.strokes  # shown, not painted
    hand.key("Escape")
    assert preview(bench) is None
    hand.click(30, 60)
    session.frame = 1  # a band is on one frame
    assert preview(bench) is None
    hand.click(30, 60)
    bench.until(lambda: preview(bench) is not None)
    hand.click(30, 70)
    bench.until(lambda: session.strokes)
    assert preview(bench) is None
    hand.stroke([(40, 30), (42, 36)])  # one drag is two points
    bench.until(lambda: len(session.strokes) == 2)
    both = np.maximum(expected, marker.band(Tool.B_LINE, (40, 30), (42, 36), straight=True))
    assert np.array_equal(stored(bench, cohort)[2, 1], both)
    assert [s.tool for s in session.strokes] == ["b-line", "b-line"]

    bench.panel.form.tools.buttons[Tool.PLEURA].click()
    assert bench.panel.form.options.follow.isVisible()
    hand.click(34, 50)
    hand.click(34, 80)
    bench.until(lambda: len(session.strokes) == 3)
    assert np.array_equal(
        session.planes["pleura"][1], marker.band(Tool.PLEURA, (34, 50), (34, 80), straight=False)
    )
    hand.key("Ctrl+Z")
    hand.click(34, 50)
    QTest.mouseClick(
        hand.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, hand.at(34, 80)
    )
    bench.until(lambda: len(session.strokes) == 4)
    assert np.array_equal(
        session.planes["pleura"][1], marker.band(Tool.PLEURA, (34, 50), (34, 80), straight=True)
    )

    # napari's own keys lead out of it, and Space, held, back into it.
    hand.key("4")
    assert (session.tool, bench.layer("Pleural line").mode) == (Tool.FILL, "fill")
    bench.panel.form.tools.buttons[Tool.PLEURA].click()
    layer = bench.layer("Pleural line")
    layer.mode = "pan_zoom"
    assert session.tool is Tool.PAN
    layer.mode = "fill"
    assert session.tool is Tool.PLEURA


def a_smart_edge_takes_the_place_of_the_polygon(bench: Bench, cohort: Cohort) -> None:
    session, hand = bench.session, bench.hand
    before = len(session.strokes)
    corners = [(30, 40), (30, 70), (60, 70), (60, 40)]
    hand.key("Shift+E")
    hand.polygon(corners[:2])  # two corners are no region
    assert len(session.strokes) == before
    hand.key("Escape")
    hand.polygon(corners)
    bench.until(lambda: len(session.strokes) == before + 1)
    marker = bench.session.toolkit.marker
    expected = snapped(
        marker.picture,
        region_of(corners, SHAPE),
        band=3.0,
        confidence=60,
        inside=marker.beams.inside,
    )
    assert np.array_equal(stored(bench, cohort)[2, 0], expected)
    assert np.array_equal(bench.layer().data, session.planes["b-line"])
    hand.key("3")
    assert session.tool is Tool.POLYGON
    hand.polygon(corners)
    bench.until(lambda: len(session.strokes) == before + 2)
    assert session.strokes[-1].tool == "polygon"


def test_rules_locks_and_solo(bench: Bench, cohort: Cohort) -> None:
    the_brush_and_the_polygon_keep_to_the_rule(bench, cohort)
    while bench.session.undo():
        pass
    bench.session.tool, bench.session.merge = Tool.BRUSH, Merge.REPLACE
    locks_solo_and_stopping(bench)


def the_brush_and_the_polygon_keep_to_the_rule(bench: Bench, cohort: Cohort) -> None:
    session, hand = bench.session, bench.hand
    session.confidence = 80
    hand.stroke([(40, 40), (40, 70)])
    bench.panel.form.tools.buttons[Tool.EXCLUDE].click()
    hand.stroke([(60, 40), (60, 70)])
    bench.until(lambda: len(session.strokes) == 2)
    hand.key("Shift+M")
    assert session.merge is Merge.RAISE
    assert bench.panel.form.options.rules[Merge.RAISE].isChecked()
    session.confidence = 30
    hand.key("2")  # from excluding back to the brush, though napari's mode is the same
    assert session.tool is Tool.BRUSH
    for paint in (
        lambda: hand.stroke([(30, 55), (66, 55)]),
        lambda: hand.polygon([(30, 42), (30, 50), (66, 50), (66, 42)]),
    ):
        before = session.planes["b-line"][0].copy()
        strokes = len(session.strokes)
        paint()
        bench.until(lambda n=strokes: len(session.strokes) > n)
        hand.wait(50)
        now = session.planes["b-line"][0]
        changed = now != before
        assert session.strokes[-1].pixels == changed.sum() > 0
        assert (now[changed] == 30).all()
        assert not before[changed].any()  # what was surer or excluded stays
        assert np.array_equal(bench.layer().data[0], now)
        assert np.array_equal(stored(bench, cohort)[2, 0], now)
        bench.panel.form.tools.buttons[Tool.POLYGON].click()
    painted = session.planes["b-line"][0].copy()
    hand.polygon([(36, 42), (36, 50), (44, 50), (44, 42)])
    assert len(session.strokes) == 4  # nothing to raise: no stroke
    assert "merge rule" in bench.panel.form.message.text()
    assert np.array_equal(bench.layer().data[0], painted)
    hand.key("1")
    hand.stroke([(40, 40), (40, 70)])
    bench.until(lambda: len(session.strokes) == 5)
    assert not session.planes["b-line"][0][40, 45:65].any()  # the eraser knows no rule


def test_filling_copying_and_keeping_to_the_sector(bench: Bench, cohort: Cohort) -> None:
    session, hand, saving = bench.session, bench.hand, bench.panel.form.fill
    inside, frames = session.toolkit.marker.beams.inside, session.clip.frames[:]
    assert not saving.buttons["carry.on"].isEnabled()
    assert saving.buttons["carry.on"].toolTip().endswith("Nothing is marked on this frame.")
    assert saving.buttons["paste"].toolTip().endswith("Nothing is copied yet.")
    session.confidence = 90
    hand.stroke([(45, 50), (45, 70)])
    bench.until(lambda: session.strokes)
    assert not saving.buttons["carry.back"].isEnabled()
    assert saving.buttons["carry.previous"].toolTip().endswith("This is the first frame.")
    first = session.planes["b-line"][0].copy()
    session.reach = 3
    hand.key("Ctrl+Shift+Right")
    bench.until(lambda: len(session.strokes) == 2)
    assert session.strokes[1].planes == ((1, 2), (2, 2), (3, 2))
    steps = list(carried(frames, {2: first}, 0, steps=4, inside=inside))
    now = stored(bench, cohort)
    for step in steps[:3]:
        assert np.array_equal(now[2, step.frame], step.proposals[2])
    hand.key("Ctrl+Z")  # through the clip is one step back
    assert stored(bench, cohort)[2, 1:].sum() == 0
    hand.key("Shift+Right")
    assert session.frame == 1
    assert np.array_equal(session.planes["b-line"][1], steps[0].proposals[2])
    hand.key("Ctrl+Z")

    saving.buttons["copy"].click()
    session.frame = 5
    assert bench.layer("Pleural line").visible
    hand.key("Shift+D")
    assert np.array_equal(stored(bench, cohort)[2, 5], first)
    saving.buttons["interpolate"].click()
    bench.until(lambda: session.marked[:, 2].all())
    now = stored(bench, cohort)
    for t, proposal in enumerate(between(first, first, 5, inside=inside), 1):
        assert np.array_equal(now[2, t], proposal)

    hand.stroke([(80, 4), (80, 60)])
    bench.until(lambda: session.strokes[-1].tool == "brush")
    before = session.planes["b-line"][:]
    hand.key("Shift+O")
    now = stored(bench, cohort)
    for t in range(N):
        assert np.array_equal(now[2, t], clipped(before[t], inside))
    assert bench.panel.cohort_actions.open_clip("still")
    hand.key("Shift+D")
    assert np.array_equal(stored(bench, cohort, "still")[2, 0], first)
    assert "not known" in saving.buttons["clip-to-sector"].toolTip()


def locks_solo_and_stopping(bench: Bench) -> None:
    session, hand, panel = bench.session, bench.hand, bench.panel
    before = len(session.strokes)
    row = panel.form.palette_.rows["b-line"]
    row.lock.click()
    assert session.locked == {"b-line"}
    assert bench.layer().mode == "pan_zoom"
    hand.stroke([(45, 50), (45, 70)])
    assert len(session.strokes) == before
    assert not panel.form.fill.buttons["paste"].isEnabled()
    hand.key("Shift+F")
    assert not session.locked
    QTest.mouseClick(
        panel.form.palette_.rows["pleura"].eye,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.AltModifier,
    )
    assert (session.class_name, session.solo) == ("pleura", True)
    assert not bench.layer().visible
    assert not row.eye.isChecked()
    hand.key("Shift+Q")
    assert bench.layer().visible
    assert row.eye.isChecked()

    hand.key("J")
    hand.stroke([(45, 50), (45, 70)])
    bench.until(lambda: len(session.strokes) > before)
    session.playing = True
    session.frame = 0
    panel.form.fill.buttons["carry.on"].click()
    assert panel.form.progress.busy
    assert not session.playing
    assert panel.form.fill.buttons["carry.on"].toolTip().endswith("or stop it below.")
    panel.form.progress.stop.click()
    hand.stroke([(60, 50), (60, 70)])  # meanwhile
    bench.until(lambda: not panel.form.progress.busy)
    tools = [s.tool for s in session.strokes[before:]]
    assert tools.count("brush") == 2
    while session.undo():
        pass
    assert not session.planes["b-line"].any()
