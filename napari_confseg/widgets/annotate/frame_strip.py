"""The clip as a strip: which frames are marked, which reviewed, which is on show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_confseg.annotate.reviewing import reviewed_frames
from napari_confseg.store import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_REVIEWED = 5  # height of the reviewed band, pixels
_LANE = 4  # height of one class's lane


class FrameStrip(QWidget):  # type: ignore[misc]
    """A lane for each class, coloured where it is marked, over a band filled where all is reviewed.

    Click or drag to go to a frame.
    """

    wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._status: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._marked: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)
        self._colors: list[QColor] = []
        self._frame = 0
        self._text, self._ground, self._done = QColor("white"), QColor("#414851"), QColor("#5fd38d")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(
            "The clip's frames: a lane for each class, coloured where you marked it;\n"
            "beneath, filled where the frame is reviewed. Click to go there."
        )

    def sizeHint(self) -> QSize:  # noqa: N802
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

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
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
        x = self.x_of(min(self._frame, len(self._status) - 1))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._text, 1.2))
        painter.drawLine(QPointF(x, 4), QPointF(x, top + _REVIEWED))
        painter.setBrush(self._text)
        painter.drawPolygon(QPolygonF([QPointF(x - 4, 1), QPointF(x + 4, 1), QPointF(x, 7)]))

    def _runs(
        self, painter: QPainter, edges: NDArray[np.float64], on: NDArray[np.bool_], top: float,
        height: float, color: QColor,
    ) -> None:  # fmt: skip
        # One rectangle for each run of frames: a long clip has more frames than pixels.
        steps = np.flatnonzero(np.diff(np.concatenate(([False], on, [False]))))
        for start, stop in zip(steps[::2], steps[1::2], strict=True):
            width = max(float(edges[stop] - edges[start]), 1.5)
            painter.fillRect(QRectF(float(edges[start]), top, width, height), color)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Go to the frame there."""
        if event.button() == Qt.MouseButton.LeftButton and len(self._status):
            self.wanted.emit(self.frame_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Go along with the mouse held."""
        if event.buttons() & Qt.MouseButton.LeftButton and len(self._status):
            self.wanted.emit(self.frame_at(event.position().x()))
