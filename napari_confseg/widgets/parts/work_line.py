"""One line for work that takes a while: what, how far, and a way to stop it."""

from __future__ import annotations

from functools import partial
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
        self._chores: list[Chore] = []
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
        return bool(self._chores)

    def follow(self, chore: Chore, words: str) -> None:
        """Show how far `chore` is, until it ends; of several, the one that began last."""
        self._chores.append(chore)
        self.words.setText(words)
        self.bar.setRange(0, 0)
        self.stop.setEnabled(True)
        chore.progressed.connect(partial(self._on_progress, chore))
        chore.done.connect(partial(self._on_end, chore))
        chore.failed.connect(partial(self._on_end, chore))
        self.show()

    def _on_progress(self, chore: Chore, current: int, total: int, words: str) -> None:
        if not self._chores or chore is not self._chores[-1]:
            return
        self.bar.setRange(0, total)
        self.bar.setValue(current)
        if words:
            self.words.setText(words)

    def _on_stop(self) -> None:
        if self._chores:
            self._chores[-1].cancel()
            self.stop.setEnabled(False)
            self.words.setText("Stopping …")

    def _on_end(self, chore: Chore, _result: object) -> None:
        self._chores.remove(chore)
        self.stop.setEnabled(True)
        self.setVisible(self.busy)
