"""Activity on the canvas, and saving of the active time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session

KEEP_EVERY: Final = 60
"""Seconds between two times that the time spent is written down."""


class Activity(QObject):
    """Notes the mouse over the canvas as activity; changes of settings the session notes itself.

    Parameters
    ----------
    session : Session
        Keeps the time.
    viewer : napari.Viewer
        Whose canvas.
    parent : QObject
        Owner.
    """

    def __init__(self, session: Session, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        viewer = getattr(viewer, "__wrapped__", viewer)  # plugins are given a proxy
        self._callbacks = [
            viewer.mouse_move_callbacks,
            viewer.mouse_drag_callbacks,
            viewer.mouse_wheel_callbacks,
        ]
        for callbacks in self._callbacks:
            callbacks.append(self._on_mouse)
        self._timer = QTimer(self)
        self._timer.setInterval(1000 * KEEP_EVERY)
        self._timer.timeout.connect(self._on_time)
        self._timer.start()

    def close_part(self) -> None:
        """Stop listening."""
        self._timer.stop()
        for callbacks in self._callbacks:
            callbacks.remove(self._on_mouse)
        self._callbacks = []

    def _on_mouse(self, _viewer: Any, _event: Any) -> None:
        self._session.activity.note()

    def _on_time(self) -> None:
        self._session.save_activity()
