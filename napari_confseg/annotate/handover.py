"""Handover of the open clip: taken over, or decided after a conflict, and read anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.annotate.conflict import DECIDED

if TYPE_CHECKING:
    from napari_confseg.annotate.clip_editor import Decision
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Choice


class Handover:
    """Becomes the writer of a session's open clip, and decides what the clip then holds.

    Parameters
    ----------
    session : Session
        Whose clip it is.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def take_over(self) -> bool:
        """Try to become the writer of a clip that is read-only; return whether nobody else is now.

        What waited here may have met newer strokes: then `conflict` has to be decided before
        anything can be painted.

        Raises
        ------
        StoreError
            If the clip cannot be read any more; then no clip is open.
        """
        session = self._session
        if session.clip is None or not session.editor.retry_lock():
            return False
        self._reload()  # the other writer may have painted since
        return True

    def decide(self, choice: Choice) -> None:
        """Decide which of two versions to keep; read planes, status, strokes and notes anew.

        Parameters
        ----------
        choice : {"mine", "theirs", "both"}
            See :meth:`~napari_confseg.store.RaterWriter.decide`.

        Raises
        ------
        StoreError
            If there is nothing to decide, or it cannot be written; then nothing is decided. If
            the clip cannot be read any more, no clip is open.
        """
        decision = self.begin_deciding(choice)
        try:
            decision.make()
        finally:
            self.finish_deciding(decision)

    def begin_deciding(self, choice: Choice) -> Decision:
        """Return the work of :meth:`decide`, whose ``make`` can be called in any thread.

        Nothing can be painted until :meth:`finish_deciding` takes it back.
        """
        session = self._session
        session.conflict.forget()
        return session.editor.deciding(choice)

    def finish_deciding(self, decision: Decision) -> None:
        """Show what is there after `decision`; what was there, if nothing came of it."""
        session = self._session
        if session.editor.finish_deciding(decision):
            self._show_reloaded()
            session.message = DECIDED[decision.choice]
        elif decision.made and decision.read is None:
            session.close_clip()  # planes out of date must not be painted on

    def _reload(self) -> None:
        session = self._session
        if session.cohort is None or session.clip is None:
            return
        try:
            session.conflict.forget()
            session.editor.reload()
            self._show_reloaded()
        except BaseException:  # planes out of date must not be painted on
            session.close_clip()
            raise

    def _show_reloaded(self) -> None:
        session = self._session
        assert session.cohort is not None
        assert session.clip is not None
        clip = session.cohort.clip(session.clip.name)
        session.activity.begin(len(session.status), session.clip_notes.current.seconds)
        session.activity.turn_to(session.frame)
        session.set_together(clip=clip, save_state=session.editor.save_state)
        session.clip_notes.changed.emit(session.clip_notes.current)
