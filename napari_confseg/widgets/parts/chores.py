"""Long work beside the event loop, with progress and a way to stop it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from collections.abc import Callable


class Chore(QObject):  # type: ignore[misc]
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

    def __init__(self, work: Callable[[Chore], Any], parent: QObject) -> None:
        super().__init__(parent)
        self._work = work
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chore", daemon=True)

    def start(self) -> Chore:
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
