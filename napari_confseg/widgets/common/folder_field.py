"""A line for a folder, with a button that asks for one."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget


class FolderField(QWidget):
    """Emits `chosen` with the path when a person has typed or picked one."""

    chosen = Signal(str)

    def __init__(self, tip: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setToolTip(tip)
        self.line.setAccessibleName(tip)
        self.line.editingFinished.connect(self._on_typed)
        self.pick = QPushButton("…")
        self.pick.setToolTip("Pick a folder")
        self.pick.setAccessibleName("Pick a folder")
        self.pick.setFixedWidth(32)
        self.pick.clicked.connect(self._on_pick)
        self._shown = ""
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.pick)

    def show_place(self, path: str) -> None:
        """Show a path; what a person is typing is left alone."""
        if path != self._shown and not self.line.isModified():
            self._shown = path
            self.line.setText(path)
            self.line.setCursorPosition(len(path))
            self.line.setStatusTip(path)

    def _on_typed(self) -> None:
        if self.line.isModified():
            self.line.setModified(False)
            self._shown = self.line.text().strip()
            self.chosen.emit(self._shown)

    def _on_pick(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Pick a folder", self.line.text())
        if folder:
            self.line.setModified(False)
            self.chosen.emit(folder)
