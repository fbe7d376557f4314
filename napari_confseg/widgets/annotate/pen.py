"""A pen's tilt as the confidence of the strokes that it paints, for who chooses so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QTabletEvent

from napari_confseg.annotate.preferences import Preferences

if TYPE_CHECKING:
    from qtpy.QtWidgets import QMenu

    from napari_confseg.annotate.session import Session

UPRIGHT: Final = 15.0
"""Degrees from the perpendicular up to which a pen is held as for writing upright: certain."""
FLAT: Final = 60.0
"""Degrees at which a pen lies as flat as tablets tell: hardly possible."""
HIGHEST, LOWEST, STEP = 100, 10, 5


class Pen(QObject):
    """Sets the confidence by a pen's tilt when the pen touches the canvas; off until chosen.

    Not by its pressure: that has just begun when a stroke begins, and a stroke has one confidence.

    Parameters
    ----------
    session : Session
        Whose confidence.
    viewer : napari.Viewer
        On whose canvas the pen paints; one without a window has none.
    menu : QMenu
        Gets the choice.
    parent : QObject
        Owner.
    """

    def __init__(self, session: Session, viewer: Any, menu: QMenu, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        window = getattr(getattr(viewer, "__wrapped__", viewer), "window", None)
        # napari has no public name for its canvas's widget.
        self._canvas: QObject | None = window and window._qt_viewer.canvas.native
        self.choice = menu.addAction("A pen's tilt sets the confidence")
        self.choice.setCheckable(True)
        self.choice.setToolTip("Upright is certain, flat is unsure; for pens that tell their tilt")
        self.choice.setChecked(Preferences.load().pen_tilt)
        self.choice.toggled.connect(self._remember)
        if self._canvas is not None:
            self._canvas.installEventFilter(self)

    def close_part(self) -> None:
        """Stop listening."""
        if self._canvas is not None:
            self._canvas.removeEventFilter(self)
            self._canvas = None

    def _remember(self, on: bool) -> None:
        Preferences.load().model_copy(update={"pen_tilt": on}).save()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Read the tilt as the pen comes down; Qt makes the mouse event that paints afterwards."""
        if (
            event.type() == QEvent.Type.TabletPress
            and self.choice.isChecked()
            and isinstance(event, QTabletEvent)
            and event.device().capabilities() & event.device().Capability.XTilt
        ):
            self._session.confidence = confidence_of(event.xTilt(), event.yTilt())
        return bool(super().eventFilter(watched, event))


def confidence_of(x_tilt: float, y_tilt: float) -> int:
    """Return the confidence of a tilt in percent, in steps of 5.

    Parameters
    ----------
    x_tilt, y_tilt : float
        Degrees from the perpendicular in the planes of the tablet's axes, as Qt gives them.
    """
    tilt = math.degrees(
        math.atan(math.hypot(math.tan(math.radians(x_tilt)), math.tan(math.radians(y_tilt))))
    )
    return STEP * round(np.interp(tilt, (UPRIGHT, FLAT), (HIGHEST, LOWEST)) / STEP)
