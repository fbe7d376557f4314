"""Adjudication: verdicts, prefill and hand painting, stored as edits of a session."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.rater_view import planes_of
from napari_confseg.annotate.review.decisions import (
    DecisionRecord,
    decision_edit,
    resolve_regions,
)
from napari_confseg.annotate.review.prefill import only_untouched, prefill_edits
from napari_confseg.annotate.review.state import PendingDecision
from napari_confseg.annotate.view import Tool
from napari_confseg.store import Status, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Region
    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.annotate.review.comparison import Comparison, Job
    from napari_confseg.annotate.review.decisions import DecisionBasis, Item, Planes, Resolved
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Clip, Edit, Stroke


@dataclass(frozen=True, eq=False)
class Resolution:
    """What a verdict comes to.

    Attributes
    ----------
    agreed : list of Edit
        Copies what all agree on to those of its frames that have nothing yet.
    found : list
        See :func:`resolve_regions`.
    """

    agreed: list[Edit]
    found: Resolved


class Adjudication:
    """Stores decisions on the disagreements of a comparison in the adjudicated rater's planes.

    Each decision is one edit of the session: saved, undone and redone as one.

    Parameters
    ----------
    session : Session
        With the adjudicated rater open.
    comparison : Comparison
        Of the same clip.

    Attributes
    ----------
    decision : PendingDecision or None
        A verdict whose planes are still to be read.
    prefill : bool
        Whether what all agree on is to be copied.
    parts : list of Edit
        Edits computed for that and not stored yet.
    storing : bool
        True while a decision is being stored: its `edited` signal is no undo.
    """

    def __init__(self, session: Session, comparison: Comparison) -> None:
        self._session = session
        self._comparison = comparison
        self.decision: PendingDecision | None = None
        self.prefill = False
        self.parts: list[Edit] = []
        self.storing = False
        self._painted_from: dict[int, int] | None = None

    @property
    def correcting(self) -> bool:
        """Whether a disagreement is being painted by hand."""
        return self._painted_from is not None

    def reset(self) -> None:
        """Drop what belongs to the clip that was open, but for a pending verdict."""
        self.prefill, self.parts = False, []
        self._painted_from = None

    # ---- prefill --------------------------------------------------------------------------

    def untouched(self) -> NDArray[np.bool_]:
        """Return the (frame, class) pairs compared and not touched yet, ``bool (T, C)``."""
        session, found = self._session, self._comparison.disagreements
        if found is None or not session.adjudicator or not session.writable:
            return np.zeros((0, 0), np.bool_)
        untouched: NDArray[np.bool_] = found.compared & (session.status == Status.UNTOUCHED)
        return untouched

    def prefill_job(self, basis: DecisionBasis) -> Job:
        """Return the job that computes the edits of the prefill."""
        parts = self.parts
        if parts:
            return lambda *_: parts
        clip, frames = self._session.clip, self.untouched()
        assert clip is not None
        return lambda progress, cancelled: prefill_edits(
            clip, basis, frames, progress=progress, cancelled=cancelled
        )

    def store_prefill(self, edits: Sequence[Edit] | None) -> None:
        """Store the first of `edits` and keep the rest: storing all would stop the window."""
        edits = edits or ()
        self.prefill, self.parts = False, list(edits[1:])
        fresh = only_untouched(edits[0], self._session.status) if edits else None
        if fresh is not None:
            self._session.commit(fresh)

    # ---- verdicts -------------------------------------------------------------------------

    def decision_job(self, pending: PendingDecision) -> Job:
        """Return the job that reads the planes a verdict needs, for a :class:`Resolution`."""
        clip = self._session.clip
        assert clip is not None
        views = [self._comparison.views[name] for name in pending.basis.raters]
        planes = partial(_planes, views, pending.event.class_index, clip.shape[1:])
        bare = self._bare(pending.event.class_index, [r.frame for r in pending.regions])
        return partial(_resolve, clip, pending, planes, bare)

    def _bare(self, class_index: int, frames: Iterable[int]) -> NDArray[np.bool_]:
        """Return where what all agree on is not copied yet, of these frames; ``bool (T, C)``."""
        # Once such a frame is decided it is no longer untouched, and would never get it.
        untouched = self.untouched()
        chosen = np.zeros_like(untouched)
        if untouched.size:
            chosen[list(frames), class_index] = True
        return untouched & chosen

    def is_bare(self, pending: PendingDecision) -> bool:
        """Whether what all agree on is not copied yet to some frame of a verdict."""
        frames = [r.frame for r in pending.regions]
        return bool(self._bare(pending.event.class_index, frames).any())

    def _store_agreed(self, edits: Iterable[Edit]) -> None:
        for edit in edits:
            fresh = only_untouched(edit, self._session.status)
            if fresh is not None:
                self._session.commit(fresh)

    def resolve_now(self, pending: PendingDecision) -> Resolution:
        """Return the result of :meth:`decision_job`, read at once.

        Raises
        ------
        StoreError, OSError
            If a plane cannot be read.
        """
        found: Resolution = self.decision_job(pending)(lambda *_: None, lambda: False)
        return found

    def store(self, pending: PendingDecision, resolution: Resolution) -> Stroke | None:
        """Store a verdict; None, with a message, if there is nothing to store."""
        session, c, found = self._session, pending.event.class_index, resolution.found
        self._store_agreed(resolution.agreed)
        regions = [region for region, _ in found]
        edit = decision_edit(
            pending.verdict,
            found,
            c,
            pending.basis,
            source=pending.source,
            mine=session.planes[session.classes[c].name],
            status=session.status[:, c],
            closed=self._closed_by(c, regions),
        )
        if edit is None:
            session.message = f"{pending.source} has not reviewed these frames: nothing to accept."
            return None
        if DecisionRecord(session.strokes).changes_nothing(edit, regions):
            session.message = "This disagreement is already decided that way."
            return None
        self.storing = True
        try:
            return session.commit(edit)
        finally:
            self.storing = False

    def store_before_leaving(self) -> None:
        """Store a pending verdict at once, so that it is not lost with the clip."""
        pending, self.decision = self.decision, None
        if pending is not None:
            try:
                self.store(pending, self.resolve_now(pending))
            except (StoreError, OSError) as error:
                self._session.message = f"The latest verdict was not stored: {error}"

    def _closed_by(self, class_index: int, regions: Iterable[Region]) -> set[int]:
        """Return the frames on which nothing of this class is open once `regions` are decided."""
        deciding = set(map(id, regions))
        frames = {r.frame for r in regions}
        still = {
            r.frame
            for i in self._comparison.items
            if i.event.class_index == class_index
            for r in i.open
            if id(r) not in deciding
        }
        return frames - still

    # ---- painting by hand -----------------------------------------------------------------

    def begin_painting(self, item: Item, basis: DecisionBasis) -> None:
        """Take the brush and the class of `item`, and note what is painted so far.

        Raises
        ------
        StoreError, OSError
            If what all agree on cannot be read, where it is not copied yet.
        """
        session = self._session
        bare = self._bare(item.event.class_index, {session.frame} & set(item.event.frames))
        if bare.any() and session.clip is not None:
            self._store_agreed(prefill_edits(session.clip, basis, bare) or ())
        name = session.classes[item.event.class_index].name
        session.class_name, session.hidden = name, session.hidden - {name}
        session.marks_shown, session.tool = True, Tool.BRUSH
        self._painted_from = self._checksums(item)

    def finish_painting(self, item: Item | None, basis: DecisionBasis) -> Stroke | None:
        """Store what was painted as the decision on those frames; None if nothing was."""
        before, self._painted_from = self._painted_from, None
        if before is None or item is None:
            return None
        now = self._checksums(item)
        painted = {t for t in now if now[t] != before.get(t)}
        regions = tuple(r for r in item.event.regions if r.frame in painted)
        if not regions:
            self._session.message = "Nothing was painted: this disagreement is still open."
            return None
        pending = PendingDecision("correct", None, item.event, regions, basis)
        return self.store(pending, Resolution([], [(r, None) for r in regions]))

    def _checksums(self, item: Item) -> dict[int, int]:
        plane = self._session.planes[self._session.classes[item.event.class_index].name]
        return {t: zlib.crc32(plane[t]) for t in item.event.frames}


def _resolve(
    clip: Clip,
    pending: PendingDecision,
    planes: Callable[[int, str | None], Planes],
    bare: NDArray[np.bool_],
    progress: Callable[[int, int], None] = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Resolution | None:
    agreed: list[Edit] | None = []
    if bare.any():
        agreed = prefill_edits(clip, pending.basis, bare, progress=progress, cancelled=cancelled)
    found = resolve_regions(
        pending.verdict, pending.regions, pending.source, planes, progress, cancelled
    )
    return None if agreed is None or found is None else Resolution(agreed, found)


def _planes(
    views: Sequence[RaterView],
    class_index: int,
    shape: tuple[int, int],
    frame: int,
    rater: str | None,
) -> dict[str, NDArray[np.uint8]]:
    chosen = [v for v in views if rater in (None, v.name)]
    return planes_of(chosen, frame, class_index, shape)
