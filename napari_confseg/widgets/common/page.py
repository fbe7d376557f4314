"""A page that scrolls up and down only, and is never narrower than what it shows."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QStyle, QWidget


class Page(QScrollArea):
    """Scrolls `content`; its least width follows the content's, with room for the scroll bar."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Once Qt has laid everything out: before, it does not know the heights itself.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(0)
        self._settled.timeout.connect(self._give_height)
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
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._settled.start()
        return done

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Scroll to what has the focus now, unless it went there because a button is off.

        A button that is pressed and then switched off or hidden hands its focus on. If the page
        scrolled there, the next click would miss what takes the button's place.
        """
        leaving, at = self.focusWidget(), self.verticalScrollBar().value()
        moved = bool(super().focusNextPrevChild(forward))
        if leaving is not None and not (leaving.isEnabled() and leaving.isVisible()):
            self.verticalScrollBar().setValue(at)
        return moved

    def _give_height(self) -> None:
        """Make the content as high as it needs to be at its width.

        Qt reckons its height for the width without the scroll bar, in which lines that wrap are
        fewer; what is in them is then drawn squeezed.
        """
        content = self.widget()
        if content is None or not content.hasHeightForWidth():
            return
        needed = content.heightForWidth(content.width())
        if content.height() < needed:
            content.resize(content.width(), needed)
