"""Runner of the Dataset panel's tasks: one at a time; a count makes way for what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QObject, Signal

from napari_confseg.store import StoreError
from napari_confseg.widgets.common.jobs import BackgroundJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.dataset.model import Task
    from napari_confseg.widgets.common.jobs import ProgressRow


class _On(NamedTuple):
    job: BackgroundJob
    task: Task
    counting: bool
    then: Callable[[Any], None] | None


class TaskRunner(QObject):
    """Runs tasks one after the other; of those that wait, only the one asked for last.

    Parameters
    ----------
    line : ProgressRow
        Shows how far the task is, and stops it.
    parent : QObject
        Owner.

    Attributes
    ----------
    about_to_begin : Signal
        A task is about to be made: what it reads should be in the store.
    begun : Signal
        A task that people asked for is on; not told of a count.
    failed : Signal of object
        The exception of a task, or of making it.
    idle : Signal
        No task is on, and none waits.
    """

    about_to_begin = Signal()
    begun = Signal()
    failed = Signal(object)
    idle = Signal()

    def __init__(self, line: ProgressRow, parent: QObject) -> None:
        super().__init__(parent)
        self._line = line
        self._on: _On | None = None
        self._next: tuple[Callable[[], Task], Callable[[Any], None] | None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a task is on that people asked for."""
        return self._on is not None and not self._on.counting

    @property
    def free(self) -> bool:
        """Whether no task is on, not even a count."""
        return self._on is None

    @property
    def waiting(self) -> bool:
        """Whether a task waits for the one that is on."""
        return self._next is not None

    def run(
        self,
        make: Callable[[], Task],
        *,
        counting: bool = False,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Begin a task, or let it wait for the one that is on; a count makes way for it.

        `then` is called with the task's result, after the model has taken it.
        """
        if self._on is not None:
            self.stop_counting()
            self._next = make, then
            return
        self.about_to_begin.emit()
        try:
            task = make()
        except StoreError as error:
            self.failed.emit(error)
            return
        job = BackgroundJob(lambda c: task.work(c.report, c.cancelled), self)
        self._on = _On(job, task, counting, then)
        job.done.connect(self._on_done)
        job.failed.connect(self._on_failed)
        self._line.follow(job, task.title)
        job.start()
        if not counting:
            self.begun.emit()

    def stop_counting(self) -> None:
        """Ask a count that is on to stop."""
        if self._on is not None and self._on.counting:
            self._on.job.cancel()

    def drop(self) -> None:
        """Ask what is on to stop, and forget what waits."""
        self._next = None
        if self._on is not None:
            self._on.job.cancel()

    def _on_done(self, result: Any) -> None:
        done, self._on = self._on, None
        if done is not None:
            done.task.take(result)
            if done.then is not None:
                done.then(result)
        self._go_on()

    def _on_failed(self, error: BaseException) -> None:
        self._on = None
        self.failed.emit(error)
        self._go_on()

    def _go_on(self) -> None:
        if self._on is not None:
            return  # what was to come then has begun
        if self._next is None:
            self.idle.emit()
        else:
            (make, then), self._next = self._next, None
            self.run(make, then=then)
