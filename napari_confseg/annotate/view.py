"""What the view shows, worked out from what the person wants and what there is.

`resolve` is a pure function from wish and reality to a frozen state; the view is given only the
differences between two such states, so it needs no logic of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Style(StrEnum):
    """How one's own marks are drawn; the last two read without colour."""

    FILL = "fill"
    CONTOURS = "contours"
    HATCHING = "hatching"


class Tool(StrEnum):
    """What the mouse does on the canvas."""

    PAN = "pan"
    BRUSH = "brush"
    POLYGON = "polygon"
    FILL = "fill"
    ERASE = "erase"
    EXCLUDE = "exclude"
    B_LINE = "b-line"
    PLEURA = "pleura"
    SMART_EDGE = "smart-edge"


BAND_TOOLS: Final = (Tool.B_LINE, Tool.PLEURA)
"""Two clicks give a band."""

PAINTING_TOOLS: Final = (
    Tool.BRUSH,
    Tool.POLYGON,
    Tool.FILL,
    Tool.ERASE,
    Tool.EXCLUDE,
    *BAND_TOOLS,
    Tool.SMART_EDGE,
)


@dataclass(frozen=True)
class Wish:
    """What the person asked for.

    Attributes
    ----------
    class_name : str
        The class to paint.
    tool : Tool
        What the mouse shall do.
    confidence : int
        Confidence of the next stroke, 1..100 percent.
    brush_size, frame : int
        Diameter in pixels, and index of the frame on show.
    threshold : int
        Only marks of at least this confidence are shown; 0 or 1 shows all.
    opacity : float
        Opacity of marks at full confidence, 0..1.
    hidden : frozenset of str
        Classes not to show.
    marks_shown : bool
        Whether marks are shown at all.
    overlays_hidden : frozenset of str
        Raters whose marks are not to show.
    model_threshold, model_opacity : int, float
        As `threshold` and `opacity`, for the marks of models.
    locked : frozenset of str
        Classes whose marks nothing but undo may change.
    solo : bool
        Whether only the class to paint shows, whatever is hidden.
    style : Style
        How one's own marks are drawn.
    """

    class_name: str
    tool: Tool = Tool.PAN
    confidence: int = 60
    brush_size: int = 12
    frame: int = 0
    threshold: int = 0
    opacity: float = 0.7
    hidden: frozenset[str] = frozenset()
    marks_shown: bool = True
    overlays_hidden: frozenset[str] = frozenset()
    model_threshold: int = 50
    model_opacity: float = 0.7
    locked: frozenset[str] = frozenset()
    solo: bool = False
    style: Style = Style.FILL


@dataclass(frozen=True)
class Reality:
    """What there is: the classes in order, the number of frames, who may write, who else marked.

    Attributes
    ----------
    classes : tuple of str
        Names of the cohort's classes.
    n_frames : int
        0 if no clip is open.
    writable : bool
        False if somebody else holds the planes.
    overlays : tuple of (str, frozenset of str)
        Each other rater on show, with the classes that this rater marked.
    """

    classes: tuple[str, ...] = ()
    n_frames: int = 0
    writable: bool = True
    overlays: tuple[tuple[str, frozenset[str]], ...] = ()


@dataclass(frozen=True)
class ViewState:
    """What the view shows.

    Attributes
    ----------
    frame : int
        Index of the frame on show.
    active : str or None
        The class whose plane takes the strokes.
    tool : Tool
        What the mouse does; never a painting tool where painting is impossible.
    label : int
        Plane value that strokes get.
    brush_size : int
        Diameter in pixels.
    threshold : int
        1 shows all marks.
    opacity : float
        0..1.
    visible : frozenset of str
        Classes on show.
    editable : frozenset of str
        Classes whose planes may be painted: the active one, if it shows, is ours and
        is not locked.
    overlays : frozenset of (str, str)
        The (rater, class) planes of others on show.
    model_threshold, model_opacity : int, float
        As `threshold` and `opacity`, for the planes of models.
    style : Style
        How one's own marks are drawn.
    """

    frame: int = 0
    active: str | None = None
    tool: Tool = Tool.PAN
    label: int = 60
    brush_size: int = 12
    threshold: int = 1
    opacity: float = 0.7
    visible: frozenset[str] = frozenset()
    editable: frozenset[str] = frozenset()
    overlays: frozenset[tuple[str, str]] = frozenset()
    model_threshold: int = 50
    model_opacity: float = 0.7
    style: Style = Style.FILL


def label_of(tool: Tool, confidence: int) -> int:
    """Return the plane value that strokes of `tool` get at `confidence` (1..100).

    The eraser needs none: it always writes 0, and the confidence waits for the brush to be back.
    """
    return EXCLUDED if tool is Tool.EXCLUDE else confidence


def resolve(wish: Wish, reality: Reality) -> ViewState:
    """Return what to show for `wish`, given `reality`. Pure.

    A wish that cannot be granted is bent to the nearest that can: a frame outside the clip to its
    nearest frame, a painting tool on a hidden, locked, foreign or missing plane to panning.
    """
    active = wish.class_name if wish.class_name in reality.classes else None
    visible = _visible(wish, reality, active)
    paintable = active in visible - wish.locked
    can_paint = reality.writable and reality.n_frames > 0 and paintable
    threshold = min(max(wish.threshold, 1), MAX_CONFIDENCE)
    return ViewState(
        frame=min(max(wish.frame, 0), max(reality.n_frames - 1, 0)),
        active=active,
        tool=wish.tool if can_paint else Tool.PAN,
        label=label_of(wish.tool, min(max(wish.confidence, 1), MAX_CONFIDENCE)),
        brush_size=max(wish.brush_size, 1),
        threshold=threshold,
        opacity=min(max(wish.opacity, 0.0), 1.0),
        visible=visible,
        editable=frozenset({active} if can_paint and active else ()),
        overlays=frozenset(
            (rater, c)
            for rater, marked in reality.overlays
            for c in marked & visible
            if rater not in wish.overlays_hidden
        ),
        model_threshold=min(max(wish.model_threshold, 1), MAX_CONFIDENCE),
        model_opacity=min(max(wish.model_opacity, 0.0), 1.0),
        style=wish.style,
    )


def _visible(wish: Wish, reality: Reality, active: str | None) -> frozenset[str]:
    if not wish.marks_shown:
        return frozenset()
    if wish.solo and active:
        return frozenset({active})
    return frozenset(reality.classes) - wish.hidden


def differences(old: ViewState | None, new: ViewState) -> Iterator[str]:
    """Yield the names of the fields in which `new` differs from `old`; all of them if None."""
    for field in fields(new):
        if old is None or getattr(old, field.name) != getattr(new, field.name):
            yield field.name
