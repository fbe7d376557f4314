"""Marks of the run on show on the clip on screen: overlay, summary in words, acceptance."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from napari_confseg.annotate.access import BlindedError
from napari_confseg.job import FitRequest
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.train.model import Training
    from napari_confseg.annotate.train.runs import RunState
    from napari_confseg.store import ClassSpec


class Accepted(NamedTuple):
    """Result of an acceptance, in words, and whether there is something to undo."""

    words: str
    undoable: bool


class ModelMarks:
    """The marks of the run on show, as one more rater on the session's clip.

    Parameters
    ----------
    session : Session
        Whose clip.
    training : Training
        Tells which run is on show, and whether its marks are to be seen.
    """

    def __init__(self, session: Session, training: Training) -> None:
        self._session, self._training = session, training

    def sync(self) -> None:
        """Show the marks of the run on show, and of no other run, if they are to show."""
        session, state = self._session, self._training.state
        watched = state.watched
        wanted = watched.name if watched is not None and state.shown else None
        runs = {r.name for r in state.runs}
        for overlay in session.overlays:
            if overlay.name in runs and overlay.name != wanted:
                session.others.hide(overlay.name)
        if wanted and session.clip and self._overlay(wanted) is None and self._has_marked(wanted):
            with suppress(StoreError, BlindedError):
                session.others.show(wanted)

    def read_anew(self, rater: str, clip: str) -> None:
        """Show what the run has marked since, if that is the clip on screen."""
        session = self._session
        if self._training.state.shown and session.clip is not None and clip == session.clip.name:
            with suppress(StoreError, BlindedError):  # gone again: the next preview will show
                session.others.show(rater)

    @property
    def run(self) -> RunState | None:
        """The run on show, if it is a fit."""
        run = self._training.state.watched
        return run if run is not None and isinstance(run.request, FitRequest) else None

    def classes(self) -> list[ClassSpec]:
        """Return the classes that it has marked on this clip, as far as they are on show."""
        overlay = self._overlay(self.run.name) if self.run else None
        return [c for c in self._session.classes if overlay and c.name in overlay.planes]

    def in_words(self) -> str:
        """Tell what it marks on the frame on screen, or why there is nothing to tell."""
        session, run = self._session, self.run
        if run is None:
            return ""
        if session.clip is None:
            return "Open a clip to see what it marks there."
        overlay = self._overlay(run.name)
        if overlay is None:
            if self._has_marked(run.name):
                return "It has marked this clip."
            soon = "It will, after its next check." if run.phase.live else "Let it predict."
            return f"It has not marked this clip yet. {soon}"
        frame = session.view().frame
        here = [
            c.label
            for c in self.classes()
            if (overlay.planes[c.name][frame] >= session.model_threshold).any()
        ]
        step = run.record.previews.get(session.clip.name)
        after = f"As of step {step}. " if step else ""
        found = ", ".join(here).replace("-", "\N{NON-BREAKING HYPHEN}")
        return f"{after}On this frame: {found or 'nothing'}."

    def accept(self, class_name: str, confidence: int) -> Accepted | None:
        """Take its marks of a class on the frame on screen as mine; None if it has none.

        What happens to what was painted there by hand is as chosen where others are accepted.
        """
        session, run = self._session, self._training.state.watched
        overlay = self._overlay(run.name) if run is not None else None
        if run is None or overlay is None or class_name not in overlay.planes:
            return None
        label = next(c.label for c in session.classes if c.name == class_name)
        marks = overlay.planes[class_name]
        stroke = session.acceptor.accept(
            lambda frame, _c: marks[frame],
            [session.class_index(class_name)],
            [session.frame],
            session.model_threshold,
            run.name,
            run.name,
            title=overlay.title,
            confidence=confidence,
            by_hand=session.acceptor.settings.by_hand,
        )
        if stroke is None:
            return Accepted(session.message, undoable=False)
        where = f"on frame {session.frame + 1}"
        return Accepted(f"{label} {where} is yours at {confidence} %.", undoable=True)

    def _has_marked(self, run: str) -> bool:
        return self._session.clip is not None and run in self._session.clip.raters()

    def _overlay(self, run: str) -> Overlay | None:
        return next((o for o in self._session.overlays if o.name == run), None)
