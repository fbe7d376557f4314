"""The session: the one truth about what is being annotated, without Qt.

Panels show its fields, listen to its ``events`` and send requests by calling its methods; they own
no state. Planes are plain arrays that the view shares: a stroke painted there is already in
`planes` when `record` is told of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.annotate import review_progress
from napari_confseg.annotate.opening import Opening
from napari_confseg.annotate.overlays import Overlay, acceptance, load_overlay
from napari_confseg.store import Edit, Status

if TYPE_CHECKING:
    from napari_confseg.store import Stroke


class Session(Opening):
    """The whole of it: what is open (:class:`Opening`), what is told of it, and what can be done.

    Its fields and signals are those of :class:`~napari_confseg.annotate.state.SessionState`.
    """

    # ---- edits -----------------------------------------------------------------------------

    def commit(self, edit: Edit) -> Stroke | None:
        """Apply `edit` to the planes, save it and tell the view; None if read-only or locked."""
        if not self._may_change(edit):
            return None
        self._mine.apply(edit.patches)
        stroke = self._save(edit)
        self._tell_planes(edit)
        return stroke

    def record(self, edit: Edit) -> Stroke | None:
        """Save `edit`, whose patches the view has painted already; safe when this returns.

        If read-only or locked, the patches are taken back from the planes and None is returned.
        """
        if self._may_change(edit):
            return self._save(edit)
        if self._work is not None:
            self._work.apply(edit.inverted().patches)
            self._tell_planes(edit)
        return None

    def _save(self, edit: Edit) -> Stroke:
        stroke = self._mine.record(edit)
        self.stir()
        self._tell_progress()
        self.edited.emit(edit)
        return stroke

    def _tell_progress(self) -> None:
        self.save_state = self._mine.writer.state
        self.progress_changed.emit()

    def undo(self) -> Edit | None:
        """Take back the latest edit and bring its class and frame into view."""
        return self._show(self._mine.writer.undo()) if self.can_undo else None

    def redo(self) -> Edit | None:
        """Do the latest undone edit again and bring its class and frame into view."""
        return self._show(self._mine.writer.redo()) if self.can_redo else None

    def _show(self, edit: Edit | None) -> Edit | None:
        if edit is not None:
            self._mine.replay(edit)
            self.frame = edit.frame
            if edit.patches:  # reviewing is about the frame
                self.class_name = self.classes[edit.class_index].name
            self._tell_planes(edit)
            self._tell_progress()
            self.edited.emit(edit)
        return edit

    def _tell_planes(self, edit: Edit) -> None:
        changed = {(self.classes[p.class_index].name, p.frame) for p in edit.patches}
        if changed:
            self.planes_changed.emit(tuple(sorted(changed)))

    # ---- reviewing ------------------------------------------------------------------------

    def mark_reviewed(
        self, frame: int | None = None, class_name: str | None = None, *, reviewed: bool = True
    ) -> Stroke | None:
        """Say that `frame` is reviewed: what is not marked there, is not there.

        Parameters
        ----------
        frame : int, optional
            The frame on show if not given.
        class_name : str, optional
            One class; all classes if not given.
        reviewed : bool
            False takes it back.
        """
        if not self._may_write():
            return None
        index = None if class_name is None else self.class_index(class_name)
        frame = self.frame if frame is None else frame
        edit = self._mine.review(frame, index, reviewed=reviewed)
        return None if edit is None else self._save(edit)

    def toggle_reviewed(self, class_name: str | None = None) -> Stroke | None:
        """Say that the frame on show is reviewed, in one class or in all; or take it back."""
        if self.clip is None:
            return None
        index = slice(None) if class_name is None else self.class_index(class_name)
        done = bool((self.status[self.frame, index] == Status.REVIEWED).all())
        return self.mark_reviewed(class_name=class_name, reviewed=not done)

    def next_unreviewed(self, step: int = 1) -> int | None:
        """Go to the next frame with a class not yet reviewed and return it; None if all are."""
        found = (
            review_progress.next_unreviewed(self.status, self.frame, step) if self.clip else None
        )
        if found is not None:
            self.frame = found
        elif self.clip:
            self.message = "Every frame of this clip is reviewed in every class."
        return found

    # ---- other raters ---------------------------------------------------------------------

    def show_rater(self, name: str) -> None:
        """Show the planes of rater `name` beside mine, as they are in the store now.

        Raises
        ------
        StoreError
            If there is no such rater on the clip.
        BlindedError
            If I may not see them (yet).
        ValueError
            If no clip is open.
        """
        if self.cohort is None or self.clip is None:
            raise ValueError("open a clip before showing another rater on it")
        self._check_sight(self.clip.rater(name).meta.kind)
        self._show_overlay(load_overlay(self.clip, name, self.cohort.meta))

    def show_overlay(self, overlay: Overlay) -> None:
        """Show marks that stand in no rater's planes, such as a consensus not written yet.

        Raises
        ------
        BlindedError
            If I may not see marks of this kind (yet).
        """
        self._check_sight(overlay.kind)
        self._show_overlay(overlay)

    def _show_overlay(self, overlay: Overlay) -> None:
        name = overlay.name
        self.overlays_hidden -= {name}
        if any(o.name == name for o in self.overlays):
            self.overlays = tuple(overlay if o.name == name else o for o in self.overlays)
        else:
            self.overlays = (*self.overlays, overlay)

    def reload_rater(self, name: str) -> None:
        """Read the planes of rater `name` anew if they are on show, hidden or not."""
        if self.clip is not None and any(o.name == name for o in self.overlays):
            hidden = self.overlays_hidden
            self.show_rater(name)
            self.overlays_hidden = hidden

    def hide_rater(self, name: str) -> None:
        """Show rater `name` no longer."""
        self.overlays = tuple(o for o in self.overlays if o.name != name)

    def accept(
        self, rater: str, class_name: str, frame: int, confidence: int, threshold: int = 50
    ) -> Stroke | None:
        """Take the region where `rater` has at least `threshold` as mine, at `confidence`.

        One undoable edit with tool ``"accept"``, under the merge rule; None if it changes nothing
        or is refused.

        Raises
        ------
        KeyError
            If `rater` is not on show.
        """
        overlay = next((o for o in self.overlays if o.name == rater), None)
        if overlay is None:
            raise KeyError(f"rater {rater!r} is not on show; call show_rater first")
        if class_name not in overlay.planes or not self._may_write():
            return None
        index = self.class_index(class_name)
        patch = acceptance(
            self.planes[class_name][frame],
            overlay.planes[class_name][frame],
            class_index=index,
            frame=frame,
            confidence=confidence,
            threshold=threshold,
            rule=self.merge,
        )
        return self.commit(Edit((patch,), confidence, "accept", index, frame)) if patch else None

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until the store has every edit; False if it has not within `timeout` seconds."""
        return self._work is None or self._work.writer.flush(timeout)
