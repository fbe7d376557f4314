"""Random clicks and keys over all of a window, napari's own parts too, with checks after each.

``xvfb-run python -m tests.widgets.random_walk --events 5000 --seed 1`` walks for long; the suite
walks a short way. After each event: marks lie where the hand was, the tool that is lit is the tool
in hand, and what is stored is what is shown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari._qt.widgets.qt_dims_slider import QtPlayButton
from napari.layers import _layer_actions
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QWidget,
)

from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.view import Tool
from napari_confseg.store import EXCLUDED
from napari_confseg.widgets.demo.hand import press_key, wait
from napari_confseg.widgets.layers.class_layer import MODES
from napari_confseg.widgets.shared import layers_for
from tests.widgets.bench import Bench, make_cohort, planes_by_plain_zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_confseg.annotate.view import ViewState
    from napari_confseg.store import Cohort

KEYS: Final = (
    *"1234567EPFLZMXBVACO",
    *("Left", "Right", "Up", "Down", "Minus", "Equal", "BracketLeft", "BracketRight"),
    *("Ctrl+Z", "Ctrl+Shift+Z", "Ctrl+Y", "Ctrl+E", "Ctrl+T", "Ctrl+G", "Ctrl+R", "Ctrl+Alt+T"),
    *("Ctrl+Delete", "Delete", "Backspace", "Escape", "Return", "Space", "Shift+V", "Ctrl+A"),
    *("Ctrl+Up", "Ctrl+Down", "Shift+Alt+Up", "Shift+Alt+Down"),
    *("G", "H", "J", "8", "9", "0", "W", "Q", "Shift+W", "Shift+Q", "Shift+F", "Shift+S"),
    *("Shift+X", "Shift+B", "Shift+R", "Shift+E", "Shift+M", "Shift+Right", "Shift+Left"),
    *("Shift+C", "Shift+D", "Shift+I", "Shift+O", "Ctrl+Return", "PageDown", "PageUp"),
)
"""Keys of napari and ours, but for those that open a window of their own or leave the clip, and for
Shift+Up and Shift+Down: napari 0.9 raises a KeyError for them in its own layer list."""

MENU: Final = (
    "_duplicate_layer",
    "_split_stack",
    "_convert_to_labels",
    "_convert_to_image",
    "_merge_stack",
    "_toggle_visibility",
    "_toggle_lock",
    "_show_selected",
    "_hide_unselected",
    "_link_selected_layers",
    "_unlink_selected_layers",
    "_convert_dtype",
    "_project",
    "_toggle_bounding_box",
)
"""The right-click menu of napari's layer list; a menu of Qt's would wait for a person."""

PLACES: Final = ("scale", "translate", "rotate", "affine", "data", "name", "order")


class Walk:
    """One sitting of somebody who clicks and types at random.

    Parameters
    ----------
    bench : Bench
        In a real window, with a clip open.
    cohort : Cohort
        That clip's.
    seed : int
        Of the random numbers.
    """

    def __init__(self, bench: Bench, cohort: Cohort, seed: int) -> None:
        self.bench, self.cohort = bench, cohort
        self.session, self.viewer = bench.session, bench.viewer
        self.canvas = bench.hand.canvas
        self.rng = np.random.default_rng(seed)
        self.log: list[str] = []
        self.marked = 0
        self.view = layers_for(bench.viewer)
        assert self.session.clip is not None
        self.clip = self.session.clip
        self.qt: Any = bench.hand.window._qt_viewer
        self.acts: tuple[tuple[Callable[[], str], float], ...] = (
            (self.drag, 0.25),
            (self.come_back, 0.1),
            (self.key, 0.2),
            (self.click_napari, 0.15),
            (self.click_list, 0.1),
            (self.click_panel, 0.1),
            (self.meddle, 0.05),
            (self.right_click_menu, 0.05),
        )

    def run(self, events: int) -> None:
        """Do and check `events` things; AssertionError names the last ones and the seed's walk."""
        weights = [weight for _, weight in self.acts]
        for number in range(events):
            act = self.acts[int(self.rng.choice(len(self.acts), p=weights))][0]
            notification_manager.records.clear()
            try:
                self.log.append(f"{number} {act()}")
                self.settle()
                self.check()
                if number % 20 == 19 or number == events - 1:
                    self.check_store()
            except AssertionError as error:
                trail = "\n".join(self.log[-8:])
                raise AssertionError(f"{error}\nafter\n{trail}") from error

    def settle(self) -> None:
        """Let the program come to rest."""
        wait(5)
        self.bench.until(lambda: self.bench.panel.form.fill._job is None)
        for top in QApplication.topLevelWidgets():  # menus and popups that a click opened
            if top is not self.bench.hand.window and top.isVisible():
                top.close()
        foreign = [layer for layer in self.viewer.layers if not self.is_ours(layer)]
        for layer in foreign[3:]:
            self.viewer.layers.remove(layer)

    # ---- what a person does ---------------------------------------------------------------

    def one(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def to_picture(self, point: QPoint) -> np.ndarray:
        """Return the pixel (y, x) beneath a point of the canvas, by the camera alone."""
        camera, meta = self.viewer.scene.camera, self.clip.meta
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        world = (np.array([point.y(), point.x()]) - middle) / camera.zoom + camera.center[-2:]
        return np.asarray(
            world / ((meta.spacing.y, meta.spacing.x) if meta.spacing else (1.0, 1.0))
        )

    def drag(self) -> str:
        """Drag or flick over the canvas, and look at what that marked."""
        session = self.session
        ends = [
            QPoint(
                int(self.rng.integers(20, self.canvas.width() - 20)),
                int(self.rng.integers(20, self.canvas.height() - 20)),
            )
            for _ in range(2)
        ]
        steps = int(self.one([0, 2, 4]))
        before = {name: plane[:] for name, plane in session.planes.items()}
        view, rule = session.view(), session.merge
        camera, size = self.at_camera(), self.canvas.size()
        way = [self.to_picture(end) for end in ends]
        QTest.mouseMove(self.canvas, ends[0])
        wait(12)
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, pos=ends[0])
        wait(12)
        for part in np.linspace(0, 1, steps + 1)[1:]:
            QTest.mouseMove(self.canvas, ends[0] + (ends[1] - ends[0]) * float(part))
            wait(12)
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, pos=ends[1])
        wait(12)
        said = f"drag {view.tool} in {steps} with {view.label} under {rule}: {view.blocked}"
        changed = {n: np.argwhere(p[:] != before[n]) for n, p in session.planes.items()}
        assert all(n == view.active for n, c in changed.items() if len(c)), f"{said}: another class"
        if self.canvas.size() == size:  # napari shows and hides its sliders late
            if view.tool is not Tool.PAN:
                assert self.at_camera() == camera, f"{said}: the picture moved"
            self.check_marks(view, rule, before, way)
        if view.blocked:
            assert session.message, f"{said}: not a word"
        if self.rng.random() < 0.5:  # back to where it can be seen
            self.viewer.reset_view()
        return said

    def at_camera(self) -> tuple[float, ...]:
        camera = self.viewer.scene.camera
        return (*map(float, camera.center), float(camera.zoom))

    def check_marks(
        self,
        view: ViewState,
        rule: Merge,
        before: dict[str, np.ndarray],
        ends: list[np.ndarray],
    ) -> None:
        """Marks are on the frame that showed, along the hand's way, and nowhere else."""
        if view.active is None:
            return
        was, now = before[view.active], self.session.planes[view.active][:]
        changed = was != now
        assert not np.delete(changed, view.frame, axis=0).any(), "marks on another frame"
        self.marked += int(changed.any())
        if view.tool is Tool.PAN or view.blocked:
            assert not changed.any(), f"marks with {view.tool}, {view.blocked}"
        if view.tool not in (Tool.BRUSH, Tool.ERASE, Tool.EXCLUDE):
            return
        distance = _distance(now.shape[1:], *ends)
        reach = view.brush_size / 2
        assert not (changed[view.frame] & (distance > reach + 1.5)).any(), "marks beside the way"
        if view.blocked:
            return
        near = distance < reach - 1.5
        value = 0 if view.tool is Tool.ERASE else view.label
        if value in range(1, 101):
            near &= was[view.frame] != EXCLUDED
            if rule is Merge.RAISE:
                near &= was[view.frame] < value
            elif rule is Merge.LOWER:
                near &= was[view.frame] > value
        bare = np.argwhere(near & (now[view.frame] != value)).tolist()
        way = [np.round(end, 1).tolist() for end in ends]
        assert not bare, f"of the way {way} with {view}, {len(bare)} pixels are bare: {bare[:3]}"

    def come_back(self) -> str:
        """Show and unlock all, see the whole picture, and take a tool that marks."""
        session = self.session
        session.hidden = session.locked = frozenset()
        session.marks_shown, session.solo = True, False
        self.viewer.reset_view()
        session.toolkit.marker.take(
            self.one([Tool.BRUSH, Tool.BRUSH, Tool.ERASE, Tool.EXCLUDE, Tool.FILL, Tool.B_LINE])
        )
        return f"takes {session.tool} with all in sight; {self.drag()}"

    def key(self) -> str:
        """Press a key, wherever the focus is."""
        key, place = self.one(KEYS), self.one(self.focusable())
        press_key(place, key)
        return f"key {key} on {type(place).__name__}"

    def focusable(self) -> list[QWidget]:
        form = self.bench.panel.form
        return [
            self.canvas,
            self.qt.layers,
            form.opacity.slider,
            form.fill.every,
            form.tools.buttons[Tool.BRUSH],
        ]

    def click_napari(self) -> str:
        """Click or move any of napari's own controls."""
        docks = (self.qt.dockLayerControls, self.qt.dockLayerList, self.qt.dims)
        kinds = (QAbstractButton, QAbstractSlider, QComboBox, QAbstractSpinBox)
        found = [
            w
            for dock in docks
            for w in dock.findChildren(QWidget)
            if isinstance(w, kinds)
            and w.isVisible()
            and w.isEnabled()
            and w is not self.qt.viewerButtons.consoleButton
            and not isinstance(w, QtPlayButton)  # the frame would change beneath the checks
        ]
        widget = self.one(found)
        said = f"napari's {type(widget).__name__} {widget.objectName()} {widget.toolTip()[:40]!r}"
        self.use(widget)
        return said

    def use(self, widget: QWidget) -> None:
        if isinstance(widget, QComboBox):
            if widget.count():
                widget.setCurrentIndex(int(self.rng.integers(widget.count())))
                widget.activated.emit(widget.currentIndex())
        elif isinstance(widget, QAbstractSpinBox):
            widget.stepBy(int(self.one([-1, 1])))
        elif isinstance(widget, QAbstractSlider):
            low, high = widget.minimum(), widget.maximum()
            with suppress(TypeError):  # napari's slider of a range
                widget.setValue(type(low)(low + (high - low) * self.rng.random()))
        else:
            QTest.mouseClick(widget, Qt.MouseButton.LeftButton)

    def click_list(self) -> str:
        """Click a row of napari's layer list: its name or its eye, with Ctrl or without."""
        tree = self.qt.layers
        row = int(self.rng.integers(len(self.viewer.layers)))
        index = tree.model().index(row, 0)
        rect = tree.visualRect(index)
        at = (
            rect.center()
            if self.rng.random() < 0.6
            else QPoint(rect.left() + 12, rect.center().y())
        )
        held = self.one([Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier])
        QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, held, at)
        return f"list row {row} at {at.x()} with {held.name}"

    def click_panel(self) -> str:
        """Click a tool, a class, an eye, a lock, undo; or set what a slider would."""
        form, session = self.bench.panel.form, self.session
        rows = list(form.palette_.rows.values())
        buttons = [
            *form.tools.buttons.values(),
            *(b for row in rows for b in (row.eye, row.lock)),
            *form.options.rules.values(),
            *form.style_row.buttons.values(),
            *form.fill.buttons.values(),
            form.save_state.undo,
            form.save_state.redo,
        ]
        what = self.one(["button", "button", "class", "confidence", "threshold", "size", "frame"])
        if what == "button":
            button = self.one(buttons)
            said = f"panel's {button.text()!r} {button.toolTip()[:40]!r}"
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)
            return said
        if what == "class":
            QTest.mouseClick(self.one(rows), Qt.MouseButton.LeftButton)
        elif what == "confidence":
            session.confidence = int(self.rng.integers(1, 101))
        elif what == "threshold":
            session.threshold = int(self.one([0, 0, 40]))
        elif what == "size":
            session.brush_size = int(self.rng.integers(4, 30))
        else:
            session.frame = int(self.rng.integers(len(session.status)))
        return f"panel: {what}"

    def meddle(self) -> str:
        """Change a layer as napari's controls, or other code, may."""
        layers = self.viewer.layers
        layer, what = self.one(list(layers)), self.one(PLACES)
        ours = self.is_ours(layer)
        if what == "order":
            layers.move(int(self.rng.integers(len(layers))), int(self.rng.integers(len(layers))))
        elif what == "name":
            layer.name = "another"
        elif what == "data":
            if ours and layer in self.view._mine.values():
                layer.data = layer.data[:]
        elif ours:
            turned = np.eye(layer.ndim + 1)
            turned[-2, -1] = 7
            value = {"rotate": 30, "affine": turned}.get(what, (1, 2, 3)[-layer.ndim :])
            setattr(layer, what, value)
        return f"meddles with {what} of {layer.name!r}"

    def right_click_menu(self) -> str:
        """Choose from the layer list's menu."""
        name = self.one(MENU)
        locked = any(layer.locked for layer in self.viewer.layers.selection)
        if name in MENU[1:5] and locked:
            return f"menu {name}: napari offers it for no layer that is locked"
        with suppress(ValueError, NotImplementedError, TypeError, IndexError, AttributeError):
            getattr(_layer_actions, name)(self.viewer.layers)
        return f"menu {name}"

    # ---- what has to hold -----------------------------------------------------------------

    def is_ours(self, layer: Any) -> bool:
        return layer in self.view.guard._ranks

    def check(self) -> None:
        """See that nothing has come apart."""
        failed = [
            n for n in notification_manager.records if n.severity >= NotificationSeverity.ERROR
        ]
        assert not failed, [n.message for n in failed]
        assert self.session.clip is self.clip
        self.check_layers()
        self.check_hand()

    def check_layers(self) -> None:
        viewer, session = self.viewer, self.session
        assert (viewer.dims.ndisplay, viewer.canvas.grid.enabled) == (2, False)
        assert viewer.dims.order == tuple(range(viewer.dims.ndim))
        guard = self.view.guard
        assert guard._is_sorted(), "reordered"
        ours = [layer for layer in viewer.layers if self.is_ours(layer)]
        for layer in ours:
            assert guard._is_in_place(layer), f"{layer.name} was moved"
            assert layer.locked
            assert layer.name == guard._names[layer] != "another"
        frame = session.view().frame
        assert viewer.dims.current_step[viewer.dims.ndim - 3] == frame
        assert self.view._frames in ours
        state = session.view()
        for name, plane in session.planes.items():
            layer = self.view._mine[name]
            assert layer.data is plane, f"{name}: a copy is shown"
            assert layer.visible == (name in state.visible), f"{name}: sight"
            if layer.visible:
                shown = np.asarray(layer._slice.image.raw)
                assert np.array_equal(shown, plane[frame]), f"{name}: something else is shown"
            for what in ("preserve_labels", "show_selected_label", "contour"):
                assert not getattr(layer, what)
            assert layer.blending == "translucent"
            assert layer.colormap is self.view._colormaps[name][0]

    def check_hand(self) -> None:
        session, form = self.session, self.bench.panel.form
        state = session.view()
        lit = [t for t, b in form.tools.buttons.items() if b.isChecked()]
        assert lit == [state.tool] == [session.tool], f"lit {lit}, in hand {state.tool}"
        assert form.dial.percent.text() == f"{session.confidence} %"
        chosen = [n for n, r in form.palette_.rows.items() if r.property("chosen") == "true"]
        assert chosen == [state.active]
        assert {n for n, r in form.palette_.rows.items() if r.eye.isChecked()} == state.visible
        active = self.viewer.layers.selection.active
        mine = self.view._mine
        if state.tool is not Tool.PAN:
            assert active is mine[state.active or ""], f"{active} has the mouse"
        for name, layer in mine.items():
            able = name in state.editable
            assert layer.mode == (MODES[state.tool] if able else "pan_zoom"), (
                f"{name}: {layer.mode}"
            )
            assert layer.selected_label == state.label
            assert layer.brush_size == state.brush_size
        if active is None or self.is_ours(active):
            moves = state.tool is Tool.PAN
            assert self.viewer.scene.camera.mouse_pan == moves, "what drags the picture"

    def check_store(self) -> None:
        """What any program reads is what is here."""
        assert self.session.flush()
        if not self.session.strokes:
            return
        stored = planes_by_plain_zarr(self.cohort, self.clip.name, self.session.rater)
        here = np.stack([self.session.planes[c.name] for c in self.session.classes], axis=1)
        assert np.array_equal(stored, here), "stored is something else than shown"


def _distance(shape: tuple[int, ...], start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance of each pixel (Y, X) from the way between two points."""
    grid = np.moveaxis(np.indices(shape, float), 0, -1) - start
    way = end - start
    along = np.clip(grid @ way / max(float(way @ way), 1e-9), 0, 1)
    return np.asarray(np.linalg.norm(grid - along[..., None] * way, axis=-1))


def _walks(events: int, seed: int, folder: Path) -> Iterator[str]:
    import napari

    os.environ |= {
        "CONFSEG_STATE_DIR": str(folder / "state"),
        "CONFSEG_CACHE_DIR": str(folder / "c"),
    }
    cohort = make_cohort(folder / "cohort.zarr", "clip-1")
    bench = Bench(napari.Viewer(show=True))
    bench.open(cohort)
    walk = Walk(bench, cohort, seed)
    for done in range(0, events, 100):
        walk.run(min(100, events - done))
        yield f"{min(done + 100, events)} events, {walk.marked} drags that marked"
    bench.session.release()


def main() -> None:
    """Walk for as long as is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in _walks(args.events, args.seed, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
