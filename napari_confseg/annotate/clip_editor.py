"""My work on one clip: planes, status, marks and strokes; each edit is saved as it is made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakMethod

import numpy as np

from napari_confseg.store import Edit, Patch, Status, StatusChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import ClassSpec, RaterWriter, SaveState, Stroke


class Work:
    """Planes ``uint8 (T, Y, X)`` by class, and what follows from them.

    Attributes
    ----------
    writer : RaterWriter
        Takes the edits; closed by :meth:`close`.
    planes : dict of str to ndarray
        By class name. The view shares these arrays and paints in place.
    status : ndarray of uint8 (T, C)
        See :class:`~napari_confseg.store.Status`.
    marked : ndarray of bool (T, C)
        Which planes of which frames have a mark.
    strokes : list of Stroke
        Oldest first, those undone among them.
    """

    def __init__(self, writer: RaterWriter, classes: Sequence[ClassSpec]) -> None:
        self.writer = writer
        self._hear: Callable[[SaveState], None] | None = None
        self.names = [c.name for c in classes]
        planes = writer.load_each([c.index for c in classes])
        self.planes = dict(zip(self.names, planes, strict=True))
        self.status: NDArray[np.uint8] = writer.load_status()
        self.strokes: list[Stroke] = list(writer.strokes())
        touched = self.status != Status.UNTOUCHED
        for stroke in self.strokes:
            touched[stroke.frame, stroke.class_index] = True
        self.marked: NDArray[np.bool_] = np.zeros_like(touched)
        # Only planes somebody touched are looked at: looking would fetch every page of memory.
        self._note_marks((int(c), int(t)) for t, c in np.argwhere(touched))

    def plane(self, class_index: int, frame: int) -> NDArray[np.uint8]:
        """Return one plane of one frame, ``uint8 (Y, X)``, shared."""
        plane: NDArray[np.uint8] = self.planes[self.names[class_index]][frame]
        return plane

    def apply(self, patches: Iterable[Patch]) -> None:
        """Write `patches` into the planes."""
        for patch in patches:
            patch.apply(self.plane(patch.class_index, patch.frame))

    def record(self, edit: Edit) -> Stroke:
        """Save `edit`, whose patches are in the planes already; it is safe when this returns.

        The first mark on a plane also puts its status to "in progress".
        """
        told = {(s.frame, s.class_index) for s in edit.status}
        begun = tuple(
            StatusChange(p.frame, p.class_index, Status.UNTOUCHED, Status.IN_PROGRESS)
            for p in edit.patches
            if self.status[p.frame, p.class_index] == Status.UNTOUCHED
            and (p.frame, p.class_index) not in told
        )
        edit = replace(edit, status=(*edit.status, *begun))
        stroke = self.writer.commit(edit)
        self._settle(edit)
        return stroke

    def replay(self, edit: Edit) -> None:
        """Apply what undo or redo gave, which the writer has saved already."""
        self.apply(edit.patches)
        self._settle(edit)

    def review(self, frame: int, class_index: int | None, *, reviewed: bool) -> Edit | None:
        """Return the edit that makes `frame` reviewed, or takes that back; None if it is so.

        Parameters
        ----------
        frame : int
            The frame.
        class_index : int or None
            One class, or all.
        reviewed : bool
            False puts it back to "in progress" where marked, else to "untouched".
        """
        changes = []
        for c in range(len(self.names)) if class_index is None else [class_index]:
            begun = Status.IN_PROGRESS if self.marked[frame, c] else Status.UNTOUCHED
            after = Status.REVIEWED if reviewed else begun
            before = int(self.status[frame, c])
            if before != after and (reviewed or before == Status.REVIEWED):
                changes.append(StatusChange(frame, c, before, int(after)))
        if not changes:
            return None
        return Edit((), 0, "status", changes[0].class_index, frame, tuple(changes))

    def listen(self, method: Callable[[SaveState], None]) -> None:
        """Call `method` in the main thread whenever saving stands differently, until closed."""
        # psygnal raises where a queued call finds its owner gone; here that is no error.
        weak = WeakMethod(method)

        def hear(state: SaveState) -> None:
            alive = weak()
            if alive is not None:
                alive(state)

        # From the write-behind thread into the main one, where views live.
        self.writer.changed.connect(hear, thread="main")
        self._hear = hear

    def close(self) -> None:
        """Let go of the planes on disk; what still waits stays in the journal."""
        self.writer.close()
        if self._hear is not None:
            self.writer.changed.disconnect(self._hear)
            self._hear = None

    def _settle(self, edit: Edit) -> None:
        for change in edit.status:
            self.status[change.frame, change.class_index] = change.after
        self._note_marks((p.class_index, p.frame) for p in edit.patches)
        self.strokes = list(self.writer.strokes())

    def _note_marks(self, where: Iterable[tuple[int, int]]) -> None:
        for c, frame in where:
            self.marked[frame, c] = self.plane(c, frame).any()
