"""Actions with their default keys, and how keys are assigned.

Keys are written as Qt writes them (``"Shift+PgDown"``); whoever passes some in has to do that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from napari_confseg.annotate.confidence_words import stepped
from napari_confseg.annotate.review.actions import review_actions
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.view import Style, Tool
from napari_confseg.store import MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from enum import StrEnum

    from napari_confseg.annotate.review.model import Review
    from napari_confseg.annotate.session import Session

STEP: Final = 5
"""Percent that a key moves the confidence by."""

CLASS, CONFIDENCE, TOOLS, FILL, SUGGEST, FRAMES, CLIPS, VIEW, REVIEW, HELP = (
    "Class",
    "Confidence",
    "Tools",
    "Fill and copy",
    "Suggest",
    "Frames",
    "Clips",
    "View",
    "Review",
    "Help",
)
"""Groups on the page of keys."""

DEFAULT_KEYS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("surer", CONFIDENCE, f"Surer by {STEP} %", "W"),
    ("less-sure", CONFIDENCE, f"Less sure by {STEP} %", "Q"),
    ("reviewed", FRAMES, "Mark this frame reviewed in all classes (toggle)", "Shift+Return"),
    ("reviewed-on", FRAMES, "Reviewed, and on to the next that is not", "Shift+PgDown"),
    ("class-reviewed", FRAMES, "Mark the current class reviewed (toggle)", "Ctrl+Return"),
    ("next-open", FRAMES, "Next frame that is not reviewed", "PgDown"),
    ("previous-open", FRAMES, "Previous frame that is not reviewed", "PgUp"),
    ("play", FRAMES, "Play or stop, at the clip's true rate", "Shift+Space"),
    ("timeline.closer", FRAMES, "Fewer frames on the timeline, about this one", "Ctrl+Shift+Up"),
    ("timeline.wider", FRAMES, "More frames on the timeline", "Ctrl+Shift+Down"),
    ("timeline.whole", FRAMES, "All frames on the timeline", "Ctrl+Shift+Home"),
    ("next-clip", CLIPS, "Next clip of the list", "Ctrl+PgDown"),
    ("previous-clip", CLIPS, "Previous clip of the list", "Ctrl+PgUp"),
    ("next-to-do", CLIPS, "Next clip of the list with work left", "Ctrl+Shift+PgDown"),
    ("work-list", CLIPS, "Show or hide the work list", "F12"),
    ("peek", VIEW, "Hide or show all marks", "Shift+W"),
    ("reading-layout", VIEW, "Picture and panel alone, or napari's lists and controls too", "F11"),
    ("style", VIEW, "My marks as fill, contours, hatching, in turn", "Shift+S"),
    ("bands", VIEW, "Guaranteed contours of a model on show, or none", "Ctrl+Shift+G"),
    ("lock", VIEW, "Lock or unlock the current class", "Shift+F"),
    ("solo", VIEW, "Show only the current class, or all again", "Shift+Q"),
    ("keys", HELP, "The page of keys", "F1"),
    ("keys-too", HELP, "The page of keys", "?"),
    ("tool.exclude", TOOLS, "Exclude tool", "Shift+X"),
    ("tool.b-line", TOOLS, "B-line tool", "Shift+B"),
    ("tool.pleura", TOOLS, "Pleura tool", "Shift+R"),
    ("tool.smart-edge", TOOLS, "Smart edge tool", "Shift+E"),
    ("tool.m-mode", TOOLS, "M-mode along a beam, or no longer", "Ctrl+Shift+M"),
    ("merge", TOOLS, "Over marks: replace, raise only, lower only", "Shift+M"),
    ("carry.next", FILL, "Carry marks to the next frame", "Shift+Right"),
    ("carry.previous", FILL, "Carry marks to the previous frame", "Shift+Left"),
    ("carry.on", FILL, "Carry marks on through the clip", "Ctrl+Shift+Right"),
    ("carry.back", FILL, "Carry marks back through the clip", "Ctrl+Shift+Left"),
    ("interpolate", FILL, "Fill the gap between two painted frames", "Shift+I"),
    ("copy", FILL, "Copy the marks of this frame", "Shift+C"),
    ("paste", FILL, "Paste them onto this frame", "Shift+D"),
    ("clip-to-sector", FILL, "Take away what lies outside the sector", "Shift+O"),
    (
        "accept",
        FILL,
        "Accept what a model or other rater shows on this frame, all classes",
        "Shift+T",
    ),
    (
        "suggest",
        SUGGEST,
        "Let the model propose, or no longer; again what was dismissed",
        "Ctrl+J",
    ),
    ("suggest.accept", SUGGEST, "Accept what is suggested on this frame", "Shift+Y"),
    ("suggest.region", SUGGEST, "Accept the suggested region under the mouse", "Ctrl+Shift+Y"),
    ("suggest.dismiss", SUGGEST, "Dismiss what is suggested on this frame", "Shift+Z"),
    ("review.next", REVIEW, "Next disagreement that is open", "."),
    ("review.previous", REVIEW, "Previous disagreement that is open", ","),
    ("review.mean", REVIEW, "Decide: the mean of all", "F7"),
    ("review.reject", REVIEW, "Decide: nothing there", "F8"),
    ("review.correct", REVIEW, "Paint it by hand; again when done", "F9"),
    ("review.scope", REVIEW, "Decide for all frames, or for the frame on show", "F10"),
    ("review.fill", REVIEW, "Hatch the raters' marks, or outline them only", ";"),
    ("review.accept-1", REVIEW, "Decide: accept rater 1", "F2"),
    ("review.accept-2", REVIEW, "Decide: accept rater 2", "F3"),
    ("review.accept-3", REVIEW, "Decide: accept rater 3", "F4"),
    ("review.accept-4", REVIEW, "Decide: accept rater 4", "F5"),
    ("review.accept-5", REVIEW, "Decide: accept rater 5", "F6"),
)
"""Id, group, words and default key of each action. Ids stay: the person's own keys are kept
under them."""

ZOOMS: Final = ("closer", "wider", "whole")
"""What the timeline can be asked for, after ``timeline.``."""

NAPARI_KEYS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("previous-frame", FRAMES, "Previous frame", "Left"),
    ("next-frame", FRAMES, "Next frame", "Right"),
    ("one-more", CONFIDENCE, "Confidence 1 % more", "="),
    ("one-less", CONFIDENCE, "Confidence 1 % less", "-"),
    ("pick", CONFIDENCE, "Take the confidence under the mouse", "5"),
    ("swap", TOOLS, "Change between painting and erasing", "X"),
    ("undo", TOOLS, "Undo, also what was done in an earlier sitting", "Ctrl+Z"),
    ("redo", TOOLS, "Redo", "Ctrl+Shift+Z"),
    ("smaller-brush", TOOLS, "Smaller brush", "["),
    ("larger-brush", TOOLS, "Larger brush", "]"),
    ("tool.erase", TOOLS, "Erase tool", "1"),
    ("tool.brush", TOOLS, "Brush tool", "2"),
    ("tool.polygon", TOOLS, "Polygon tool", "3"),
    ("tool.fill", TOOLS, "Fill tool", "4"),
    ("tool.pan", TOOLS, "Move tool", "6"),
)
"""Actions whose keys are napari's own and do the same there, for one layer; ours do it for the
session, whichever layer is selected."""

CLASS_KEYS: Final = (
    "G",
    "H",
    "J",
    "K",
    "N",
    "U",
    "Shift+G",
    "Shift+H",
    "Shift+J",
    "Shift+K",
    "Shift+N",
    "Shift+U",
)
"""For the cohort's classes, where it prefers none or one that is taken: the first free one."""

