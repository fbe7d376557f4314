"""Reporter of a run: its events, and the time that is left."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_confseg.job import Metrics, Preview, Progress, Started

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.job import Event, Failed, RunFolder

_EVERY = 0.25  # seconds between two progress events


class Reporter:
    """Appends events to the run's folder and passes each to a listener.

    Parameters
    ----------
    folder : RunFolder
        The run.
    listen : callable
        Gets each event too, e.g. to draw a bar in a terminal.
    """

    def __init__(self, folder: RunFolder, listen: Callable[[Event], None] = lambda _: None) -> None:
        self._folder = folder
        self._listen = listen
        self._emitted = 0.0
        self._begin: tuple[float, int] | None = None

    def emit(self, event: Event) -> None:
        """Append `event` and pass it on."""
        self._folder.append(event)
        self._listen(event)

    def fail(self, event: Failed) -> None:
        """Pass on why the run failed, and append it if the disk takes it."""
        with suppress(OSError):  # it may be the full disk that made it fail
            self._folder.append(event)
        self._listen(event)

    def started(self, **facts: str | int | float | bool) -> None:
        """Report the facts at the start."""
        self.emit(Started(facts=facts))
        self._begin = None

    def progress(self, current: int, maximum: int, message: str) -> None:
        """Report progress, and the time left by the pace since the first call."""
        now = time.monotonic()
        if self._begin is None or current < self._begin[1]:
            self._begin = (now, current)
        done = current - self._begin[1]
        left = (now - self._begin[0]) / done * (maximum - current) if done > 0 else None
        if now - self._emitted >= _EVERY or current in (0, maximum):
            self._emitted = now
            self.emit(
                Progress(current=current, maximum=maximum, message=message, seconds_left=left)
            )

    def metrics(self, step: int, values: dict[str, float | None]) -> None:
        """Report measured values."""
        self.emit(Metrics(step=step, values=values))

    def preview(self, step: int, clip: str, rater: str) -> None:
        """Report that the model's planes for `clip` are in the cohort."""
        self.emit(Preview(step=step, clip=clip, rater=rater))
