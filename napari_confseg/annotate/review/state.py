"""Review state: settings, context and their resolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from napari_confseg.agreement.disagreement import NARROWEST
from napari_confseg.store import RATER_KINDS, rater_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.disagreement import Disagreements, Event, Region
    from napari_confseg.annotate.review.decisions import DecisionBasis, Item
    from napari_confseg.store import ClassSpec, RaterKind, Verdict


COLORS: Final = ("#77aadd", "#ee8866", "#bbcc33", "#ffaabb", "#44bb99", "#eedd88")
"""Paul Tol's "light" scheme: bright enough on black, and told apart by colour-blind readers."""

DIRECTIONS: Final = 4

PUBLISHED: Final = 60
"""Default threshold in percent, recommended by the published study."""


@dataclass(frozen=True)
class RaterStyle:
    """A rater's colour ``"#rrggbb"`` and direction of hatching on the canvas."""

    color: str
    direction: int


def rater_style(number: int) -> RaterStyle:
    """Return the style of the rater of this number: the first twelve all differ."""
    return RaterStyle(COLORS[number % len(COLORS)], number % DIRECTIONS)


# ---- settings -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ReviewSettings:
    """The person's choices in a review.

    Parameters
    ----------
    raters, classes : frozenset of str or None
        Names to compare; None for all human raters, and for all classes.
    threshold : int
        Confidence from which a rater counts as marking a pixel, 1..100 percent.
    narrowest : int
        Regions narrower than this many pixels need no decision.
    hidden : frozenset of str
        Raters whose marks are not drawn.
    map : str
        Key of :data:`~napari_confseg.agreement.maps.MAPS`; empty for no map.
    opacity : float
        Of the raters' marks, 0..1.
    whole : bool
        Whether a decision is for all frames of a disagreement, or for the frame on show.
    follow : bool
        Whether the canvas zooms to each disagreement; else it stays, unless that is out of sight.
    filled : bool
        Whether the raters' marks are hatched too, not only outlined.
    """

    raters: frozenset[str] | None = None
    classes: frozenset[str] | None = None
    threshold: int = PUBLISHED
    narrowest: int = NARROWEST
    hidden: frozenset[str] = frozenset()
    map: str = ""
    opacity: float = 0.9
    whole: bool = True
    follow: bool = False
    filled: bool = False


# ---- pending jobs -------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadRaters:
    """Job: read the raters of the clip; `revision` tells one reading from the next."""

    revision: int


@dataclass(frozen=True)
class CompareRequest:
    """Job: find the disagreements of a clip; all that they depend on, but for the planes."""

    clip: str
    raters: tuple[str, ...]
    classes: tuple[int, ...]
    threshold: int
    narrowest: int


@dataclass(frozen=True)
class Prefill:
    """Job: copy what all raters agree on; `left` edits are computed and not stored yet."""

    request: CompareRequest
    left: int = 0


@dataclass(frozen=True, eq=False)
class PendingDecision:
    """Job: read the planes that a verdict on a disagreement needs.

    Parameters
    ----------
    verdict : str
        See :class:`~napari_confseg.store.Decision`.
    source : str or None
        The rater to accept.
    event : Event
        The disagreement.
    regions : tuple of Region
        Its regions that are decided.
    basis : DecisionBasis
        For the record, as it was when the verdict was given.
    """

    verdict: Verdict
    source: str | None
    event: Event
    regions: tuple[Region, ...]
    basis: DecisionBasis


Pending = ReadRaters | CompareRequest | Prefill | PendingDecision
"""A job to be run beside the event loop."""


# ---- context and state --------------------------------------------------------------------


@dataclass(frozen=True)
class RaterFacts:
    """A rater on the open clip; `frames` are those reviewed in one class at least."""

    name: str
    label: str
    kind: RaterKind
    style: RaterStyle
    frames: int


