"""The session and layers that the panels of one viewer share."""

from __future__ import annotations

import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from napari.layers import Labels
from psygnal import emit_queued
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer
from qtpy.QtWidgets import QLabel

from napari_confseg.annotate.access import Role
from napari_confseg.annotate.preferences import Preferences, slug_of
from napari_confseg.annotate.save_state import closing_words
from napari_confseg.annotate.session import Session
from napari_confseg.widgets.clip_reading import ListReader
from napari_confseg.widgets.cohort_watch import CohortWatch
from napari_confseg.widgets.fitted import KeepsFitted
from napari_confseg.widgets.layers.session_layers import SessionLayers
from napari_confseg.widgets.reading_layout import ReadingLayout
from napari_confseg.widgets.work_list_dock import WorkListDock

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_confseg.annotate.cohort_follow import CohortFollower


class _Shared(NamedTuple):
    """What the panels of one viewer share."""

    session: Session
    layers: SessionLayers
    reading: ReadingLayout
    watch: CohortWatch
    reader: ListReader
    work_list: WorkListDock
    fitted: KeepsFitted


_sessions: dict[int, _Shared] = {}

_IDLE = 300  # milliseconds: the panels are shown by then
_QUEUE_INTERVAL = 30  # milliseconds
_WATCH_INTERVAL = 1000


def _empty_queue() -> None:
    # A function of ours in between: PySide 6.12 loses a reference to None each time it calls a
    # compiled function, psygnal's own timer does so without pause, and 100,000 later Python aborts.
    emit_queued()


@cache
def _queue_timer() -> QTimer:
    """Return the timer that brings calls from the write-behind thread into this one."""
    timer = QTimer()
    timer.timeout.connect(_empty_queue)
    timer.start(_QUEUE_INTERVAL)
    return timer


def _watch_cohorts() -> None:
    for shared in list(_sessions.values()):
        shared.watch.poll()


@cache
def _warm() -> None:
    """Let napari load what its first layer needs, before somebody waits for a clip."""
    Labels(np.zeros((1, 1, 1), np.uint8))  # units from pint and tables from pandas: a second


@cache
def _watch_timer() -> QTimer:
    """Return the timer that lets every session look at its cohort."""
    timer = QTimer()
    timer.timeout.connect(_watch_cohorts)
    timer.start(_WATCH_INTERVAL)
    return timer


def session_for(viewer: Any) -> Session:
    """Return the session of `viewer`, the same one for every panel; its layers come with it.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer, or the proxy of it that napari gives to plugins.
    """
    return _shared_by(viewer).session


def _shared_by(viewer: Any) -> _Shared:
    """Return what the panels of `viewer` share; made when it is first asked for."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    key = id(viewer)
    if key not in _sessions:
        _queue_timer()
        _watch_timer()
        _sessions[key] = _make(viewer)
        weakref.finalize(viewer, _forget, key)
    return _sessions[key]


def _make(viewer: Any) -> _Shared:
    preferences = Preferences.load()
    rater = slug_of(preferences.reader) if preferences.reader else ""
    session = Session(rater=rater, style=preferences.style)
    session.access.set_role(preferences.roles.get(rater, Role.READER))
    # Ultrasound is read on black, whatever colour the window has.
    viewer.canvas.background_color_override = "black"
    # napari lays a box of the canvas's colour behind its overlays: a square within the brush.
    # Without a box vispy crashes in some windows, and one without any opacity stays black.
    brush = viewer.canvas.overlays._brush_circle
    brush.box_color = (0, 0, 0, 1e-3)
    # Where a mouse that has not moved yet lies over the canvas, napari shows the circle at 0, 0.
    brush.position = (-1000, -1000)
    layers = SessionLayers(session, viewer)
    QTimer.singleShot(_IDLE, _warm)
    return _Shared(
        session,
        layers,
        ReadingLayout(viewer),
        CohortWatch(session, layers.stroking),
        ListReader(session),
        WorkListDock(viewer),
        KeepsFitted(viewer, layers.stroking),
    )


def _forget(key: int) -> None:
    """Let go of what the panels of a viewer shared; in whatever thread the viewer went."""
    shared = _sessions.pop(key)
    shared.layers.let_go()
    if isalive(shared.reader):
        shared.reader.deleteLater()


def layers_for(viewer: Any) -> SessionLayers:
    """Return what shows the session of `viewer` as layers."""
    return _shared_by(viewer).layers


def reading_for(viewer: Any) -> ReadingLayout:
    """Return what folds napari's own controls away in the window of `viewer`."""
    return _shared_by(viewer).reading


def list_reader_for(viewer: Any) -> ListReader:
    """Return what fills the work list of the session of `viewer`."""
    return _shared_by(viewer).reader


def work_list_for(viewer: Any) -> WorkListDock:
    """Return what shows and hides the work list in the window of `viewer`."""
    return _shared_by(viewer).work_list


def follower_for(viewer: Any) -> CohortFollower:
    """Return what tells of changes that others make to the cohort open in `viewer`."""
    return _shared_by(viewer).watch.follower


def _close(session: Session) -> None:
    """Close the clip of a session whose window goes, so that the next one may paint."""
    for shared in _sessions.values():
        if shared.session is session:
            shared.layers.detach()
            shared.watch.close()
            shared.reader.close_part()
    session.release()


class _CloseWith(QObject):
    def __init__(self, window: QWidget, session: Session) -> None:
        super().__init__(window)
        self._session = session
        window.installEventFilter(self)
        app = QCoreApplication.instance()
        if app is not None:  # the last window goes without being deleted
            app.aboutToQuit.connect(self._on_quit)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DeferredDelete:
            _close(self._session)
        if event.type() == QEvent.Type.ChildPolished:  # a dialog is about to be shown
            self._reassure(event.child())
        return False

    def _reassure(self, child: QObject) -> None:
        """Say in napari's question whether to close that nothing is lost by it."""
        if isinstance(child, ConfirmCloseDialog) and self._session.cohort is not None:
            text = next(w for w in child.findChildren(QLabel) if w.text())
            text.setText(f"{text.text()}\n\n{closing_words(self._session.save_state)}")

    def _on_quit(self) -> None:
        _close(self._session)


def close_with(window: QWidget, session: Session) -> None:
    """Let the clip of `session` be closed when `window`, the viewer's main one, goes."""
    if not window.findChildren(_CloseWith):
        _CloseWith(window, session)
