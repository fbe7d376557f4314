"""The bar on which the confidence of the next stroke is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QLinearGradient,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_confseg.annotate.confidence_words import stepped
from napari_confseg.widgets.layers.colormaps import alpha

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARGIN = 11


class ConfidenceBar(QWidget):
    """A bar that shows how opaque each confidence is drawn, with a handle to drag.

    Click anywhere to set, drag to change, arrow keys to step.
    """

    wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._value = 60
        self._anchors: tuple[int, ...] = ()
        self._color, self._text, self._ground = QColor("#888888"), QColor("white"), QColor("black")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Confidence of the next stroke, percent")

    def sizeHint(self) -> QSize:
        """Return a bar's height."""
        return QSize(200, 34)

    def set_value(self, value: int) -> None:
        """Show `value`, 1..100."""
        self._value = value
        self.update()

    def set_anchors(self, values: Sequence[int]) -> None:
        """Tick these values."""
        self._anchors = tuple(values)
        self.update()

    def set_colors(self, color: str, text: str, ground: str) -> None:
        """Draw in the class's `color`, on `ground`, with ticks and handle in `text`."""
        self._color, self._text, self._ground = QColor(color), QColor(text), QColor(ground)
        self.update()

    def x_of(self, value: int) -> float:
        """Return where `value` is, in pixels from the left."""
        return float(_MARGIN + (self.width() - 2 * _MARGIN) * (value - 1) / 99)

    def value_at(self, x: float) -> int:
        """Return the value at `x` pixels from the left, 1..100."""
        share = (x - _MARGIN) / max(self.width() - 2 * _MARGIN, 1)
        return int(min(max(round(1 + 99 * share), 1), 100))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw ramp, ticks and handle."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        groove = QRectF(_MARGIN, 5, self.width() - 2 * _MARGIN, 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ground)
        painter.drawRoundedRect(groove, 4, 4)
        ramp = QLinearGradient(groove.topLeft(), groove.topRight())
        for at, value in ((0.0, 1), (1.0, 100)):
            color = QColor(self._color)
            color.setAlphaF(alpha(value))
            ramp.setColorAt(at, color)
        painter.setBrush(ramp)
        painter.drawRoundedRect(groove, 4, 4)
        painter.setPen(QPen(self._text, 1.5))
        for value in self._anchors:
            x = self.x_of(value)
            painter.drawLine(QPointF(x, 23), QPointF(x, 29))
        x = self.x_of(self._value)
        painter.setPen(QPen(self._ground, 1.5))
        painter.setBrush(self._text)
        painter.drawPolygon(
            QPolygonF(
                [
                    QPointF(x - 5, 1),
                    QPointF(x + 5, 1),
                    QPointF(x + 5, 22),
                    QPointF(x, 30),
                    QPointF(x - 5, 22),
                ]
            )
        )
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self._text, 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Set the value there."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.wanted.emit(self.value_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Change the value with the mouse held."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.wanted.emit(self.value_at(event.position().x()))

    def keyPressEvent(self, event: object) -> None:
        """Step by one with the arrow keys, by ten with Home's neighbours."""
        key = event.key()  # type: ignore[attr-defined]
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Down: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: 1}
        if key in steps:
            self.wanted.emit(stepped(self._value, steps[key]))
        else:
            super().keyPressEvent(event)
