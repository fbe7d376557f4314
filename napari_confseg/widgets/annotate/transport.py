"""Timeline, playing and reviewing, pinned below the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.annotate.review_progress import reviewed_frames
from napari_confseg.store import Status
from napari_confseg.widgets.common.buttons import button, icon, with_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


_REVIEWED = 5  # height of the reviewed band, pixels
_LANE = 4  # height of one class's lane


class FrameStrip(QWidget):
    """A lane for each class, coloured where it is marked, over a band filled where all is reviewed.

    Click or drag to go to a frame. With Shift, a drag marks the frames passed over as reviewed, a
    click those from the frame on show to the one clicked.
    """

    wanted = Signal(int)
    range_wanted = Signal(object)  # a range of frames, to be marked reviewed

    def __init__(self) -> None:
        super().__init__()
        self._status: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._marked: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)
        self._colors: list[QColor] = []
        self._frame = 0
        self._pressed: int | None = None  # frame at which a drag with Shift began
        self._dragged: int | None = None  # and where it is now, once it has moved
        self._text, self._ground, self._done = QColor("white"), QColor("#414851"), QColor("#5fd38d")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(
            "The clip's frames: a lane for each class, coloured where you marked it;\n"
            "beneath, filled where the frame is reviewed. Click to go there.\n"
            "Drag with Shift, or Shift and click, to mark several frames reviewed."
        )

    def sizeHint(self) -> QSize:
        """Return room for every lane."""
        return QSize(200, 14 + _LANE * max(len(self._colors), 1) + _REVIEWED)

    def set_classes(self, colors: Sequence[str]) -> None:
        """Draw a lane in each of these colours."""
        self._colors = [QColor(c) for c in colors]
        self.updateGeometry()
        self.update()

    def set_progress(self, status: NDArray[np.uint8], marked: NDArray[np.bool_]) -> None:
        """Show status ``(T, C)`` and marks ``(T, C)``."""
        self._status, self._marked = status, marked
        self.update()

    def set_frame(self, frame: int) -> None:
        """Show where we are."""
        self._frame = frame
        self.update()

    def set_colors(self, text: str, ground: str, done: str) -> None:
        """Draw the cursor in `text`, lanes on `ground`, the reviewed band in `done`."""
        self._text, self._ground, self._done = QColor(text), QColor(ground), QColor(done)
        self.update()

    def _edges(self) -> NDArray[np.float64]:
        # Left edge of every frame, and the right edge of the last, in pixels.
        return np.linspace(5.0, self.width() - 5.0, len(self._status) + 1)

    def frame_at(self, x: float) -> int:
        """Return the frame at `x` pixels from the left."""
        n = len(self._status)
        share = (x - 5.0) / max(self.width() - 10.0, 1.0)
        return min(max(int(share * n), 0), max(n - 1, 0))

    def x_of(self, frame: int) -> float:
        """Return the middle of `frame`, in pixels from the left."""
        edges = self._edges()
        return float(edges[frame] + edges[frame + 1]) / 2

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw lanes, band and cursor."""
        if not len(self._status):
            return
        painter = QPainter(self)
        top, edges = 8.0, self._edges()
        for c, color in enumerate(self._colors):
            painter.fillRect(QRectF(5, top, self.width() - 10, _LANE - 1), self._ground)
            self._runs(painter, edges, self._marked[:, c], top, _LANE - 1, color)
            top += _LANE
        top += 2
        painter.fillRect(QRectF(5, top, self.width() - 10, _REVIEWED), self._ground)
        partly = (self._status == Status.REVIEWED).any(axis=1)
        self._runs(painter, edges, partly, top + _REVIEWED - 2, 2, self._done)
        self._runs(painter, edges, reviewed_frames(self._status), top, _REVIEWED, self._done)
        if self._dragged is not None:
            chosen = self._chosen()
            shade = QColor(self._done)
            shade.setAlpha(90)
            left, right = float(edges[chosen.start]), float(edges[chosen.stop])
            painter.fillRect(QRectF(left, 6, right - left, top + _REVIEWED - 6), shade)
        x = self.x_of(min(self._frame, len(self._status) - 1))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._text, 1.2))
        painter.drawLine(QPointF(x, 4), QPointF(x, top + _REVIEWED))
        painter.setBrush(self._text)
        painter.drawPolygon(QPolygonF([QPointF(x - 4, 1), QPointF(x + 4, 1), QPointF(x, 7)]))

    def _runs(
        self,
        painter: QPainter,
        edges: NDArray[np.float64],
        on: NDArray[np.bool_],
        top: float,
        height: float,
        color: QColor,
    ) -> None:
        # One rectangle for each run of frames: a long clip has more frames than pixels.
        steps = np.flatnonzero(np.diff(np.concatenate(([False], on, [False]))))
        for start, stop in zip(steps[::2], steps[1::2], strict=True):
            width = max(float(edges[stop] - edges[start]), 1.5)
            painter.fillRect(QRectF(float(edges[start]), top, width, height), color)

    def _chosen(self) -> range:
        """Return the frames that are being marked: dragged over, or from where we are."""
        assert self._pressed is not None
        # A drag within one frame is a click.
        clicked = self._dragged is None or self._dragged == self._pressed
        first, last = sorted((self._frame if clicked else self._dragged or 0, self._pressed))
        return range(first, last + 1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame there; with Shift, begin to mark frames."""
        if event.button() != Qt.MouseButton.LeftButton or not len(self._status):
            return
        at = self.frame_at(event.position().x())
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._pressed = at
        else:
            self.wanted.emit(at)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along with the mouse held, or mark more frames."""
        if not event.buttons() & Qt.MouseButton.LeftButton or not len(self._status):
            return
        at = self.frame_at(event.position().x())
        if self._pressed is None:
            self.wanted.emit(at)
        elif at != self._pressed or self._dragged is not None:
            self._dragged = at
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Ask for the frames to be marked."""
        if event.button() == Qt.MouseButton.LeftButton and self._pressed is not None:
            chosen = self._chosen()
            self._pressed = self._dragged = None
            self.update()
            self.range_wanted.emit(chosen)


class Transport(QWidget):
    """The strip with its buttons."""

    frame_wanted = Signal(int)
    play_wanted = Signal(bool)
    open_frame_wanted = Signal(int)
    reviewed_wanted = Signal(bool)
    class_reviewed_wanted = Signal(bool)
    on_wanted = Signal()  # reviewed, and on to the next

    def __init__(self) -> None:
        super().__init__()
        self.strip = FrameStrip()
        self.strip.wanted.connect(self.frame_wanted)
        self.where = QLabel()
        self._keys: Mapping[str, str] = {}
        self._class_label = ""
        self.play = button("", "", checkable=True)
        self.play.clicked.connect(self.play_wanted)
        self.previous = button("", "")
        self.previous.clicked.connect(lambda: self.open_frame_wanted.emit(-1))
        self.next = button("", "")
        self.next.clicked.connect(lambda: self.open_frame_wanted.emit(1))
        self.reviewed = button("", "", checkable=True)
        self.reviewed.clicked.connect(self.reviewed_wanted)
        self.class_reviewed = button("", "", checkable=True)
        self.class_reviewed.clicked.connect(self.class_reviewed_wanted)
        self.on = button("Reviewed, next", "")
        self.on.clicked.connect(self.on_wanted)
        for made, name in (
            (self.play, "Play"),
            (self.previous, "Previous"),
            (self.next, "Next"),
        ):
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            made.setAccessibleName(name)
        for made in (self.reviewed, self.class_reviewed):
            made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.setSpacing(4)
        bottom.setSpacing(4)
        top.addWidget(self.play)
        top.addWidget(self.where, 1)
        top.addWidget(self.previous)
        top.addWidget(self.next)
        top.addWidget(self.on)
        bottom.addWidget(self.reviewed, 1)
        bottom.addWidget(self.class_reviewed, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.strip)
        layout.addLayout(bottom)
        self._why_read_only = ""
        self.set_keys({})

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys, by the id of the action, in the tooltips."""
        self._keys = keys
        for made, tip, name in (
            (self.play, "Play or stop", "play"),
            (self.previous, "Previous unreviewed frame", "previous-open"),
            (self.next, "Next unreviewed frame", "next-open"),
            (self.reviewed, "All classes: what is not marked here, is not here", "reviewed"),
            (
                self.class_reviewed,
                f"What is not marked here as {self._class_label}, is not here",
                "class-reviewed",
            ),
            (
                self.on,
                "What is not marked here, is not here; and on to the next unreviewed frame",
                "reviewed-on",
            ),
        ):
            made.setToolTip(with_key(tip, keys.get(name)))
        if self._why_read_only:
            for made in (self.reviewed, self.class_reviewed, self.on):
                made.setToolTip(self._why_read_only)

    def set_icons(self, color: str, chosen: str) -> None:
        """Draw the icons in `color`, those of pressed buttons in `chosen`."""
        playing = self.play.isChecked()
        self.play.setIcon(icon("stop" if playing else "play", chosen if playing else color))
        self.previous.setIcon(icon("previous", color))
        self.next.setIcon(icon("next", color))
        for made in (self.reviewed, self.class_reviewed):
            made.setIcon(
                icon("check" if made.isChecked() else "open", chosen if made.isChecked() else color)
            )

    def set_place(self, frame: int, n_frames: int, rate: float) -> None:
        """Show the frame we are at, of how many, and the clip's true rate."""
        self.strip.set_frame(frame)
        self.where.setText(f"{frame + 1} / {n_frames}")
        self.where.setToolTip(f"Frame {frame + 1} of {n_frames}; plays at {rate:.3g} a second")

    def set_playing(self, playing: bool) -> None:
        """Show whether it plays."""
        self.play.setChecked(playing)

    def set_reviewed(self, everything: bool, this_class: bool, class_label: str) -> None:
        """Show what of this frame is reviewed."""
        self.reviewed.setChecked(everything)
        self.reviewed.setText("Reviewed" if everything else "Mark reviewed")
        self.class_reviewed.setChecked(this_class)
        self.class_reviewed.setText(class_label)
        if class_label != self._class_label:
            self._class_label = class_label
            self.set_keys(self._keys)

    def set_read_only(self, why: str) -> None:
        """Offer reviewing only where one may write; else the tooltips say `why` not."""
        self._why_read_only = why
        self.reviewed.setEnabled(not why)
        self.class_reviewed.setEnabled(not why)
        self.on.setEnabled(not why)
        self.set_keys(self._keys)
