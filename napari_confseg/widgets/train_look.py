"""How the Train panel looks in napari's themes, and two manners of its widgets."""

from __future__ import annotations

from typing import Any, Final

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QFrame, QToolButton, QVBoxLayout, QWidget

_STYLE: Final = """
QLabel[role="heading"], QToolButton[role="heading"] {{ font-weight: bold; border: none; }}
QLabel[role="title"] {{ font-weight: bold; }}
QLabel[role="note"] {{ color: {faint}; }}
QLabel[role="note"]:disabled {{ color: {secondary}; }}
QLabel[role="caution"] {{ color: {warn}; }}
QLabel[role="error"] {{ color: {text}; font-weight: bold; }}
QFrame[role="problem"] {{ border: 1px solid {error}; border-left: 4px solid {error};
                         border-radius: 3px; }}
QFrame[role="line"] {{ color: {foreground}; background: {foreground}; max-height: 1px; }}
QLabel[phase="running"], QLabel[phase="starting"] {{ color: {run}; font-weight: bold; }}
QLabel[phase="finished"] {{ color: {done}; font-weight: bold; }}
QLabel[phase="failed"], QLabel[phase="ended"] {{ color: {bad}; font-weight: bold; }}
QLabel[phase="stopped"], QLabel[phase="stopping"] {{ color: {warn}; font-weight: bold; }}
QPushButton[role="primary"] {{ background: {current}; color: white; font-weight: bold;
                              padding: 6px; }}
QPushButton[role="primary"]:disabled {{ background: {foreground}; color: {secondary}; }}
QPushButton[role="primary"]:focus, QPushButton:focus {{ border: 1px solid {text}; }}
QProgressBar {{ text-align: center; border: 1px solid {primary}; border-radius: 2px; }}
QProgressBar::chunk {{ background: {current}; }}
QTreeWidget {{ background: {background}; }}
QTreeWidget::item {{ padding: 3px 0px; }}
QTreeWidget::item:selected {{ background: {current}; color: white; }}
"""

_DARK: Final = {"faint": "#a9b0b8", "run": "#6ea8fe", "done": "#5fd38d", "bad": "#ff7b7b",
                "warn": "#e3b617"}  # fmt: skip
_LIGHT: Final = {"faint": "#5a6068", "run": "#2457c5", "done": "#12753d", "bad": "#b3261e",
                 "warn": "#8a5a00"}  # fmt: skip
_TAKEN: Final = (
    "background", "foreground", "primary", "secondary", "text", "error", "current",
)  # fmt: skip


def stylesheet(theme: Any) -> str:
    """Return the panel's style sheet in the colours of a napari theme."""
    colors = {name: getattr(theme, name).as_hex() for name in _TAKEN}
    return _STYLE.format(**colors, **(_DARK if theme.type == "dark" else _LIGHT))


class Section(QWidget):  # type: ignore[misc]
    """A heading that folds what is beneath it."""

    def __init__(self, title: str, *widgets: QWidget) -> None:
        super().__init__()
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setProperty("role", "heading")
        self.header.setCheckable(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setToolTip("Fold or unfold")
        self.header.toggled.connect(self.open)
        line = QFrame()
        line.setProperty("role", "line")
        self._body = QWidget()
        inside = QVBoxLayout(self._body)
        inside.setContentsMargins(4, 0, 0, 4)
        for widget in widgets:
            inside.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        for widget in (line, self.header, self._body):
            layout.addWidget(widget)
        self.header.setChecked(True)

    def open(self, on: bool) -> None:
        """Unfold or fold."""
        self.header.setChecked(on)
        self.header.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self._body.setVisible(on)


class StillWheel(QObject):  # type: ignore[misc]
    """Lets the wheel scroll the panel rather than change what it happens to pass over."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: D102, N802
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False
