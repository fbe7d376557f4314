"""A sentence of small print and a square of colour, as several panels show them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy


def swatch(color: str, size: int = 12) -> QIcon:
    """Return a small square of `color`."""
    pixmap = QPixmap(size, size)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(color))
    painter.drawRoundedRect(0, 0, size, size, 3, 3)
    painter.end()
    return QIcon(pixmap)


def note(text: str = "") -> QLabel:
    """Return a label for a sentence of small print."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "note")
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
