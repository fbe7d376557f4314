"""Actions of a review that have keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.review.model import Review

MAX_ACCEPT: Final = 5
"""The first rater compared, the second, ... can be accepted by a key."""


def review_actions(review: Review | None = None) -> dict[str, Callable[[], object]]:
    """Return the actions of `review` by id; without one they do nothing, but can be listed."""

    def on_review(do: Callable[[Review], object]) -> Callable[[], object]:
        return lambda: do(review) if review is not None else None

    return {
        "review.next": on_review(lambda r: r.step()),
        "review.previous": on_review(lambda r: r.step(-1)),
        "review.mean": on_review(lambda r: r.decide("mean")),
        "review.reject": on_review(lambda r: r.decide("reject")),
        "review.correct": on_review(lambda r: r.correct()),
        "review.fill": on_review(lambda r: r.configure(filled=not r.settings.filled)),
        "review.scope": on_review(lambda r: r.configure(whole=not r.settings.whole)),
        **{f"review.accept-{n}": on_review(partial(_accept, n)) for n in range(1, MAX_ACCEPT + 1)},
    }


def _accept(number: int, review: Review) -> None:
    compared = review.state.compared
    if number <= len(compared):
        review.decide("accept", compared[number - 1].name)
