"""The view's state, resolved from the session's settings and their context.

`resolve` is pure; the view is given only the differences between two states, so it needs no logic
of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.annotate.session import Session


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
    M_MODE = "m-mode"


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
class Context:
    """What there is to show, whatever the settings ask for."""

    classes: tuple[str, ...] = ()  # names of the cohort's classes, in order
    n_frames: int = 0  # 0 if no clip is open
    writable: bool = True  # False if somebody else holds the planes
    overlays: tuple[tuple[str, frozenset[str]], ...] = ()  # (rater shown, classes it marked)
    bands: frozenset[tuple[str, str]] = frozenset()  # (rater, class) with guaranteed contours


@dataclass(frozen=True)
class ViewState:
    """What the view shows."""

    frame: int  # index of the frame on show
    active: str | None  # the class whose plane takes the strokes
    tool: Tool  # the one in hand; never a painting one where there are no planes of ours
    label: int  # plane value that strokes get
    brush_size: int  # diameter in pixels
    threshold: int  # 1 shows all marks
    opacity: float  # 0..1
    visible: frozenset[str]  # classes
    editable: frozenset[str]  # at most the active class: if visible, ours and not locked
    overlays: frozenset[tuple[str, str]]  # visible (rater, class) planes of others
    model_threshold: int  # as `threshold`, for planes of models
    model_opacity: float  # as `opacity`, for planes of models
    bands: frozenset[tuple[str, str]]  # of `overlays`, of the active class: guaranteed contours
    style: Style  # how one's own marks are drawn
    blocked: str  # why the tool in hand can't mark, in a sentence; empty if it can


def label_of(tool: Tool, confidence: int) -> int:
    """Return the plane value that strokes of `tool` get at `confidence` (1..100).

    The eraser needs none: it always writes 0, and the confidence waits for the brush to be back.
    """
    return EXCLUDED if tool is Tool.EXCLUDE else confidence


def resolve(session: Session, context: Context) -> ViewState:
    """Return what to show for the settings of `session` in `context`. Pure.

    What cannot be shown becomes the nearest that can: a frame outside the clip its nearest frame,
    a painting tool on foreign or missing planes panning. On a hidden or locked class the tool
    stays in hand, does nothing and says why: a picture that slides instead would be a surprise.
    """
    active = session.class_name if session.class_name in context.classes else None
    visible = _visible(session, context, active)
    has_plane = context.writable and context.n_frames > 0 and active is not None
    why = _why_not(session, visible, active) if has_plane and active else ""
    can_paint = has_plane and not why
    beam = session.tool is Tool.M_MODE and context.n_frames > 0  # it marks nothing
    overlays = frozenset(
        (rater, c)
        for rater, marked in context.overlays
        for c in marked & visible
        if rater not in session.overlays_hidden
    )
    return ViewState(
        frame=min(session.frame, max(context.n_frames - 1, 0)),
        active=active,
        tool=session.tool if has_plane or beam else Tool.PAN,
        label=label_of(session.tool, session.confidence),
        brush_size=session.brush_size,
        threshold=max(session.threshold, 1),
        opacity=session.opacity,
        visible=visible,
        editable=frozenset({active} if can_paint and active else ()),
        overlays=overlays,
        model_threshold=session.model_threshold,
        model_opacity=session.model_opacity,
        bands=frozenset(
            (rater, c) for rater, c in overlays & context.bands if session.bands and c == active
        ),
        style=session.style,
        blocked=why if session.tool not in (Tool.PAN, Tool.M_MODE) else "",
    )


def _why_not(session: Session, visible: frozenset[str], active: str) -> str:
    label = next((c.label for c in session.classes if c.name == active), active)
    if active in session.locked:
        return f"{label} is locked: nothing is marked. Unlock it in its row first."
    if not session.marks_shown:
        return f"{label} is hidden, as all marks are: show them before you mark."
    if active not in visible:
        return f"{label} is hidden: show it before you mark."
    return ""


def _visible(session: Session, context: Context, active: str | None) -> frozenset[str]:
    if not session.marks_shown:
        return frozenset()
    if session.solo and active:
        return frozenset({active})
    return frozenset(context.classes) - session.hidden


def differences(old: ViewState | None, new: ViewState) -> Iterator[str]:
    """Yield the names of the fields in which `new` differs from `old`; all of them if None."""
    for field in fields(new):
        if old is None or getattr(old, field.name) != getattr(new, field.name):
            yield field.name
