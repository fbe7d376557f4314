"""Panels that are opened one after the other share one place, as tabs.

napari puts each new dock beneath the last, where five of them leave none the room to be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_panels: WeakKeyDictionary[QWidget, None] = WeakKeyDictionary()
"""In the order in which they were made: each joins the oldest, however many come at once."""


def share_place(panel: QWidget) -> None:
    """Let `panel` become a tab beside a panel of ours that is docked already, once it shows."""
    _Sharing(panel)
    _panels[panel] = None


def notify_in_front(panel: QWidget, tell: Callable[[bool], object]) -> None:
    """Call `tell` with whether `panel`, docked by now, is the tab in front, whenever that changes.

    For Qt a tab behind another is shown: neither its events nor ``isVisible`` say otherwise.
    """
    dock = _dock_around(panel)
    if dock is not None:
        dock.visibilityChanged.connect(tell)


def _dock_around(widget: QWidget) -> QDockWidget | None:
    dock = widget
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    return dock


def _dock_of(widget: QWidget) -> tuple[QMainWindow, QDockWidget] | None:
    dock = _dock_around(widget)
    if dock is None or dock.isFloating() or not isinstance(dock.parentWidget(), QMainWindow):
        return None
    return dock.parentWidget(), dock


class _Sharing(QObject):
    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        panel.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self._share)  # napari is still putting the dock in its place
        return False

    def _share(self) -> None:
        here = _dock_of(self._panel)
        if here is None:
            return
        window, dock = here
        for other in self._others(window):
            if other not in window.tabifiedDockWidgets(dock):  # else somebody has seen to it
                window.tabifyDockWidget(other, dock)
                dock.raise_()
            return

    def _others(self, window: QMainWindow) -> Iterator[QDockWidget]:
        for panel in list(_panels):
            found = _dock_of(panel) if isalive(panel) and panel is not self._panel else None
            if found is not None and found[0] is window:
                yield found[1]
