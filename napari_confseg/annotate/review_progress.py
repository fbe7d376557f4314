"""Review progress of a clip, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Stroke


def reviewed_frames(status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each frame whether every class is reviewed, ``bool (T,)``, from ``(T, C)``."""
    done: NDArray[np.bool_] = (status == Status.REVIEWED).all(axis=1)
    return done


def next_unreviewed(status: NDArray[np.uint8], frame: int, step: int = 1) -> int | None:
    """Return the nearest frame after `frame` (before it for ``step=-1``) with work left.

    The search goes round the end of the clip and comes to `frame` itself last; None when all
    frames are reviewed in all classes.
    """
    n = len(status)
    order = (frame + step * np.arange(1, n + 1)) % n
    open_frames = order[~reviewed_frames(status)[order]]
    return int(open_frames[0]) if open_frames.size else None


def painted(strokes: Iterable[Stroke]) -> Iterator[Stroke]:
    """Yield the strokes that changed planes and stand."""
    return (s for s in strokes if not s.undone and s.tool != "status")


class ReviewProgress:
    """Marks frames of a session's open clip as reviewed, and goes to those that are not.

    Parameters
    ----------
    session : Session
        Whose clip it is.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def mark_reviewed(
        self, frame: int | None = None, class_name: str | None = None, *, reviewed: bool = True
    ) -> Stroke | None:
        """Mark a frame reviewed, or no longer; see :meth:`ClipEditor.mark_reviewed`.

        Parameters
        ----------
        frame : int, optional
            The frame on show if not given.
        class_name : str, optional
            One class; all classes if not given.
        reviewed : bool
            False takes it back.
        """
        session = self._session
        index = None if class_name is None else session.class_index(class_name)
        frame = session.frame if frame is None else frame
        return session.editor.mark_reviewed(frame, index, reviewed=reviewed)

    def toggle_reviewed(self, class_name: str | None = None) -> Stroke | None:
        """Mark the frame on show reviewed, in one class or in all; if it is, no longer."""
        session = self._session
        if session.clip is None:
            return None
        index = slice(None) if class_name is None else session.class_index(class_name)
        done = bool((session.status[session.frame, index] == Status.REVIEWED).all())
        return self.mark_reviewed(class_name=class_name, reviewed=not done)

    def review_and_go_on(self) -> None:
        """Mark the frame on show reviewed in all classes and go to the next one that is not."""
        session = self._session
        if session.clip is not None and session.writable:
            self.mark_reviewed()
            self.next_unreviewed()
        elif session.clip is not None:
            session.message = session.editor.why_read_only

    def review_range(self, frames: range) -> Stroke | None:
        """Mark frames reviewed in all classes as one edit; if all are, no longer."""
        session = self._session
        done = bool((session.status[frames.start : frames.stop] == Status.REVIEWED).all())
        edit = session.editor.mark_reviewed(frames, reviewed=not done)
        if edit is not None:
            words = "no longer reviewed" if done else "reviewed"
            session.message = (
                f"Frames {frames.start + 1} to {frames.stop} are {words}. Undo takes it back."
            )
        return edit

    def next_unreviewed(self, step: int = 1) -> int | None:
        """Go to the next frame with a class not yet reviewed and return it; None if all are."""
        session = self._session
        if session.clip is None:
            return None
        found = next_unreviewed(session.status, session.frame, step)
        if found is not None:
            session.frame = found
        else:
            session.message = "Every frame of this clip is reviewed in every class."
        return found
