"""A page that scrolls up and down only, and is never narrower than what it shows."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QStyle, QWidget


class Page(QScrollArea):
    """Scrolls `content`; its least width follows the content's, with room for the scroll bar."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def minimumSizeHint(self) -> QSize:
        """Return the content's least width and any height."""
        bar = self.verticalScrollBar().sizeHint().width()
        bar = max(bar, self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent))
        return QSize(self.widget().minimumSizeHint().width() + bar, 60)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Be as wide as the content needs when that changes."""
        done = bool(super().eventFilter(watched, event))
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return done
