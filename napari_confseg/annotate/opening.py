"""What is open: a cohort, a clip, and as whom; taken up, put down, taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_confseg.annotate.blinding import Role
from napari_confseg.annotate.clip_editor import Work
from napari_confseg.annotate.overlays import Overlay, load_overlay
from napari_confseg.annotate.preferences import Preferences, slug_of
from napari_confseg.annotate.telling import Telling
from napari_confseg.store import (
    RATER_KINDS,
    Clip,
    ClipNotes,
    Cohort,
    RaterWriter,
    SaveState,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_confseg.store import Location, RaterKind


class Me(NamedTuple):
    """As whom a clip is open: kind, what people read, whether it is learnt from unasked."""

    kind: RaterKind
    label: str
    learnt: bool


def _label(rater: str, adjudicator: str) -> str | None:
    who = Preferences.load().reader
    if adjudicator:
        return f"Adjudicated by {adjudicator}"[:80]
    return who if who and slug_of(who) == rater else None


class Opening(Telling):
    """A session that opens and closes cohorts and clips."""

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
        Preferences.load().with_recent(cohort.location).save()
        return cohort

    def choose_reader(self, name: str) -> str:
        """Paint from now on as the reader called `name`; return the slug.

        Raises
        ------
        ValueError
            If no slug can be made of the name.
        StoreError
            If in the open cohort it is the name of a program's rater, or an adjudicated one.
        """
        slug = slug_of(name)
        if self.cohort is not None:
            self.cohort.check_name(slug, "human")
        memory = Preferences.load().model_copy(update={"reader": name.strip()})
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
        self._set_together(
            clip=clip,
            rater=rater,
            adjudicator=adjudicator,
            frame=0,
            overlays=overlays,
            playing=False,
            about=writer.about,
            save_state=writer.state,
        )
        return clip

    def open_next(self, step: int = 1) -> Clip | None:
        """Open the clip `step` places on in the work list; None at its end.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        name = self.worklist.beside(self.clip.name if self.clip else None, step)
        if name is None:
            self.message = (
                "That was the last clip of the list."
                if step > 0
                else ("That was the first clip of the list.")
            )
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

    def identity(self) -> Me:
        """Return as whom I paint on the clip that is open."""
        meta = None if self._work is None else self._work.writer.meta
        if meta is not None:
            return Me(meta.kind, meta.label, meta.learnt)
        kind: RaterKind = "adjudicated" if self.adjudicator else "human"
        label = _label(self.rater, self.adjudicator) or self.rater
        return Me(kind, label, RATER_KINDS[kind].learnt)

    def _take_up(self, name: str, rater: str, adjudicator: str) -> None:
        assert self.cohort is not None
        label = _label(rater, adjudicator)
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
        self._set_together(clip=None, playing=False, about=ClipNotes(), save_state=None)

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
