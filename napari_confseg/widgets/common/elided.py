"""A line of text that ends in dots where it has no room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QLabel, QSizePolicy

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent


class ElidedLabel(QLabel):
    """One line, as wide as there is room; whoever shows it says it whole in a tooltip."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        # Rather a name cut short than a panel wider than the window.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def shown(self) -> str:
        """Return as much of the text as there is room for."""
        room = self.contentsRect().width()
        cut = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room)
        return str(cut)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.drawText(self.contentsRect(), middle, self.shown())
