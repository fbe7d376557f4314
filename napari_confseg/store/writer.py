"""The one writer of a rater's planes: commits at once, writes behind, undoes after a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from psygnal import Signal

from napari_confseg.store.backend import KeyValueStore, place
from napari_confseg.store.clip_notes import ClipNotes
from napari_confseg.store.conflict import rebased, set_aside
from napari_confseg.store.edits import Edit, pack
from napari_confseg.store.errors import Problem, StoreError, sentence
from napari_confseg.store.identity import Identity, check_same_kind
from napari_confseg.store.journal import journal_folder, journal_path
from napari_confseg.store.lease import Holder, Lease
from napari_confseg.store.packed_planes import PackedPlanes
from napari_confseg.store.pending import PendingEdits, SaveState
from napari_confseg.store.program_writer import ProgramWriter
from napari_confseg.store.record import Line, sweep_partials
from napari_confseg.store.view import State
from napari_confseg.store.write_behind import WriteBehind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store.clip import Clip
    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.conflict import Choice, Conflict
    from napari_confseg.store.rater import Rater
    from napari_confseg.store.rater_kinds import RaterKind
    from napari_confseg.store.record import Entry
    from napari_confseg.store.schema import Imported, RaterMeta
    from napari_confseg.store.strokes import Stroke


class WriteAccess:
    """Who writes a rater's planes on a clip: we, as long as the lease is ours.

    Guarded by the pending_edits's lock, which whoever calls must hold.

    Parameters
    ----------
    cohort, clip : Cohort, Clip
        Where.
    rater : str
        Slug; made when we become the first to write it.
    identity : Identity
        Who or what writes: a rater of that name that is something else is refused.
    pending_edits : PendingEdits
        What is not in the store yet.
    emit_state : callable
        Called, from the write-behind thread too, when something to show may have changed.

    Attributes
    ----------
    path : str
        Of the rater in the cohort.
    rater : Rater or None
        What is in the store; None until there is such a rater.
    behind : WriteBehind or None
        Brings the pending_edits to the store; None unless we have become the writer.
    may_pass : bool
        Whether we were refused for what may pass by itself, as a full disk does.
    line : Line
        The record as we found it in the store.
    """

    def __init__(
        self,
        cohort: Cohort,
        clip: Clip,
        rater: str,
        identity: Identity,
        pending_edits: PendingEdits,
        emit_state: Callable[[], None],
    ) -> None:
        self._cohort, self._clip, self._name = cohort, clip, rater
        self._identity = identity
        self._pending_edits, self._emit_state = pending_edits, emit_state
        self.path = f"{clip.name}/raters/{rater}"
        self.rater: Rater | None = None
        self.behind: WriteBehind | None = None
        self.line = Line()
        self._lease = Lease(KeyValueStore(cohort.store), self.path)
        self._holder: Holder | None = None
        self._refusal: str | None = None
        self.may_pass = False

    @property
    def held(self) -> bool:
        """Whether we may write now."""
        return self._lease.held

    @property
    def holder(self) -> Holder | None:
        """Who writes instead of us."""
        return self._holder or (None if self.behind is None else self.behind.lost_to)

    @property
    def taken_over(self) -> bool:
        """Whether the holder has taken over from us."""
        return self.behind is not None and self.behind.lost_to is not None

    @property
    def problem(self) -> str | None:
        """Why nothing can be written or brought to the store, the gravest first."""
        behind = self.behind
        away = [] if behind is None else [behind.problem, behind.silence]
        return next((t for t in (self._refusal, *away, self._pending_edits.problem) if t), None)

    def ask(self) -> None:
        """Try to become the writer; what could not be saved yet is saved first, or kept."""
        self._holder = self._refusal = None
        self.may_pass = False
        # What could not be saved yet would be forgotten by loading anew.
        if self._pending_edits.save():
            self._try_to_hold()

    def check(self) -> None:
        """Refuse unless we have become the writer.

        Having been it is enough: should another have taken over since, the journal still keeps
        what is committed until we write again.

        Raises
        ------
        StoreError
            If another writer has this rater.
        """
        conflict = self._pending_edits.conflict
        if conflict is not None:
            raise StoreError(
                Problem(
                    "conflict",
                    self.path,
                    conflict.sentence,
                    hint="Decide first which of them to keep.",
                )
            )
        if self.behind is None:
            raise StoreError(self._read_only())

    def _read_only(self) -> Problem:
        holder = self.holder
        return Problem(
            "read-only",
            self.path,
            holder.refusal if holder else f"Read-only: {self._refusal or 'the clip is closed'}",
            hint="Wait until it is free, or paint under another name.",
        )

    def end(self) -> None:
        """Stop bringing anything to the store, and let others write."""
        if self.behind is not None:
            self.behind.stop()
            self.behind = None

    def _try_to_hold(self) -> None:
        if self.behind is not None:  # what it was taken over from is done with
            self.behind.stop()
            self.behind = None
        try:
            self._load_rater(create=False)
            if self._cohort.store.read_only:
                self._refusal = f"{self._cohort.location} was opened for reading only"
            elif not self._pending_edits.open(self._read_line()):
                self._holder = self._lease.seen()
            else:
                self._holder = self._lease.acquire()
            if self._lease.held:
                self._load_rater(create=True)
            self._load_pending_edits()
        except StoreError:
            self._lease.release()
            raise
        # Whatever a store may raise when it can't be written: we are a reader then, and say why.
        except Exception as error:
            self._lease.release()
            self._refusal = f"{self._cohort.location} can't be written: {sentence(error)}"
            self.may_pass = True
            self._load_pending_edits()
        if self._lease.held and self.rater is not None:
            self.behind = WriteBehind(
                self._pending_edits,
                self._lease,
                self.rater,
                self.line,
                self._cohort.location,
                self._emit_state,
            )

    def _read_line(self) -> Line:
        return Line() if self.rater is None else self.rater.record.read()

    def _load_rater(self, *, create: bool) -> None:
        if self._name in self._clip.raters():
            before, self.rater = self.rater, self._clip.rater(self._name)
            if before is not None:
                self.rater.record = before.record  # what it has read need not be read again
            check_same_kind(self._clip.name, self.rater, self._identity.kind)
        elif create:
            me = self._identity
            self.rater = self._clip.create_rater(
                self._name,
                kind=me.kind,
                label=me.label,
                adjudicator=me.adjudicator,
                imported=me.imported,
            )

    def _load_pending_edits(self) -> None:
        # After the lease: whoever had it before us either sees our claim, or we see its segment.
        self.line = self._read_line()
        notes = ClipNotes() if self.rater is None else self.rater.read_clip_notes()
        become = self._lease.session if self._lease.held else None
        self._pending_edits.load(self.line, notes, become)

    def decide(self, choice: Choice) -> None:
        """Decide the conflict; see :meth:`RaterWriter.decide`."""
        conflict, rater = self._pending_edits.conflict, self.rater
        if conflict is None or rater is None:
            raise StoreError(Problem("no-conflict", self.path, "There is nothing to decide"))
        if self.behind is None or self.taken_over:
            raise StoreError(self._read_only())
        seconds = self._unfinished_seconds()
        for name in seconds:  # of an earlier try
            sweep_partials(KeyValueStore(self._cohort.store), f"{self._clip.name}/raters/{name}")
        state = state_of(rater)
        if choice == "mine":
            entries = rebased(conflict.entries, state)
        else:
            if choice == "both":
                self._keep_as_second(conflict.entries, state, seconds)
            entries = set_aside(conflict.entries)
        self._pending_edits.decide(entries, self.line.tip)

    def _keep_as_second(
        self, entries: Sequence[Entry], state: State, unfinished: dict[str, str]
    ) -> None:
        """Give `entries` on top of what is stored to a second rater, an unfinished one if any."""
        if not any(entry.stroke is not None for entry in rebased(entries, state)):
            return
        taken = set(self._clip.raters())
        free = (n for n in range(2, 1000) if f"{self._name}-{n}" not in taken)
        name, label = next(iter(unfinished.items()), None) or self._second(next(free))
        identity = replace(self._identity, label=label)
        with ProgramWriter(self._clip, name, identity) as second:
            with second.bulk() as write:
                for (frame, class_index), plane in state.planes.items():
                    write(frame, class_index, plane)
            second.write_status(state.status)

    def _second(self, number: int) -> tuple[str, str]:
        """Return name and label of a second rater."""
        return f"{self._name}-{number}", f"{self._identity.label or self._name} ({number})"

    def _unfinished_seconds(self) -> dict[str, str]:
        """Return label by name of second raters that a crash left without status, which is last."""
        taken, found = set(self._clip.raters()), {}
        for number in range(2, 2 + len(taken)):
            name, label = self._second(number)
            if name in taken:
                rater = self._clip.rater(name)
                ours = rater.meta.label == label and rater.meta.kind == self._identity.kind
                if ours and rater.record.names().tip is None and not rater.read_status().any():
                    found[name] = label
        return found


def state_of(rater: Rater, report: Callable[[int, int], object] = lambda *_: None) -> State:
    """Return planes, status and notes of `rater`, whole, in memory."""
    state = State(rater.shape)
    chunks = list(rater.stored_chunks())
    for done, (frame, class_index) in enumerate(chunks):
        report(done, len(chunks))
        state.planes[frame, class_index] = rater.read_plane(frame, class_index)
    state.status, state.notes = rater.read_status(), rater.read_clip_notes()
    return state


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
        state = state_of(rater, report)
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
