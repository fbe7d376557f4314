"""Jobs of a review, run beside the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QObject

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.review.state import CompareRequest, PendingDecision, Prefill
from napari_confseg.widgets.common.jobs import LatestJob

if TYPE_CHECKING:
    from napari_confseg.annotate.review.model import Review
    from napari_confseg.annotate.review.state import Pending, ReviewState
    from napari_confseg.widgets.common.jobs import ProgressRow

PAUSE: Final = 200
"""Milliseconds for which settings must stand before their job begins: a slider passes many."""

_WORDS: Final = {
    CompareRequest: "Comparing …",
    Prefill: "Copying what all agree on …",
    PendingDecision: "Deciding …",
}


class ReviewJobs(QObject):
    """Runs the pending job of a review; another one that becomes pending replaces it.

    Parameters
    ----------
    review : Review
        Names the pending job and takes its result.
    row : ProgressRow
        Shows it.
    parent : QObject
        Owner.
    """

    def __init__(self, review: Review, row: ProgressRow, parent: QObject) -> None:
        super().__init__(parent)
        self._review = review
        self._latest = LatestJob(self, delay=PAUSE, row=row)
        self._pending: Pending | None = None
        self._links = links_of(self, (review.changed, self.follow))
        self.follow(review.state)

    @property
    def busy(self) -> bool:
        """Whether a job runs or is about to."""
        return self._latest.busy

    def follow(self, state: ReviewState) -> None:
        """Run the job that is pending, and drop one that is no longer."""
        pending = state.pending
        if pending is not None and pending == self._pending:
            return
        self._drop()
        work = self._review.job()
        if pending is None or work is None:
            return
        self._pending = pending
        going_on = isinstance(pending, Prefill) and pending.left > 0
        self._latest.run(
            lambda job: work(job.report, job.cancelled),
            lambda result: self._finish(pending, result),
            failed=lambda error: self._fail(pending, error),
            words=_WORDS.get(type(pending), "Reading who is on this clip …"),
            at_once=going_on or isinstance(pending, PendingDecision),
        )

    def close(self) -> None:
        """Stop, and follow the review no more."""
        self._links.cut()
        self._drop()

    def _drop(self) -> None:
        self._pending = None
        self._latest.drop()

    def _finish(self, pending: Pending, result: Any) -> None:
        self._pending = None
        self._review.finish_job(pending, result)

    def _fail(self, pending: Pending, error: BaseException) -> None:
        self._pending = None
        self._review.fail_job(pending, error)
