"""Finds out what a review is waiting for, beside the event loop, one thing at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QObject, QTimer

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.review.state import Agree, PendingDecision, Question
from napari_confseg.widgets.common.jobs import BackgroundJob

if TYPE_CHECKING:
    from napari_confseg.annotate.review.model import Review
    from napari_confseg.annotate.review.state import ReviewState
    from napari_confseg.widgets.common.jobs import ProgressRow

PAUSE: Final = 200
"""Milliseconds that a wish must stand before it is worked on: a slider passes many values."""


class ReviewReader(QObject):  # type: ignore[misc]
    """Runs the review's pending work in a thread, and begins anew when something else is asked.

    Parameters
    ----------
    review : Review
        Says what is pending and takes what was found out.
    line : ProgressRow
        Shows how far it is, and lets a person stop it.
    parent : QObject
        Owner.
    """

    def __init__(self, review: Review, line: ProgressRow, parent: QObject) -> None:
        super().__init__(parent)
        self._review = review
        self._line = line
        self._chore: BackgroundJob | None = None
        self._on: Any = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._begin)
        self._links = links_of(self, (review.changed, self.look))
        self.look(review.state)

    def look(self, state: ReviewState) -> None:
        """Stop what is no longer asked; begin what is."""
        if self._chore is not None:
            if state.pending != self._on:
                self._chore.cancel()  # and its end begins what is asked then
        elif state.pending is not None:
            going_on = isinstance(state.pending, Agree) and state.pending.left
            at_once = going_on or isinstance(state.pending, PendingDecision)
            self._timer.start(0 if at_once else PAUSE)

    def close(self) -> None:
        """Stop, and listen no more."""
        self._links.cut()
        self._timer.stop()
        if self._chore is not None:
            self._chore.cancel()
            self._chore = None

    def _begin(self) -> None:
        work, self._on = self._review.work(), self._review.state.pending
        if work is None or self._chore is not None:
            return
        chore = BackgroundJob(
            lambda c: work(lambda now, of: c.report(now, of, ""), c.cancelled), self
        )
        self._chore = chore
        words = {
            Question: "Comparing …",
            Agree: "Copying what all agree on …",
            PendingDecision: "Deciding …",
        }
        # First, so that the line has let go of this one when its end begins the next.
        self._line.follow(chore, words.get(type(self._on), "Reading who is on this clip …"))
        chore.done.connect(partial(self._on_done, chore))
        chore.failed.connect(partial(self._on_failed, chore))
        chore.start()

    def _on_done(self, chore: BackgroundJob, result: object) -> None:
        if self._end(chore):
            self._review.take(self._on, result)
            self.look(self._review.state)

    def _on_failed(self, chore: BackgroundJob, error: BaseException) -> None:
        if self._end(chore):
            self._review.fail(self._on, error)
            self.look(self._review.state)

    def _end(self, chore: BackgroundJob) -> bool:
        if chore is not self._chore:
            return False  # the panel has gone meanwhile
        self._chore = None
        return True
