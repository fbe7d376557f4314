"""Helpers of the Annotate panel's tests: cohorts, an open panel, a hand, plain zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zarr
from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_confseg.annotate.session import Session
from napari_confseg.store import DEFAULT_CLASSES, Cohort
from napari_confseg.widgets.annotate.panel import AnnotatePanel
from napari_confseg.widgets.demo.hand import Hand, wait, wait_until
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

SHAPE = (96, 128)
OPENED = {"cohort", "clip", "rater", "adjudicator", "save_state"}
"""Fields of a session that opening sets."""


def make_cohort(location: Path, *clips: str, n_frames: int = 6) -> Cohort:
    """Make a cohort of three classes, with clips of noise that are large enough to paint on."""
    made = Cohort.create(location, name="toy", classes=DEFAULT_CLASSES[:3])
    for name in clips:
        add_clip(made, name, n_frames=n_frames, shape=SHAPE)
    return made


class Bench:
    """A viewer with the panel, a session and a hand.

    Parameters
    ----------
    viewer : napari.Viewer, optional
        One whose window is shown. Without it there are napari's layers but no window and no hand,
        and the panel is a window of its own: what needs no canvas is tested in a tenth of the time.
    """

    def __init__(self, viewer: Any = None) -> None:
        self.shown = viewer is not None
        self.viewer = viewer if self.shown else ViewerModel()
        self.panel = AnnotatePanel(self.viewer)
        self.session = self.panel.session
        self.readers = 1
        if self.shown:
            self.hand = Hand(viewer)
            viewer.window.add_dock_widget(self.panel, name="Annotate", area="right")
            self.hand.window.resize(1200, 800)
        else:
            self.panel.resize(320, 900)
            self.panel.show()
        wait(100)

    def open(self, cohort: Cohort, reader: str = "Dr. Ada", clip: str = "clip-1") -> None:
        """Open a clip to paint B-lines with a brush of 8."""
        assert self.panel.cohort_actions.open(cohort.location, reader)
        assert self.panel.cohort_actions.open_clip(clip)
        self.session.class_name = "b-line"
        self.session.brush_size = 8
        wait(100)

    def begin_anew(self, cohort: Cohort, clip: str = "clip-1") -> None:
        """Go on in this window as if it had just come: another reader, nothing marked or set.

        A window takes seconds of the suite: tests that each need one for a moment share it.
        """
        self.session.close_clip()
        new = Session()
        for name in type(new).model_fields.keys() - OPENED:
            setattr(self.session, name, getattr(new, name))
        self.readers += 1
        self.open(cohort, reader=f"Dr. Ada {self.readers}", clip=clip)
        self.viewer.reset_view()

    def layer(self, label: str = "B-line") -> Any:
        """One of napari's layers."""
        return self.viewer.layers[label]

    def close(self) -> None:
        """Close the clip and let go of the window: pytest keeps fixtures a little longer."""
        self.session.close_clip()
        if not self.shown:
            let_go(self.panel)
        self.__dict__.clear()

    def panel_alive(self) -> bool:
        """Whether Qt still has the panel."""
        return bool(isalive(self.panel))

    def until(self, true: Callable[[], object], timeout: float = 240) -> None:
        """Let the program run until `true()`."""
        wait_until(lambda: bool(true()), timeout)


def let_go(widget: Any) -> None:
    """Close a window of ours and delete it now, not when an event loop comes round to it."""
    widget.close()
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)


def drop(widget: Any, *paths: object) -> bool:
    """Drag files onto a widget and let go; return whether it takes them."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    how = Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    # Qt gives a drop to what has accepted the drag before.
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(9, 9), *how))
    event = QDropEvent(QPointF(9, 9), *how)
    QApplication.sendEvent(widget, event)
    return bool(event.isAccepted())


def planes_by_plain_zarr(cohort: Cohort, clip: str, rater: str) -> np.ndarray:
    """The planes ``(T, C, Y, X)`` as any program with zarr reads them."""
    return zarr.open_array(f"{cohort.location}/{clip}/raters/{rater}/0", mode="r")[:]