ANCHOR_KEYS: Final = ("8", "9", "0", "Shift+8", "Shift+9", "Shift+0")
"""The same for its words of confidence."""

ON_CANVAS: Final = (
    ("Space, held", "Move the picture"),
    ("Esc", "Drop a polygon that is not finished; leave the M-mode"),
)
"""What else keys do, for the page of keys; they can't be changed there."""


@dataclass(frozen=True)
class Binding:
    """An action and its key."""

    id: str
    group: str  # where the page of keys lists it
    words: str  # its line there
    key: str  # by default or as the cohort prefers; once assigned, the key it has, or empty
    do: Callable[[], object]
    pool: tuple[str, ...] = ()  # the first free one is taken where `key` is missing or taken
    # The key is napari's and does the same there: it goes before napari's binding while a clip is
    # open, and is napari's again when none is.
    napari_too: bool = False


def bindings(
    session: Session,
    ask: Callable[[str], object] = lambda _name: None,
    review: Review | None = None,
    normal: Callable[[str], str] = str,
) -> list[Binding]:
    """Return every action with its default key, for the cohort that is open.

    Parameters
    ----------
    session : Session
        What they act on.
    ask : callable
        Is called with the action's id for what a window does: long jobs, the page of keys.
    review : Review, optional
        What the actions of the group "Review" act on.
    normal : callable
        Returns a key of the cohort as Qt writes it.
    """
    do = {**_actions(session, ask), **_tool_actions(session, ask), **review_actions(review)}
    return [
        *_cohort_bindings(session, normal),
        *(Binding(*row, do[row[0]]) for row in DEFAULT_KEYS),
        *(Binding(*row, do[row[0]], napari_too=True) for row in NAPARI_KEYS),
    ]


