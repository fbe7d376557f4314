"""Small print, and squares of colour or hatching, as several panels show them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_confseg.annotate.hatch import hatching


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


def hatch_icon(direction: int, color: str) -> QIcon:
    """Return a swatch with the hatching that an overlay of this `direction` is drawn in."""
    image = QImage(18, 18, QImage.Format.Format_ARGB32)
    image.fill(QColor(0, 0, 0, 0))
    lines = hatching((18, 18), direction)
    for y in range(18):
        for x in range(18):
            if lines[y, x] or y in (0, 17) or x in (0, 17):
                image.setPixelColor(x, y, QColor(color))
    return QIcon(QPixmap.fromImage(image))


def note(text: str = "") -> QLabel:
    """Return a label for a sentence of small print."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "note")
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
