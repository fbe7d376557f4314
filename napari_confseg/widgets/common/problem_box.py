"""What went wrong, and what to do about it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_confseg.widgets.common.icons import note


class ProblemBox(QFrame):
    """One sentence that says what is wrong, and one that says what to do."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "problem")
        self.setAccessibleName("Problem")
        self._error, self._hint = note(), note()
        self._error.setProperty("role", "error")
        for label in (self._error, self._hint):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(2)
        layout.addWidget(self._error)
        layout.addWidget(self._hint)
        self.hide()

    def show_problem(self, error: str, hint: str = "") -> None:
        """Show the two sentences; nothing at all if there is no error."""
        self._error.setText(error)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self.setVisible(bool(error))
