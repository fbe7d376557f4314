"""The tools of a session; each action is one edit.

Widgets ask for it here and show what comes of it. What cannot be done says why
(:meth:`Toolkit.why_not`), before and after.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.annotate.patches import patch_between
from napari_confseg.annotate.tools.filling import (
    Filled,
    Filling,
    Gap,
    Interpolation,
    KeptFrames,
    Origin,
    Propagation,
    carrying_of,
    filled_only,
    gap_around,
    highest,
    imported_only,
    origins,
    run,
)
from napari_confseg.annotate.tools.marking import Marker
from napari_confseg.annotate.tools.merging import Change, Merge, edit_from, merged
from napari_confseg.annotate.tools.placing import clipped, copied, pasted
from napari_confseg.annotate.tools.settings import Clipboard
from napari_confseg.readouts import is_known
from napari_confseg.store import EXCLUDED, Edit, Patch, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Stroke


class ToolAction(StrEnum):
    """What can be asked for besides painting with the mouse; also their names in the record."""

    PROPAGATE = "propagate"
    INTERPOLATE = "interpolate"
    COPY = "copy"
    PASTE = "paste"
    CLIP = "clip-to-sector"


class Toolkit:
    """Does on a session what each tool is for.

    Every method that changes planes commits one edit under the session's merge rule, touches no
    locked and no hidden class, leaves excluded pixels excluded, and returns the stroke, or None
    with a message in the session if nothing came of it. On other frames than the one on show,
    planes marked as reviewed stay as they are; what carries or fills leaves planes that were
    painted by hand as they are, whatever the merge rule.

    Parameters
    ----------
    session : Session
        What is annotated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.marker = Marker(session)
        """The tools of the mouse."""
        self.kept_words = ""
        """Which frames the latest filling left as they were, in sentences."""

    # ---- what can be done -----------------------------------------------------------------

    def classes(self, *, locked_too: bool = False) -> list[str]:
        """Return the classes that an action is for: shown and, unless `locked_too`, not locked."""
        session = self._session
        wanted = [c.name for c in session.classes] if session.every_class else [session.class_name]
        shown = session.view().visible
        return [c for c in wanted if c in shown and (locked_too or c not in session.locked)]

    def why_not(self, action: ToolAction, direction: int = 0) -> str:
        """Return why `action` is impossible now, in a sentence; empty if it can be done.

        Parameters
        ----------
        action : ToolAction
            What is asked for.
        direction : {0, 1, -1}
            Of a propagation: forward, backward, or either.
        """
        session = self._session
        if session.clip is None:
            return "Open a clip first."
        if not session.writable and action is not ToolAction.COPY:
            return session.editor.why_read_only
        if action is ToolAction.PASTE:
            return self._why_not_paste()
        names = self.classes(locked_too=action is ToolAction.COPY)
        if not names:
            return "No class to work on: it is locked or hidden."
        marked = session.marked[:, [session.class_index(name) for name in names]]
        frame = session.view().frame
        if action in (ToolAction.PROPAGATE, ToolAction.COPY) and not marked[frame].any():
            return "Nothing is marked on this frame."
        if action is ToolAction.PROPAGATE and not 0 <= frame + direction < len(marked):
            return f"This is the {'last' if direction > 0 else 'first'} frame."
        if action is ToolAction.INTERPOLATE and int(marked.sum(axis=0).max()) < 2:
            return "Paint two frames first: what lies between them is filled in."
        if action is ToolAction.CLIP and not is_known(session.clip.meta.sector):
            if session.clip.meta.sector is None:
                return "The sector of this clip is not known."
            return "The sector of this clip is doubtful: confirm or correct it first."
        return ""

    def _why_not_paste(self) -> str:
        session = self._session
        clip, board = self.marker.clip, session.clipboard
        if board is None:
            return "Nothing is copied yet."
        if board.shape != clip.shape[1:]:
            (y, x), (h, w) = board.shape, clip.shape[1:]
            return f"Copied on frames of {x} x {y} pixels; those of this clip are {w} x {h}."
        names = {c.name for c in session.classes}
        able = (session.view().visible - session.locked) & board.snippets.keys() & names
        return "" if able else "The classes that were copied are locked, hidden or not here."

    def _refused(self, action: ToolAction, direction: int = 0) -> bool:
        why = self.why_not(action, direction)
        if why:
            self._session.message = why
        self._session.playing = False
        return bool(why)

    # ---- copy, paste, sector --------------------------------------------------------------

    def copy(self) -> bool:
        """Copy the marks of this frame; return whether there were any."""
        session = self._session
        if self._refused(ToolAction.COPY):
            return False
        frame = session.view().frame
        found = {
            name: copied(session.planes[name][frame]) for name in self.classes(locked_too=True)
        }
        snippets = {name: snippet for name, snippet in found.items() if snippet is not None}
        if not snippets:  # what is excluded is no mark
            session.message = "Nothing is marked on this frame."
            return False
        session.clipboard = Clipboard(self.marker.clip.shape[1:], frame, snippets)
        labels = [c.label for c in session.classes if c.name in snippets]
        session.message = f"Copied from frame {frame + 1}: {', '.join(labels)}."
        return True

    def paste(self) -> Stroke | None:
        """Put what was copied onto this frame, in the same place and the same classes."""
        session = self._session
        if self._refused(ToolAction.PASTE):
            return None
        assert session.clipboard is not None
        able = session.view().visible - session.locked
        proposals = {
            c.index: pasted(session.clipboard.snippets[c.name], session.clipboard.shape)
            for c in session.classes
            if c.name in able and c.name in session.clipboard.snippets
        }
        return self.marker.mark_here(proposals, highest(proposals.values()), ToolAction.PASTE.value)

    def clip_to_sector(self) -> Stroke | None:
        """Take away marks outside the sector, on every frame."""
        session = self._session
        if self._refused(ToolAction.CLIP):
            return None
        inside, names, here = self.marker.beams.inside, self.classes(), session.view().frame
        changes = (
            Change(c, t, plane, clipped(plane, inside))
            for name in names
            for c in [session.class_index(name)]
            for t in np.flatnonzero(session.marked[:, c]).tolist()
            if t == here or self._may_fill(t, c)
            for plane in [session.planes[name][t]]
        )
        edit = edit_from(
            changes,
            confidence=0,
            tool=ToolAction.CLIP.value,
            class_index=session.class_index(names[0]),
            frame=here,
        )
        if edit is None:
            session.message = "Nothing lies outside the sector."
        return session.commit(edit) if edit else None

    def _may_fill(self, frame: int, c: int) -> bool:
        return bool(self._session.status[frame, c] != Status.REVIEWED)

    # ---- filling frames -------------------------------------------------------------------

    def propagation(self, steps: int, direction: int = 1) -> Propagation | None:
        """Return the work of carrying this frame's marks on; None, with a message, if it can't.

        Parameters
        ----------
        steps : int
            How many frames, at most.
        direction : {1, -1}
            Forward or backward.
        """
        session = self._session
        if self._refused(ToolAction.PROPAGATE, direction):
            return None
        start, n = session.view().frame, len(session.status)
        room = n - 1 - start if direction > 0 else start
        planes = {
            c.index: session.planes[c.name][start].copy()
            for c in session.classes
            if c.name in self.classes() and session.marked[start, c.index]
        }
        return Propagation(
            session.planes,
            self.marker.clip.frames,
            planes,
            start,
            min(steps, room),
            direction,
            self.marker.beams.inside,
        )

    def interpolation(self) -> Interpolation | None:
        """Return the work of filling the gap around this frame; None, with a message, if none."""
        session = self._session
        if self._refused(ToolAction.INTERPOLATE):
            return None
        painted = session.marked & ~filled_only(session.strokes, session.status.shape)
        gaps = {}
        for name in self.classes():
            c = session.class_index(name)
            ends = gap_around(np.flatnonzero(painted[:, c]).tolist(), session.view().frame)
            if ends is not None:
                first, last = (session.planes[name][t].copy() for t in ends)
                gaps[c] = Gap(*ends, first, last)
        if not gaps:
            session.message = (
                "No gap to fill here: go between two frames that you painted, or onto the second."
            )
            return None
        return Interpolation(session.planes, session.view().frame, gaps, self.marker.beams.inside)

    def propagate(self, steps: int = 1, direction: int = 1) -> Stroke | None:
        """Carry this frame's marks on, at once; for long ways run :meth:`propagation` beside."""
        return self._at_once(self.propagation(steps, direction))

    def interpolate(self) -> Stroke | None:
        """Fill the gap around this frame, at once."""
        return self._at_once(self.interpolation())

    def _at_once(self, filling: Filling | None) -> Stroke | None:
        return None if filling is None else self.land(filling, run(filling))

    def land(self, filling: Filling, found: Sequence[Filled]) -> Stroke | None:
        """Merge what `filling` found into the planes as they are now.

        Under the rule "replace", what was carried or interpolated there before makes room. Frames
        that stay as they are, are named in the session's message.
        """
        session = self._session
        if session.planes is not filling.owner:
            session.message = "The clip was closed meanwhile: nothing was filled in."
            return None
        kept = KeptFrames()
        patches = tuple(self._patches(found, kept))
        if not patches:
            session.message = f"Nothing was filled in. {kept.words()}".strip() + (
                "" if kept else " The picture moves too much."
            )
            return None
        class_index = next(iter(found[0].proposals))
        stroke = session.commit(
            Edit(
                patches,
                filling.confidence,
                filling.tool,
                class_index,
                filling.frame,
                carrying=carrying_of(found),
            )
        )
        self.kept_words = kept.words()
        if stroke is not None and kept:
            session.message = self.kept_words
        return stroke

    def _patches(self, found: Sequence[Filled], kept: KeptFrames) -> Iterator[Patch]:
        session = self._session
        made = origins(session.strokes, session.status.shape)
        imported = imported_only(session.strokes, session.marked)
        locked = {c.index for c in session.classes if c.name in session.locked}
        for step in found:
            for c, snippet in step.proposals.items():
                if c in locked:
                    continue
                if not self._may_fill(step.frame, c):
                    kept.reviewed.add(step.frame)
                    continue
                if imported[step.frame, c] or made[step.frame, c] == Origin.PAINTED:
                    kept.by_hand.add(step.frame)
                    continue
                planes = session.planes[session.classes[c].name]
                y = x = 0
                if session.merge is Merge.REPLACE and made[step.frame, c] != Origin.NONE:
                    before = planes.peek(step.frame)
                    after = np.where(before == EXCLUDED, before, np.uint8(0))
                    if snippet is not None:
                        after = merged(after, pasted(snippet, before.shape), session.merge)
                elif snippet is not None:  # within its box: of long ways this is most of the time
                    y, x, (h, w) = snippet.y, snippet.x, snippet.values.shape
                    before = planes[step.frame, y : y + h, x : x + w]
                    after = merged(before, snippet.values, session.merge)
                else:
                    continue
                patch = patch_between(c, step.frame, before, after, y=y, x=x)
                if patch is not None:
                    yield patch
