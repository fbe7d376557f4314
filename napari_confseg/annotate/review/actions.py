"""Review actions with their default keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from napari_confseg.annotate.shortcuts import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.review.model import Review

GROUP: Final = "Review"
"""Group on the page of keys."""

ACCEPT_KEYS: Final = ("F2", "F3", "F4", "F5", "F6")
"""Accept the first rater compared, the second, ..."""


def review_actions(review: Review | None = None) -> list[Binding]:
    """Return the actions of `review` with default keys; without one they are only listed."""

    def on_review(do: Callable[[Review], object]) -> Callable[[], object]:
        return lambda: do(review) if review is not None else None

    made = [
        Binding(f"review.{name}", GROUP, words, key, on_review(do))
        for name, words, key, do in (
            ("next", "Next disagreement that is open", ".", lambda r: r.step()),
            ("previous", "Previous disagreement that is open", ",", lambda r: r.step(-1)),
            ("mean", "Decide: the mean of all", "F7", lambda r: r.decide("mean")),
            ("reject", "Decide: nothing there", "F8", lambda r: r.decide("reject")),
            ("correct", "Paint it by hand; again when done", "F9", lambda r: r.correct()),
            (
                "scope",
                "Decide for all frames, or for the frame on show",
                "F10",
                lambda r: r.configure(whole=not r.settings.whole),
            ),
        )
    ]
    return made + [
        Binding(
            f"review.accept-{n}",
            GROUP,
            f"Decide: accept rater {n}",
            key,
            on_review(partial(_accept, n)),
        )
        for n, key in enumerate(ACCEPT_KEYS, 1)
    ]


def _accept(number: int, review: Review) -> None:
    compared = review.state.compared
    if number <= len(compared):
        review.decide("accept", compared[number - 1].name)
