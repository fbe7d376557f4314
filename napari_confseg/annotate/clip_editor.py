"""Planes, review status and strokes of one rater on the open clip."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakMethod

import numpy as np
from psygnal import Signal

from napari_confseg.annotate.save_state import why_read_only
from napari_confseg.store import Edit, Patch, Problem, Status, StatusChange, StoreError
from napari_confseg.store.errors import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import (
        Choice,
        ClassSpec,
        PackedPlanes,
        RaterMeta,
        RaterWriter,
        SaveState,
        Stroke,
    )
    from napari_confseg.store.view import State


def without_idle(edit: Edit) -> Edit:
    """Return `edit` without what it leaves as it is."""
    patches = tuple(p for p in edit.patches if p.changes.pixels)
    status = tuple(s for s in edit.status if s.before != s.after)
    if (len(patches), len(status)) == (len(edit.patches), len(edit.status)):
        return edit
    return replace(edit, patches=patches, status=status)


_AsRead = tuple["list[PackedPlanes]", "NDArray[np.uint8]", "list[Stroke]"]


def _read(writer: RaterWriter, classes: Sequence[ClassSpec]) -> _AsRead:
    """Return planes by class, status and strokes; in any thread."""
    planes = writer.load_packed([c.index for c in classes])
    return planes, writer.load_status(), list(writer.strokes())


class Decision:
    """The work of deciding a conflict: :meth:`make` writes and reads, in any thread.

    Parameters
    ----------
    writer : RaterWriter
        Whose conflict it is.
    classes : sequence of ClassSpec
        Whose planes are read anew.
    choice : {"mine", "theirs", "both"}
        See :meth:`~napari_confseg.store.RaterWriter.decide`.

    Attributes
    ----------
    choice : {"mine", "theirs", "both"}
        As given.
    made : bool
        Whether it is decided.
    read : tuple or None
        Planes, status and strokes as they are then; None before.
    """

    def __init__(self, writer: RaterWriter, classes: Sequence[ClassSpec], choice: Choice) -> None:
        self._writer, self._classes, self.choice = writer, classes, choice
        self.made = False
        self.read: _AsRead | None = None

    def make(self) -> None:
        """Decide, and read anew.

        Raises
        ------
        StoreError
            If there is nothing to decide, or nothing can be written: then nothing is decided. If
            it can't be read anew, what was shown before is out of date.
        """
        try:
            self._writer.decide(self.choice)
        except (OSError, sqlite3.Error) as error:  # of the store, or of the journal
            raise StoreError(
                Problem(
                    "unsaved",
                    "the decision",
                    f"It can't be written: {sentence(error)}",
                    hint="Nothing is decided yet: try again when it can.",
                )
            ) from error
        self.made = True
        self.read = _read(self._writer, self._classes)


class ClipEditor:
    """Edits one rater's planes, one clip at a time; every edit is saved as it is made.

    Without an open clip there are no planes, and every edit is refused.
    """

    planes_changed: ClassVar[Signal] = Signal(tuple)
    """((class name, frame), ...) that changed other than by the view's own painting."""
    progress_changed: ClassVar[Signal] = Signal()
    """Status, marks or strokes changed."""
    edited: ClassVar[Signal] = Signal(Edit)
    """An edit is in the planes and saved: made, undone (then as its inverse) or redone."""
    replayed: ClassVar[Signal] = Signal(Edit)
    """An edit was undone or redone; comes before `planes_changed`."""
    save_state_changed: ClassVar[Signal] = Signal()
    """`save_state` is another; always emitted in the main thread."""
    refused: ClassVar[Signal] = Signal(str)
    """An edit was refused; emitted with the reason."""

    def __init__(self) -> None:
        self._writer: RaterWriter | None = None
        self._on_change: Callable[[SaveState], None] | None = None
        self._stroking: Callable[[], bool] | None = None
        self._announce_soon: Callable[[], object] | None = None
        self._unannounced: list[Edit] = []
        self._forget()

    def _forget(self) -> None:
        self._writer = None
        self._decision: Decision | None = None
        self._classes: tuple[ClassSpec, ...] = ()
        self.planes: dict[str, PackedPlanes] = {}
        """By class name, ``uint8 (T, Y, X)``; views share these and paint in them."""
        self.status: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        """:class:`~napari_confseg.store.Status` of every frame and class, ``uint8 (T, C)``."""
        self.marked: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)
        """Which planes of which frames have a mark, ``bool (T, C)``."""
        self.strokes: list[Stroke] = []
        """Oldest first, those undone among them."""

    # ---- opening and closing --------------------------------------------------------------

    def open(self, writer: RaterWriter, classes: Sequence[ClassSpec]) -> None:
        """Take the planes of `writer`, which :meth:`close` closes.

        Raises
        ------
        StoreError
            If a plane cannot be read; then `writer` is still the caller's to close.
        """
        self._load(writer, classes)
        self._writer = writer
        self._follow(writer)

    def reload(self) -> None:
        """Take planes, status and strokes of the open writer anew.

        Raises
        ------
        StoreError
            If a plane cannot be read; what is here is then out of date.
        """
        self._load(self._open_writer(), self._classes)

    def _load(self, writer: RaterWriter, classes: Sequence[ClassSpec]) -> None:
        self._take(classes, _read(writer, classes))

    def _take(self, classes: Sequence[ClassSpec], read: _AsRead) -> None:
        planes, status, strokes = read
        self._classes = tuple(classes)
        self.planes = dict(zip([c.name for c in classes], planes, strict=True))
        self.status, self.strokes = status, strokes
        touched = status != Status.UNTOUCHED
        for stroke in strokes:
            touched[stroke.frame, stroke.class_index] = True
        self.marked = np.zeros_like(touched)
        for t, c in np.argwhere(touched):  # what nobody touched has no mark
            self.marked[t, c] = planes[c].is_marked(int(t))

    def _follow(self, writer: RaterWriter) -> None:
        # psygnal raises where a queued call finds its owner gone; here that is no error.
        weak = WeakMethod(self._on_save_state)

        def on_change(state: SaveState) -> None:
            alive = weak()
            if alive is not None:
                alive(state)

        # From the write-behind thread into the main one, where views live.
        writer.changed.connect(on_change, thread="main")
        self._on_change = on_change

    def _on_save_state(self, _state: SaveState) -> None:
        # Calls from the other thread come late: what counts is the state now.
        if self._writer is None:
            return
        if self._announce_soon is None:
            self.save_state_changed.emit()
        else:
            self._announce_soon()

    def close(self) -> None:
        """Let go of the planes; edits on their way to the store stay in the journal.

        Raises
        ------
        StoreError
            If there are edits that no disk could take yet; all stays open.
        """
        if self._writer is not None:
            self.announce()
            self._writer.close()
            self._let_go(self._writer)

    def abandon(self) -> None:
        """Let go of the planes at once, although edits may not be saved."""
        if self._writer is not None:
            self.announce()
            self._writer.abandon()
            self._let_go(self._writer)

    def _let_go(self, writer: RaterWriter) -> None:
        if self._on_change is not None:
            writer.changed.disconnect(self._on_change)
            self._on_change = None
        self._forget()

    def retry_lock(self) -> bool:
        """Try to become the writer of planes opened read-only; return whether it worked.

        Then planes, status and strokes are to be taken anew (:meth:`reload`).
        """
        return self._writer is not None and self._writer.retry_lock()

    def load_contested(self, report: Callable[[int, int], object] = lambda *_: None) -> State:
        """Return planes and status with the strokes in conflict on top; in any thread.

        Parameters
        ----------
        report : callable
            Called with (planes read, planes).

        Raises
        ------
        StoreError
            If there are none, or something can't be read.
        """
        return self._open_writer().load_contested(report)

    def deciding(self, choice: Choice) -> Decision:
        """Return the work of deciding the conflict; nothing can be painted until it is finished.

        See :meth:`~napari_confseg.store.RaterWriter.decide`.

        Raises
        ------
        ValueError
            If no clip is open.
        """
        self._decision = Decision(self._open_writer(), self._classes, choice)
        return self._decision

    def finish_deciding(self, decision: Decision) -> bool:
        """Take planes, status and strokes as they are after `decision`, if it was made.

        Returns
        -------
        bool
            Whether they were taken: not if another clip is open by now.
        """
        if self._decision is not decision:
            return False
        self._decision = None
        if decision.read is not None:
            self._take(self._classes, decision.read)
        return decision.read is not None

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until the store has every edit; False if it has not within `timeout` seconds."""
        return self._writer is None or self._writer.flush(timeout)

    # ---- how things stand -----------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there are planes."""
        return self._writer is not None

    @property
    def save_state(self) -> SaveState | None:
        """What is saved, and where; None if no clip is open."""
        return None if self._writer is None else self._writer.state

    @property
    def meta(self) -> RaterMeta | None:
        """Who the rater is; None as long as there is none in the store."""
        return None if self._writer is None else self._writer.meta

    @property
    def writable(self) -> bool:
        """Whether the planes are ours to paint."""
        writer = self._writer
        return writer is not None and self._decision is None and not writer.state.read_only

    @property
    def why_read_only(self) -> str:
        """Why nothing can be painted, in a sentence; empty if it can."""
        if self._decision is not None:
            return "Nothing can be painted until the decision is stored and read anew."
        return why_read_only(self.save_state)

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo, of this sitting or an earlier one."""
        return self._may_replay() and self._open_writer().can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit to redo."""
        return self._may_replay() and self._open_writer().can_redo

    def refuse_undo_while(self, stroking: Callable[[], bool]) -> None:
        """Let undo and redo do nothing while `stroking`: a stroke under way is not saved yet."""
        self._stroking = stroking

    def _may_replay(self) -> bool:
        return self.writable and not (self._stroking and self._stroking())

    def _open_writer(self) -> RaterWriter:
        if self._writer is None:
            raise ValueError("open a clip first")
        return self._writer

    def plane(self, class_index: int, frame: int) -> NDArray[np.uint8]:
        """Return one plane of one frame, ``uint8 (Y, X)``, read-only."""
        plane: NDArray[np.uint8] = self.planes[self._classes[class_index].name][frame]
        return plane

    def peek(self, class_index: int, frame: int) -> NDArray[np.uint8]:
        """Return a plane as :meth:`plane` does, where many are looked at, each once."""
        return self.planes[self._classes[class_index].name].peek(frame)

    def set_plane(self, class_index: int, frame: int, plane: NDArray[np.uint8]) -> None:
        """Put `plane` there for a look: it is not saved."""
        self.planes[self._classes[class_index].name][frame] = plane

    # ---- edits ----------------------------------------------------------------------------

    def commit(
        self, edit: Edit, *, painted: bool = False, locked: Collection[str] = ()
    ) -> Stroke | None:
        """Apply `edit` to the planes and save it; it is safe when this returns.

        The first mark on a plane also puts its status to "in progress".

        Parameters
        ----------
        edit : Edit
            What changes.
        painted : bool
            The view has painted it already: it is saved only, or taken back if it is refused.
        locked : collection of str
            Classes that it must not change.

        Returns
        -------
        Stroke or None
            None if it is refused: read-only, a locked class, more than an edit can hold, or nothing
            would change. What changes nothing is not stored: undo would seem dead.
        """
        edit = without_idle(edit)
        reason = self._why_not(edit, locked)
        if not reason:
            try:
                stroke = self._save(edit, painted=painted)
            except StoreError as error:
                reason = str(error.problems[0])
        if reason:
            if painted and self.is_open:
                self._apply(edit.inverted().patches)
                self._emit_planes(edit)
            self.refused.emit(reason)
            return None
        if not painted:
            self._emit_planes(edit)
        return stroke

    def _why_not(self, edit: Edit, locked: Collection[str]) -> str:
        if not self.writable:
            return self.why_read_only
        if not (edit.patches or edit.status or edit.decision):
            return "Nothing changed: it was so already."
        for patch in edit.patches:
            spec = self._classes[patch.class_index]
            if spec.name in locked:
                return f"{spec.label} is locked: nothing was changed."
        return ""

    def _save(self, edit: Edit, *, painted: bool = False) -> Stroke:
        stated = {(s.frame, s.class_index) for s in edit.status}
        begun = tuple(
            StatusChange(p.frame, p.class_index, Status.UNTOUCHED, Status.IN_PROGRESS)
            for p in edit.patches
            if self.status[p.frame, p.class_index] == Status.UNTOUCHED
            and (p.frame, p.class_index) not in stated
        )
        whole = replace(edit, status=(*edit.status, *begun))
        stroke = self._open_writer().commit(whole)
        if not painted:
            self._apply(edit.patches)
        self._follow_up(whole)
        self._unannounced.append(edit)
        if not painted or self._announce_soon is None:
            self.announce()
        else:
            self._announce_soon()
        return stroke

    def undo(self) -> Edit | None:
        """Undo the latest edit and return what that changed; None if there is none."""
        return self._replay(self._open_writer().undo()) if self.can_undo else None

    def redo(self) -> Edit | None:
        """Redo the edit undone last and return it; None if there is none."""
        return self._replay(self._open_writer().redo()) if self.can_redo else None

    def _replay(self, edit: Edit | None) -> Edit | None:
        if edit is not None:
            if self._unannounced:
                self.announce()
            self._apply(edit.patches)
            self._follow_up(edit)
            self.replayed.emit(edit)
            self._emit_planes(edit)
            self._unannounced.append(edit)
            self.announce()
        return edit

    def mark_reviewed(
        self, frame: int | range, class_index: int | None = None, *, reviewed: bool = True
    ) -> Stroke | None:
        """Mark `frame` reviewed: what is not marked there, is absent. A range is one edit.

        Parameters
        ----------
        frame : int or range
            The frame, or several.
        class_index : int, optional
            One class; all classes if not given.
        reviewed : bool
            False puts it back to "in progress" where marked, else to "untouched".

        Returns
        -------
        Stroke or None
            None if nothing changes or it is refused.
        """
        if not self.writable:
            self.refused.emit(self.why_read_only)
            return None
        changes = []
        classes = range(len(self._classes)) if class_index is None else [class_index]
        for t, c in product([frame] if isinstance(frame, int) else frame, classes):
            begun = Status.IN_PROGRESS if self.marked[t, c] else Status.UNTOUCHED
            after = Status.REVIEWED if reviewed else begun
            before = int(self.status[t, c])
            if before != after and (reviewed or before == Status.REVIEWED):
                changes.append(StatusChange(t, c, before, int(after)))
        if not changes:
            return None
        first = changes[0]
        return self._save(Edit((), 0, "status", first.class_index, first.frame, tuple(changes)))

    def _apply(self, patches: Iterable[Patch]) -> None:
        for patch in patches:
            self.planes[self._classes[patch.class_index].name].add(patch)

    def _follow_up(self, edit: Edit) -> None:
        for change in edit.status:
            self.status[change.frame, change.class_index] = change.after
        for patch in edit.patches:
            # To look at the whole plane would be a third of what the end of a stroke takes.
            self.marked[patch.frame, patch.class_index] = patch.gain > 0 or self.planes[
                self._classes[patch.class_index].name
            ].is_marked(patch.frame)
        self.strokes = self._open_writer().strokes()

    def _emit_planes(self, edit: Edit) -> None:
        self.announce_planes((p.class_index, p.frame) for p in edit.patches)

    def announce_planes(self, where: Iterable[tuple[int, int]]) -> None:
        """Let views show planes, each (class index, frame), that were changed for a look."""
        changed = {(self._classes[c].name, frame) for c, frame in where}
        if changed:
            self.planes_changed.emit(tuple(sorted(changed)))

    # ---- what listeners are told ----------------------------------------------------------

    def announce_with(self, soon: Callable[[], object] | None) -> None:
        """Let `soon` bring about a call of :meth:`announce` once the view has shown a stroke.

        Strokes and save states that come in between are announced together. Planes, status and
        strokes are right at once, and any edit that the view has not painted is announced at once,
        with those before it. None announces everything at once again.
        """
        self._announce_soon = soon
        self.announce()

    def announce(self) -> None:
        """Emit what changed and was not announced yet: oldest edit first."""
        edits, self._unannounced = self._unannounced, []
        if self.is_open:
            self.save_state_changed.emit()
        if edits:
            self.progress_changed.emit()
        for edit in edits:
            self.edited.emit(edit)
