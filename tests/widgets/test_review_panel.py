"""A lead reviews two readers in a real window; the store, opened by plain zarr, holds just that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QToolButton

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.view import Style
from napari_confseg.store import Cohort, validate
from napari_confseg.widgets.annotate.shortcuts import assigned_bindings, napari_keys
from napari_confseg.widgets.common.icons import place_icon
from napari_confseg.widgets.layers.review_layers import MAP, OUTLINE
from napari_confseg.widgets.review.panel import ReviewPanel
from napari_confseg.widgets.review.shortcuts import review_bindings
from tests.annotate.review.planted import B_LINE, LARGE, MISSED, begun_planes, planted_cohort
from tests.widgets.bench import Bench, planes_by_plain_zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qtpy.QtWidgets import QWidget


class Reviewing(Bench):
    """A bench with the Review panel docked beside it."""

    def dock(self) -> ReviewPanel:
        self.review = ReviewPanel(self.viewer)
        self.viewer.window.add_dock_widget(self.review, name="Review", area="right", tabify=True)
        self.review.parentWidget().raise_()
        self.settle()
        return self.review

    def settle(self) -> None:
        """Wait until nothing is pending beside the window."""
        jobs, model = self.review.jobs, self.review.review
        self.until(lambda: model.state.pending is None and not jobs.busy)
        self.hand.wait(50)
        assert not self.review.progress.isVisible()

    def undock(self) -> None:
        self.viewer.window.remove_dock_widget(self.review.parentWidget())
        self.review.close()
        self.review.deleteLater()
        self.hand.wait(50)


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return planted_cohort(tmp_path)


@pytest.fixture
def bench(make_napari_viewer: Callable[..., Any], cohort: Cohort) -> Iterator[Reviewing]:
    made = Reviewing(make_napari_viewer(show=True))
    made.open(cohort, reader="Dr. Lead")
    made.dock()
    yield made
    made.undock()
    made.close()


def press(widget: QWidget) -> None:
    """Click where the widget is."""
    assert widget.isVisible()
    assert widget.isEnabled()
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=widget.rect().center())


def adjudicated(cohort: Cohort) -> np.ndarray:
    return planes_by_plain_zarr(cohort, "clip-1", "adjudicated")


def test_a_lead_steps_decides_paints_undoes_and_goes_on(bench: Reviewing, cohort: Cohort) -> None:
    panel, session, hand = bench.review, bench.session, bench.hand
    model = panel.review
    assert panel.queue.tree.topLevelItemCount() == 2
    assert [r.name for r in model.state.compared] == ["ada", "bo"]
    _no_key_has_two_meanings(bench)
    hand.key("Period")
    assert (session.class_name, session.frame) == ("b-line", 1)
    assert panel.queue.about.text().replace("\u00a0", " ") == (
        "Left out by Dr. Bo (reader) 0 %; marked by Dr. Ada (reader) 80 %"
    )
    _look_at_the_canvas(bench)

    press(panel.begin)
    bench.settle()
    assert not panel.begin.isVisible()
    assert model.state.can_decide
    hand.key("F2")  # the clip was opened anew, and the same disagreement is on the bench
    assert session.flush()
    expected = begun_planes()
    for frame in (1, 2, 3):
        expected[frame, B_LINE][MISSED[frame]] = 80
    assert np.array_equal(adjudicated(cohort), expected)
    assert panel.queue.bar.text() == "1 of 2 decided"
    row = panel.queue.tree.topLevelItem(0)
    assert [row.text(i) for i in range(3)] == ["B-line", "2–4\n200 px", "Dr. Ada (reader)"]

    assert (model.state.current, session.frame) == (1, 4)  # on to the next by itself
    hand.key("F9")
    assert model.state.correcting
    session.brush_size = 6
    hand.stroke([(53, 84), (53, 106)])
    bench.until(lambda: session.strokes[-1].tool == "brush")
    painted = session.planes["b-line"][4].copy()
    assert set(np.unique(painted)) == {0, 60, 80}
    hand.key("Period")
    bench.until(lambda: session.strokes[-1].tool == "adjudicate-correct")
    assert panel.queue.bar.text() == "2 of 2 decided"
    assert session.flush()
    stored = adjudicated(cohort)
    assert np.array_equal(stored[4, B_LINE], painted)
    assert np.array_equal(stored[:4], expected[:4])

    hand.key("Ctrl+Z")
    hand.key("Ctrl+Z")
    assert panel.queue.bar.text() == "1 of 2 decided"
    assert model.state.current == 1
    hand.key("F7")  # the mean of 60 and 0 around what both marked
    bench.until(lambda: session.strokes[-1].tool == "adjudicate-mean")
    expected[4, B_LINE][LARGE] = 30
    expected[4, B_LINE][58:72, 88:102] = 80
    assert session.flush()
    assert np.array_equal(adjudicated(cohort), expected)
    assert session.status[:5].min() == 2

    _go_on_after_a_restart(bench, cohort)
    assert session.flush()  # or a file is seen half-way to the store
    assert validate(cohort.location) == []


def _look_at_the_canvas(bench: Reviewing) -> None:
    """Raters in colours and hatchings of their own; the disagreement outlined, in the middle."""
    panel, viewer = bench.review, bench.viewer
    ada, bo = viewer.layers["Dr. Ada (reader)"], viewer.layers["Dr. Bo (reader)"]
    colors = [tuple(layer.colormap.color_dict[100][:3]) for layer in (ada, bo)]
    assert colors[0] != colors[1]
    assert not np.array_equal(ada.data[1] > 0, bo.data[1] > 0)
    outline = viewer.layers[OUTLINE]
    assert outline.visible
    rows, columns = np.nonzero(outline.data[1])
    middle = outline.data_to_world((1, rows.mean(), columns.mean()))[1:]
    assert np.abs(np.array(middle) - [50, 26]).max() < 1  # where it is, on a finer grid
    assert viewer.layers.selection.active is bench.layer()  # one paints on as before
    bench.panel.parentWidget().raise_()  # the Annotate panel's tab: one's own reading again
    bench.hand.wait(100)
    others = [layer for layer in (ada, bo, outline) if layer in viewer.layers]
    panel.parentWidget().raise_()
    bench.hand.wait(100)
    assert others == []  # gone, not hidden: napari's list shows a small picture of each
    ada, bo, outline = (
        viewer.layers[name] for name in ("Dr. Ada (reader)", "Dr. Bo (reader)", OUTLINE)
    )
    assert ada.visible
    assert outline.visible
    panel.compare.eyes["bo"].click()
    assert not bo.visible
    panel.compare.eyes["bo"].click()
    panel.canvas.map.setCurrentIndex(1)
    panel.canvas.map.activated.emit(1)
    votes = viewer.layers[MAP]
    assert set(np.unique(votes.data[1])) == {0, 1, 2}
    assert panel.canvas.legend.isVisible()
    viewer.layers.remove(votes)  # from napari's list: as if it were switched off
    assert panel.review.settings.map == ""
    assert not panel.canvas.legend.isVisible()


def _go_on_after_a_restart(bench: Reviewing, cohort: Cohort) -> None:
    bench.undock()
    assert [layer.name for layer in bench.viewer.layers if "Dr." in layer.name] == []
    bench.session.close_clip()
    bench.session.open_clip("clip-1", "dr-lead")
    panel = bench.dock()
    panel.begin.click()
    bench.settle()
    assert panel.queue.bar.text() == "2 of 2 decided"
    strokes = cohort.clip("clip-1").rater("adjudicated").read_strokes()
    record = [s.model_dump(mode="json") for s in strokes]
    standing = [s["decision"] for s in record if s["decision"] and not s["undone"]]
    assert [d["verdict"] for d in standing] == ["begin"] * 3 + ["accept", "mean"]
    assert {d["by"] for d in standing} == {"Dr. Lead"}
    panel.clips.look.click()
    bench.until(lambda: panel.clips.tree.topLevelItemCount() == 2)
    assert [panel.clips.tree.topLevelItem(i).text(1) for i in (0, 1)] == ["2 of 2", "0 of 2"]
    panel.clips.next.click()
    bench.settle()
    assert bench.session.clip is not None
    assert (bench.session.clip.name, bench.session.rater) == ("clip-2", "adjudicated")
    assert panel.queue.bar.text() == "0 of 2 decided"
    assert bench.session.strokes  # what all agree on is copied here, too


def _no_key_has_two_meanings(bench: Reviewing) -> None:
    ours = [b.key for b in review_bindings(bench.review.review)]
    assert all(ours)
    assert len(set(ours)) == len(ours)
    assert not set(ours) & set(napari_keys())
    every = [b.key for b in assigned_bindings(bench.session) if b.key]
    assert len(set(every)) == len(every)
    # Given another key on the page of keys, the button says so and the old key does nothing.
    Preferences.load().model_copy(update={"keys": {"review.scope": "Ctrl+K"}}).save()
    bench.session.keys_changed.emit()
    bench.hand.activate()
    for key, whole in (("F10", True), ("Ctrl+K", False), ("Ctrl+K", True)):
        bench.hand.key(key)
        assert bench.review.review.settings.whole is whole
    Preferences.load().model_copy(update={"keys": {}}).save()
    bench.session.keys_changed.emit()


def test_each_mode_owns_what_it_shows(bench: Reviewing) -> None:
    session, layers = bench.session, bench.viewer.layers
    annotate, review = bench.panel.parentWidget(), bench.review.parentWidget()
    session.class_name = "b-line"

    def theirs() -> set[str]:
        """Readers' marks on the canvas: those of the Annotate panel name the class too."""
        return {layer.name for layer in layers if layer.visible and "(reader)" in layer.name}

    def ticked() -> list[bool]:
        return [layer.visible for layer in layers if layer.name.startswith("B-line · ")]

    assert len(theirs()) >= 2
    annotate.raise_()
    bench.until(lambda: not theirs())
    assert not [layer for layer in layers if "(reader)" in layer.name]  # no thumbnail either
    other = next(n for n in bench.review.review.views if n != session.rater)
    session.others.show(other)
    assert ticked() == [True]
    review.raise_()
    bench.until(lambda: ticked() == [False])  # would lie over the disagreement
    assert len(theirs()) >= 2
    annotate.raise_()
    bench.until(lambda: ticked() == [True])
    assert not theirs()


