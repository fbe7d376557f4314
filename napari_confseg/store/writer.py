"""The one writer of a rater's planes: commits at once, writes behind, undoes after a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from psygnal import Signal

from napari_confseg.store.acts import Act, pack
from napari_confseg.store.backend import place
from napari_confseg.store.backlog import Backlog, SaveState
from napari_confseg.store.journal import Entry, journal_folder, journal_path
from napari_confseg.store.problems import Problem, StoreError
from napari_confseg.store.tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store.about import About
    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.strokes import Stroke


class RaterWriter:
    """Writes one rater's planes, status and record on one clip. Use :meth:`open`.

    Acts are committed to the journal on the local disk; a thread brings them to the store.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted with the new :class:`SaveState`, **also from the write-behind thread**: connect
        with ``thread="main"`` or through a queued Qt signal, and never block in it.
    shape : tuple of int
        (T, C, Y, X).
    """

    changed = Signal(SaveState)

    def __init__(
        self,
        cohort: Cohort,
        clip: str,
        rater: str,
        label: str | None,
        adjudicator: str | None,
        journal: Path,
    ) -> None:
        there = cohort.clip(clip)
        t, y, x = there.shape
        self.shape = (t, len(cohort.meta.classes), y, x)
        self._backlog = Backlog(journal)
        self._lock = self._backlog.lock
        self._tenure = Tenure(cohort, there, rater, label, adjudicator, self._backlog, self._tell)
        self._last_state = SaveState()

    @classmethod
    def open(
        cls,
        cohort: Cohort,
        clip: str,
        rater: str,
        *,
        label: str | None = None,
        adjudicator: str | None = None,
        journal_root: Path | None = None,
    ) -> Self:
        """Open `rater` on `clip` for writing; never waits for another writer.

        Makes the rater if there is none, and brings to the store what the journal has beyond it.
        If another writer has it, the result is read-only and its state names the holder.

        Parameters
        ----------
        cohort : Cohort
            Where.
        clip, rater : str
            Slugs of an existing clip and of the rater, made as a human if missing.
        label : str, optional
            What people read as the name of a new rater.
        adjudicator : str, optional
            Who adjudicates: `rater` then is, or becomes, an adjudicated one.
        journal_root : Path, optional
            Where journals live; :func:`journal_folder` if not given.

        Raises
        ------
        StoreError
            If there is no such clip, something in the store breaks the contract, or `rater` is an
            adjudicated one and nobody adjudicates, or the reverse.
        """
        path = journal_path(
            journal_root or journal_folder(),
            cohort.meta.cohort_id,
            clip,
            rater,
            place(cohort.store),
        )
        writer = cls(cohort, clip, rater, label, adjudicator, path)
        try:
            writer.retry_lock()
        except BaseException:
            writer.abandon()
            raise
        return writer

    # -- becoming the writer

    def retry_lock(self) -> bool:
        """Try to become the writer; return whether it is so now.

        On success planes, status and strokes may have changed: load them again.
        """
        with self._lock:
            if self._tenure.held:
                return True
            self._tenure.ask()
        self._tell()
        return self._tenure.held

    # -- what is shown

    @property
    def state(self) -> SaveState:
        """What is safe now."""
        with self._lock:
            tenure, backlog = self._tenure, self._backlog
            return SaveState(
                saved_at=backlog.saved_at,
                waiting=len(backlog.pending) - backlog.unsaved,
                problem=tenure.problem,
                unsaved=backlog.unsaved,
                read_only=not tenure.held,
                holder=tenure.holder,
            )

    def _tell(self) -> None:
        with self._lock:
            state, last = self.state, self._last_state
            self._last_state = state
        if state != last:
            self.changed.emit(state)

    def load_planes(self, class_index: int) -> NDArray[np.uint8]:
        """Return the planes of a class, ``uint8 (T, Y, X)``: the store's and what still waits."""
        return self.load_each([class_index])[0]

    def load_each(self, class_indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return what :meth:`load_planes` does for several classes, with one look at the store."""
        with self._lock:  # before reading: what reaches the store meanwhile is applied twice
            waiting = list(self._backlog.pending)
        t, _, y, x = self.shape
        rater = self._tenure.rater
        planes = (
            [np.zeros((t, y, x), np.uint8) for _ in class_indices]
            if rater is None
            else rater.read_each(class_indices)
        )
        by_class = dict(zip(class_indices, planes, strict=True))
        for entry in waiting:
            for patch in entry.effect().patches:
                if patch.class_index in by_class:
                    patch.apply(by_class[patch.class_index][patch.frame])
        return planes

    def load_status(self) -> NDArray[np.uint8]:
        """Return the status, ``uint8 (T, C)``: the store's and what still waits."""
        with self._lock:
            waiting = list(self._backlog.pending)
        rater = self._tenure.rater
        status = np.zeros(self.shape[:2], np.uint8) if rater is None else rater.read_status()
        for entry in waiting:
            for change in entry.effect().status:
                status[change.frame, change.class_index] = change.after
        return status

    def strokes(self) -> list[Stroke]:
        """Return the record of strokes, oldest first, undone ones included."""
        with self._lock:
            strokes = self._backlog.history.strokes
            return [strokes[seq] for seq in sorted(strokes)]

    @property
    def about(self) -> About:
        """What the reader says of the clip as a whole: the store's and what still waits."""
        with self._lock:
            return self._backlog.about

    # -- acts

    def tell(self, **changes: object) -> About:
        """Change what the reader says of the clip as a whole; return all of it.

        It is in the journal when this returns, like a stroke, and follows to the store; a disk
        that takes neither loses these words only, never a stroke.

        Raises
        ------
        StoreError
            If another writer has this rater.
        ValueError
            If a field breaks its rule.
        """
        with self._lock:
            self._tenure.check()
            self._backlog.tell(changes)
            return self._backlog.about

    def commit(self, act: Act) -> Stroke:
        """Make `act` safe; return its line in the record.

        It is in the journal when this returns, unless ``state.unsaved`` counts it: then the
        journal's disk has refused, and it is kept in memory and tried again.

        Raises
        ------
        StoreError
            If another writer has this rater, or `act` does not fit the planes.
        """
        with self._lock:
            self._tenure.check()
            act.check(self.shape)
            history = self._backlog.history
            stroke = act.stroke(history.next_seq, datetime.now(UTC))
            i = history.next_id
            self._backlog.add(Entry(i, "act", i, stroke, pack(act)))
        self._tell()
        return stroke

    @property
    def can_undo(self) -> bool:
        """Whether there is an act to undo."""
        with self._lock:
            return self._tenure.behind is not None and bool(self._backlog.history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone act to redo."""
        with self._lock:
            return self._tenure.behind is not None and bool(self._backlog.history.undone)

    def undo(self) -> Act | None:
        """Undo the last act; return what to apply to planes and status in memory, or None."""
        return self._turn("undo")

    def redo(self) -> Act | None:
        """Redo the act undone last; return what to apply to planes and status, or None."""
        return self._turn("redo")

    def _turn(self, kind: Literal["undo", "redo"]) -> Act | None:
        with self._lock:
            history = self._backlog.history
            stack = history.done if kind == "undo" else history.undone
            if not stack or self._tenure.behind is None:
                return None
            act = self._backlog.find(stack[-1])
            entry = Entry(history.next_id, kind, act.act_id, act.stroke, act.data)
            self._backlog.add(entry)
        self._tell()
        return entry.effect()

    # -- leaving

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until all is in the store; return whether it is."""
        behind = self._tenure.behind
        return self._backlog.idle if behind is None else behind.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Bring what waits to the store, if it answers in time, and let others write.

        What still waits then stays in the journal for the next opening.

        Raises
        ------
        StoreError
            If neither journal nor store could take some acts; the writer stays open.
        """
        self.flush(timeout)
        if self._tenure.behind is not None and self._backlog.unsaved:
            raise StoreError(
                Problem("unsaved", self._tenure.path, "a journal or store that can be written",
                        self._backlog.problem or "none", "Free some disk space and close again.")
            )  # fmt: skip
        self.abandon()

    def abandon(self) -> None:
        """Stop at once and let others write; what is in the journal stays there."""
        self._tenure.end()
        self._backlog.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()
