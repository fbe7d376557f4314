"""Band tools on the canvas: two clicks or a drag, with a preview."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari._vispy.overlays.base import LayerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari.components.overlays import SceneOverlay
from napari.layers.base._base_constants import Blending
from qtpy.QtCore import QTimer
from vispy.scene.visuals import Image

from napari_confseg.annotate.hatch import outline
from napari_confseg.annotate.tools.merging import merged
from napari_confseg.annotate.view import BAND_TOOLS, Tool
from napari_confseg.widgets.layers.colormaps import alpha, rgb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.tools.bands import Point


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture to lay over the layer."""

    y: int  # its top pixel
    x: int  # its left pixel
    rgba: NDArray[np.float32]  # 0..1, float32 (h, w, 4)


class PreviewOverlay(SceneOverlay):
    """Shows a drawing while there is one."""

    blending: Blending = Blending.TRANSLUCENT_NO_DEPTH
    drawing: Any = None

    def show(self, drawing: Drawing | None) -> None:
        """Show `drawing`, or nothing."""
        self.drawing = drawing
        self.visible = drawing is not None


class VispyPreview(LayerOverlayMixin, VispySceneOverlay):
    """Draws a :class:`PreviewOverlay`."""

    overlay: PreviewOverlay

    def __init__(self, **kwargs: Any) -> None:
        blank = np.zeros((1, 1, 4), np.float32)
        super().__init__(node=Image(blank, method="auto"), **kwargs)
        self.overlay.events.drawing.connect(self._on_drawing)
        self.reset()
        self._on_drawing()

    def _on_drawing(self) -> None:
        drawing = self.overlay.drawing
        if drawing is not None:
            self.node.set_data(drawing.rgba)
            self.node.transform.reset()
            self.node.transform.translate((drawing.x, drawing.y))
            self.node.update()

    def close(self) -> None:
        """Go."""
        self.overlay.events.drawing.disconnect(self._on_drawing)
        super().close()


overlay_to_visual[PreviewOverlay] = VispyPreview


def drawing_of(
    proposal: NDArray[np.uint8], plane: NDArray[np.uint8], after: NDArray[np.uint8], color: str
) -> Drawing | None:
    """Return the drawing of a proposal: its edge, filled where it would change the plane.

    Parameters
    ----------
    proposal, plane, after : ndarray of uint8 (Y, X)
        What is proposed, what is there, and what would be.
    color : str
        Of the class, ``"#rrggbb"``.
    """
    rows, columns = np.flatnonzero(proposal.any(axis=1)), np.flatnonzero(proposal.any(axis=0))
    if not rows.size:
        return None
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    rgba = np.zeros((*proposal[box].shape, 4), np.float32)
    rgba[..., :3] = rgb(color)
    rgba[plane[box] != after[box], 3] = 0.8 * alpha(int(proposal.max()))
    edge = outline(np.pad(proposal[box] > 0, 1))[1:-1, 1:-1]  # the box's rim is an edge too
    rgba[edge] = (1.0, 1.0, 1.0, 0.9)
    return Drawing(int(rows[0]), int(columns[0]), rgba)


LEFT: Final = 1
A_DRAG: Final = 6.0
"""Screen pixels between press and release from which they are two points and not one click."""

OTHERWISE: Final = "Shift"
"""Held at the second click of the pleura tool: as if "follow the bright line" were switched."""


class BandClicks:
    """Collects the two points of a band on the layer being painted, and paints it.

    The first point is dropped when frame, class, tool or clip change, by Escape and by any other
    button: a band is on one frame, of one class.

    Parameters
    ----------
    session : Session
        What is annotated; its toolkit paints.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._marker = session.toolkit.marker
        self._first: Point | None = None
        self._latest: tuple[Point, bool] | None = None
        self._layer: weakref.ref[Any] | None = None
        for name in ("frame", "class_name", "tool", "clip", "locked"):
            session.events[name].connect(self.drop)

    def attach(self, layer: Any) -> None:
        """Take clicks on `layer`, which napari calls while it is the active one."""
        layer._overlays["confseg_preview"] = PreviewOverlay()
        layer.mouse_drag_callbacks.append(self._on_press)
        layer.mouse_move_callbacks.append(self._on_move)

    @property
    def waiting(self) -> bool:
        """Whether a first point is set."""
        return self._first is not None

    def drop(self, *_: object) -> None:
        """Forget the first point."""
        layer = self._layer() if self._layer else None
        self._first = self._latest = self._layer = None
        if layer is not None:
            layer._overlays["confseg_preview"].show(None)

    def _band_tool(self) -> Tool | None:
        tool = self._session.view().tool
        return tool if tool in BAND_TOOLS else None

    def _on_press(self, layer: Any, event: Any) -> Iterator[None]:
        if self._band_tool() is None:
            return
        if event.button != LEFT:
            self.drop()
            return
        pressed = np.asarray(event.pos, float)
        fresh = not self.waiting
        if fresh:
            self._first, self._layer = _point(layer, event), weakref.ref(layer)
        self._aim(layer, event)
        yield
        while event.type == "mouse_move":
            self._aim(layer, event)
            yield
        dragged = float(np.hypot(*(np.asarray(event.pos, float) - pressed))) >= A_DRAG
        if self.waiting and (dragged or not fresh):
            self._finish(_point(layer, event), OTHERWISE in event.modifiers)

    def _on_move(self, layer: Any, event: Any) -> None:
        if self.waiting:
            self._aim(layer, event)

    def _straight(self, otherwise: bool) -> bool:
        return self._session.follow_bright == otherwise

    def _finish(self, second: Point, otherwise: bool) -> None:
        first, tool = self._first, self._band_tool()
        self.drop()
        if first is not None and tool is Tool.B_LINE:
            self._marker.b_line(first, second)
        elif first is not None and tool is Tool.PLEURA:
            self._marker.pleura(first, second, straight=self._straight(otherwise))

    def _aim(self, layer: Any, event: Any) -> None:
        """Show the band to the pointer; of many moves at once only the latest."""
        due = self._latest is None
        self._latest = _point(layer, event), OTHERWISE in event.modifiers
        if due:
            QTimer.singleShot(0, self._preview)

    def _preview(self) -> None:
        session, tool = self._session, self._band_tool()
        layer = self._layer() if self._layer else None
        if layer is None or tool is None or self._first is None or self._latest is None:
            return
        (second, otherwise), self._latest = self._latest, None
        band = self._marker.band(tool, self._first, second, straight=self._straight(otherwise))
        plane = session.planes[session.class_name][session.view().frame]
        color = session.classes[session.class_index()].color
        drawing = drawing_of(band, plane, merged(plane, band, session.merge), color)
        layer._overlays["confseg_preview"].show(drawing)


def _point(layer: Any, event: Any) -> Point:
    y, x = layer.world_to_data(event.position)[-2:]
    return round(float(y)), round(float(x))  # the pixel: what is marked depends on no zoom
