"""Polling of the runs, as long as the panel is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari_confseg.annotate.train.model import Training

EVERY_MS: Final = 250
"""Between two looks at a run at work: as often as the trainer reports."""

IDLE_MS: Final = 1000
"""Between two looks when nothing is at work here: a run may be begun elsewhere."""


class RunFollower(QObject):
    """Polls a :class:`~napari_confseg.annotate.train.model.Training`, often while something runs.

    Parameters
    ----------
    training : Training
        The model.
    parent : QObject, optional
        With which the follower goes.
    """

    def __init__(self, training: Training, parent: Any = None) -> None:
        super().__init__(parent)
        self._training = training
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(EVERY_MS)

    def look(self) -> None:
        """Look now, and decide when to look again."""
        self._training.poll()
        interval = EVERY_MS if self._training.live else IDLE_MS
        if self._timer.interval() != interval:
            self._timer.setInterval(interval)

    def hurry(self) -> None:
        """Look often again: something has just been sent for."""
        self._timer.setInterval(EVERY_MS)

    def stop(self) -> None:
        """Look no more; runs go on."""
        self._timer.stop()
