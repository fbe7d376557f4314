"""The annotation session: settings of the viewer, and the open cohort and clip."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from psygnal import EventedModel, Signal
from pydantic import (
    ConfigDict,
    Field,
    GetPydanticSchema,
    PrivateAttr,
    ValidationInfo,
    field_validator,
)
from pydantic_core.core_schema import any_schema

from napari_confseg.annotate.accepting import Acceptor
from napari_confseg.annotate.access import Access
from napari_confseg.annotate.activity import ActivityTimer
from napari_confseg.annotate.clip_editor import ClipEditor
from napari_confseg.annotate.clip_facts import facts_of, visible
from napari_confseg.annotate.clip_notes import NotesEditor
from napari_confseg.annotate.cohort_follow import follow
from napari_confseg.annotate.conflict import ConflictModel
from napari_confseg.annotate.handover import Handover
from napari_confseg.annotate.m_mode import MMode
from napari_confseg.annotate.overlays import OtherRaters, Overlay
from napari_confseg.annotate.places import PlaceKeeper
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.reader import ReaderChoice, label_of
from napari_confseg.annotate.review_progress import ReviewProgress
from napari_confseg.annotate.suggestions import Suggestions
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.tools.settings import BandWidths, Clipboard
from napari_confseg.annotate.tools.toolkit import Toolkit
from napari_confseg.annotate.view import Context, Style, Tool, ViewState, resolve
from napari_confseg.annotate.worklist import WorkList
from napari_confseg.store import (
    Clip,
    Cohort,
    Edit,
    RaterWriter,
    SaveState,
    StoreError,
)

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.store import ClassSpec, Location, PackedPlanes, Stroke

_AS_IS: Final = GetPydanticSchema(lambda _source, _handler: any_schema())
"""For objects that are not pydantic's to validate."""

_USED_BY_HAND: Final = (
    "class_name",
    "tool",
    "confidence",
    "brush_size",
    "threshold",
    "opacity",
    "hidden",
    "marks_shown",
    "playing",
    "overlays",
    "merge",
    "locked",
    "solo",
    "band_widths",
    "follow_bright",
    "reach",
    "every_class",
    "clipboard",
)
"""Settings whose change is a sign of activity."""


