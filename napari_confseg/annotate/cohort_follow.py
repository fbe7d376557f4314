"""Changes of a cohort made elsewhere, taken over by a session that has it open.

Others add classes, set the blinding, import clips and raters, confirm sectors. :func:`look` reads
what of that there is, in any thread; :class:`CohortFollower` takes it over in the main one.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import ClipMeta, Cohort, CohortMeta


RETRY_AFTER: Final = 3.0
"""Seconds between tries to become the writer where a full disk, say, forbade it."""


@dataclass(frozen=True)
class CohortSight:
    """A cohort as it was just now: its metadata, names, and what concerns the open clip."""

    cohort: Cohort  # the open one, which is looked at
    meta: CohortMeta
    names: frozenset[str]
    clip: str | None = None
    clip_meta: ClipMeta | None = None
    raters: frozenset[str] = frozenset()


def look(cohort: Cohort, clip: str | None) -> CohortSight:
    """Return how `cohort` and its clip are now; a few small reads, in any thread.

    Raises
    ------
    StoreError, OSError
        If it cannot be reached or read.
    """
    meta, names = cohort.read_meta(), frozenset(cohort.names())
    if clip is None or clip not in names:
        return CohortSight(cohort, meta, names)
    here = cohort.clip(clip)
    return CohortSight(cohort, meta, names, clip, here.meta, frozenset(here.raters()))


def follow(session: Session, meta: CohortMeta) -> bool:
    """Take over `meta`, the newest of the open cohort; return whether the classes are others.

    The clip is closed then, and is to be opened again: its planes have another number of classes.

    Raises
    ------
    StoreError
        If the clip cannot be closed; nothing is taken over.
    """
    cohort = session.cohort
    if cohort is None or meta == cohort.meta:
        return False
    before = cohort.meta
    others = meta.classes != before.classes
    if others:
        session.close_clip()
    cohort.meta = meta
    if others or meta.anchors != before.anchors:
        session.events.cohort.emit(cohort, cohort)
    if meta.blinding != before.blinding:
        session.access.changed.emit()
    return others


class CohortFollower:
    """Takes over what others change in the cohort that a session has open.

    Parameters
    ----------
    session : Session
        Whose cohort it is.
    busy : callable
        Whether a stroke is under way, which nothing may disturb.
    """

    clips_changed = Signal()
    """The cohort has other clips than before."""
    raters_changed = Signal()
    """The open clip has other raters than before, our own left out."""
    reach_changed = Signal(bool)
    """The cohort went out of reach (False), or came back (True)."""

    def __init__(self, session: Session, busy: Callable[[], bool] = lambda: False) -> None:
        self._session = session
        self._busy = busy
        self._last: CohortSight | None = None
        self._asked: tuple[object, ...] = ()
        self._retried = 0.0  # when we last tried to become the writer
        self.in_reach = True

    def question(self) -> Callable[[], CohortSight] | None:
        """Return what is to be called in another thread; None if no cohort is open."""
        cohort, clip = self._session.cohort, self._session.clip
        if cohort is None:
            self._last = None
            self._set_reach(True)
            return None
        self._asked = self._here()
        name = clip.name if clip is not None else None
        return lambda: look(cohort, name)

    def _here(self) -> tuple[object, ...]:
        """Return what is open with its metadata, which whoever changes them replaces."""
        cohort, clip = self._session.cohort, self._session.clip
        return cohort, cohort and cohort.meta, clip, clip and clip.meta

    def fail(self, cohort: Cohort | None) -> None:
        """Take note that `cohort` could not be looked at."""
        if cohort is self._session.cohort and cohort is not None:
            self._set_reach(False)

    def take(self, seen: CohortSight) -> None:
        """Take over what was seen; a stroke under way comes first, and it is seen again.

        So does what was changed or opened here since the look began: that is newer.
        """
        session, last = self._session, self._last
        if seen.cohort is not session.cohort or self._busy():
            return
        if any(now is not then for now, then in zip(self._here(), self._asked, strict=True)):
            return
        self._set_reach(True)
        self._retry()
        here = session.clip.name if session.clip is not None else None
        frame = session.frame
        if follow(session, seen.meta):
            session.message = (
                "The classes of this study folder were changed elsewhere; they are followed here."
            )
            if here is not None:
                self._open_again(here, frame)
        self._last = seen
        if last is None or last.cohort is not seen.cohort:
            return
        if last.names != seen.names:
            self.clips_changed.emit()
        if session.clip is None or session.clip.name != seen.clip:
            return
        self._take_clip(seen.clip_meta, frame)
        if last.clip == seen.clip and (last.raters ^ seen.raters) - {session.rater}:
            self.raters_changed.emit()

    def _retry(self) -> None:
        """Become the writer after all, once what forbade it has passed."""
        state = self._session.editor.save_state
        if state is None or not state.may_pass or monotonic() < self._retried + RETRY_AFTER:
            return
        self._retried = monotonic()
        if self._session.handover.take_over():
            self._session.message = "This clip can be written again: paint on."

    def _take_clip(self, meta: ClipMeta | None, frame: int) -> None:
        session = self._session
        clip = session.clip
        if clip is None or meta is None or meta == clip.meta:
            return
        if meta.model_copy(update={"sector": clip.meta.sector}) == clip.meta:
            clip.meta = meta
            session.sector_changed.emit()
        else:  # blacked out, scaled anew: the picture is another
            self._open_again(clip.name, frame)

    def _open_again(self, clip: str, frame: int) -> None:
        self._session.open_clip(clip)
        self._session.frame = frame

    def _set_reach(self, in_reach: bool) -> None:
        if in_reach != self.in_reach:
            self.in_reach = in_reach
            self.reach_changed.emit(in_reach)
