"""Calibration exercises of a reader: frames, progress and results.

They are kept in the state folder, by cohort and reader. The marks are ordinary marks of the reader,
in the cohort.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import numpy as np
from psygnal import Signal
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_confseg.agreement.exercise import choose_frames, references, score
from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.preferences import state_folder
from napari_confseg.store import Status, StoreError
from napari_confseg.store.durable import write_private
from napari_confseg.store.files import MIB, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.agreement.exercise import Reference
    from napari_confseg.annotate.session import Session

Counts = Annotated[list[int], Field(min_length=101, max_length=101)]


class Exercise(BaseModel):
    """The frames (clip, index) of one exercise, and the result once it is finished.

    `reference` is the slug of a rater. `pixels` and `present` are counts by class and confidence
    0..100: pixels marked by the reader, and those of them marked by the reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    begun: datetime
    finished: datetime | None = None
    reference: str
    frames: Annotated[tuple[tuple[str, int], ...], Field(min_length=1)]
    pixels: dict[str, Counts] = {}
    present: dict[str, Counts] = {}

    def sums(self, class_name: str | None = None) -> NDArray[np.int64]:
        """Return ``int64 (2, 101)`` of one class, or of all together."""
        names = [class_name] if class_name else list(self.pixels)
        total = np.zeros((2, 101), np.int64)
        for name in names:
            if name in self.pixels:
                total += np.array([self.pixels[name], self.present[name]])
        return total


class Record(BaseModel):
    """All exercises of one reader in one cohort, oldest first; at most the last is unfinished."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    exercises: tuple[Exercise, ...] = ()

    @classmethod
    def load(cls, file: Path) -> Record:
        """Return what was kept in `file`; a file that cannot be read counts as empty."""
        with suppress(OSError, StoreError, ValidationError):
            return cls.model_validate_json(read_file(file, 64 * MIB))
        return cls()

    def save(self, file: Path) -> None:
        """Write this to `file`, whole or not at all.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        write_private(file, self.model_dump_json().encode())