@dataclass(frozen=True)
class Context:
    """What session, comparison and adjudication hold, as far as the state depends on it.

    Parameters
    ----------
    clip : str or None
        Name of the open clip.
    classes : tuple of ClassSpec
        Of the cohort.
    hindrance : str
        Why the clip cannot be reviewed at all, and what to do; empty if it can.
    read_only : str
        Why decisions cannot be stored; empty if they can.
    raters : tuple of RaterFacts
        In the order they are listed.
    revision : int
        Of the raters on the clip.
    raters_read : bool
        Whether `raters` are those of `revision`.
    answered : CompareRequest or None
        The request that `disagreements` answer.
    disagreements : Disagreements or None
        None if comparing was stopped, too.
    items : tuple of Item
        The disagreements and their decisions.
    current : int or None
        Index of the item in view.
    adjudicating, correcting : bool
        Whether an adjudicated rater is open, and whether an item is being painted by hand.
    decision : PendingDecision or None
        A verdict that has been given.
    prefill : bool
        Whether what all agree on is to be copied.
    prefill_left : int
        Edits computed for that and not stored yet.
    untouched : int
        (frame, class) pairs to which it could be copied.
    """

    clip: str | None = None
    classes: tuple[ClassSpec, ...] = ()
    hindrance: str = ""
    read_only: str = ""
    raters: tuple[RaterFacts, ...] = ()
    revision: int = 0
    raters_read: bool = False
    answered: CompareRequest | None = None
    disagreements: Disagreements | None = None
    items: tuple[Item, ...] = ()
    current: int | None = None
    adjudicating: bool = False
    correcting: bool = False
    decision: PendingDecision | None = None
    prefill: bool = False
    prefill_left: int = 0
    untouched: int = 0


@dataclass(frozen=True)
class RaterRow:
    """A rater as listed; `compared` and `shown` by the settings."""

    name: str
    label: str
    kind: RaterKind
    style: RaterStyle
    frames: int
    compared: bool
    shown: bool

    @property
    def title(self) -> str:
        """Its name in lists."""
        return rater_label(self.name, self.label, self.kind)


@dataclass(frozen=True)
class ReviewState:
    """Everything the panel shows.

    Parameters
    ----------
    items : tuple of Item
        Disagreements, worst first; the previous ones while a comparison is pending.
    reason : str
        Why nothing can be compared, or decided, and what to do; empty if all can.
    untouched : int
        (frame, class) pairs to which what all agree on has not been copied yet.
    """

    settings: ReviewSettings = field(default_factory=ReviewSettings)
    raters: tuple[RaterRow, ...] = ()
    classes: tuple[ClassSpec, ...] = ()
    pending: Pending | None = None
    items: tuple[Item, ...] = ()
    current: int | None = None
    adjudicating: bool = False
    correcting: bool = False
    reason: str = ""
    untouched: int = 0

    @property
    def compared(self) -> tuple[RaterRow, ...]:
        """The raters that are compared."""
        return tuple(r for r in self.raters if r.compared)

    @property
    def item(self) -> Item | None:
        """The disagreement in view."""
        return None if self.current is None else self.items[self.current]

    @property
    def decided(self) -> int:
        """Number of disagreements decided on all their frames."""
        return sum(1 for i in self.items if not i.open)

    @property
    def can_adjudicate(self) -> bool:
        """Whether verdicts can be given now: one after the other."""
        deciding = isinstance(self.pending, PendingDecision)
        return self.adjudicating and not self.reason and not deciding

    @property
    def can_decide(self) -> bool:
        """Whether the disagreement in view can be decided now."""
        return self.can_adjudicate and self.item is not None


