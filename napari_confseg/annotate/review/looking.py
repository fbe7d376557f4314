"""Looking at a clip that several raters marked: whom to compare, where they differ, step by step.

A model without Qt over the session that the panels share. Reading raters and comparing them takes
a while, so it is not done here: `state.pending` says what is to be done, `work` gives it as a
function to be called in some thread, and what that returns goes to `take`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_confseg.annotate.blinding import BlindedError
from napari_confseg.annotate.links import Links, telling
from napari_confseg.annotate.review.decisions import Case, Settled
from napari_confseg.annotate.review.prefill import agree, compare, read_raters, still_untouched
from napari_confseg.annotate.review.state import (
    Agree,
    Question,
    RaterRow,
    Reread,
    ReviewState,
    Wish,
    chosen_raters,
    look_of,
    why_nothing,
)
from napari_confseg.annotate.save_state import say
from napari_confseg.store import Status, kind_rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Disagreements, Region
    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.annotate.review.decisions import Item
    from napari_confseg.annotate.review.prefill import Raters, Work
    from napari_confseg.annotate.review.state import Pending
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import ClassSpec, DecidedRegion, Edit


class Looking:
    """What several raters said of the clip that is open, and what becomes of it.

    Parameters
    ----------
    session : Session
        The session of the viewer.

    Attributes
    ----------
    state : ReviewState
        What to show; `changed` fires with the new one.
    went : Signal of Region
        Another disagreement, or another frame of it, came onto the desk.
    readings : dict of str to RaterView
        Everybody on the clip, as last read.
    """

    changed = Signal(object)
    went = Signal(object)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.state = ReviewState()
        self.readings: dict[str, RaterView] = {}
        self._found: Disagreements | None = None
        self._answered: Question | None = None
        self._items: tuple[Item, ...] = ()
        self._at: int | None = None
        self._numbers: dict[str, int] = {}
        self._tick = 0
        self._read: int | None = None
        self._agree = False
        self._parts: list[Edit] = []
        self._before: dict[int, int] | None = None
        self._links = Links(
            (session.events.cohort, self._on_cohort),
            (session.events.clip, self._on_clip),
            (session.events.save_state, self._settle),
            (session.events.role, self._on_clip),
            (session.blinding_changed, self._on_clip),
            (session.progress_changed, self._on_progress),
            failed=telling(session),
        )
        self._on_clip()

    def close(self) -> None:
        """Let go of the session."""
        self._links.cut()

    # ---- what is open ---------------------------------------------------------------------

    def _on_cohort(self, *_: object) -> None:
        self._numbers = {}
        self._found = self._answered = None
        self.state = replace(self.state, wish=replace(self.state.wish, raters=None, classes=None))
        self._on_clip()

    def _on_clip(self, *_: object) -> None:
        clip = self.session.clip
        if clip is None or self._found is None or clip.name != self._found.clip:
            self._found = self._answered = None
            self._at = None
        self._before = None
        self._agree, self._parts = False, []
        self.readings = {}
        self._items = self._stand()
        self._resume()
        self._reread()

    def _resume(self) -> None:
        """Ask again what was asked when this clip's adjudication began."""
        begun = list(Settled(self.session.strokes).begun.values())
        if begun and self.session.adjudicator:
            wish = replace(
                self.state.wish,
                raters=frozenset(begun[-1].raters),
                threshold=begun[-1].threshold,
                narrowest=begun[-1].narrowest,
            )
            self.state = replace(self.state, wish=wish)

    def refresh(self) -> None:
        """Have it read anew who is on the clip, and where they differ."""
        self._answered = None
        self._reread()

    def _reread(self) -> None:
        self._read = None
        self._tick += 1
        self._settle()

    # ---- what is wanted -------------------------------------------------------------------

    def want(self, **changes: Any) -> None:
        """Change fields of the wish."""
        self.state = replace(self.state, wish=replace(self.state.wish, **changes))
        self._settle()

    def work(self) -> Work | None:
        """Return what is pending as a function to be called in any thread; None if nothing is.

        It is given a function that hears (frames done, frames) and one that says whether to stop.
        """
        clip, pending = self.session.clip, self.state.pending
        if clip is None or pending is None:
            return None
        if isinstance(pending, Question):
            return partial(compare, clip, pending)
        if isinstance(pending, Agree):
            parts = self._parts
            if parts:
                return lambda *_: parts
            return partial(agree, clip, self.case(), self._to_copy())
        return partial(read_raters, clip)

    def take(self, pending: Pending, result: Any) -> None:
        """Take in what the work on `pending` has returned; nothing if it is no longer that."""
        if pending != self.state.pending:
            return
        if isinstance(pending, Reread):
            self._take_raters(result)
        elif isinstance(pending, Agree):
            self._take_agreed(result)
        elif isinstance(pending, Question):
            self._take_answer(pending, result)

    def fail(self, pending: Pending, error: BaseException) -> None:
        """Take in that the work on `pending` came to nothing."""
        self.session.message = f"Comparing failed: {error}"
        self.take(pending, {} if isinstance(pending, Reread) else None)

    def _take_raters(self, found: Raters) -> None:
        session = self.session
        self.readings = {}
        for name, reading in found.items():
            if isinstance(reading, str):
                session.message = f"{name} cannot be compared: {reading}"
                continue
            if reading.empty or (session.adjudicator and name == session.rater):
                continue
            with suppress(BlindedError):
                session.look_at(reading.rater.meta.kind)
                self.readings[name] = reading
        self._read = self._tick
        self._settle()

    def _take_answer(self, question: Question, found: Disagreements | None) -> None:
        desk = self.state.item
        self._answered, self._found = question, found
        self._items, self._at = self._stand(), None
        if desk is not None:  # the same one again, if a moved threshold left it
            self._at = self._index_of(desk.event.class_index, desk.event.worst)
        self._settle()

    def _take_agreed(self, edits: list[Edit] | None) -> None:
        """Copy a part, and leave the rest pending: a window is not to stand still for a second."""
        parts = edits or []
        self._agree, self._parts = False, parts[1:]
        fresh = still_untouched(parts[0], self.session.status) if parts else None
        if fresh is not None:
            self.session.commit(fresh)
        self._settle()

    def case(self) -> Case:
        """Return who decides between whom, for the record."""
        wish = self.state.wish
        names = tuple(r.name for r in self.state.compared)
        return Case(self.session.adjudicator, names, wish.threshold, wish.narrowest)

    # ---- the state ------------------------------------------------------------------------

    def _settle(self, *_: object) -> None:
        """Work out the state and tell of it."""
        session, wish = self.session, self.state.wish
        rows = self._rows(wish)
        classes = tuple(
            c for c in session.classes if wish.classes is None or c.name in wish.classes
        )
        nothing = why_nothing(rows, classes)
        items = () if nothing else self._items
        self.state = ReviewState(
            wish,
            rows,
            classes,
            self._pending(rows, classes),
            items,
            self._at if items else None,
            adjudicating=bool(session.adjudicator) and session.clip is not None,
            correcting=self._before is not None,
            reason=self._why(nothing),
            untouched=self._untouched(),
        )
        self.changed.emit(self.state)

    def _pending(self, rows: Sequence[RaterRow], classes: Sequence[ClassSpec]) -> Pending | None:
        session, wish = self.session, self.state.wish
        if session.clip is None or session.standing.blinded:
            return None
        if self._read != self._tick:
            return Reread(self._tick)
        if why_nothing(rows, classes):
            return None
        question = Question(
            session.clip.name,
            tuple(r.name for r in rows if r.compared),
            tuple(c.index for c in classes),
            wish.threshold,
            wish.narrowest,
        )
        if question != self._answered:
            return question
        if self._parts or (self._agree and self._untouched()):
            return Agree(question, len(self._parts))
        return None

    def _untouched(self) -> int:
        """Return on how many (frame, class) what all agree on could be copied."""
        return int(self._to_copy().sum())

    def _to_copy(self) -> NDArray[np.bool_]:
        session, found = self.session, self._found
        if found is None or not session.adjudicator or not session.writable:
            return np.zeros((0, 0), np.bool_)
        untouched: NDArray[np.bool_] = found.compared & (session.status == Status.UNTOUCHED)
        return untouched

    def _why(self, nothing: str) -> str:
        session = self.session
        if session.cohort is None:
            return "Open a cohort in the Annotate panel first."
        if session.clip is None:
            return "Open a clip in the Annotate panel first."
        if session.standing.blinded:
            return session.standing.why()
        if session.adjudicator and not session.writable:
            return f"{say(session.save_state).line}. You can look, but not decide."
        if self._read != self._tick:
            return ""
        if nothing or self._answered is None:
            return nothing
        if self._found is None:
            return "Stopped before all was compared: look again."
        none = "No frame of this clip was reviewed by two of them: nothing can be compared."
        return "" if self._found.compared.any() else none

    def _rows(self, wish: Wish) -> tuple[RaterRow, ...]:
        metas = {n: r.rater.meta for n, r in self.readings.items()}
        names = sorted(metas, key=lambda n: (kind_rank(metas[n].kind), n))
        frames = {n: int(self.readings[n].reviewed.any(axis=1).sum()) for n in names}
        chosen = chosen_raters(wish, [(n, metas[n].kind, frames[n]) for n in names])
        for name in names:  # who has a colour keeps it on every clip
            self._numbers.setdefault(name, len(self._numbers))
        return tuple(
            RaterRow(
                n,
                metas[n].label,
                metas[n].kind,
                look_of(self._numbers[n]),
                frames[n],
                n in chosen,
                n in chosen and n not in wish.hidden,
            )
            for n in names
        )

    def _stand(self) -> tuple[Item, ...]:
        """Return how the disagreements stand by the record."""
        settled = Settled(self.session.strokes)
        return tuple(settled.item(e) for e in self._found.events) if self._found else ()

    def _on_progress(self) -> None:
        self._items = self._stand()
        self._settle()

    def _index_of(self, class_index: int, region: Region | DecidedRegion) -> int | None:
        """Return the rank of the disagreement that holds the anchor of `region`."""
        for i, item in enumerate(self._items):
            if item.event.class_index == class_index and any(
                r.frame == region.frame and r.holds(*region.anchor) for r in item.event.regions
            ):
                return i
        return None
