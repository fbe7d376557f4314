"""The session: the one truth about what is being annotated, without Qt.

Panels show its fields, listen to its ``events`` and send requests by calling its methods; they own
no state. Planes are plain arrays that the view shares: a stroke painted there is already in
`planes` when `record` is told of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.annotate import reviewing
from napari_confseg.annotate.blinding import Role
from napari_confseg.annotate.overlays import Overlay, acceptance, load_overlay
from napari_confseg.annotate.remember import Memory, slug_of
from napari_confseg.annotate.telling import Telling
from napari_confseg.annotate.work import Work
from napari_confseg.store import (
    About,
    Act,
    Clip,
    Cohort,
    RaterWriter,
    SaveState,
    Status,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_confseg.store import Location, Stroke


class Session(Telling):
    """A session: :class:`~napari_confseg.annotate.state.SessionState` with what can be done."""

    # ---- what is open ---------------------------------------------------------------------

    def open_cohort(self, location: Location | Cohort) -> Cohort:
        """Open the cohort at `location` (closing the clip that was open) and return it.

        Raises
        ------
        StoreError
            If there is none, or it breaks the contract; what was open stays open.
        """
        cohort = location if isinstance(location, Cohort) else Cohort.open(location)
        self.close_clip()
        self.overlays, self.overlays_hidden = (), frozenset()
        names = [c.name for c in cohort.meta.classes]
        self.class_name = self.class_name if self.class_name in names else names[0]
        self.hidden = self.locked = frozenset()
        self.worklist.clear()
        self.cohort = cohort
        Memory.load().with_recent(cohort.location).save()
        return cohort

    def choose_reader(self, name: str) -> str:
        """Paint from now on as the reader called `name`; return the slug.

        Raises
        ------
        ValueError
            If no slug can be made of the name.
        """
        slug = slug_of(name)
        memory = Memory.load().model_copy(update={"reader": name.strip()})
        memory.save()
        if slug != self.rater:
            clip, frame = self.clip, self.frame
            self.rater, self.adjudicator = slug, ""
            self.role = memory.roles.get(slug, Role.READER)
            if clip is not None:
                self.open_clip(clip.name)
                self.frame = frame
        return slug

    def open_clip(
        self, name: str, rater: str | None = None, *, adjudicator: str | None = None
    ) -> Clip:
        """Open clip `name` to paint as `rater` (as on the last clip if not given).

        With `adjudicator`, the name of a person, `rater` is an adjudicated one.

        If someone else holds these planes they open read-only, at once. Raters on show stay on
        show where they marked this clip too.

        Raises
        ------
        StoreError
            If the clip cannot be read; then no clip is open.
        ValueError
            If no cohort is open or no reader chosen.
        """
        adjudicator = adjudicator or ("" if rater else self.adjudicator)
        rater = rater or self.rater
        if self.cohort is None or not rater:
            raise ValueError("open a cohort and choose a reader before opening a clip")
        clip = self.cohort.clip(name)  # before the old one is let go: this may fail
        shown = [o.name for o in self.overlays]
        self._put_down()
        try:
            self._take_up(name, rater, adjudicator)
            overlays = tuple(self._read_overlays(clip, shown))
        except Exception:
            self.close_clip()
            raise
        writer = self._mine.writer
        self._set_together(clip=clip, rater=rater, adjudicator=adjudicator, frame=0,
                           overlays=overlays, playing=False, about=writer.about,
                           save_state=writer.state)  # fmt: skip
        return clip

    def _take_up(self, name: str, rater: str, adjudicator: str) -> None:
        assert self.cohort is not None
        who = Memory.load().reader
        label = who if who and slug_of(who) == rater else None
        if adjudicator:
            label = f"Adjudicated by {adjudicator}"[:80]
        writer = RaterWriter.open(
            self.cohort, name, rater, label=label, adjudicator=adjudicator or None
        )
        try:
            self._work = Work(writer, self.classes)
        except BaseException:  # a plane that cannot be read must not keep others out
            writer.abandon()
            raise
        self._work.listen(self._on_save_state)
        self._begin_time(self._work)

    def _put_down(self) -> None:
        work = self._work
        if work is not None:
            self.leaving.emit()
            self.keep_time()
            work.close()
            self._work = self._watch = None

    def _read_overlays(self, clip: Clip, names: Sequence[str]) -> Iterable[Overlay]:
        assert self.cohort is not None
        there = set(clip.raters()) if names else set()
        for name in names:
            if name in there:
                overlay = load_overlay(clip, name, self.cohort.meta)
                if self._in_sight(overlay):
                    yield overlay

    def close_clip(self) -> None:
        """Close the clip; what still waits for the store stays in the journal.

        Raises
        ------
        StoreError
            If there are strokes that no disk could take yet; the clip stays open.
        """
        self._put_down()
        self._set_together(clip=None, playing=False, about=About(), save_state=None)

    def release(self) -> None:
        """Close the clip although strokes may not be saved: the program ends.

        What the journal has is safe; what it could not take was shown as not saved.
        """
        try:
            self.close_clip()
        except StoreError:
            if self._work is not None:
                self._work.writer.abandon()

    def close_cohort(self) -> None:
        """Close clip and cohort.

        Raises
        ------
        StoreError
            If there are strokes that no disk could take yet; all stays open.
        """
        self.close_clip()
        self._set_together(cohort=None, overlays=(), overlays_hidden=frozenset())

    def take_over(self) -> bool:
        """Try to become the writer of a clip opened read-only; return whether it worked."""
        if self._work is None or self.clip is None or not self._work.writer.retry_lock():
            return False
        # The other writer may have painted since: read everything anew.
        frame = self.frame
        self.open_clip(self.clip.name)
        self.frame = frame
        return self.writable

    def _on_save_state(self, _state: SaveState) -> None:
        # Calls from the other thread come late: what counts is the state now.
        if self._work is not None:
            self.save_state = self._work.writer.state

    # ---- acts -----------------------------------------------------------------------------

    def commit(self, act: Act) -> Stroke | None:
        """Apply `act` to the planes, save it and tell the view; None if read-only or locked."""
        if not self._may_change(act):
            return None
        self._mine.apply(act.patches)
        stroke = self._save(act)
        self._tell_planes(act)
        return stroke

    def record(self, act: Act) -> Stroke | None:
        """Save `act`, whose patches the view has painted already; safe when this returns.

        If read-only or locked, the patches are taken back from the planes and None is returned.
        """
        if self._may_change(act):
            return self._save(act)
        if self._work is not None:
            self._work.apply(act.inverted().patches)
            self._tell_planes(act)
        return None

    def _save(self, act: Act) -> Stroke:
        stroke = self._mine.record(act)
        self.stir()
        self._tell_progress()
        self.acted.emit(act)
        return stroke

    def _tell_progress(self) -> None:
        self.save_state = self._mine.writer.state
        self.progress_changed.emit()

    def undo(self) -> Act | None:
        """Take back the latest act and bring its class and frame into view."""
        return self._show(self._mine.writer.undo()) if self.can_undo else None

    def redo(self) -> Act | None:
        """Do the latest undone act again and bring its class and frame into view."""
        return self._show(self._mine.writer.redo()) if self.can_redo else None

    def _show(self, act: Act | None) -> Act | None:
        if act is not None:
            self._mine.replay(act)
            self.frame = act.frame
            if act.patches:  # reviewing is about the frame
                self.class_name = self.classes[act.class_index].name
            self._tell_planes(act)
            self._tell_progress()
            self.acted.emit(act)
        return act

    def _tell_planes(self, act: Act) -> None:
        changed = {(self.classes[p.class_index].name, p.frame) for p in act.patches}
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
        act = self._mine.review(frame, index, reviewed=reviewed)
        return None if act is None else self._save(act)

    def toggle_reviewed(self, class_name: str | None = None) -> Stroke | None:
        """Say that the frame on show is reviewed, in one class or in all; or take it back."""
        if self.clip is None:
            return None
        index = slice(None) if class_name is None else self.class_index(class_name)
        done = bool((self.status[self.frame, index] == Status.REVIEWED).all())
        return self.mark_reviewed(class_name=class_name, reviewed=not done)

    def next_unreviewed(self, step: int = 1) -> int | None:
        """Go to the next frame with a class not yet reviewed and return it; None if all are."""
        found = reviewing.next_unreviewed(self.status, self.frame, step) if self.clip else None
        if found is not None:
            self.frame = found
        elif self.clip:
            self.message = "Every frame of this clip is reviewed in every class."
        return found

    def open_next(self, step: int = 1) -> Clip | None:
        """Open the clip `step` places on in the work list; None at its end.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        name = self.worklist.beside(self.clip.name if self.clip else None, step)
        if name is None:
            self.message = "That was the last clip of the list." if step > 0 else (
                "That was the first clip of the list.")  # fmt: skip
            return None
        return self.open_clip(name)

    def open_to_do(self) -> Clip | None:
        """Open the next clip of the work list with work left; None if there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        name = self.worklist.to_do_after(self.clip.name if self.clip else None)
        if name is None:
            self.message = "Every clip of this list is finished."
            return None
        return self.open_clip(name)

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
        overlay = load_overlay(self.clip, name, self.cohort.meta)
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

        One undoable act with tool ``"accept"``, under the merge rule; None if it changes nothing
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
            self.planes[class_name][frame], overlay.planes[class_name][frame],
            class_index=index, frame=frame, confidence=confidence, threshold=threshold,
            rule=self.merge,
        )  # fmt: skip
        return self.commit(Act((patch,), confidence, "accept", index, frame)) if patch else None

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until the store has every act; False if it has not within `timeout` seconds."""
        return self._work is None or self._work.writer.flush(timeout)
