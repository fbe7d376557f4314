"""Long work beside the event loop, with progress and a way to stop it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_confseg.widgets.common.buttons import button, label

if TYPE_CHECKING:
    from collections.abc import Callable


class BackgroundJob(QObject):  # type: ignore[misc]
    """Runs a function in a thread of its own; its signals arrive in the thread that made it.

    Parameters
    ----------
    work : callable
        Called with this chore; should call :meth:`report` now and then and look at `cancelled`.
    parent : QObject
        Owner.

    Attributes
    ----------
    progressed : Signal of int, int, str
        How far, of how much (0: nobody knows), and with what.
    done : Signal of object
        What the function returned.
    failed : Signal of object
        The exception it raised.
    """

    progressed = Signal(int, int, str)
    done = Signal(object)
    failed = Signal(object)

    def __init__(self, work: Callable[[BackgroundJob], Any], parent: QObject) -> None:
        super().__init__(parent)
        self._work = work
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chore", daemon=True)

    def start(self) -> BackgroundJob:
        """Begin; return itself."""
        self._thread.start()
        return self

    def report(self, current: int, total: int, message: str) -> None:
        """Tell how far the work is; called from within it."""
        self.progressed.emit(current, total, message)

    def cancelled(self) -> bool:
        """Whether the work should stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._cancelled.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the thread to end; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            result = self._work(self)
        # Whatever it is, the person must hear of it: there is nobody above us in this thread.
        except Exception as error:
            self._tell(self.failed, error)
        else:
            self._tell(self.done, result)

    @staticmethod
    def _tell(signal: Any, value: object) -> None:
        try:
            signal.emit(value)
        except RuntimeError:  # the window has gone meanwhile: nobody to tell
            return


class ProgressRow(QWidget):  # type: ignore[misc]
    """Follows a chore; out of sight when there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._chores: list[BackgroundJob] = []
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

    def follow(self, chore: BackgroundJob, words: str) -> None:
        """Show how far `chore` is, until it ends; of several, the one that began last."""
        self._chores.append(chore)
        self.words.setText(words)
        self.bar.setRange(0, 0)
        self.stop.setEnabled(True)
        chore.progressed.connect(partial(self._on_progress, chore))
        chore.done.connect(partial(self._on_end, chore))
        chore.failed.connect(partial(self._on_end, chore))
        self.show()

    def _on_progress(self, chore: BackgroundJob, current: int, total: int, words: str) -> None:
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

    def _on_end(self, chore: BackgroundJob, _result: object) -> None:
        self._chores.remove(chore)
        self.stop.setEnabled(True)
        self.setVisible(self.busy)