class CalibrationSession:
    """The exercises of the reader and cohort that a session has open.

    While one is unfinished, other raters are hidden.

    Parameters
    ----------
    session : Session
        The session of the viewer.

    Attributes
    ----------
    changed : Signal
        Exercises, progress or the frame on show changed.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._record = Record()
        self._done: set[tuple[str, int]] = set()
        events = session.events
        self._links = Links(
            (events.cohort, self._on_reader),
            (events.rater, self._on_reader),
            (events.clip, self._on_progress),
            (session.editor.progress_changed, self._on_progress),
            (events.frame, self._on_progress),
            failed=to_message(session),
        )
        self._on_reader()

    def close(self) -> None:
        """Stop listening to the session, and let others be seen again."""
        self._links.cut()
        self._session.access.begin_exercise(False)

    # ---- exercises ---------------------------------------------------------------------------

    @property
    def current(self) -> Exercise | None:
        """The unfinished exercise."""
        latest = self._record.exercises[-1:]
        return latest[0] if latest and latest[0].finished is None else None

    @property
    def finished(self) -> list[Exercise]:
        """Exercises with a result, oldest first."""
        return [e for e in self._record.exercises if e.finished is not None]

    def references(self) -> list[Reference]:
        """Return the raters that can be the reference; reads every clip of the cohort."""
        session = self._session
        return references(session.cohort, session.rater) if session.cohort and session.rater else []

    def done(self) -> list[bool]:
        """Return which frames of the exercise are reviewed in every class."""
        return [tuple(f) in self._done for f in self.current.frames] if self.current else []

    def position(self) -> int | None:
        """Return the position of the frame on show in the exercise, or None."""
        session, current = self._session, self.current
        if current is None or session.clip is None:
            return None
        here = (session.clip.name, session.frame)
        return next((i for i, f in enumerate(current.frames) if tuple(f) == here), None)

    # ---- edits -----------------------------------------------------------------------------

    def begin(self, reference: str, n: int, seed: int | None = None) -> Exercise:
        """Begin an exercise of at most `n` frames and go to the first.

        Raises
        ------
        ValueError
            If there is no frame left, one is unfinished, or the person adjudicates.
        StoreError, OSError
            If something cannot be read or written.
        """
        session = self._session
        if session.cohort is None or not session.rater:
            raise ValueError("Open a study folder and choose a reader first.")
        if session.adjudicator:
            raise ValueError(
                "You are adjudicating: press Stop in the Review panel first. An exercise is read "
                "under your own name."
            )
        if self.current is not None:
            raise ValueError("An exercise is unfinished: finish it or discard it first.")
        seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        frames = choose_frames(session.cohort, reference, session.rater, n, seed)
        if not frames:
            raise ValueError(
                "You have marked every frame that this reference has reviewed: none is left "
                "for an exercise."
            )
        exercise = Exercise(begun=datetime.now(UTC), reference=reference, frames=tuple(frames))
        self._save((*self._record.exercises, exercise))
        self._done = set()
        self._announce()
        self.go(0)
        return exercise

    def go(self, position: int) -> None:
        """Show the frame at `position` of the exercise.

        Raises
        ------
        StoreError, ValueError
            If its clip cannot be opened.
        """
        session, current = self._session, self.current
        if current is None:
            return
        clip, frame = current.frames[position]
        if session.clip is None or session.clip.name != clip:
            session.open_clip(clip)
        session.frame = frame

    def next_open(self) -> int | None:
        """Return the position of the next frame to do after the one on show; None if all are."""
        done, here = self.done(), self.position()
        start = -1 if here is None else here
        order = [*range(start + 1, len(done)), *range(start + 1)]
        return next((i for i in order if not done[i]), None)

    def finish(self) -> Exercise:
        """Compare what is reviewed so far with the reference, and keep the result.

        Raises
        ------
        ValueError
            If there is no unfinished exercise, or not a single frame is reviewed.
        StoreError, OSError
            If something cannot be read or written, or the latest strokes are not stored yet.
        """
        session, current = self._session, self.current
        if current is None or session.cohort is None:
            raise ValueError("There is no unfinished exercise.")
        if not any(self.done()):
            raise ValueError(
                "Review at least one frame first: mark what you see, then mark it as reviewed."
            )
        if not session.flush():
            raise OSError("The latest strokes are not stored yet: try again in a moment.")
        frames = [f for f, done in zip(current.frames, self.done(), strict=True) if done]
        sums = score(session.cohort, current.reference, session.rater, frames)
        result = current.model_copy(
            update={
                "finished": datetime.now(UTC),
                "frames": tuple(frames),
                "pixels": {c: s[0].tolist() for c, s in sums.items()},
                "present": {c: s[1].tolist() for c, s in sums.items()},
            }
        )
        self._save((*self._record.exercises[:-1], result))
        self._announce()
        return result

    def discard(self) -> None:
        """Forget the unfinished exercise; what was marked stays marked."""
        if self.current is not None:
            self._save(self._record.exercises[:-1])
            self._announce()

    # ---- record --------------------------------------------------------------------------

    @property
    def _file(self) -> Path | None:
        session = self._session
        if session.cohort is None or not session.rater:
            return None
        return (
            state_folder() / "exercises" / session.cohort.meta.cohort_id / f"{session.rater}.json"
        )

    def _save(self, exercises: tuple[Exercise, ...]) -> None:
        file = self._file
        record = Record(exercises=exercises)
        if file is not None:
            record.save(file)
        self._record = record

    def _announce(self) -> None:
        self._session.access.begin_exercise(self.current is not None)
        self.changed.emit()

    def _on_reader(self, *_: object) -> None:
        file = self._file
        self._record = Record() if file is None else Record.load(file)
        self._done = set(self._read_done())
        self._announce()

    def _read_done(self) -> list[tuple[str, int]]:
        session, current = self._session, self.current
        if current is None or session.cohort is None:
            return []
        found = []
        there = set(session.cohort.clips())
        for name in {clip for clip, _ in current.frames} & there:
            clip = session.cohort.clip(name)
            if session.rater in clip.raters():
                status = clip.rater(session.rater).read_status()
                found += [(name, t) for c, t in current.frames if c == name and _all(status, t)]
        return found

    def _on_progress(self, *_: object) -> None:
        session, current = self._session, self.current
        if current is None:
            return
        if session.clip is not None:
            name = session.clip.name
            for clip, t in current.frames:
                if clip == name:
                    note = self._done.add if _all(session.status, t) else self._done.discard
                    note((clip, t))
        self.changed.emit()


def _all(status: NDArray[np.uint8], frame: int) -> bool:
    return frame < len(status) and bool((status[frame] == Status.REVIEWED).all())
