"""The sector under correction on the canvas: outline and handles."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Points, Shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.annotate.sector_editor import SectorEditor
    from napari_confseg.annotate.session import Session

OUTLINE: Final = "Sector: outline"
HANDLES: Final = "Sector: drag the corners"
_FINE, _WRONG = "#ffc800", "#ff5050"
_ARC_HANDLE: Final = "#ffffff"
_STILL: Final = 1e-3  # pixels: less is rounding


class SectorHandles:
    """Shows an editor's proposal as two napari layers, and passes drags on to it.

    Parameters
    ----------
    editor : SectorEditor
        Has what to show.
    session : Session
        Whose clip it is.
    viewer : napari.Viewer
        Where; a plugin's proxy will do.
    """

    def __init__(self, editor: SectorEditor, session: Session, viewer: Any) -> None:
        self._editor = editor
        self._session = session
        self._viewer_ref = weakref.ref(getattr(viewer, "__wrapped__", viewer))
        self._outline: Any = None
        self._handles: Any = None
        self._pushing = False
        editor.changed.connect(self._show)
        self._viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Take the layers away and follow no longer."""
        self._editor.changed.disconnect(self._show, missing_ok=True)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._take_away()

    @property
    def _viewer(self) -> Any:
        viewer = self._viewer_ref()
        if viewer is None:
            raise ReferenceError("the viewer of this session is closed")
        return viewer

    @contextmanager
    def _pushed(self) -> Iterator[None]:
        # What the layers report while we change them is our own echo, not a person's hand.
        before, self._pushing = self._pushing, True
        try:
            yield
        finally:
            self._pushing = before

    def _show(self) -> None:
        with self._pushed():
            if not self._editor.active:
                self._take_away()
            elif self._handles is None:
                self._add()
            else:
                self._update()

    def _scale(self) -> tuple[float, float]:
        assert self._session.clip is not None
        spacing = self._session.clip.meta.spacing
        return (spacing.y, spacing.x) if spacing else (1.0, 1.0)

    def _add(self) -> None:
        assert self._session.clip is not None
        longest = max(self._session.clip.shape[1:])
        common = {"scale": self._scale(), "axis_labels": ("y", "x")}
        # A polygon's point (0, 0) is the frame's corner, napari's the middle of its first pixel.
        self._outline = Shapes(
            [self._line()],
            shape_type="polygon",
            name=OUTLINE,
            face_color="transparent",
            edge_color=self._color(),
            edge_width=longest / 250,
            **common,
        )
        self._outline.editable = False
        self._handles = Points(
            self._dots(),
            name=HANDLES,
            size=longest / 32,
            border_width=0.12,
            opacity=0.9,
            face_color=self._colors(),
            border_color="black",
            **common,
        )
        self._handles.events.data.connect(self._on_data)
        self._handles.mouse_drag_callbacks.append(self._while_dragged)
        self._viewer.add_layer(self._outline)
        self._viewer.add_layer(self._handles)
        self._viewer.layers.selection.active = self._handles
        self._handles.mode = "select"

    def _update(self) -> None:
        self._outline.data = [self._line()]
        self._outline.edge_color = self._color()
        dots = self._dots()
        if len(dots) != len(self._handles.data):
            self._handles.selected_data = set()
            self._handles.data = dots
            self._handles.face_color = self._colors()
        else:  # in place: a new array would end the drag under way
            self._handles.data[:] = dots
            self._handles.refresh(extent=False)

    def _line(self) -> Any:
        return np.array(self._editor.polygon) - 0.5

    def _dots(self) -> Any:
        return np.array(self._editor.handles) - 0.5

    def _color(self) -> str:
        return _WRONG if self._editor.problem() else _FINE

    def _colors(self) -> list[str]:
        n = self._editor.n_corners
        return [_FINE if i < n else _ARC_HANDLE for i in range(len(self._editor.handles))]

    def _take_away(self) -> None:
        for layer in (self._handles, self._outline):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._handles = self._outline = None

    def _on_removed(self, event: Any) -> None:
        if not self._pushing and event.value in (self._handles, self._outline):
            self._editor.cancel()  # taken from napari's list

    def _on_data(self, *_: object) -> None:
        """Pass on which handle was dragged; put back what was added or deleted."""
        if self._pushing or self._handles is None:
            return
        now, was = self._handles.data, self._dots()
        if len(now) == len(was):
            for handle in np.flatnonzero((np.abs(now - was) > _STILL).any(axis=1)):
                y, x = now[handle] + 0.5
                self._editor.drag(int(handle), float(y), float(x))
        with self._pushed():
            self._update()

    def _while_dragged(self, _layer: Any, event: Any) -> Iterator[None]:
        """Let the outline follow the hand; napari itself emits a drag when it is over."""
        yield
        while event.type == "mouse_move":
            self._on_data()
            yield
