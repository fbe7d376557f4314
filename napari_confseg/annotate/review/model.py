"""The review of a clip: what the adjudicator decides of it.

Decisions are acts of the session, so that each is saved, undone and redone as one; which
disagreements are decided follows from the record of strokes alone.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from napari_confseg.annotate.blinding import Standing
from napari_confseg.annotate.review.cohort import ADJUDICATED, due_of
from napari_confseg.annotate.review.deciding import rule
from napari_confseg.annotate.review.looking import Looking
from napari_confseg.annotate.view import Tool
from napari_confseg.dataset.reading import planes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.annotate.review.cohort import ClipDue
    from napari_confseg.annotate.review.settled import Item
    from napari_confseg.annotate.session import Session
    from napari_confseg.dataset.regions import Region
    from napari_confseg.store import Act, Stroke, Verdict


class Review(Looking):
    """What several raters said of the clip that is open, and what becomes of it."""

    def __init__(self, session: Session) -> None:
        self._deciding = False
        self._due: tuple[ClipDue, ...] = ()
        super().__init__(session)
        self._links.add((session.acted, self._on_acted), (session.events.cohort, self._forget_due))

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

    def _on_acted(self, act: Act) -> None:
        """Bring a decision that was undone or redone back onto the desk."""
        if act.decision is not None and act.decision.regions and not self._deciding:
            region = act.decision.regions[0]
            index = self._index_of(act.class_index, region)
            if index is not None:
                self.go(index, region.frame)

    def _forget_due(self, *_: object) -> None:
        self._due = ()

    # ---- from clip to clip ----------------------------------------------------------------

    def why_not_cohort(self) -> str:
        """Return why I may not look through the cohort: who reads blinded may not; empty if I may.

        What holds for the clip that is open need not hold for the others.
        """
        session = self.session
        rule = session.cohort.meta.blinding if session.cohort else "none"
        return Standing(rule, session.role).why()

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
        decided already may be decided anew.
        """
        self.finish_correcting()
        item = self.state.item
        if item is None or not self.state.can_decide or not self._all_there():
            return None
        regions = self._asked(item)
        if not regions:
            self.session.message = "This disagreement is on other frames than the one on show."
            return None
        stroke = self._rule(verdict, regions, source)
        if stroke is None:
            self.session.message = f"{source} has not reviewed these frames: nothing to accept."
        elif self.state.item is not None and self.state.item.open:
            self.go(self.state.current or 0)  # frames of it are left
        else:
            self.step()
        return stroke

    def _asked(self, item: Item) -> tuple[Region, ...]:
        regions = item.open or item.event.regions
        if self.state.wish.whole:
            return regions
        return tuple(r for r in item.event.regions if r.frame == self.session.frame)

    def _rule(
        self, verdict: Verdict, regions: Sequence[Region], source: str | None = None
    ) -> Stroke | None:
        item, session = self.state.item, self.session
        assert item is not None
        c = item.event.class_index
        act = rule(
            verdict, regions, c, self.case(), source=source,
            planes=lambda frame, who: self.planes_of(frame, c, who),
            mine=session.planes[session.classes[c].name], status=session.status[:, c],
            closed=self._closed_by(c, regions),
        )  # fmt: skip
        if act is None:
            return None
        self._deciding = True
        try:
            return session.commit(act)
        finally:
            self._deciding = False

    def planes_of(
        self, frame: int, class_index: int, who: str | None = None
    ) -> dict[str, NDArray[np.uint8]]:
        """Return the planes of those compared (or of `who` alone) who reviewed this frame."""
        assert self.session.clip is not None
        panel = [self.readings[r.name] for r in self.state.compared if who in (None, r.name)]
        return planes_of(panel, frame, class_index, self.session.clip.shape[1:])

    def _closed_by(self, class_index: int, regions: Iterable[Region]) -> set[int]:
        """Return the frames on which nothing of this class is open once `regions` are decided."""
        deciding = set(map(id, regions))
        frames = {r.frame for r in regions}
        still = {
            r.frame for i in self.state.items if i.event.class_index == class_index
            for r in i.open if id(r) not in deciding
        }  # fmt: skip
        return frames - still

    def _all_there(self) -> bool:
        """Whether everybody compared is still on the clip: who is gone would read as unmarked."""
        assert self.session.clip is not None
        there = set(self.session.clip.raters())
        gone = [r.label for r in self.state.compared if r.name not in there]
        if gone:
            self.refresh()
            self.session.message = f"{', '.join(gone)} is no longer on this clip: compare anew."
        return not gone

    # ---- by hand --------------------------------------------------------------------------

    def correct(self) -> None:
        """Let the disagreement on the desk be painted by hand, until this is called again."""
        item = self.state.item
        if self._before is not None:
            self.finish_correcting()
            return
        if item is None or not self.state.can_decide:
            return
        session = self.session
        name = session.classes[item.event.class_index].name
        session.class_name, session.hidden = name, session.hidden - {name}
        session.marks_shown, session.tool = True, Tool.BRUSH
        self._before = self._sums(item)
        self._settle()

    def finish_correcting(self) -> Stroke | None:
        """Keep what was painted by hand as the decision on those frames; None if nothing was."""
        item, before = self.state.item, self._before
        self._before = None
        if before is None or item is None:
            return None
        now = self._sums(item)
        painted = {t for t in now if now[t] != before.get(t)}
        regions = [r for r in item.event.regions if r.frame in painted]
        stroke = self._rule("correct", regions) if regions else None
        if not regions:
            self.session.message = "Nothing was painted: this disagreement is still open."
        self._settle()
        return stroke

    def _sums(self, item: Item) -> dict[int, int]:
        plane = self.session.planes[self.session.classes[item.event.class_index].name]
        return {t: zlib.crc32(plane[t]) for t in item.event.frames}
