"""A foldable section, and a wheel that scrolls the panel rather than what it passes over."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)


class Section(QWidget):
    """A heading that folds what is beneath it."""

    def __init__(self, title: str, *widgets: QWidget) -> None:
        super().__init__()
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setProperty("role", "heading")
        self.header.setCheckable(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setToolTip("Fold or unfold")
        # As wide as the panel, whatever its title comes to say: Qt widens it a moment late.
        self.header.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.header.toggled.connect(self.open)
        line = QFrame()
        line.setProperty("role", "line")
        self._body = QWidget()
        inside = QVBoxLayout(self._body)
        inside.setContentsMargins(4, 0, 0, 2)
        for widget in widgets:
            self.add(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        for widget in (line, self.header, self._body):
            layout.addWidget(widget)
        self.header.setChecked(True)

    def add(self, widget: QWidget) -> None:
        """Put `widget` beneath what is in the section already."""
        self._body.layout().addWidget(widget)

    def open(self, on: bool) -> None:
        """Unfold or fold."""
        self.header.setChecked(on)
        self.header.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self._body.setVisible(on)


class StillWheel(QObject):
    """Lets the wheel scroll the panel rather than change what it happens to pass over."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: D102
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def still_wheel(panel: QWidget) -> None:
    """Let the wheel over the choosers, boxes and sliders in `panel` scroll it; a click is needed.

    Qt gives the focus to what the wheel turns over, before anybody may say no.
    """
    still = StillWheel(panel)
    for kind in (QComboBox, QAbstractSpinBox, QSlider):
        for widget in panel.findChildren(kind):
            if widget.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(still)
