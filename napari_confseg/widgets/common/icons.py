"""Small print, and squares of colour or hatching, as several panels show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_confseg.annotate.hatch import hatching

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def place_icon(
    color: str, box: tuple[int, int, int, int], shape: tuple[int, ...], width: int
) -> QIcon:
    """Return a frame of `shape` (Y, X) drawn small, `width` wide, with `box` in `color`.

    The box (y0, x0, y1, x1) stays large enough to be seen.
    """
    height = round(0.75 * width)
    scale = min(width / shape[1], height / shape[0])
    left, top = (width - scale * shape[1]) / 2, (height - scale * shape[0]) / 2
    y0, x0, y1, x1 = (scale * v for v in box)
    pixmap = QPixmap(width, height)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.fillRect(QRectF(left, top, scale * shape[1], scale * shape[0]), QColor("#000000"))
    where = QRectF(left + x0, top + y0, max(x1 - x0, 3.0), max(y1 - y0, 3.0))
    painter.fillRect(where, QColor(color))
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


def line_icon(dashes: Sequence[float], color: str) -> QIcon:
    """Return a short line in `color`, as a rater's contour is drawn, on black.

    `dashes` are lengths of line and gap in turn; none for a solid line.
    """
    pixmap = QPixmap(24, 14)
    pixmap.fill(QColor("#000000"))
    painter = QPainter(pixmap)
    pen = QPen(QColor(color), 2)
    if dashes:
        pen.setDashPattern([d / 2 for d in dashes])  # Qt counts in widths of the pen
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    painter.setPen(pen)
    painter.drawLine(1, 7, 23, 7)
    painter.end()
    return QIcon(pixmap)


def note(text: str = "") -> QLabel:
    """Return a label for a sentence of small print."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "note")
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