def resolve(settings: ReviewSettings, context: Context) -> ReviewState:
    """Return the state that `settings` give in `context`; pure."""
    rows = _rows(settings, context.raters)
    classes = tuple(
        c for c in context.classes if settings.classes is None or c.name in settings.classes
    )
    nothing = why_nothing(rows, classes)
    items = () if nothing else context.items
    return ReviewState(
        settings,
        rows,
        classes,
        context.decision or _pending(settings, context, rows, classes),
        items,
        context.current if items else None,
        adjudicating=context.adjudicating,
        correcting=context.correcting,
        reason=_reason(context, nothing),
        untouched=context.untouched,
    )


def _rows(settings: ReviewSettings, raters: Sequence[RaterFacts]) -> tuple[RaterRow, ...]:
    chosen = chosen_raters(settings, [(r.name, r.kind, r.frames) for r in raters])
    return tuple(
        RaterRow(
            r.name,
            r.label,
            r.kind,
            r.style,
            r.frames,
            compared=r.name in chosen,
            shown=r.name in chosen and r.name not in settings.hidden,
        )
        for r in raters
    )


def _pending(
    settings: ReviewSettings,
    context: Context,
    rows: Sequence[RaterRow],
    classes: Sequence[ClassSpec],
) -> Pending | None:
    if context.clip is None or context.hindrance:
        return None
    if not context.raters_read:
        return ReadRaters(context.revision)
    if why_nothing(rows, classes):
        return None
    request = CompareRequest(
        context.clip,
        tuple(r.name for r in rows if r.compared),
        tuple(c.index for c in classes),
        settings.threshold,
        settings.narrowest,
    )
    if request != context.answered:
        return request
    if context.prefill_left or (context.prefill and context.untouched):
        return Prefill(request, context.prefill_left)
    return None


def _reason(context: Context, nothing: str) -> str:
    if context.hindrance or context.read_only:
        return context.hindrance or context.read_only
    if not context.raters_read:
        return ""
    if nothing or context.answered is None:
        return nothing
    if context.disagreements is None:
        return "Stopped before all was compared: look again."
    if not context.disagreements.compared.any():
        return "No frame of this clip was reviewed by two of them: nothing can be compared."
    return ""


def chosen_raters(
    settings: ReviewSettings, found: Sequence[tuple[str, RaterKind, int]]
) -> frozenset[str]:
    """Return the raters compared, of (name, kind, frames reviewed) of all on the clip.

    Without a choice these are the people who have reviewed something, and if they are fewer than
    two, models, consensus and imported marks too.
    """
    if settings.raters is not None:
        return settings.raters & frozenset(n for n, _, _ in found)
    people = frozenset(n for n, kind, frames in found if RATER_KINDS[kind].compared and frames)
    others = frozenset(n for n, kind, frames in found if RATER_KINDS[kind].fills_in and frames)
    return people if len(people) > 1 else people | others


def why_nothing(rows: Sequence[RaterRow], classes: Sequence[ClassSpec]) -> str:
    """Return why there is nothing to compare; empty if there is."""
    read = [r for r in rows if r.frames]
    if not read:
        return "Nobody has reviewed a frame of this clip yet."
    if len(read) == 1:
        return f"Only {read[0].label} has reviewed this clip: there is nobody to compare with."
    if sum(r.compared for r in rows) < 2:
        return "Tick at least two raters to compare."
    if not classes:
        return "Tick at least one class to compare."
    return ""


def describe_item(item: Item, labels: dict[str, str], threshold: int) -> str:
    """Return what a disagreement is: who left it out, who marked it, with mean confidences."""
    stated = item.event.stated
    words = {n: f"{labels.get(n, n)} {v:.0f}\N{NO-BREAK SPACE}%" for n, v in stated.items()}
    yes = [words[n] for n, v in stated.items() if v >= threshold / 2]
    no = [words[n] for n, v in stated.items() if v < threshold / 2]
    if item.event.presence and yes and no:
        return f"Left out by {', '.join(no)}; marked by {', '.join(yes)}"
    kind = "Left out by some" if item.event.presence else "Edges differ"
    return f"{kind}: {' · '.join(words.values())}"
