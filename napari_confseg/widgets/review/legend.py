"""What the colours of a map of agreement mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_confseg.widgets.canvas.review_layers import map_colors

if TYPE_CHECKING:
    from collections.abc import Sequence

BAR: Final = 12
"""Height of the coloured bar in pixels."""


def ticks(kind: str, raters: int) -> list[tuple[int, str]]:
    """Return (map value, words) at which a legend of this map is labelled."""
    if kind == "votes":
        return [(n, f"{n} of {raters}") for n in range(1, raters + 1)]
    if kind == "spread":
        return [(1, "same"), (50, "50 % apart"), (100, "100 %")]
    return [(1, "sure"), (100, "even chances")]


class MapLegend(QWidget):  # type: ignore[misc]
    """A bar of the map's colours with a few words beneath."""

    def __init__(self) -> None:
        super().__init__()
        self._levels = 100
        self._ticks: Sequence[tuple[int, str]] = ()
        self._text = QColor("white")

    def set_text_color(self, color: str) -> None:
        """Write in `color`."""
        self._text = QColor(color)
        self.update()

    def set_map(self, kind: str, raters: int) -> None:
        """Explain this map of so many raters."""
        self._levels = raters if kind == "votes" else 100
        self._ticks = ticks(kind, raters) if kind else ()
        self.setVisible(bool(kind) and raters > 1)
        self.setAccessibleName("Legend: " + ", ".join(words for _, words in self._ticks))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return room for bar and words."""
        return QSize(200, BAR + 4 + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same height, and whatever width there is."""
        return QSize(80, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """Draw the bar, and the words beneath their colours."""
        painter = QPainter(self)
        table, n, wide = map_colors(self._levels), self._levels, self.width() / self._levels
        for value in range(1, n + 1):
            color = QColor.fromRgbF(*(float(v) for v in table[value]))
            painter.fillRect(QRectF((value - 1) * wide, 0, wide + 1, BAR), color)
        painter.setPen(self._text)
        for value, words in self._ticks:
            width = painter.fontMetrics().horizontalAdvance(words) + 2
            left = min(max((value - 0.5) * wide - width / 2, 0), self.width() - width)
            box = QRectF(left, BAR + 3, width, painter.fontMetrics().height())
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
        painter.end()
