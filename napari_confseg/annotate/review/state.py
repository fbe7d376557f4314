"""How raters are told apart on the canvas: a colour and a hatching each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from napari_confseg.agreement.disagreement import NARROWEST
from napari_confseg.store import RATER_KINDS, rater_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.disagreement import Event, Region
    from napari_confseg.annotate.review.decisions import Case, Item
    from napari_confseg.store import ClassSpec, RaterKind, Verdict


COLORS: Final = ("#77aadd", "#ee8866", "#bbcc33", "#ffaabb", "#44bb99", "#eedd88")
"""Paul Tol's "light" scheme: bright enough on black, and told apart by colour-blind readers."""

DIRECTIONS: Final = 4


@dataclass(frozen=True)
class Look:
    """A colour ``"#rrggbb"`` and a direction of :func:`~napari_confseg.annotate.hatch.hatching`."""

    color: str
    direction: int


def look_of(number: int) -> Look:
    """Return the look of the rater of this number: the first twelve all differ."""
    return Look(COLORS[number % len(COLORS)], number % DIRECTIONS)


PUBLISHED: Final = 60
"""The threshold to begin with, in percent: the one that the published study recommends."""


@dataclass(frozen=True)
class Wish:
    """What the person has chosen.

    Attributes
    ----------
    raters, classes : frozenset of str or None
        Whom and what to compare; None for everybody who reads, and for all classes.
    threshold : int
        From which confidence on a rater says yes, 1..100 percent.
    narrowest : int
        Regions narrower than this many pixels are not asked about.
    hidden : frozenset of str
        Raters whose marks are not drawn.
    map : str
        Which map of agreement is drawn, a key of :data:`~napari_confseg.agreement.maps.MAPS`; empty
        for none.
    opacity : float
        Of the raters' marks, 0..1.
    whole : bool
        Whether a decision is for all frames of a disagreement, or for the frame on show.
    follow : bool
        Whether the canvas zooms to the disagreement one steps to.
    """

    raters: frozenset[str] | None = None
    classes: frozenset[str] | None = None
    threshold: int = PUBLISHED
    narrowest: int = NARROWEST
    hidden: frozenset[str] = frozenset()
    map: str = ""
    opacity: float = 0.9
    whole: bool = True
    follow: bool = True


@dataclass(frozen=True)
class RaterRow:
    """A rater that can be compared.

    Attributes
    ----------
    name, label : str
        Slug, and what people read.
    kind : str
        As in the rater's attributes.
    look : Look
        How it is drawn.
    frames : int
        Frames reviewed on this clip, in one class at least.
    compared, shown : bool
        Whether it is compared, and drawn.
    """

    name: str
    label: str
    kind: RaterKind
    look: Look
    frames: int
    compared: bool
    shown: bool

    @property
    def title(self) -> str:
        """What lists call it."""
        return rater_label(self.name, self.label, self.kind)


@dataclass(frozen=True)
class Question:
    """What is asked of a clip: all that its disagreements depend on, but for the planes."""

    clip: str
    raters: tuple[str, ...]
    classes: tuple[int, ...]
    threshold: int
    narrowest: int


@dataclass(frozen=True)
class Reread:
    """That raters are to be read anew; `tick` tells one such wish from the next."""

    tick: int


@dataclass(frozen=True)
class Agree:
    """That what all agree on is to be copied, now that `question` is answered.

    `left` parts of it have been found out and wait to be copied.
    """

    question: Question
    left: int = 0


@dataclass(frozen=True, eq=False)
class PendingDecision:
    """A verdict on a disagreement, whose planes have to be read before it is carried out.

    Attributes
    ----------
    verdict : str
        See :class:`~napari_confseg.store.Decision`.
    source : str or None
        Whom to accept.
    event : Event
        The disagreement.
    regions : tuple of Region
        What of it.
    case : Case
        Who decided, and what was asked, when the verdict was given.
    """

    verdict: Verdict
    source: str | None
    event: Event
    regions: tuple[Region, ...]
    case: Case


Pending = Question | Reread | Agree | PendingDecision
"""What is to be found out beside the window."""


@dataclass(frozen=True)
class ReviewState:
    """All that the panel shows.

    Attributes
    ----------
    wish : Wish
        What the person has chosen.
    raters : tuple of RaterRow
        Who is on the clip.
    classes : tuple of ClassSpec
        What is compared.
    pending : Question, Reread, Agree, PendingDecision or None
        What is to be found out beside the window before all here holds.
    items : tuple of Item
        Disagreements, worst first; those of the last answer while another is pending.
    current : int or None
        The one on the desk.
    adjudicating : bool
        Whether the planes that are open are adjudicated ones.
    correcting : bool
        Whether the one on the desk is being painted by hand.
    reason : str
        Why nothing can be compared, or decided, and what to do; empty if all can.
    untouched : int
        On how many (frame, class) what all agree on has not been copied yet.
    """

    wish: Wish = field(default_factory=Wish)
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
        """The disagreement on the desk."""
        return None if self.current is None else self.items[self.current]

    @property
    def decided(self) -> int:
        """How many disagreements are decided as a whole."""
        return sum(1 for i in self.items if not i.open)

    @property
    def can_decide(self) -> bool:
        """Whether the disagreement on the desk can be decided now: one after the other."""
        free = (
            self.adjudicating and not self.reason and not isinstance(self.pending, PendingDecision)
        )
        return free and self.item is not None


def chosen_raters(wish: Wish, found: Sequence[tuple[str, RaterKind, int]]) -> frozenset[str]:
    """Return who is compared, of (name, kind, frames reviewed) of all who are on the clip.

    Without a choice it is the people who have reviewed something, and if they are fewer than two,
    models, consensus and imported marks too.
    """
    if wish.raters is not None:
        return wish.raters & frozenset(n for n, _, _ in found)
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


def worded(item: Item, labels: dict[str, str], threshold: int) -> str:
    """Return a disagreement in words: who says it is there, who not, with mean confidences."""
    said = item.event.said
    words = {n: f"{labels.get(n, n)} {v:.0f}\N{NO-BREAK SPACE}%" for n, v in said.items()}
    yes = [words[n] for n, v in said.items() if v >= threshold / 2]
    no = [words[n] for n, v in said.items() if v < threshold / 2]
    if item.event.presence and yes and no:
        return f"{', '.join(yes)} · not {', '.join(no)}"
    return " · ".join(words.values())