def _cohort_bindings(session: Session, normal: Callable[[str], str]) -> list[Binding]:
    anchors = session.cohort.meta.anchors if session.cohort else ()
    return [
        *(
            Binding(
                f"confidence.{a.value}",
                CONFIDENCE,
                f"Confidence {a.value} %: {a.word}",
                normal(a.key or ""),
                partial(setattr, session, "confidence", a.value),
                ANCHOR_KEYS,
            )
            for a in anchors
        ),
        *(
            Binding(
                f"class.{c.name}",
                CLASS,
                f"Mark {c.label}",
                normal(c.key or ""),
                partial(setattr, session, "class_name", c.name),
                CLASS_KEYS,
            )
            for c in session.classes
        ),
    ]


def _actions(session: Session, ask: Callable[[str], object]) -> dict[str, Callable[[], object]]:
    def step(by: int) -> None:
        session.confidence = stepped(session.confidence, by)

    def one(by: int) -> None:
        session.confidence = min(max(session.confidence + by, 1), MAX_CONFIDENCE)

    def flip(name: str) -> None:
        setattr(session, name, not getattr(session, name))

    def turn(name: str, kind: type[StrEnum]) -> None:
        setattr(session, name, following(getattr(session, name), kind))

    return {
        "surer": partial(step, STEP),
        "less-sure": partial(step, -STEP),
        "one-more": partial(one, 1),
        "one-less": partial(one, -1),
        "previous-frame": partial(session.step, -1),
        "next-frame": session.step,
        "reviewed": session.progress.toggle_reviewed,
        "reviewed-on": session.progress.review_and_go_on,
        "class-reviewed": lambda: session.progress.toggle_reviewed(session.class_name),
        "next-open": session.progress.next_unreviewed,
        "previous-open": partial(session.progress.next_unreviewed, -1),
        "play": partial(flip, "playing"),
        **{f"timeline.{way}": partial(ask, f"timeline.{way}") for way in ZOOMS},
        "next-clip": partial(ask, "next-clip"),
        "previous-clip": partial(ask, "previous-clip"),
        "next-to-do": partial(ask, "next-to-do"),
        "work-list": partial(ask, "work-list"),
        "peek": partial(flip, "marks_shown"),
        "reading-layout": partial(ask, "reading-layout"),
        "style": partial(turn, "style", Style),
        "bands": partial(flip, "bands"),
        "lock": lambda: setattr(session, "locked", session.locked ^ {session.class_name}),
        "solo": partial(flip, "solo"),
        "keys": partial(ask, "keys"),
        "keys-too": partial(ask, "keys"),
        "merge": partial(turn, "merge", Merge),
    }