def test_the_first_is_decided_at_once_and_stopping_keeps_count(
    bench: Reviewing, cohort: Cohort
) -> None:
    panel, session, hand = bench.review, bench.session, bench.hand
    model = panel.review
    tree = panel.queue.tree
    assert model.state.item is None
    camera = bench.viewer.scene.camera
    view = camera.zoom, camera.center

    def places() -> list[int]:
        """Where the list is, and while one decides the buttons, from the panel's foot."""
        v = panel.verdicts
        parts = (v.whole, v.mean, v.undo) if v.isVisible() else ()
        feet = [panel.height() - w.mapTo(panel, QPoint()).y() for w in parts]
        return [panel.queue.tree.mapTo(panel, QPoint()).y(), *feet]

    unfolded = places()
    panel.sections[0].open(False)  # the comparison: folded when one begins
    bench.until(lambda: places() < unfolded)
    bench.settle()
    before = places()
    flickers: list[int] = []
    model.changed.connect(lambda state: flickers.append(tree.topLevelItemCount()))
    press(panel.begin)
    hand.key("F2")  # no step, and no waiting for what is copied
    bench.settle()
    assert panel.queue.bar.text() == "1 of 2 decided"
    expected = begun_planes()
    for frame in (1, 2, 3):
        expected[frame, B_LINE][MISSED[frame]] = 80
    assert session.flush()
    assert np.array_equal(adjudicated(cohort), expected)
    assert tree.currentItem() is tree.topLevelItem(1)
    assert places()[:1] == before
    assert (camera.zoom, camera.center) == view  # all of it is in sight
    assert session.style is Style.CONTOURS
    hand.window.resize(1280, 720)
    buttons = panel.verdicts.findChildren(QToolButton)
    assert len(buttons) == 9
    bench.until(lambda: all(b.visibleRegion().boundingRect() == b.rect() for b in buttons))

    press(panel.end)
    bench.settle()
    assert panel.queue.bar.text() == "1 of 2 decided"
    assert tree.topLevelItem(0).text(2) == "Dr. Ada (reader)"
    assert places() == before
    assert not panel.verdicts.isVisible()
    for width in (190, 230, 300):  # class and decision share what there is
        tree.setFixedWidth(width)
        columns = [tree.columnWidth(i) for i in range(3)]
        room = tree.viewport().width()
        assert room - 4 <= sum(columns) <= room
        long = tree.fontMetrics().horizontalAdvance("Dr. Ada (reader)")
        assert columns[2] >= min(long, (room - columns[1]) // 2 - 4), (width, columns)
        assert columns[0] >= (room - columns[1]) // 2 - 4 or columns[2] >= long
    assert session.style is Style.FILL
    assert set(flickers) == {2}
    press(panel.begin)
    assert model.state.item is not None
    assert model.state.item.event.frames == (4,)  # the next that is open
    hand.key("F8")
    bench.settle()
    assert panel.queue.bar.text() == "2 of 2 decided"


def test_what_one_sees_of_disagreements(bench: Reviewing) -> None:
    rows_have_pictures_made_when_they_come_into_sight(bench)
    the_view_moves_only_to_what_is_out_of_sight(bench)
    bench.viewer.reset_view()
    texture_stays_in_sight_while_one_decides(bench)


def the_view_moves_only_to_what_is_out_of_sight(bench: Reviewing) -> None:
    camera, hand = bench.viewer.scene.camera, bench.hand
    hand.key("Period")
    camera.zoom *= 1.05
    camera.center = (0.0, 55.0, 66.0)
    stays = camera.zoom, camera.center
    hand.key("Period")
    assert bench.session.frame == 4
    assert (camera.zoom, camera.center) == stays
    camera.center = (0.0, -300.0, -300.0)
    hand.key("Period")
    assert bench.session.frame == 1
    assert camera.zoom == stays[0]
    assert np.abs(np.array(camera.center)[-2:] - [49.5, 25.5]).max() < 1
    camera.zoom, camera.center = 500.0, (0.0, 0.0, 0.0)
    hand.key("Period")  # too large for this zoom: all of it comes into sight
    assert camera.zoom < 100


def texture_stays_in_sight_while_one_decides(bench: Reviewing) -> None:
    viewer, hand = bench.viewer, bench.hand
    hand.key("Period")
    press(bench.review.begin)
    bench.settle()
    ada, bo = viewer.layers["Dr. Ada (reader)"], viewer.layers["Dr. Bo (reader)"]
    inks = [np.asarray(layer.data[4]) == 100 for layer in (ada, bo)]
    for ink in inks:
        assert 0 < ink.mean() < 0.02
    assert inks[1].sum() < 0.8 * inks[0].sum()  # dashed: told apart without colour
    assert "Dr. Ada · hatched" not in viewer.layers
    hand.key("Semicolon")
    assert viewer.layers["Dr. Ada · hatched"].visible
    hand.key("Semicolon")
    assert not viewer.layers["Dr. Ada · hatched"].visible
    width = ada.data._width
    viewer.scene.camera.zoom /= 8  # as wide on the screen as before
    assert ada.data._width > width
    assert ada.visible


def rows_have_pictures_made_when_they_come_into_sight(bench: Reviewing) -> None:
    panel = bench.review
    bench.until(lambda: panel.pictures.made == 2)
    tree = panel.queue.tree
    image = tree.topLevelItem(0).icon(0).pixmap(48, 36).toImage()
    seen = {image.pixelColor(x, y).name() for x in range(48) for y in range(36)}
    ada = panel.review.state.compared[0].style.color
    assert ada in seen  # her contour, on the texture
    assert len(seen) > 20
    second = tree.topLevelItem(1).icon(0).pixmap(48, 36).toImage()
    assert image != second


def test_rows_show_where_on_the_frame(qapp: object) -> None:
    icon = place_icon("#d55e00", (50, 0, 100, 40), (100, 200), 24)
    image = icon.pixmap(24, 18).toImage()
    # The frame is twice as wide as high: it lies across the middle of the picture.
    assert image.pixelColor(2, 12).name() == "#d55e00"
    assert image.pixelColor(20, 12).name() == "#000000"
    assert image.pixelColor(2, 5).name() == "#000000"
    assert image.pixelColor(12, 1).alpha() == 0
    dot = place_icon("#d55e00", (10, 10, 11, 11), (1000, 1000), 24).pixmap(24, 18).toImage()
    lit = sum(dot.pixelColor(x, y).name() == "#d55e00" for x in range(24) for y in range(18))
    assert lit >= 4  # however small, it is seen
