"""The calibration exercise of a session: begun, stepped through, left, gone on with, seen.

What was asked and how it came out is kept in the state folder, by cohort and reader. The marks are
ordinary marks of the reader, in the cohort.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import numpy as np
from psygnal import Signal
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_confseg.agreement.exercise import choose_frames, references, score
from napari_confseg.annotate.links import Links, telling
from napari_confseg.annotate.preferences import state_folder
from napari_confseg.store import Status

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.agreement.exercise import Reference
    from napari_confseg.annotate.session import Session

Counts = Annotated[list[int], Field(min_length=101, max_length=101)]


class Exercise(BaseModel):
    """One exercise: which frames, and the result once it is finished.

    Attributes
    ----------
    begun, finished : datetime
        `finished` is None while it is under way.
    reference : str
        Slug of who is held for right.
    frames : tuple of (str, int)
        Clips and frames.
    asked, right : dict of str to list of int
        By class and confidence 0..100: pixels, and those of them that are there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    begun: datetime
    finished: datetime | None = None
    reference: str
    frames: Annotated[tuple[tuple[str, int], ...], Field(min_length=1)]
    asked: dict[str, Counts] = {}
    right: dict[str, Counts] = {}

    def sums(self, class_name: str | None = None) -> NDArray[np.int64]:
        """Return ``int64 (2, 101)`` of one class, or of all together."""
        names = [class_name] if class_name else list(self.asked)
        total = np.zeros((2, 101), np.int64)
        for name in names:
            if name in self.asked:
                total += np.array([self.asked[name], self.right[name]])
        return total


class Record(BaseModel):
    """All exercises of one reader in one cohort, oldest first; at most the last is under way."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    exercises: tuple[Exercise, ...] = ()

    @classmethod
    def load(cls, file: Path) -> Record:
        """Return what was kept in `file`; a file that cannot be read counts as empty."""
        with suppress(OSError, ValueError, ValidationError):
            return cls.model_validate(json.loads(file.read_text("utf-8")))
        return cls()

    def save(self, file: Path) -> None:
        """Keep this, whole or not at all.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(self.model_dump_json(), "utf-8")
        partial.replace(file)


class CalibrationSession:
    """The exercises of the reader and cohort that a session has open.

    Attributes
    ----------
    changed : psygnal.Signal
        Something to show has changed.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._record = Record()
        self._done: set[tuple[str, int]] = set()
        events = session.events
        self._links = Links(
            (events.cohort, self._on_place),
            (events.rater, self._on_place),
            (events.clip, self._on_progress),
            (session.progress_changed, self._on_progress),
            (events.frame, self._on_progress),
            failed=telling(session),
        )
        self._on_place()

    def close(self) -> None:
        """Hear no more of the session, and let others be seen again."""
        self._links.cut()
        self._session.begin_exercise(False)

    # ---- what there is --------------------------------------------------------------------

    @property
    def current(self) -> Exercise | None:
        """The exercise under way."""
        latest = self._record.exercises[-1:]
        return latest[0] if latest and latest[0].finished is None else None

    @property
    def finished(self) -> list[Exercise]:
        """Exercises with a result, oldest first."""
        return [e for e in self._record.exercises if e.finished is not None]

    def references(self) -> list[Reference]:
        """Return who can be the reference; reads every clip of the cohort."""
        session = self._session
        return references(session.cohort, session.rater) if session.cohort and session.rater else []

    def done(self) -> list[bool]:
        """Return which of the frames asked are reviewed in every class."""
        return [tuple(f) in self._done for f in self.current.frames] if self.current else []

    def position(self) -> int | None:
        """Return which of the frames asked is on show; None if another is."""
        session, current = self._session, self.current
        if current is None or session.clip is None:
            return None
        here = (session.clip.name, session.frame)
        return next((i for i, f in enumerate(current.frames) if tuple(f) == here), None)

    # ---- edits -----------------------------------------------------------------------------

    def begin(self, reference: str, n: int, seed: int | None = None) -> Exercise:
        """Begin an exercise of `n` frames and go to the first.

        Raises
        ------
        ValueError
            If there is no frame to ask, or one is under way.
        StoreError, OSError
            If something cannot be read or kept.
        """
        session = self._session
        if session.cohort is None or not session.rater:
            raise ValueError("Open a cohort and choose a reader first.")
        if self.current is not None:
            raise ValueError("An exercise is under way: finish it, or drop it.")
        seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        frames = choose_frames(session.cohort, reference, session.rater, n, seed)
        if not frames:
            raise ValueError(
                "You have been on every frame that this reference has reviewed: "
                "there is none left to ask."
            )
        exercise = Exercise(begun=datetime.now(UTC), reference=reference, frames=tuple(frames))
        self._keep((*self._record.exercises, exercise))
        self._done = set()
        self._settle()
        self.go(0)
        return exercise

    def go(self, position: int) -> None:
        """Show the frame asked at `position`.

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
        """Compare with the reference what is reviewed so far, and keep the result.

        Raises
        ------
        ValueError
            If none is under way, or not a single frame is reviewed.
        StoreError, OSError
            If something cannot be read or kept, or the store has not got the latest strokes.
        """
        session, current = self._session, self.current
        if current is None or session.cohort is None:
            raise ValueError("No exercise is under way.")
        if not any(self.done()):
            raise ValueError(
                "Review at least one frame first: mark what you see on it, then say "
                "that it is reviewed."
            )
        if not session.flush():
            raise OSError("The store has not got the latest strokes yet: try again in a moment.")
        frames = [f for f, done in zip(current.frames, self.done(), strict=True) if done]
        sums = score(session.cohort, current.reference, session.rater, frames)
        result = current.model_copy(
            update={
                "finished": datetime.now(UTC),
                "frames": tuple(frames),
                "asked": {c: s[0].tolist() for c, s in sums.items()},
                "right": {c: s[1].tolist() for c, s in sums.items()},
            }
        )
        self._keep((*self._record.exercises[:-1], result))
        self._settle()
        return result

    def drop(self) -> None:
        """Forget the exercise under way; what was marked stays marked."""
        if self.current is not None:
            self._keep(self._record.exercises[:-1])
            self._settle()

    # ---- keeping --------------------------------------------------------------------------

    @property
    def _file(self) -> Path | None:
        session = self._session
        if session.cohort is None or not session.rater:
            return None
        return (
            state_folder() / "exercises" / session.cohort.meta.cohort_id / f"{session.rater}.json"
        )

    def _keep(self, exercises: tuple[Exercise, ...]) -> None:
        file = self._file
        record = Record(exercises=exercises)
        if file is not None:
            record.save(file)
        self._record = record

    def _settle(self) -> None:
        self._session.begin_exercise(self.current is not None)
        self.changed.emit()

    def _on_place(self, *_: object) -> None:
        file = self._file
        self._record = Record() if file is None else Record.load(file)
        self._done = set(self._read_done())
        self._settle()

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
                    keep = self._done.add if _all(session.status, t) else self._done.discard
                    keep((clip, t))
        self.changed.emit()


def _all(status: NDArray[np.uint8], frame: int) -> bool:
    return frame < len(status) and bool((status[frame] == Status.REVIEWED).all())
