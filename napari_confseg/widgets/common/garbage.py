"""Python's cyclic garbage, collected only in the thread that owns the windows.

Python collects in whichever thread allocates. PySide hands a widget that is found so to the main
thread, but destroys a ``QObject``, ``QTimer``, ``QAction`` or ``QThread`` where it is found: while
the event loop delivers something to it, the program crashes. Threads that save, read ahead and
compare raters allocate all the time.
"""

from __future__ import annotations

import gc
import time

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

INTERVAL = 100
"""Milliseconds between two looks at whether there is enough to collect."""
FULL = 60.0
"""Seconds between two collections of everything, which hold the window up for a tenth of one."""


class GarbageCollector(QObject):
    """Collects by Python's own thresholds, in the thread of its parent.

    Parameters
    ----------
    app : QApplication
        Whose event loop runs; when it quits, Python collects by itself again.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._full_at = time.monotonic()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._collect)
        self._timer.start(INTERVAL)
        app.aboutToQuit.connect(gc.enable)

    def _collect(self) -> None:
        young, middle, old = (
            n > limit for n, limit in zip(gc.get_count(), gc.get_threshold(), strict=True)
        )
        if not young:
            return
        now = time.monotonic()
        rests = QApplication.mouseButtons() == Qt.MouseButton.NoButton  # no stroke is made to wait
        if middle and old and rests and now - self._full_at > FULL:
            gc.collect()
            self._full_at = now
        else:
            gc.collect(1 if middle else 0)


def collect_in_main_thread() -> None:
    """Let no thread but that of the windows collect garbage, as long as the application runs."""
    app = QApplication.instance()
    if isinstance(app, QApplication):
        gc.disable()
        if app.findChild(GarbageCollector) is None:
            GarbageCollector(app)
