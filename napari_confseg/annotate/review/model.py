"""Review model: comparison, adjudication and queue of clips."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from psygnal import Signal

from napari_confseg.annotate.access import BlindedError
from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.review.adjudication import Adjudication
from napari_confseg.annotate.review.cohort import ClipQueue
from napari_confseg.annotate.review.comparison import (
    ADJUDICATED,
    Comparison,
    RatersOnClip,
    compare,
    read_raters,
)
from napari_confseg.annotate.review.decisions import DecisionBasis, DecisionRecord
from napari_confseg.annotate.review.state import (
    CompareRequest,
    Context,
    PendingDecision,
    Prefill,
    ReadRaters,
    ReviewSettings,
    ReviewState,
    resolve,
)
from napari_confseg.annotate.save_state import describe
from napari_confseg.annotate.view import Style
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.disagreement import Region
    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.annotate.review.adjudication import Resolution
    from napari_confseg.annotate.review.cohort import ClipDue
    from napari_confseg.annotate.review.comparison import Job
    from napari_confseg.annotate.review.decisions import Item
    from napari_confseg.annotate.review.state import Pending
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Edit, Stroke, Verdict

AT_ONCE: Final = 12
"""Frames whose planes are read while the person waits: more would stop the window."""


class Review:
    """Comparison and adjudication of the clip that a session has open.

    Reading and comparing take a while, so they are jobs: `state.pending` names the next one,
    :meth:`job` returns it as a function to be called in any thread, and :meth:`finish_job` or
    :meth:`fail_job` take its outcome.

    Parameters
    ----------
    session : Session
        The session of the viewer.

    Attributes
    ----------
    changed : Signal of ReviewState
        The state is another.
    focused : Signal of Region
        Another disagreement, or another frame of it, came into view.
    """

    changed = Signal(object)
    focused = Signal(object)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.settings = ReviewSettings()
        self.state = ReviewState()
        self.comparison = Comparison()
        self.adjudication = Adjudication(session, self.comparison)
        self.queue = ClipQueue()
        self._focus_first = False
        self._style_before: Style | None = None
        self._links = Links(
            (session.events.cohort, self._on_cohort),
            (session.events.clip, self._on_clip),
            (session.events.save_state, self._update),
            (session.access.changed, self._on_access),
            (session.editor.progress_changed, self._on_progress),
            (session.editor.edited, self._on_edited),
            (session.leaving, self.adjudication.store_before_leaving),
            failed=to_message(session),
        )
        self._on_clip()

    def close(self) -> None:
        """Stop listening to the session."""
        self._links.cut()
        self._set_style(adjudicating=False)

    @property
    def views(self) -> dict[str, RaterView]:
        """Raters on the clip, as last read; a new dictionary each time."""
        return self.comparison.views

    # ---- settings -------------------------------------------------------------------------

    def configure(self, **changes: Any) -> None:
        """Change fields of the settings."""
        self.settings = replace(self.settings, **changes)
        self._update()

    def refresh(self) -> None:
        """Have the raters read and compared anew."""
        self.comparison.compare_again()
        self._update()

    # ---- what the session has open --------------------------------------------------------

    def _on_cohort(self, *_: object) -> None:
        self.comparison.open_cohort()
        self.queue.clear()
        self.settings = replace(self.settings, raters=None, classes=None)
        self._on_clip()

    def _on_clip(self, *_: object) -> None:
        session = self.session
        self.comparison.open_clip(session.clip.name if session.clip else None)
        self.adjudication.reset()
        self._set_style(adjudicating=bool(session.adjudicator) and session.clip is not None)
        if session.adjudicator:
            self.comparison.leave_out(session.rater)
            self.comparison.set_decisions(session.strokes)
            self._restore_settings()
        self._update()

    def _set_style(self, *, adjudicating: bool) -> None:
        """Draw what is decided as contours, so that the texture beneath stays in sight."""
        session, before = self.session, self._style_before
        if adjudicating and before is None:
            self._style_before, session.style = session.style, Style.CONTOURS
        elif not adjudicating and before is not None:
            self._style_before, session.style = None, before

    def _on_access(self, *_: object) -> None:
        self.adjudication.store_before_leaving()  # its raters may be out of sight from now on
        self.comparison.leave_out()
        self._on_clip()

    def _restore_settings(self) -> None:
        """Compare as it was compared when the adjudication of this clip began."""
        begun = list(DecisionRecord(self.session.strokes).begun.values())
        if begun:
            self.settings = replace(
                self.settings,
                raters=frozenset(begun[-1].raters),
                threshold=begun[-1].threshold,
                narrowest=begun[-1].narrowest,
            )

    def _on_progress(self) -> None:
        if self.session.adjudicator:
            self.comparison.set_decisions(self.session.strokes)
        self._update()

    def _on_edited(self, edit: Edit) -> None:
        """Bring a decision that was undone or redone back into view."""
        if edit.decision is not None and edit.decision.regions and not self.adjudication.storing:
            region = edit.decision.regions[0]
            index = self.comparison.index_of(edit.class_index, region)
            if index is not None:
                self.go(index, region.frame)

    # ---- jobs -----------------------------------------------------------------------------

    def job(self) -> Job | None:
        """Return the pending job as a function to be called in any thread, or None."""
        clip, pending = self.session.clip, self.state.pending
        if clip is None or pending is None:
            return None
        if isinstance(pending, PendingDecision):
            return self.adjudication.decision_job(pending)
        if isinstance(pending, CompareRequest):
            return partial(compare, clip, pending)
        if isinstance(pending, Prefill):
            return self.adjudication.prefill_job(self.basis())
        return partial(read_raters, clip)

    def finish_job(self, pending: Pending, result: Any) -> None:
        """Take the result of the job `pending`; nothing if it is no longer pending."""
        if pending != self.state.pending:
            return
        if isinstance(pending, PendingDecision):
            self.adjudication.decision = None
            self._update()
            self._store(pending, result)
            return
        if isinstance(pending, ReadRaters):
            self._take_raters(result)
        elif isinstance(pending, Prefill):
            self.adjudication.store_prefill(result)
        else:
            self.comparison.set_disagreements(pending, result)
        self._update()

    def fail_job(self, pending: Pending, error: BaseException) -> None:
        """Take the exception of the job `pending`; nothing if it is no longer pending."""
        if pending != self.state.pending:
            return
        if isinstance(pending, PendingDecision):
            self.adjudication.decision = None
            self._update()
            self.session.message = f"Not decided: {error}"
        else:
            self.session.message = f"Comparing failed: {error}"
            self.finish_job(pending, RatersOnClip() if isinstance(pending, ReadRaters) else None)

    def _take_raters(self, found: RatersOnClip) -> None:
        session = self.session
        for name, problem in found.problems.items():
            session.message = f"{name} cannot be compared: {problem}"
        seen: dict[str, RaterView] = {}
        for name, view in found.views.items():
            if view.empty or (session.adjudicator and name == session.rater):
                continue
            with suppress(BlindedError):
                session.access.admit(view.rater.meta.kind)
                seen[name] = view
        self.comparison.set_views(seen)
        if not session.adjudicator:
            self.comparison.set_decisions(found.decisions if ADJUDICATED in seen else ())

    def basis(self) -> DecisionBasis:
        """Return the basis of decisions made now."""
        names = tuple(r.name for r in self.state.compared)
        settings = self.settings
        return DecisionBasis(
            self.session.adjudicator, names, settings.threshold, settings.narrowest
        )

    # ---- the state ------------------------------------------------------------------------

    def _update(self, *_: object) -> None:
        """Resolve the state and announce it."""
        found = self.comparison.disagreements
        if found is not None:
            self.queue.update(found.clip, self.comparison.items)
        self.state = resolve(self.settings, self._context())
        self.changed.emit(self.state)
        if self._focus_first:
            self._focus()

    def _focus(self) -> None:
        """Bring what is to be decided first into view, as soon as it is known what that is."""
        pending, item = self.state.pending, self.state.item
        self._focus_first = pending is not None
        known = bool(self.state.items) and not isinstance(pending, CompareRequest)
        if known and item is None and self.comparison.next_open() is not None:
            self.step()
        elif pending is None and (item is None or not item.open):
            self.step()  # or says that all is decided

    def _context(self) -> Context:
        session, comparison, adjudication = self.session, self.comparison, self.adjudication
        return Context(
            clip=session.clip.name if session.clip else None,
            classes=session.classes,
            hindrance=self._hindrance(),
            read_only=self._read_only(),
            raters=comparison.raters(),
            revision=comparison.revision,
            raters_read=comparison.raters_read,
            answered=comparison.answered,
            disagreements=comparison.disagreements,
            items=comparison.items,
            current=comparison.current,
            adjudicating=bool(session.adjudicator) and session.clip is not None,
            correcting=adjudication.correcting,
            decision=adjudication.decision,
            prefill=adjudication.prefill,
            prefill_left=len(adjudication.parts),
            untouched=int(adjudication.untouched().sum()),
        )

    def _hindrance(self) -> str:
        session = self.session
        if session.cohort is None:
            return "Open a study folder in the Annotate panel first."
        if session.clip is None:
            return "Open a clip in the Annotate panel first."
        visibility = session.access.visibility()
        return visibility.why() if visibility.blinded else ""

    def _read_only(self) -> str:
        session = self.session
        if session.adjudicator and not session.writable:
            return f"{describe(session.save_state).line}. You can look, but not decide."
        return ""

    # ---- stepping -------------------------------------------------------------------------

    def go(self, index: int, frame: int | None = None) -> None:
        """Bring the disagreement of this rank into view, at `frame` or at its worst open one."""
        self.finish_correcting()
        item = self.comparison.items[index]
        regions = item.open or item.event.regions
        if frame is not None:
            regions = tuple(r for r in item.event.regions if r.frame == frame) or regions
        region = max(regions, key=lambda r: r.size)
        session = self.session
        session.playing = False
        session.class_name = session.classes[item.event.class_index].name
        session.frame = region.frame
        self.comparison.current = index
        self._update()
        self.focused.emit(region)

    def step(self, by: int = 1) -> bool:
        """Go to the next disagreement with something to decide (`by` -1: the one before).

        Returns False if there is none.
        """
        if not self.state.items:
            return False
        index = self.comparison.next_open(by)
        if index is None:
            self.session.message = "Every disagreement of this clip is decided."
            return False
        self.go(index)
        return True

    # ---- from clip to clip ----------------------------------------------------------------

    def take_due(self, due: Sequence[ClipDue]) -> None:
        """Take what :func:`~napari_confseg.annotate.review.cohort.find_due` found."""
        self.queue.clips = tuple(due)
        self._update()

    def turn(self, step: int = 1) -> str | None:
        """Open the next clip that several have marked (`step` -1: the one before), return its name.

        Once the cohort was looked through, it is the next with something due, most first.
        While adjudicating, what all agree on is copied there too. None if there is no other clip.

        Raises
        ------
        StoreError
            If it cannot be opened.
        """
        session = self.session
        if session.cohort is None:
            return None
        here = session.clip.name if session.clip else None
        for name in self.queue.others(here, session.cohort.clips(), step):
            if len(session.cohort.clip(name).raters()) > 1:
                self.open(name)
                return name
        session.message = "No other clip has something to decide."
        return None

    def open(self, clip: str) -> None:
        """Open a clip; while adjudicating, have what all agree on copied there too."""
        self.finish_correcting()
        self.session.open_clip(clip)
        if self.session.adjudicator:
            self._start_adjudicating()

    # ---- adjudicating ---------------------------------------------------------------------

    def begin(self, by: str) -> None:
        """Open the clip to adjudicate, in the name of the person `by`.

        What all agree on is copied; then the first open disagreement comes into view, unless one
        is in view already.

        Raises
        ------
        StoreError
            If that rater's planes cannot be opened.
        ValueError
            If no clip is open.
        """
        session = self.session
        if session.clip is None:
            raise ValueError("open a clip before adjudicating it")
        frame = session.frame
        session.open_clip(session.clip.name, ADJUDICATED, adjudicator=by.strip())
        session.frame = frame
        self._start_adjudicating()

    def _start_adjudicating(self) -> None:
        item = self.state.item
        if item is not None and not item.open:  # what is decided need not be looked at again
            self.comparison.current = None
        self._focus_first = True
        self.copy_agreed()

    def copy_agreed(self) -> None:
        """Have what all agree on copied, wherever the adjudicator has touched nothing yet."""
        self.adjudication.prefill = True
        self._update()

    def end(self, reader: str) -> None:
        """Go back to reading this clip as oneself, the reader of this slug."""
        session = self.session
        self.finish_correcting()
        self._focus_first = False
        if session.clip is not None:
            frame = session.frame
            session.flush(2)  # what was decided just now is shown as decided
            session.open_clip(session.clip.name, reader)
            session.frame = frame

    def decide(self, verdict: Verdict, source: str | None = None) -> Stroke | None:
        """Decide the disagreement in view and go on to the next; None if that is refused.

        For all frames of it that are open, or for the frame on show alone, by the settings. What is
        decided already may be decided anew. Where many frames have to be read it is pending
        first, and None is returned; leaving the clip meanwhile waits for it.
        """
        self.finish_correcting()
        item = self._item_to_decide()
        if item is None or not self._all_there():
            return None
        regions = self._regions(item)
        if not regions:
            self.session.message = "This disagreement is on other frames than the one on show."
            return None
        pending = PendingDecision(verdict, source, item.event, regions, self.basis())
        reads = verdict != "reject" or self.adjudication.is_bare(pending)
        if reads and len(regions) > AT_ONCE:
            self.adjudication.decision = pending
            self._update()
            return None
        return self._store(pending, self.adjudication.resolve_now(pending))

    def _item_to_decide(self) -> Item | None:
        """Return the item in view; if there is none, step to the first instead."""
        if not self.state.can_adjudicate:
            return None
        if self.state.item is None and self.step():
            self.session.message = "This is the first open disagreement: decide it now."
            return None
        return self.state.item

    def _store(self, pending: PendingDecision, found: Resolution | None) -> Stroke | None:
        """Store a verdict and go on to what is open."""
        if found is None:
            self.session.message = "Stopped: this disagreement is still open."
            return None
        stroke = self.adjudication.store(pending, found)
        item = self.state.item
        if stroke is None or item is None or item.event is not pending.event:
            pass  # nothing was stored, or the person has gone on meanwhile
        elif item.open:
            self.go(self.state.current or 0)  # frames of it are left
        else:
            self.step()
        return stroke

    def _regions(self, item: Item) -> tuple[Region, ...]:
        if self.settings.whole:
            return item.open or item.event.regions
        return tuple(r for r in item.event.regions if r.frame == self.session.frame)

    def _all_there(self) -> bool:
        """Whether everybody compared is still on the clip: who is gone would read as unmarked."""
        assert self.session.clip is not None
        there = set(self.session.clip.raters())
        gone = [r.label for r in self.state.compared if r.name not in there]
        if gone:
            self.refresh()
            self.session.message = f"{', '.join(gone)} is no longer on this clip: compare anew."
        return not gone

    def correct(self) -> None:
        """Let the disagreement in view be painted by hand, until this is called again."""
        if self.adjudication.correcting:
            self.finish_correcting()
            return
        item = self._item_to_decide()
        if item is not None:
            try:
                self.adjudication.begin_painting(item, self.basis())
            except (StoreError, OSError) as error:
                self.session.message = f"What all agree on can't be read: {error}"
            self._update()

    def finish_correcting(self) -> Stroke | None:
        """Store what was painted by hand as the decision on those frames; None if nothing was."""
        if not self.adjudication.correcting:
            return None
        stroke = self.adjudication.finish_painting(self.state.item, self.basis())
        self._update()
        return stroke