class Session(EventedModel):
    """Settings of one viewer, each with an event, and the parts that work on the open clip.

    Panels show its fields, listen to ``events`` and to the signals of the parts, and call its
    methods; they own no state. Planes are array-likes that the view shares and paints in.
    When the event of `clip` fires, planes, status, notes and overlays are in place.
    """

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, arbitrary_types_allowed=True
    )

    # What is open.
    cohort: Cohort | None = None
    clip: Clip | None = None
    rater: str = ""  # slug of the reader whose planes are painted; empty until chosen
    adjudicator: str = ""  # who adjudicates, as people read it; empty while reading as oneself
    save_state: Annotated[SaveState | None, _AS_IS] = None  # None if no clip is open
    message: str = ""  # the latest sentence for the person: why something was refused

    # How strokes are made.
    class_name: str = ""  # the class to paint
    tool: Tool = Tool.BRUSH
    confidence: int = Field(default=60, ge=1, le=100)  # percent, of the next stroke
    brush_size: int = Field(default=12, ge=1, le=400)  # diameter in pixels
    merge: Merge = Merge.REPLACE  # how a proposal joins the confidence that is there
    locked: frozenset[str] = frozenset()  # classes whose marks nothing but undo may change
    band_widths: Annotated[BandWidths, _AS_IS] = BandWidths()  # of the B-line and pleura tools
    follow_bright: bool = True  # the pleura tool follows the brightest line between its clicks
    reach: int = Field(default=10, ge=1, le=100_000)  # frames to carry marks through
    every_class: bool = False  # fill and copy act on all visible classes, not the painted one
    clipboard: Annotated[Clipboard | None, _AS_IS] = None

    # What is shown.
    frame: int = Field(default=0, ge=0)
    playing: bool = False
    threshold: int = Field(default=0, ge=0, le=100)  # marks of less confidence are hidden
    opacity: float = Field(default=0.7, ge=0, le=1)  # of marks at full confidence
    style: Style = Style.FILL  # how one's own marks are drawn
    hidden: frozenset[str] = frozenset()  # classes that are not shown
    solo: bool = False  # only the class to paint is shown, whatever is hidden
    marks_shown: bool = True
    overlays: tuple[Annotated[Overlay, _AS_IS], ...] = ()  # other raters shown, as last read
    overlays_hidden: frozenset[str] = frozenset()  # raters that stay loaded but out of sight
    model_threshold: int = Field(default=50, ge=1, le=100)  # as `threshold`, for models
    model_opacity: float = Field(default=0.7, ge=0, le=1)  # as `opacity`, for models
    bands: bool = False  # contours that models guarantee are drawn

    _held: Tool | None = PrivateAttr(None)  # in hand before the picture began to be moved

    leaving: ClassVar[Signal] = Signal()
    """The clip is about to be closed: the last moment to hand in what is being typed."""
    keys_changed: ClassVar[Signal] = Signal()
    """The person gave actions other keys."""
    sector_changed: ClassVar[Signal] = Signal()
    """The clip's sector was confirmed or corrected."""

    @field_validator("class_name")
    @classmethod
    def _check_class(cls, name: str, info: ValidationInfo) -> str:
        cohort: Cohort | None = info.data.get("cohort")
        names = [c.name for c in cohort.meta.classes] if cohort else [name]
        if name not in ("", *names):
            raise ValueError(f"no class is called {name!r}; there are {', '.join(names)}")
        return name

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        events = self.events
        for name in _USED_BY_HAND:
            events[name].connect(self._note_activity)
        events.frame.connect(self._on_frame)
        self.editor.save_state_changed.connect(self._on_save_state)
        self.editor.replayed.connect(self._on_replayed)
        self.editor.edited.connect(self._note_activity)
        self.access.changed.connect(self.others.hide_unseen)
        for part in (self.editor, self.clip_notes, self.access):
            part.refused.connect(self._on_refused)
        for signal in (events.clip, self.clip_notes.changed, self.editor.progress_changed):
            signal.connect(self.update_worklist)

    # ---- parts ----------------------------------------------------------------------------

    @cached_property
    def editor(self) -> ClipEditor:
        """Planes, review status and strokes of the open clip."""
        return ClipEditor()

    @cached_property
    def conflict(self) -> ConflictModel:
        """Older strokes that met newer ones of somebody else, to be decided by the person."""
        return ConflictModel(self.editor)

    @cached_property
    def handover(self) -> Handover:
        """Takes the open clip over, or decides a conflict on it, and reads it anew."""
        return Handover(self)

    @cached_property
    def progress(self) -> ReviewProgress:
        """Marks frames reviewed, and goes to those that are not."""
        return ReviewProgress(self)

    @cached_property
    def others(self) -> OtherRaters:
        """Other raters on the open clip, shown beside one's own marks."""
        return OtherRaters(self)

    @cached_property
    def clip_notes(self) -> NotesEditor:
        """The reader's notes on the open clip."""
        return NotesEditor()

    @cached_property
    def reader(self) -> ReaderChoice:
        """Who reads: chosen by name, in a role, and as whom the open clip is painted."""
        return ReaderChoice(self)

    @cached_property
    def access(self) -> Access:
        """Who may be seen on the open clip."""
        return Access(self.editor, self.clip_notes, lambda: Preferences.load().reader or self.rater)

    @cached_property
    def activity(self) -> ActivityTimer:
        """How long the reader is active on each frame."""
        return ActivityTimer()

    @cached_property
    def worklist(self) -> WorkList:
        """The cohort's clips as the reader's work."""
        return WorkList()

    @cached_property
    def places(self) -> PlaceKeeper:
        """Where the reader was, and is brought back to."""
        return PlaceKeeper(self)

    @cached_property
    def toolkit(self) -> Toolkit:
        """The tools that paint more than a stroke."""
        return Toolkit(self)

    @cached_property
    def acceptor(self) -> Acceptor:
        """Takes other raters' marks over as one's own."""
        return Acceptor(self)

    @cached_property
    def m_mode(self) -> MMode:
        """One beam of the open clip over time."""
        return MMode(self)

    @cached_property
    def suggestions(self) -> Suggestions:
        """A model's suggestions on the frame on show."""
        return Suggestions(self)

    # ---- connections of settings and parts -------------------------------------------------

    def _note_activity(self, *_: object) -> None:
        self.activity.note()

    def _on_frame(self, frame: int, *_: object) -> None:
        self.activity.turn_to(frame)
        if not self.playing:
            self.activity.note()

    def _on_save_state(self) -> None:
        self.save_state = self.editor.save_state

    def _on_replayed(self, edit: Edit) -> None:
        """Bring what was undone or redone into view."""
        self.frame = edit.frame
        if edit.patches:  # reviewing is about the frame
            self.class_name = self.classes[edit.class_index].name

    def _on_refused(self, reason: str) -> None:
        self.message = reason

    def update_worklist(self, *_: object) -> None:
        """Put what is known of the open clip, pending edits included, into the work list."""
        if self.clip is not None and self.editor.is_open:
            known = self.worklist.facts.get(self.clip.name)
            facts = facts_of(
                self.clip.name,
                self.clip.meta,
                self.status,
                self.strokes,
                self.clip_notes.current,
                visible(known.others if known else (), self.access.visibility()),
            )
            self.worklist.put([facts])

    def save_activity(self) -> None:
        """Write the active time so far, and the place; called now and then, and at the end."""
        self.places.keep()
        seconds = self.activity.due() if self.writable else None
        if seconds is not None:
            self.clip_notes.keep_seconds(seconds)

    def set_together(self, **values: object) -> None:
        """Set fields so that whoever hears of one finds all of them in place."""
        old = {name: getattr(self, name) for name in values}
        with self.events.all.blocked():
            for name, value in values.items():
                setattr(self, name, value)
        for name, value in values.items():
            if value is not old[name] and value != old[name]:
                self.events[name].emit(value, old[name])

    # ---- cohort, reader, clip -------------------------------------------------------------

    def open_cohort(self, location: Location | Cohort) -> Cohort:
        """Open the cohort at `location` (closing the clip that was open) and return it.

        Raises
        ------
        StoreError
            If there is none, or it breaks the contract; what was open stays open.
        """
        if isinstance(location, Cohort):
            cohort = location
        else:  # a zip is for reading
            packed = str(location).endswith(".zip")
            cohort = Cohort.open(location, read_only=packed)
        self.close_clip()
        self.overlays, self.overlays_hidden = (), frozenset()
        names = [c.name for c in cohort.meta.classes]
        preferences = Preferences.load()
        self.worklist.clear(preferences.work_list.settings_for(cohort.meta.cohort_id))
        self.access.cohort = cohort
        self.set_together(
            cohort=cohort,  # first: its classes are those that can be painted
            class_name=self.class_name if self.class_name in names else names[0],
            hidden=frozenset(),
            locked=frozenset(),
        )
        preferences.with_recent(cohort.location).save()
        return cohort

    def close_cohort(self) -> None:
        """Close clip and cohort.

        Raises
        ------
        StoreError
            If there are strokes that no disk could take yet; all stays open.
        """
        self.close_clip()
        self.access.cohort = None
        self.set_together(cohort=None, overlays=(), overlays_hidden=frozenset())

    def open_clip(
        self, name: str, rater: str | None = None, *, adjudicator: str | None = None
    ) -> Clip:
        """Open clip `name` to paint as `rater` (as on the last clip if not given).

        If someone else holds these planes they open read-only, at once. Raters shown stay shown
        where they marked this clip too. A reader is at the frame that they left, and the first time
        in a cohort with the class, tool, confidence and brush that they had there.

        Parameters
        ----------
        name : str
            The clip.
        rater : str, optional
            Slug of the rater whose planes are painted.
        adjudicator : str, optional
            Name of a person; `rater` is then an adjudicated one.

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
        shown = [o.name for o in self.overlays]
        follow(self, self.cohort.read_meta())  # classes were perhaps added elsewhere
        clip = self.cohort.clip(name)  # before the old one is let go: this may fail
        self._close_parts()
        place = self.places.recall(self.cohort, clip, rater, adjudicating=bool(adjudicator))
        try:
            self._open_parts(self.cohort, name, rater, adjudicator)
            overlays = tuple(self.others.read_again(self.cohort, clip, shown))
        except Exception:
            self.close_clip()
            raise
        self.set_together(
            clip=clip,
            rater=rater,
            adjudicator=adjudicator,
            overlays=overlays,
            playing=False,
            save_state=self.editor.save_state,
            **place,
        )
        self.clip_notes.changed.emit(self.clip_notes.current)
        return clip

    def _open_parts(self, cohort: Cohort, clip: str, rater: str, adjudicator: str) -> None:
        label = label_of(rater, adjudicator)
        writer = RaterWriter.open(cohort, clip, rater, label=label, adjudicator=adjudicator or None)
        try:
            self.editor.open(writer, cohort.meta.classes)
        except BaseException:  # a plane that cannot be read must not keep others out
            writer.abandon()
            raise
        self.clip_notes.open(writer)
        self.activity.begin(len(self.status), self.clip_notes.current.seconds)

    def close_clip(self) -> None:
        """Close the clip; edits on their way to the store stay in the journal.

        Raises
        ------
        StoreError
            If there are strokes that no disk could take yet; the clip stays open.
        """
        self._close_parts()
        self.set_together(clip=None, playing=False, save_state=None)
        self.clip_notes.changed.emit(self.clip_notes.current)

    def _close_parts(self) -> None:
        if self.editor.is_open:
            self.leaving.emit()
            self.conflict.forget()
            self.save_activity()
            self.places.leave()
            self.editor.close()
            self.clip_notes.close()
            self.activity.end()

    def release(self) -> None:
        """Close the clip although strokes may not be saved: the program ends.

        What the journal has is safe; what it could not take was shown as not saved.
        """
        try:
            self.close_clip()
        except StoreError:
            self.editor.abandon()

    def open_next(self, step: int = 1) -> Clip | None:
        """Open the clip `step` places on in the work list; None at its end.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        name = self.worklist.beside(self.clip.name if self.clip else None, step)
        if name is None:
            self.message = f"That was the {'last' if step > 0 else 'first'} clip of the list."
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

    # ---- the open clip --------------------------------------------------------------------

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
    def planes(self) -> dict[str, PackedPlanes]:
        """Planes by class, ``uint8 (T, Y, X)``; see :class:`ClipEditor`."""
        return self.editor.planes

    @property
    def status(self) -> NDArray[np.uint8]:
        """Status of every frame and class, ``uint8 (T, C)``; (0, 0) if no clip is open."""
        return self.editor.status

    @property
    def marked(self) -> NDArray[np.bool_]:
        """Which planes of which frames have a mark, ``bool (T, C)``."""
        return self.editor.marked

    @property
    def strokes(self) -> list[Stroke]:
        """The reader's strokes on this clip, oldest first, those undone among them."""
        return self.editor.strokes

    @property
    def writable(self) -> bool:
        """Whether a clip is open and its planes are ours to paint."""
        return self.editor.writable

    def view(self) -> ViewState:
        """Return what the view should show now."""
        return resolve(self, self.context())

    def context(self) -> Context:
        """Return what the open clip allows to show."""
        return Context(
            classes=tuple(c.name for c in self.classes) if self.clip else (),
            n_frames=len(self.status),
            writable=self.writable,
            overlays=tuple((o.name, frozenset(o.planes)) for o in self.overlays),
            bands=frozenset(
                (o.name, c) for o in self.overlays if o.guarantee for c in o.guarantee.bands
            ),
        )

    # ---- edits ----------------------------------------------------------------------------

    def commit(self, edit: Edit, *, painted: bool = False) -> Stroke | None:
        """Apply `edit` and save it; see :meth:`ClipEditor.commit`.

        What would be stored out of sight, below `threshold`, lowers it.
        """
        stroke = self.editor.commit(edit, painted=painted, locked=self.locked)
        if stroke is not None and edit.patches and 0 < edit.confidence < self.threshold:
            self.threshold = edit.confidence
            self.message = (
                f"Marks show from {edit.confidence} % now: this one would have been out of sight."
            )
        return stroke

    def undo(self) -> Edit | None:
        """Undo the latest edit and bring its class and frame into view."""
        return self.editor.undo()

    def redo(self) -> Edit | None:
        """Redo the edit undone last and bring its class and frame into view."""
        return self.editor.redo()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until the store has every edit; False if it has not within `timeout` seconds."""
        return self.editor.flush(timeout)

    def describe(self, **changes: object) -> bool:
        """Change the notes on the clip; see :meth:`NotesEditor.update`."""
        done = self.clip_notes.update(**changes)
        if done:
            self.activity.note()
        return done

    def step(self, by: int = 1) -> None:
        """Go `by` frames on, as far as the clip goes."""
        if self.clip is not None:
            self.frame = min(max(self.frame + by, 0), len(self.status) - 1)

    def hold_move(self, held: bool) -> None:
        """Take the tool that moves the picture, for as long as a key is held.

        A tool that is taken meanwhile stays in hand.
        """
        if held and self.tool is not Tool.PAN:
            self._held, self.tool = self.tool, Tool.PAN
        elif not held:
            tool, self._held = self._held, None
            if tool is not None and self.tool is Tool.PAN:
                self.tool = tool

    @property
    def tool_in_hand(self) -> Tool:
        """The tool that was taken, also while Space is held to move the picture."""
        return self._held or self.tool
