"""What a session knows: wishes, what is open, how saving stands; and what may be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import numpy as np
from psygnal import EventedModel, Signal
from pydantic import ConfigDict, Field, GetPydanticSchema, PrivateAttr
from pydantic_core.core_schema import any_schema

from napari_confseg.annotate.blinding import Role
from napari_confseg.annotate.clip_editor import Work
from napari_confseg.annotate.overlays import Overlay
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.tools.settings import BandWidths, Clipboard
from napari_confseg.annotate.view import Reality, Style, Tool, ViewState, Wish, resolve
from napari_confseg.store import Clip, ClipNotes, Cohort, Edit, SaveState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store import ClassSpec, Stroke

_AS_IS: Final = GetPydanticSchema(lambda _source, _handler: any_schema())
"""For objects that are not pydantic's to validate."""


class SessionState(EventedModel):
    """What is open, what is wished, and how saving stands. Every field has an event.

    Attributes
    ----------
    cohort, clip : Cohort, Clip or None
        What is open. When `clip`'s event fires, planes, status and overlays are in place.
    rater : str
        Slug of the reader whose planes these are; empty until chosen.
    adjudicator : str
        Who adjudicates, as people read it; empty while somebody reads as themselves.
    role : Role
        What the person is here for: to read, or to review what others read.
    about : ClipNotes
        What I say of the clip as a whole, and my time on it; an empty one if no clip is open.
    class_name, tool, confidence, brush_size, frame, threshold, opacity, hidden, marks_shown, style
        See :class:`~napari_confseg.annotate.view.Wish`.
    in_exercise : bool
        Whether a calibration exercise is under way; set by ``begin_exercise``.
    playing : bool
        Whether the clip plays.
    overlays : tuple of Overlay
        Other raters on show, as last read.
    overlays_hidden : frozenset of str
        Raters that stay loaded but out of sight.
    model_threshold, model_opacity
        See :class:`~napari_confseg.annotate.view.Wish`.
    merge : Merge
        What a stroke does to the confidence that is there already.
    locked, solo
        See :class:`~napari_confseg.annotate.view.Wish`.
    band_widths : BandWidths
        Of the bands that the B-line and the pleura tool paint.
    follow_bright : bool
        Whether the pleura tool follows the brightest line between its clicks.
    reach : int
        For how many frames marks are carried on through the clip.
    every_class : bool
        Whether copying, carrying on, interpolating and keeping to the sector are for every class
        that shows, or for the class being painted.
    clipboard : Clipboard or None
        What was copied.
    save_state : SaveState or None
        How saving stands; None if no clip is open.
    message : str
        The latest sentence for the person: why something was refused.
    planes_changed : Signal of tuple of (class name, frame)
        Planes changed other than by the view's own painting: undo, redo, acceptance.
    progress_changed : Signal
        Status, marks or strokes changed.
    edited : Signal of Edit
        An edit of mine is in the planes and saved: done, undone (then as its inverse) or redone.
    leaving : Signal
        The clip is about to be closed: the last moment to hand in what is being typed.
    blinding_changed : Signal
        The cohort's readers may see each other, or no longer.
    keys_changed : Signal
        The person gave actions other keys.
    sector_changed : Signal
        The clip's sector was confirmed or corrected.
    """

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, arbitrary_types_allowed=True
    )

    cohort: Cohort | None = None
    clip: Clip | None = None
    rater: str = ""
    adjudicator: str = ""
    role: Role = Role.READER
    about: Annotated[ClipNotes, _AS_IS] = Field(default_factory=ClipNotes)
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
    style: Style = Style.FILL
    in_exercise: bool = False
    merge: Merge = Merge.REPLACE
    locked: frozenset[str] = frozenset()
    solo: bool = False
    band_widths: Annotated[BandWidths, _AS_IS] = BandWidths()
    follow_bright: bool = True
    reach: int = Field(default=10, ge=1, le=100_000)
    every_class: bool = False
    clipboard: Annotated[Clipboard | None, _AS_IS] = None
    save_state: Annotated[SaveState | None, _AS_IS] = None
    message: str = ""

    planes_changed: ClassVar[Signal] = Signal(tuple)
    progress_changed: ClassVar[Signal] = Signal()
    edited: ClassVar[Signal] = Signal(Edit)
    leaving: ClassVar[Signal] = Signal()
    blinding_changed: ClassVar[Signal] = Signal()
    keys_changed: ClassVar[Signal] = Signal()
    sector_changed: ClassVar[Signal] = Signal()

    _work: Work | None = PrivateAttr(default=None)
    _stroking: Callable[[], bool] | None = PrivateAttr(default=None)

    def refuse_undo_while(self, stroking: Callable[[], bool]) -> None:
        """Let undo and redo do nothing while `stroking`: a stroke under way is not saved yet."""
        self._stroking = stroking

    def _set_together(self, **values: object) -> None:
        """Set fields so that whoever hears of one finds all of them in place."""
        old = {name: getattr(self, name) for name in values}
        with self.events.all.blocked():
            for name, value in values.items():
                setattr(self, name, value)
        for name, value in values.items():
            if value is not old[name] and value != old[name]:
                self.events[name].emit(value, old[name])

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
        """Whether there is an edit to take back, of this sitting or an earlier one."""
        return self._may_replay() and self._mine.writer.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit to do again."""
        return self._may_replay() and self._mine.writer.can_redo

    def _may_replay(self) -> bool:
        return self.writable and not (self._stroking and self._stroking())

    def view(self) -> ViewState:
        """Return what the view should show now."""
        wish = Wish(
            class_name=self.class_name,
            tool=self.tool,
            confidence=self.confidence,
            brush_size=self.brush_size,
            frame=self.frame,
            threshold=self.threshold,
            opacity=self.opacity,
            hidden=self.hidden,
            marks_shown=self.marks_shown,
            overlays_hidden=self.overlays_hidden,
            model_threshold=self.model_threshold,
            model_opacity=self.model_opacity,
            locked=self.locked,
            solo=self.solo,
            style=self.style,
        )
        reality = Reality(
            classes=tuple(c.name for c in self.classes) if self.clip else (),
            n_frames=len(self.status),
            writable=self.writable,
            overlays=tuple((o.name, frozenset(o.planes)) for o in self.overlays),
        )
        return resolve(wish, reality)