def _tool_actions(
    session: Session, ask: Callable[[str], object]
) -> dict[str, Callable[[], object]]:
    toolkit = session.toolkit

    def size(by: int) -> None:
        session.brush_size = min(max(session.brush_size + by, 1), 400)

    taken = {f"tool.{tool}": partial(toolkit.marker.take, tool) for tool in Tool}
    asked = ("carry.next", "carry.previous", "carry.on", "carry.back", "interpolate")
    return {
        **taken,
        f"tool.{Tool.M_MODE}": session.m_mode.toggle,
        **{name: partial(ask, name) for name in asked},
        "copy": toolkit.copy,
        "paste": toolkit.paste,
        "clip-to-sector": toolkit.clip_to_sector,
        "accept": session.acceptor.accept_here,
        "suggest": session.suggestions.toggle,
        "suggest.accept": session.suggestions.accept,
        "suggest.region": session.suggestions.accept_region,
        "suggest.dismiss": session.suggestions.dismiss,
        "undo": session.undo,
        "redo": session.redo,
        "swap": toolkit.marker.swap,
        "pick": toolkit.marker.pick,
        "smaller-brush": partial(size, -1),
        "larger-brush": partial(size, 1),
    }


def following(value: StrEnum, kind: type[StrEnum]) -> StrEnum:
    """Return the member of `kind` after `value`, round and round."""
    order = list(kind)
    return order[(order.index(value) + 1) % len(order)]


def assign_keys(
    made: Sequence[Binding], own: Mapping[str, str], napari: Iterable[str]
) -> list[Binding]:
    """Return `made` with the keys they get; no key twice, none that is napari's.

    The person's own choice goes first, then fixed defaults, then the cohort's preferences, then
    what is left in the pools.

    Parameters
    ----------
    made : sequence of Binding
        With default keys.
    own : mapping of str to str
        Keys that the person chose, by id; empty for none. One that cannot be is left out.
    napari : iterable of str
        Keys that napari binds.
    """
    taken = set(napari)
    keys: dict[str, str] = {}

    def take(binding: Binding, key: str) -> bool:
        free = key not in taken or not key
        if free:
            keys[binding.id] = key
            taken.update({key} - {""})
        return free

    for b in made:
        if b.id in own and not (b.napari_too and own[b.id] == b.key):
            take(b, own[b.id])
    rest = [b for b in made if b.id not in keys]
    for b in (b for b in rest if b.napari_too):
        keys[b.id] = b.key
    for b in (b for b in rest if not b.pool and not b.napari_too):
        keys[b.id] = b.key if take(b, b.key) else ""
    flexible = [b for b in rest if b.pool]
    flexible = [b for b in flexible if not (b.key and take(b, b.key))]
    for b in flexible:
        next((key for key in b.pool if take(b, key)), None)
        keys.setdefault(b.id, "")
    return [
        replace(b, key=keys[b.id], napari_too=b.napari_too and keys[b.id] == b.key) for b in made
    ]


@dataclass(frozen=True)
class Clash:
    """Why an action cannot have a key."""

    words: str  # a sentence for the person
    other: str | None = None  # id of the action that has the key and might swap; None: napari's


def clash(
    made: Sequence[Binding], wanting: str, key: str, napari: Mapping[str, str]
) -> Clash | None:
    """Return why the action `wanting` cannot have `key`, or None.

    Parameters
    ----------
    made : sequence of Binding
        With the keys they have now.
    wanting, key : str
        An id, and the key it is to get.
    napari : mapping of str to str
        What napari does with its keys.
    """
    mine = next(b for b in made if b.id == wanting)
    if key == mine.key:
        return None
    other = next((b for b in made if b.key == key and b.id != wanting), None)
    if key in napari:
        return Clash(f"{key} is napari's: {napari[key]}. Take another key.")
    if other is not None:
        return Clash(f"{key} does this already: {other.words}.", other.id)
    return None
