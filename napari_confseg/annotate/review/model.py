"""The review of a clip: what the adjudicator decides of it.

Decisions are edits of the session, so that each is saved, undone and redone as one; which
disagreements are decided follows from the record of strokes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_confseg.annotate.review.carrying import Carrying
from napari_confseg.annotate.review.cohort import ADJUDICATED, due_of
from napari_confseg.annotate.review.state import PendingDecision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.disagreement import Region
    from napari_confseg.annotate.review.cohort import ClipDue
    from napari_confseg.annotate.review.decisions import Becoming, Item
    from napari_confseg.annotate.review.state import Pending
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Edit, Stroke, Verdict

AT_ONCE: Final = 12
"""Frames whose planes are read while the person waits: more would stop the window."""


class Review(Carrying):
    """What several raters said of the clip that is open, and what becomes of it."""

    def __init__(self, session: Session) -> None:
        self._due: tuple[ClipDue, ...] = ()
        super().__init__(session)
        self._links.add(
            (session.editor.edited, self._on_edited), (session.events.cohort, self._forget_due)
        )

    # ---- stepping -------------------------------------------------------------------------

    def go(self, index: int, frame: int | None = None) -> None:
        """Put the disagreement of this rank onto the desk, at `frame` or at its worst open one."""
        self.finish_correcting()
        item = self.state.items[index]
        regions = item.open or item.event.regions
        if frame is not None:
            regions = tuple(r for r in item.event.regions if r.frame == frame) or regions
        region = max(regions, key=lambda r: r.size)
        session = self.session
        session.playing = False
        session.class_name = session.classes[item.event.class_index].name
        session.frame = region.frame
        self._at = index
        self._settle()
        self.went.emit(region)

    def step(self, by: int = 1) -> bool:
        """Go to the next disagreement with something to decide (`by` -1: the one before).

        Returns False if there is none.
        """
        items, n = self.state.items, len(self.state.items)
        start = self.state.current if self.state.current is not None else (-1 if by > 0 else 0)
        for i in range(1, n + 1):
            index = (start + by * i) % n
            if items[index].open:
                self.go(index)
                return True
        if n:
            self.session.message = "Every disagreement of this clip is decided."
        return False

    def _on_edited(self, edit: Edit) -> None:
        """Bring a decision that was undone or redone back onto the desk."""
        if edit.decision is not None and edit.decision.regions and not self._deciding:
            region = edit.decision.regions[0]
            index = self._index_of(edit.class_index, region)
            if index is not None:
                self.go(index, region.frame)

    def _forget_due(self, *_: object) -> None:
        self._due = ()

    # ---- from clip to clip ----------------------------------------------------------------

    def take_due(self, due: Sequence[ClipDue]) -> None:
        """Take in what :func:`~napari_confseg.annotate.review.cohort.look_through` found."""
        self._due = tuple(due)
        self._settle()

    @property
    def due(self) -> tuple[ClipDue, ...]:
        """What is due on the clips of the cohort, most first when it was looked through."""
        return self._due

    def _settle(self, *_: object) -> None:
        if self._found is not None:
            now = due_of(self._found.clip, self._items)
            self._due = tuple(now if d.clip == now.clip else d for d in self._due)
        super()._settle()

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
        names = [d.clip for d in self.due if d.open or d.clip == here] or session.cohort.clips()
        at = names.index(here) if here in names else -1 if step > 0 else 0
        for i in range(1, len(names) + 1):
            name = names[(at + step * i) % len(names)]
            if name != here and len(session.cohort.clip(name).raters()) > 1:
                self.open(name)
                return name
        session.message = "No other clip has something to decide."
        return None

    def open(self, clip: str) -> None:
        """Open a clip; while adjudicating, have what all agree on copied there too."""
        self.finish_correcting()
        self.session.open_clip(clip)
        if self.session.adjudicator:
            self.copy_agreed()

    # ---- deciding -------------------------------------------------------------------------

    def begin(self, by: str) -> None:
        """Open the clip to adjudicate, in the name of the person `by`.

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
        self.copy_agreed()

    def copy_agreed(self) -> None:
        """Have what all agree on copied, wherever the adjudicator has touched nothing yet."""
        self._agree = True
        self._settle()

    def end(self, reader: str) -> None:
        """Go back to reading this clip as oneself, the reader of this slug."""
        session = self.session
        self.finish_correcting()
        if session.clip is not None:
            frame = session.frame
            session.open_clip(session.clip.name, reader)
            session.frame = frame

    def decide(self, verdict: Verdict, source: str | None = None) -> Stroke | None:
        """Decide the disagreement on the desk and go on to the next; None if that is refused.

        For all frames of it that are open, or for the frame on show alone, as was wished. What is
        decided already may be decided anew. Where many frames have to be read it is pending
        first, and None is returned; whoever leaves the clip meanwhile waits for it.
        """
        self.finish_correcting()
        item = self.state.item
        if item is None or not self.state.can_decide or not self._all_there():
            return None
        regions = self._asked(item)
        if not regions:
            self.session.message = "This disagreement is on other frames than the one on show."
            return None
        ruling = PendingDecision(verdict, source, item.event, regions, self.case())
        if verdict != "reject" and len(regions) > AT_ONCE:
            self._ruling = ruling
            self._settle()
            return None
        return self._carry_out(ruling, self._read_now(ruling))

    def _carry_out(self, ruling: PendingDecision, found: Becoming | None) -> Stroke | None:
        """Decide what `found` is to become, and go on to the next."""
        if found is None:
            self.session.message = "Stopped: this disagreement is still open."
            return None
        stroke = self._rule(ruling, found)
        item = self.state.item
        if stroke is None:
            who = ruling.source
            self.session.message = f"{who} has not reviewed these frames: nothing to accept."
        elif item is None or item.event is not ruling.event:
            pass  # the person has gone on meanwhile
        elif item.open:
            self.go(self.state.current or 0)  # frames of it are left
        else:
            self.step()
        return stroke

    def _asked(self, item: Item) -> tuple[Region, ...]:
        regions = item.open or item.event.regions
        if self.state.wish.whole:
            return regions
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

    def take(self, pending: Pending, result: Any) -> None:
        """Take in what the work on `pending` has returned; nothing if it is no longer that."""
        if self._ruling is None or pending is not self._ruling:
            super().take(pending, result)
            return
        self._ruling = None
        self._settle()
        self._carry_out(pending, result)

    def fail(self, pending: Pending, error: BaseException) -> None:
        """Take in that the work on `pending` came to nothing."""
        if pending is not self._ruling:
            super().fail(pending, error)
            return
        self._ruling = None
        self._settle()
        self.session.message = f"Not decided: {error}"
