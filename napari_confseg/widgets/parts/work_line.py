"""One line for work that takes a while: what, how far, and a way to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_confseg.widgets.parts.look import button, label

if TYPE_CHECKING:
    from napari_confseg.widgets.parts.chores import Chore


class WorkLine(QWidget):  # type: ignore[misc]
    """Follows a chore; out of sight when there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._chore: Chore | None = None
        self.words = label(role="note")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.stop = button("Stop", "Stop; what is finished stays")
        self.stop.clicked.connect(self._on_stop)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(2)
        layout.addWidget(self.words)
        layout.addLayout(row)
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether a chore is on."""
        return self._chore is not None

    def follow(self, chore: Chore, words: str) -> None:
        """Show how far `chore` is, until it ends."""
        self._chore = chore
        self.words.setText(words)
        self.bar.setRange(0, 0)
        self.stop.setEnabled(True)
        chore.progressed.connect(self._on_progress)
        chore.done.connect(self._on_end)
        chore.failed.connect(self._on_end)
        self.show()

    def _on_progress(self, current: int, total: int, words: str) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(current)
        if words:
            self.words.setText(words)

    def _on_stop(self) -> None:
        if self._chore is not None:
            self._chore.cancel()
            self.stop.setEnabled(False)
            self.words.setText("Stopping …")

    def _on_end(self, _result: object) -> None:
        self._chore = None
        self.hide()
