"""The conflict of the open clip: what a person is told, sees, and can choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_confseg.annotate.clip_editor import ClipEditor
    from napari_confseg.store import Choice, Conflict
    from napari_confseg.store.view import State

DECIDED: Final[Mapping[Choice, str]] = {
    "mine": "Kept mine: the older strokes are on top now. Undo takes them off again.",
    "theirs": "Kept theirs. The older strokes are in the record without effect; confseg history "
    "lists and restores them.",
    "both": "Kept both: the older strokes are with a second reader, under Others on this clip.",
}
"""What is said after each decision."""


@dataclass(frozen=True)
class ConflictDescription:
    """A conflict in words.

    Attributes
    ----------
    title : str
        A few words.
    detail : str
        Whose strokes met, when they were made, and what follows from it.
    outcomes : mapping of str to str
        By choice, what becomes of either version.
    """

    title: str
    detail: str
    outcomes: Mapping[Choice, str]


def describe_conflict(conflict: Conflict) -> ConflictDescription:
    """Return `conflict` in words."""
    n = len(conflict.frames)
    frames = f"frame {conflict.frames[0] + 1}" if n == 1 else f"{n} frames"
    by = conflict.by
    return ConflictDescription(
        f"Two versions of {frames}",
        f"{conflict.sentence}. Older strokes are safe and not applied. "
        "Nothing can be painted here until you decide.",
        {
            "mine": f"Puts the older strokes on top of those of {by}. The newer ones stay in the "
            "record, and undo takes the older ones off again",
            "theirs": f"Leaves the clip as it is, with the strokes of {by}. The older ones stay in "
            "the record without effect; confseg history lists and restores them",
            "both": f"Leaves the clip as it is, with the strokes of {by}, and gives the older ones "
            "to a second reader of your name, with a number",
        },
    )


@dataclass(frozen=True, eq=False)
class Look:
    """Older strokes on top of what is stored, as read for the planes of `owner`."""

    owner: object
    state: State


class ConflictModel:
    """The conflict of the clip that an editor has open, with a preview of either version.

    Only planes are previewed. Status, progress and notes stay those that are stored: what is
    finished, and who may be seen, must not depend on a look.

    Parameters
    ----------
    editor : ClipEditor
        Whose planes show the preview.
    """

    changed: ClassVar[Signal] = Signal()
    """The version on show is another."""

    def __init__(self, editor: ClipEditor) -> None:
        self._editor = editor
        self._theirs: dict[tuple[int, int], NDArray[np.uint8]] | None = None
        self._status_frames: tuple[int, ...] = ()
        editor.save_state_changed.connect(self._on_save_state)

    @property
    def current(self) -> Conflict | None:
        """What is to be decided; None if there is nothing, or somebody else is writing."""
        state = self._editor.save_state
        return None if state is None or state.holder is not None else state.conflict

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that both versions touch."""
        current = self.current
        return () if current is None else current.frames

    def beside(self, frame: int, step: int) -> int | None:
        """Return the next contested frame after `frame`, or before it, round the end."""
        frames = self.frames
        if step > 0:
            return next((f for f in frames if f > frame), frames[0] if frames else None)
        return next((f for f in frames[::-1] if f < frame), frames[-1] if frames else None)

    # ---- the version on show --------------------------------------------------------------

    @property
    def showing_mine(self) -> bool:
        """Whether the planes show the older strokes on top, for a look."""
        return self._theirs is not None

    @property
    def status_frames(self) -> tuple[int, ...]:
        """Frames whose review status differs between the versions; known while mine is shown."""
        return self._status_frames

    def look(self, report: Callable[[int, int], object] = lambda *_: None) -> Look:
        """Read the older strokes on top of what is stored, in any thread, for :meth:`show`.

        Raises
        ------
        StoreError, OSError
            If it can't be read.
        """
        planes = self._editor.planes
        return Look(planes, self._editor.load_contested(report))

    def show(self, look: Look | None) -> None:
        """Show what was read, or with None what is stored; changes nothing.

        Nothing happens if that is on show already, or there is nothing to decide any more.
        """
        on = look is not None
        if on == self.showing_mine or (on and self.current is None):
            return
        if look is not None:
            if look.owner is not self._editor.planes:  # another clip is open by now
                return
            status = self._editor.status
            self._status_frames = tuple(np.flatnonzero((look.state.status != status).any(axis=1)))
            self._theirs = self._put(look.state.planes)
        else:
            theirs, self._theirs, self._status_frames = self._theirs, None, ()
            self._put(theirs or {})
        self.changed.emit()

    def show_mine(self, on: bool) -> None:
        """Show the older strokes on top, or what is stored, at once.

        Raises
        ------
        StoreError, OSError
            If it can't be read; what is stored stays on show.
        """
        if on != self.showing_mine and not (on and self.current is None):
            self.show(self.look() if on else None)

    def forget(self) -> None:
        """Show what is stored: the clip is about to be closed or read anew."""
        self.show_mine(False)

    def _put(
        self, planes: Mapping[tuple[int, int], NDArray[np.uint8]]
    ) -> dict[tuple[int, int], NDArray[np.uint8]]:
        """Put (frame, class index) planes on show; return those that differ, as they were."""
        before = {}
        for (frame, class_index), plane in planes.items():
            shown = self._editor.plane(class_index, frame)
            if not np.array_equal(shown, plane):
                before[frame, class_index] = shown.copy()
                shown[...] = plane
        self._editor.announce_planes((c, f) for f, c in before)
        return before

    def _on_save_state(self) -> None:
        if self.showing_mine and self.current is None:  # somebody else has taken over meanwhile
            self.show_mine(False)
