"""A simulated hand: real Qt mouse and key events on a viewer's canvas.

Used where a person's work is to be shown or checked as it is: the demonstration, the pictures in
the documentation, benchmarks, tests. Positions are (y, x) pixels of the clip.
"""

from __future__ import annotations

from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QEventLoop, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

PAUSE: Final = 15
"""Milliseconds between moves: vispy drops those closer than 10."""

_LEFT = Qt.MouseButton.LeftButton


def find_canvas(window: QWidget) -> QWidget:
    """Return the widget of `window` that napari draws on.

    Raises
    ------
    LookupError
        If there is none.
    """
    for child in window.findChildren(QWidget):
        if child.metaObject().className() == "CanvasBackendDesktop":
            return child
    raise LookupError(f"{window!r} has no napari canvas")


def wait(milliseconds: int = PAUSE) -> None:
    """Let the program run for a while."""
    # Not QTest.qWait: vispy replaces it by one that spins.
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


class WaitedError(RuntimeError):
    """Something did not come within the time it was given."""


def wait_until(true: Callable[[], bool], timeout: float = 60.0, *, pause: int = PAUSE) -> None:
    """Let the program run until `true()`, which is asked every `pause` milliseconds.

    Raises
    ------
    WaitedError
        If that has not come within `timeout` seconds.
    """
    end = monotonic() + timeout
    while not true():
        if monotonic() > end:
            # No TimeoutError: as an OSError it would pass for a fault of the disk.
            raise WaitedError(f"nothing came for {timeout:g} seconds")
        wait(pause)


class Hand:
    """Moves the mouse over a viewer and presses keys, as a person would.

    Parameters
    ----------
    viewer : napari.Viewer
        A viewer whose window is shown.
    pause : int
        Milliseconds between two moves.
    """

    def __init__(self, viewer: Any, *, pause: int = PAUSE) -> None:
        self._viewer = viewer
        self.window: QWidget = viewer.window._qt_window
        self.canvas = find_canvas(self.window)
        self._pause = pause

    def at(self, y: float, x: float) -> QPoint:
        """Return where pixel (y, x) of the clip is on the canvas, in Qt's pixels."""
        camera = self._viewer.scene.camera
        layer = self._viewer.layers[0]
        world = np.asarray(layer.data_to_world((0,) * (layer.ndim - 2) + (y, x)))[-2:]
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = (world - np.asarray(camera.center)[-2:]) * camera.zoom + middle
        return QPoint(round(float(column)), round(float(row)))

    def wait(self, milliseconds: int | None = None) -> None:
        """Let the program run for a while."""
        wait(self._pause if milliseconds is None else milliseconds)

    def wait_until(self, true: Callable[[], bool], timeout: float = 60.0) -> None:
        """Let the program run until `true()`; see :func:`wait_until`."""
        wait_until(true, timeout, pause=self._pause)

    def move(self, y: float, x: float) -> None:
        """Move the mouse there, whatever button is down."""
        QTest.mouseMove(self.canvas, self.at(y, x))
        self.wait()

    def press(self, y: float, x: float) -> None:
        """Go there and press the left button."""
        self.move(y, x)
        QTest.mousePress(self.canvas, _LEFT, pos=self.at(y, x))
        self.wait()

    def release(self, y: float, x: float) -> None:
        """Let go of the left button there."""
        QTest.mouseRelease(self.canvas, _LEFT, pos=self.at(y, x))
        self.wait()

    def click(self, y: float, x: float) -> None:
        """Press and let go."""
        self.press(y, x)
        self.release(y, x)

    def stroke(self, points: Sequence[tuple[float, float]], *, steps: int = 6) -> None:
        """Drag from point to point, in `steps` moves each."""
        self.press(*points[0])
        for start, end in pairwise(points):
            for part in np.linspace(0, 1, steps + 1)[1:]:
                y, x = np.asarray(start) + part * (np.asarray(end) - np.asarray(start))
                self.move(float(y), float(x))
        self.release(*points[-1])

    def polygon(self, points: Iterable[tuple[float, float]]) -> None:
        """Click corner by corner and finish with a double click on the last one."""
        last = (0.0, 0.0)
        for last in points:
            self.click(*last)
        QTest.mouseDClick(self.canvas, _LEFT, pos=self.at(*last))
        self.wait()

    def key(self, key: str) -> None:
        """Press a key or a combination on the canvas, in Qt's words: ``"Ctrl+Z"``, ``"K"``."""
        self.activate()
        press_key(self.canvas, key)
        self.wait()

    def activate(self) -> None:
        """Make the viewer the active window: keys go nowhere else."""

        def active() -> bool:
            if not self.window.isActiveWindow():
                self.window.activateWindow()  # asked again: another window may take it meanwhile
            return bool(self.window.isActiveWindow())

        self.wait_until(active)


def press_key(widget: QWidget, key: str) -> None:
    """Press a key or a combination while `widget` has the focus."""
    *held, last = key.split("+") if key != "+" else ["+"]
    modifiers = Qt.KeyboardModifier.NoModifier
    for name in held:
        modifiers |= {
            "Ctrl": Qt.KeyboardModifier.ControlModifier,
            "Shift": Qt.KeyboardModifier.ShiftModifier,
            "Alt": Qt.KeyboardModifier.AltModifier,
        }[name]
    widget.setFocus()
    QTest.keyClick(widget, getattr(Qt.Key, f"Key_{last}"), modifiers)
