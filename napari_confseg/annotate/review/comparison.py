"""Comparison of the raters on a clip: views and disagreements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from napari_confseg.agreement.disagreement import find_disagreements
from napari_confseg.agreement.rater_view import RaterView
from napari_confseg.annotate.review.decisions import DecisionRecord
from napari_confseg.annotate.review.state import RaterFacts, rater_style
from napari_confseg.store import StoreError, kind_rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_confseg.agreement.disagreement import Disagreements, Region
    from napari_confseg.annotate.review.decisions import Item
    from napari_confseg.annotate.review.state import CompareRequest
    from napari_confseg.store import Clip, DecidedRegion, Stroke

ADJUDICATED: Final = "adjudicated"
"""Name of the rater that holds the decisions."""

Progress = Callable[[int, int], None]
Job = Callable[[Progress, Callable[[], bool]], Any]
"""Called in any thread with a progress callback (done, total) and a check for cancellation."""


@dataclass(frozen=True)
class RatersOnClip:
    """Result of :func:`read_raters`.

    Parameters
    ----------
    views : dict of str to RaterView
        Everybody who could be read.
    problems : dict of str to str
        Why others could not.
    decisions : sequence of Stroke
        Strokes of the adjudicated rater, if there is one.
    """

    views: dict[str, RaterView] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    decisions: Sequence[Stroke] = ()


def read_raters(clip: Clip, _progress: object, cancelled: Callable[[], bool]) -> RatersOnClip:
    """Return views of the raters on `clip`, and the decisions stored there."""
    views: dict[str, RaterView] = {}
    problems: dict[str, str] = {}
    decisions: Sequence[Stroke] = ()
    for name in clip.raters():
        if cancelled():
            break
        try:
            view = RaterView(clip, name)
            if name == ADJUDICATED:
                decisions = view.rater.read_strokes()
            views[name] = view
        except (StoreError, OSError) as error:
            problems[name] = str(error)
    return RatersOnClip(views, problems, decisions)


def compare(
    clip: Clip, request: CompareRequest, progress: Progress, cancelled: Callable[[], bool]
) -> Disagreements | None:
    """Return the disagreements on `clip`; None if cancelled."""
    return find_disagreements(
        clip,
        request.raters,
        request.classes,
        request.threshold,
        narrowest=request.narrowest,
        progress=progress,
        cancelled=cancelled,
    )


class Comparison:
    """The raters of the open clip and their disagreements.

    It reads nothing by itself: results of :func:`read_raters` and :func:`compare` are passed in.

    Attributes
    ----------
    views : dict of str to RaterView
        Raters as last read; a new dictionary each time.
    items : tuple of Item
        Disagreements with their decisions, worst first.
    current : int or None
        Index of the one in view.
    disagreements : Disagreements or None
        None before a comparison, and after one that was stopped.
    answered : CompareRequest or None
        The request that they answer.
    revision : int
        Raised whenever the raters have to be read anew.
    raters_read : bool
        Whether `views` are those of `revision`.
    """

    def __init__(self) -> None:
        self.views: dict[str, RaterView] = {}
        self.items: tuple[Item, ...] = ()
        self.current: int | None = None
        self.disagreements: Disagreements | None = None
        self.answered: CompareRequest | None = None
        self.revision = 0
        self.raters_read = False
        self._clip: str | None = None
        self._decisions = DecisionRecord(())
        self._numbers: dict[str, int] = {}

    # ---- what is open ---------------------------------------------------------------------

    def open_cohort(self) -> None:
        """Forget everything, the raters' colours too."""
        self._numbers = {}
        self.open_clip(None)

    def open_clip(self, name: str | None) -> None:
        """Have the raters read anew; what is known of the same clip stays until they are."""
        if name is None or name != self._clip:
            self._clip = name
            self.disagreements = self.answered = self.current = None
            self._decisions = DecisionRecord(())
            self.views = {}
        self._update_items()
        self.read_again()

    def leave_out(self, name: str | None = None) -> None:
        """Show a rater no longer, or nobody: they may not be seen, or are being painted."""
        if name is None or name in self.views:
            self.views = {n: v for n, v in self.views.items() if name not in (None, n)}

    def read_again(self) -> None:
        """Have the raters read anew."""
        self.revision += 1
        self.raters_read = False

    def compare_again(self) -> None:
        """Have the raters read and compared anew."""
        self.answered = None
        self.read_again()

    # ---- results --------------------------------------------------------------------------

    def set_views(self, views: dict[str, RaterView]) -> None:
        """Set the raters that may be compared."""
        self.views = views
        self.raters_read = True
        for name in self._sorted_names():  # who has a colour keeps it on every clip
            self._numbers.setdefault(name, len(self._numbers))

    def set_disagreements(self, request: CompareRequest, found: Disagreements | None) -> None:
        """Set the answer to `request`; the disagreement in view stays in view if it is left."""
        before = None if self.current is None else self.items[self.current]
        self.answered, self.disagreements, self.current = request, found, None
        self._update_items()
        if before is not None:
            self.current = self.index_of(before.event.class_index, before.event.worst)

    def set_decisions(self, strokes: Iterable[Stroke]) -> None:
        """Set the record of decisions."""
        self._decisions = DecisionRecord(strokes)
        self._update_items()

    def _update_items(self) -> None:
        found = self.disagreements
        self.items = tuple(self._decisions.item(e) for e in found.events) if found else ()

    # ---- what there is --------------------------------------------------------------------

    def raters(self) -> tuple[RaterFacts, ...]:
        """Return the raters on the clip, people first."""
        return tuple(
            RaterFacts(
                name,
                self.views[name].rater.meta.label,
                self.views[name].rater.meta.kind,
                rater_style(self._numbers[name]),
                int(self.views[name].reviewed.any(axis=1).sum()),
            )
            for name in self._sorted_names()
        )

    def _sorted_names(self) -> list[str]:
        kinds = {n: v.rater.meta.kind for n, v in self.views.items()}
        return sorted(kinds, key=lambda n: (kind_rank(kinds[n]), n))

    def index_of(self, class_index: int, region: Region | DecidedRegion) -> int | None:
        """Return the index of the disagreement that holds the anchor of `region`, or None."""
        for i, item in enumerate(self.items):
            if item.event.class_index == class_index and any(
                r.frame == region.frame and r.holds(*region.anchor) for r in item.event.regions
            ):
                return i
        return None

    def next_open(self, step: int = 1) -> int | None:
        """Return the index of the next item with something to decide, or None.

        With `step` -1 it is the one before. From the last it goes on to the first.
        """
        n = len(self.items)
        start = self.current if self.current is not None else (-1 if step > 0 else 0)
        order = ((start + step * i) % n for i in range(1, n + 1))
        return next((i for i in order if self.items[i].open), None)
