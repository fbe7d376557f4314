"""The session: the one truth about what is being annotated, without Qt.

Panels show its fields, listen to its ``events`` and send requests by calling its methods; they own
no state. Planes are plain arrays that the view shares: a stroke painted there is already in
`planes` when `record` is told of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import numpy as np
from psygnal import EventedModel, Signal
from pydantic import ConfigDict, Field, GetPydanticSchema, PrivateAttr
from pydantic_core.core_schema import any_schema

from napari_confseg.annotate import reviewing
from napari_confseg.annotate.overlays import Overlay, acceptance, load_overlay
from napari_confseg.annotate.remember import Memory, slug_of
from napari_confseg.annotate.view import Reality, Tool, ViewState, Wish, resolve
from napari_confseg.annotate.work import Work
from napari_confseg.store import Act, Clip, Cohort, RaterWriter, SaveState, Status, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import ClassSpec, Location, Stroke


_AS_IS: Final = GetPydanticSchema(lambda _source, _handler: any_schema())
"""For objects that are not pydantic's to validate."""


class Session(EventedModel):
    """What is open, what is wished, and how saving stands. Every field has an event.

    Attributes
    ----------
    cohort, clip : Cohort, Clip or None
        What is open. When `clip`'s event fires, planes, status and overlays are in place.
    rater : str
        Slug of the reader whose planes these are; empty until chosen.
    class_name, tool, confidence, brush_size, frame, threshold, opacity, hidden, marks_shown
        See :class:`~napari_confseg.annotate.view.Wish`.
    playing : bool
        Whether the clip plays.
    overlays : tuple of Overlay
        Other raters on show, as last read.
    overlays_hidden : frozenset of str
        Raters that stay loaded but out of sight.
    model_threshold, model_opacity
        See :class:`~napari_confseg.annotate.view.Wish`.
    save_state : SaveState or None
        How saving stands; None if no clip is open.
    message : str
        The latest sentence for the person: why something was refused.
    planes_changed : Signal of tuple of (class name, frame)
        Planes changed other than by the view's own painting: undo, redo, acceptance.
    progress_changed : Signal
        Status, marks or strokes changed.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True,
                              arbitrary_types_allowed=True)  # fmt: skip

    cohort: Cohort | None = None
    clip: Clip | None = None
    rater: str = ""
    class_name: str = ""
    tool: Tool = Tool.BRUSH
    confidence: int = Field(default=60, ge=1, le=100)
    brush_size: int = Field(default=12, ge=1, le=400)
    frame: int = Field(default=0, ge=0)
    threshold: int = Field(default=0, ge=0, le=100)
    opacity: float = Field(default=0.7, ge=0, le=1)
    hidden: frozenset[str] = frozenset()
    marks_shown: bool = True
    playing: bool = False
    overlays: tuple[Annotated[Overlay, _AS_IS], ...] = ()
    overlays_hidden: frozenset[str] = frozenset()
    model_threshold: int = Field(default=50, ge=1, le=100)
    model_opacity: float = Field(default=0.7, ge=0, le=1)
    save_state: Annotated[SaveState | None, _AS_IS] = None
    message: str = ""

    planes_changed: ClassVar[Signal] = Signal(tuple)
    progress_changed: ClassVar[Signal] = Signal()

    _work: Work | None = PrivateAttr(default=None)
    _stroking: Callable[[], bool] | None = PrivateAttr(default=None)

    def refuse_undo_while(self, stroking: Callable[[], bool]) -> None:
        """Let undo and redo do nothing while `stroking`: a stroke under way is not saved yet."""
        self._stroking = stroking

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
        self.hidden = frozenset()
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
        Memory.load().model_copy(update={"reader": name.strip()}).save()
        if slug != self.rater:
            clip, frame = self.clip, self.frame
            self.rater = slug
            if clip is not None:
                self.open_clip(clip.name)
                self.frame = frame
        return slug

    def open_clip(self, name: str, rater: str | None = None) -> Clip:
        """Open clip `name` to paint as `rater` (the chosen reader if not given).

        If someone else holds these planes they open read-only, at once. Raters on show stay on
        show where they marked this clip too.

        Raises
        ------
        StoreError
            If the clip cannot be read; then no clip is open.
        ValueError
            If no cohort is open or no reader chosen.
        """
        rater = rater or self.rater
        if self.cohort is None or not rater:
            raise ValueError("open a cohort and choose a reader before opening a clip")
        clip = self.cohort.clip(name)  # before the old one is let go: this may fail
        shown = [o.name for o in self.overlays]
        self._put_down()
        try:
            self._take_up(name, rater)
            overlays = tuple(self._read_overlays(clip, shown))
        except Exception:
            self.close_clip()
            raise
        self._set_together(clip=clip, rater=rater, frame=0, overlays=overlays, playing=False,
                           save_state=self._mine.writer.state)  # fmt: skip
        return clip

    def _take_up(self, name: str, rater: str) -> None:
        assert self.cohort is not None
        who = Memory.load().reader
        label = who if who and slug_of(who) == rater else None
        writer = RaterWriter.open(self.cohort, name, rater, label=label)
        # From the write-behind thread into the main one, where views live.
        writer.changed.connect(self._on_save_state, thread="main")
        self._work = Work(writer, self.classes)

    def _put_down(self) -> None:
        work = self._work
        if work is not None:
            work.close()
            work.writer.changed.disconnect(self._on_save_state)
            self._work = None

    def _set_together(self, **values: object) -> None:
        """Set fields so that whoever hears of one finds all of them in place."""
        old = {name: getattr(self, name) for name in values}
        with self.events.all.blocked():
            for name, value in values.items():
                setattr(self, name, value)
        for name, value in values.items():
            if value is not old[name] and value != old[name]:
                self.events[name].emit(value, old[name])

    def _read_overlays(self, clip: Clip, names: Sequence[str]) -> Iterable[Overlay]:
        assert self.cohort is not None
        there = set(clip.raters()) if names else set()
        for name in names:
            if name in there:
                yield load_overlay(clip, name, self.cohort.meta)

    def close_clip(self) -> None:
        """Close the clip; what still waits for the store stays in the journal.

        Raises
        ------
        StoreError
            If there are strokes that no disk could take yet; the clip stays open.
        """
        self._put_down()
        self._set_together(clip=None, playing=False, save_state=None)

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

    # ---- what there is --------------------------------------------------------------------

    @property
    def classes(self) -> tuple[ClassSpec, ...]:
        """The cohort's classes, in order; empty if none is open."""
        return self.cohort.meta.classes if self.cohort else ()

    def class_index(self, name: str | None = None) -> int:
        """Return the index of a class, of the one being painted if `name` is not given."""
        if self.cohort is None:
            raise ValueError("open a cohort before asking for its classes")
        return self.cohort.meta.class_index(name or self.class_name)

    @property
    def planes(self) -> dict[str, NDArray[np.uint8]]:
        """My planes by class, ``uint8 (T, Y, X)``, shared with the view in place."""
        return self._work.planes if self._work else {}

    @property
    def status(self) -> NDArray[np.uint8]:
        """Status of every frame and class, ``uint8 (T, C)``; (0, 0) if no clip is open."""
        return self._work.status if self._work else np.zeros((0, 0), np.uint8)

    @property
    def marked(self) -> NDArray[np.bool_]:
        """Which planes of which frames have a mark of mine, ``bool (T, C)``."""
        return self._work.marked if self._work else np.zeros((0, 0), np.bool_)

    @property
    def strokes(self) -> list[Stroke]:
        """My strokes on this clip, oldest first, those undone among them."""
        return self._work.strokes if self._work else []

    @property
    def _mine(self) -> Work:
        if self._work is None:
            raise ValueError("open a clip first")
        return self._work

    @property
    def writable(self) -> bool:
        """Whether a clip is open and its planes are ours to paint."""
        return self._work is not None and not self._work.writer.state.read_only

    @property
    def can_undo(self) -> bool:
        """Whether there is an act to take back, of this sitting or an earlier one."""
        return self._may_replay() and self._mine.writer.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone act to do again."""
        return self._may_replay() and self._mine.writer.can_redo

    def _may_replay(self) -> bool:
        return self.writable and not (self._stroking and self._stroking())

    def view(self) -> ViewState:
        """Return what the view should show now."""
        wish = Wish(
            class_name=self.class_name, tool=self.tool, confidence=self.confidence,
            brush_size=self.brush_size, frame=self.frame, threshold=self.threshold,
            opacity=self.opacity, hidden=self.hidden, marks_shown=self.marks_shown,
            overlays_hidden=self.overlays_hidden, model_threshold=self.model_threshold,
            model_opacity=self.model_opacity,
        )  # fmt: skip
        reality = Reality(
            classes=tuple(c.name for c in self.classes) if self.clip else (),
            n_frames=len(self.status),
            writable=self.writable,
            overlays=tuple((o.name, frozenset(o.planes)) for o in self.overlays),
        )
        return resolve(wish, reality)

    # ---- acts -----------------------------------------------------------------------------

    def commit(self, act: Act) -> Stroke | None:
        """Apply `act` to the planes, save it and tell the view; None if read-only."""
        if not self._may_write():
            return None
        self._mine.apply(act.patches)
        stroke = self._save(act)
        self._tell_planes(act)
        return stroke

    def record(self, act: Act) -> Stroke | None:
        """Save `act`, whose patches the view has painted already; safe when this returns.

        If read-only, the patches are taken back from the planes and None is returned.
        """
        if self._may_write():
            return self._save(act)
        if self._work is not None:
            self._work.apply(act.inverted().patches)
            self._tell_planes(act)
        return None

    def _may_write(self) -> bool:
        if not self.writable:
            self.message = "This clip is read-only here: nothing was changed."
        return self.writable

    def _save(self, act: Act) -> Stroke:
        stroke = self._mine.record(act)
        self._tell_progress()
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

    # ---- other raters ---------------------------------------------------------------------

    def show_rater(self, name: str) -> None:
        """Show the planes of rater `name` beside mine, as they are in the store now.

        Raises
        ------
        StoreError
            If there is no such rater on the clip.
        ValueError
            If no clip is open.
        """
        if self.cohort is None or self.clip is None:
            raise ValueError("open a clip before showing another rater on it")
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

        One undoable act with tool ``"accept"``; None if it changes nothing or is refused.

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
        )  # fmt: skip
        return self.commit(Act((patch,), confidence, "accept", index, frame)) if patch else None

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until the store has every act; False if it has not within `timeout` seconds."""
        return self._work is None or self._work.writer.flush(timeout)
