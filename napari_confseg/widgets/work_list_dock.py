"""The dock of the work list: shown and hidden by a key, beneath the picture or floating."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from napari.settings import get_settings
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QRect, QSize, Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_confseg.annotate.preferences import Preferences

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "Work list (napari-confseg)"
"""As napari calls the dock that its Plugins menu opens, so that both ways lead to the same one."""

_HEIGHT: Final = 230
_FLOATING: Final = QSize(980, 560)


class WorkListDock:
    """Shows and hides the work list of one viewer's window.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose window it is in. One without a window has none.
    """

    changed = Signal(bool)  # whether the list is in sight

    def __init__(self, viewer: Any) -> None:
        # Weakly: whoever keeps this must not keep a closed window alive.
        self._viewer_ref = weakref.ref(viewer)
        self._dock_ref: weakref.ref[QDockWidget] | None = None
        self.shown = False

    @property
    def _dock(self) -> QDockWidget | None:
        dock = self._dock_ref() if self._dock_ref is not None else None
        # napari takes the panel out of a dock that is closed, and deletes the dock later.
        gone = dock is None or not isalive(dock) or dock.widget() is None
        return None if gone else dock

    def toggle(self, make: Callable[[], QWidget]) -> None:
        """Hide the list if it is in sight; else show it, made by `make` if there is none yet."""
        dock = self._dock
        if self.shown and dock is not None:
            dock.hide()
        elif dock is not None:
            dock.show()
            dock.raise_()
        else:
            window = getattr(self._viewer_ref(), "window", None)
            if window is not None:
                window.add_dock_widget(make(), name=NAME)

    @staticmethod
    def prefer_bottom() -> None:
        """Let napari put the list at the bottom, where it has not been elsewhere before.

        On the right it would squeeze the panels.
        """
        get_settings().application.plugin_widget_positions.setdefault(NAME, "bottom")

    def adopt(self, panel: QWidget) -> None:
        """Place the dock around `panel`, which is shown for the first time, as it was left."""
        dock: QWidget | None = panel
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        if dock is None or dock is self._dock:
            return
        self._dock_ref = weakref.ref(dock)
        dock.visibilityChanged.connect(self._on_visible)
        dock.topLevelChanged.connect(self._on_floating)
        QTimer.singleShot(0, self._place)  # napari is still putting it in its place
        self._on_visible(True)

    def leave(self) -> None:
        """Remember where it floats: it is about to be deleted."""
        self._keep_place()
        self._dock_ref = None
        self._on_visible(False)

    def _place(self) -> None:
        dock = self._dock
        window = dock.parentWidget() if dock is not None else None
        if dock is None or not isinstance(window, QMainWindow):
            return
        # Beneath the picture alone: the panels keep the height of the window.
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        if window.dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea:
            window.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)
        kept = Preferences.load().work_list
        if kept.floating:
            dock.setFloating(True)
            self._float_at(dock, QRect(*kept.place) if kept.place else None)

    @staticmethod
    def _float_at(dock: QDockWidget, place: QRect | None) -> None:
        if place is not None and QGuiApplication.screenAt(place.center()) is not None:
            dock.setGeometry(place)
            return  # else that screen is not there any more
        window = dock.parentWidget().geometry()
        middle = QRect(window.topLeft(), _FLOATING.boundedTo(window.size()))
        middle.moveCenter(window.center())
        dock.setGeometry(middle)

    def _on_visible(self, visible: bool) -> None:
        if not visible:
            self._keep_place()
        if visible != self.shown:
            self.shown = visible
            self.changed.emit(visible)

    def _on_floating(self, floating: bool) -> None:
        preferences = Preferences.load()
        kept = preferences.work_list.model_copy(update={"floating": floating})
        preferences.model_copy(update={"work_list": kept}).save()
        dock = self._dock
        if floating and dock is not None:
            self._float_at(dock, QRect(*kept.place) if kept.place else None)

    def _keep_place(self) -> None:
        dock = self._dock
        if dock is None or not dock.isFloating():
            return
        preferences = Preferences.load()
        kept = preferences.work_list.model_copy(update={"place": dock.geometry().getRect()})
        if kept != preferences.work_list:
            preferences.model_copy(update={"work_list": kept}).save()
