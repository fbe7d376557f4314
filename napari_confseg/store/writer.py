"""The one writer of a rater's planes: commits at once, writes behind, undoes after a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from psygnal import Signal

from napari_confseg.store.backend import place
from napari_confseg.store.conflict import rebased
from napari_confseg.store.edits import Edit, pack
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.identity import Identity
from napari_confseg.store.journal import journal_folder, journal_path
from napari_confseg.store.packed_planes import PackedPlanes
from napari_confseg.store.pending import PendingEdits, SaveState
from napari_confseg.store.write_access import WriteAccess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store.clip_notes import ClipNotes
    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.conflict import Choice, Conflict
    from napari_confseg.store.rater_kinds import RaterKind
    from napari_confseg.store.schema import Imported, RaterMeta
    from napari_confseg.store.strokes import Stroke
    from napari_confseg.store.view import State


class RaterWriter:
    """Writes one rater's planes, status and record on one clip. Use :meth:`open`.

    Edits are committed to the journal on the local disk; a thread brings them to the store.

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
        identity: Identity,
        journal: Path,
    ) -> None:
        there = cohort.clip(clip)
        t, y, x = there.shape
        self.shape = (t, len(cohort.meta.classes), y, x)
        self._pending_edits = PendingEdits(journal)
        self._lock = self._pending_edits.lock
        self._write_access = WriteAccess(
            cohort, there, rater, identity, self._pending_edits, self._emit_state
        )
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
        kind: RaterKind | None = None,
        imported: Imported | None = None,
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
            Slugs of an existing clip and of the rater, made if missing.
        label : str, optional
            What people read as the name of a new rater.
        adjudicator : str, optional
            Who adjudicates: `rater` then is, or becomes, an adjudicated one.
        kind : str, optional
            What `rater` is, or becomes: key of :data:`~napari_confseg.store.RATER_KINDS`. A human
            if not given, or adjudicated if somebody adjudicates.
        imported : Imported, optional
            For planes that come from a file: which format, and who made them.
        journal_root : Path, optional
            Where journals live; :func:`journal_folder` if not given.

        Raises
        ------
        StoreError
            If there is no such clip, something in the store breaks the contract, or `rater` is of
            another kind.
        """
        path = journal_path(
            journal_root or journal_folder(),
            cohort.meta.cohort_id,
            clip,
            rater,
            place(cohort.store),
        )
        identity = Identity(
            kind or ("adjudicated" if adjudicator else "human"),
            label,
            adjudicator,
            imported=imported,
        )
        writer = cls(cohort, clip, rater, identity, path)
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
            if self._write_access.held:
                return True
            self._write_access.ask()
        self._emit_state()
        return self._write_access.held

    # -- what is shown

    @property
    def state(self) -> SaveState:
        """What is safe now."""
        with self._lock:
            write_access, pending_edits = self._write_access, self._pending_edits
            return SaveState(
                saved_at=pending_edits.saved_at,
                waiting=len(pending_edits.pending) - pending_edits.unsaved,
                problem=write_access.problem,
                unsaved=pending_edits.unsaved,
                read_only=not write_access.held or pending_edits.conflict is not None,
                holder=write_access.holder,
                taken_over=write_access.taken_over,
                may_pass=write_access.may_pass,
                conflict=pending_edits.conflict,
            )

    def _emit_state(self) -> None:
        with self._lock:
            state, last = self.state, self._last_state
            self._last_state = state
        if state != last:
            self.changed.emit(state)

    def load_planes(self, class_index: int) -> NDArray[np.uint8]:
        """Return the planes of a class, ``uint8 (T, Y, X)``: the store's and what still waits."""
        return np.asarray(self.load_packed([class_index])[0])

    def load_packed(self, class_indices: Sequence[int]) -> list[PackedPlanes]:
        """Return the planes of the classes `class_indices`, compressed: see :meth:`load_planes`."""
        with self._lock:  # before reading: what reaches the store meanwhile is applied twice
            waiting = list(self._pending_edits.pending)
        t, _, y, x = self.shape
        rater = self._write_access.rater
        planes = (
            [PackedPlanes((t, y, x)) for _ in class_indices]
            if rater is None
            else rater.read_packed(class_indices)
        )
        by_class = dict(zip(class_indices, planes, strict=True))
        for edit in filter(None, (entry.effect() for entry in waiting)):
            for patch in edit.patches:
                if patch.class_index in by_class:
                    by_class[patch.class_index].apply(patch)
        return planes

    def load_status(self) -> NDArray[np.uint8]:
        """Return the status, ``uint8 (T, C)``: the store's and what still waits."""
        with self._lock:
            waiting = list(self._pending_edits.pending)
        rater = self._write_access.rater
        status = np.zeros(self.shape[:2], np.uint8) if rater is None else rater.read_status()
        for edit in filter(None, (entry.effect() for entry in waiting)):
            for change in edit.status:
                status[change.frame, change.class_index] = change.after
        return status

    def strokes(self) -> list[Stroke]:
        """Return the record of strokes, oldest first, undone ones included."""
        with self._lock:
            return list(self._pending_edits.history.strokes.values())

    @property
    def meta(self) -> RaterMeta | None:
        """Who the rater is; None as long as there is none in the store."""
        rater = self._write_access.rater
        return None if rater is None else rater.meta

    @property
    def clip_notes(self) -> ClipNotes:
        """The reader's notes on the clip: the store's with pending changes."""
        with self._lock:
            return self._pending_edits.notes

    # -- edits

    def change_notes(self, **changes: object) -> ClipNotes:
        """Change the reader's notes on the clip; return all of them.

        It is in the journal when this returns, like a stroke, and follows to the store; a disk
        that takes neither loses this change only, never a stroke.

        Raises
        ------
        StoreError
            If another writer has this rater.
        ValueError
            If a field breaks its rule.
        """
        with self._lock:
            self._write_access.check()
            self._pending_edits.change_notes(changes)
            return self._pending_edits.notes

    def commit(self, edit: Edit) -> Stroke:
        """Make `edit` safe; return its line in the record.

        It is in the journal when this returns, unless ``state.unsaved`` counts it: then the
        journal's disk has refused, and it is kept in memory and tried again.

        Raises
        ------
        StoreError
            If another writer has this rater, or `edit` does not fit the planes.
        """
        with self._lock:
            self._write_access.check()
            edit.check(self.shape)
            history = self._pending_edits.history
            stroke = edit.stroke(history.next_seq, datetime.now(UTC))
            self._pending_edits.commit("edit", stroke, pack(edit))
        self._emit_state()
        return stroke

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo."""
        with self._lock:
            return self._write_access.behind is not None and bool(self._pending_edits.history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit to redo."""
        with self._lock:
            return self._write_access.behind is not None and bool(
                self._pending_edits.history.undone
            )

    def undo(self) -> Edit | None:
        """Undo the last edit; return what to apply to planes and status in memory, or None."""
        return self._turn("undo")

    def redo(self) -> Edit | None:
        """Redo the edit undone last; return what to apply to planes and status, or None."""
        return self._turn("redo")

    def _turn(self, kind: Literal["undo", "redo"]) -> Edit | None:
        with self._lock:
            history = self._pending_edits.history
            stack = history.done if kind == "undo" else history.undone
            if not stack or self._write_access.behind is None or self._pending_edits.conflict:
                return None
            edit = history.edits[stack[-1]]
            entry = self._pending_edits.commit(kind, edit.about(), edit.data, edit.id)
        self._emit_state()
        return entry.effect()

    # -- conflicts

    @property
    def conflict(self) -> Conflict | None:
        """Older strokes that met newer ones of somebody else; None if there is nothing to decide.

        They are safe, and not applied. Until a person has decided, nothing can be committed.
        """
        with self._lock:
            return self._pending_edits.conflict

    def load_contested(self, report: Callable[[int, int], object] = lambda *_: None) -> State:
        """Return planes, status and notes as they would be with the older strokes on top.

        `report` is called with (planes read, planes).

        Raises
        ------
        StoreError
            If there is no conflict, or the planes cannot be read.
        """
        with self._lock:
            conflict, rater = self._pending_edits.conflict, self._write_access.rater
        if conflict is None or rater is None:
            raise StoreError(
                Problem("no-conflict", self._write_access.path, "There is nothing to decide")
            )
        state = rater.read_state(report)
        rebased(conflict.entries, state)
        return state

    def decide(self, choice: Choice) -> None:
        """Decide the conflict.

        Parameters
        ----------
        choice : {"mine", "theirs", "both"}
            ``"mine"`` puts the older strokes on top of the newer ones; ``"theirs"`` keeps them in
            the record without effect, where ``confseg history`` finds them; ``"both"`` does that
            and gives them, on top of what is stored, to a second rater.

        Raises
        ------
        StoreError
            If there is nothing to decide, or the store can't be written.
        """
        with self._lock:
            self._write_access.decide(choice)
        self._emit_state()

    # -- leaving

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until all is in the store; return whether it is."""
        behind = self._write_access.behind
        return self._pending_edits.idle if behind is None else behind.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Bring what waits to the store within `timeout` seconds, and let others write.

        What still waits then stays in the journal for the next opening.

        Raises
        ------
        StoreError
            If neither journal nor store could take some edits; the writer stays open.
        """
        self.flush(timeout)
        if self._write_access.behind is not None and self._pending_edits.unsaved:
            raise StoreError(
                Problem(
                    "unsaved",
                    self._write_access.path,
                    self._pending_edits.problem or "Some edits could not be saved",
                    hint="Free some disk space and close again.",
                )
            )
        self.abandon()

    def abandon(self) -> None:
        """Stop at once and let others write; what is in the journal stays there."""
        self._write_access.end()
        self._pending_edits.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()
