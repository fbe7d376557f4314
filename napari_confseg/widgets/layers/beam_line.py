"""The beam of the M-mode on the canvas: drawn over the picture, placed and dragged there."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari._vispy.overlays.base import LayerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari.components.overlays import SceneOverlay
from napari.layers.base._base_constants import Blending
from vispy.scene.visuals import Compound, Line

from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.view import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session

LEFT: Final = 1
COLOR: Final = "#ffd24a"
_RIM: Final = "#000000"
_NAME: Final = "confseg_beam"


class BeamOverlay(SceneOverlay):
    """Shows a line along a beam while there is one."""

    blending: Blending = Blending.TRANSLUCENT_NO_DEPTH
    points: Any = None  # (x, y) of its ends, in the layer's pixels

    def show(self, points: NDArray[np.float32] | None) -> None:
        """Show a line between `points`, ``(2, 2)``, or nothing."""
        self.points = points
        self.visible = points is not None


class VispyBeam(LayerOverlayMixin, VispySceneOverlay):
    """Draws a :class:`BeamOverlay`: a line with a dark rim, seen on bright and dark ground."""

    overlay: BeamOverlay

    def __init__(self, **kwargs: Any) -> None:
        nothing = np.zeros((2, 2), np.float32)
        self._rim = Line(nothing, color=_RIM, width=4, method="gl", antialias=True)
        self._line = Line(nothing, color=COLOR, width=2, method="gl", antialias=True)
        super().__init__(node=Compound([self._rim, self._line]), **kwargs)
        self.overlay.events.points.connect(self._on_points)
        self.reset()
        self._on_points()

    def _on_points(self) -> None:
        points = self.overlay.points
        if points is not None:
            for line in (self._rim, self._line):
                line.set_data(points)
            self.node.update()

    def close(self) -> None:
        """Go."""
        self.overlay.events.points.disconnect(self._on_points)
        super().close()


overlay_to_visual[BeamOverlay] = VispyBeam


class BeamLine:
    """Shows the session's beam on the frames, and lays it where the mouse says.

    Parameters
    ----------
    session : Session
        Whose M-mode.
    viewer : napari.Viewer
        Where.
    """

    def __init__(self, session: Session, viewer: Any) -> None:
        self._session = session
        self._viewer_ref = weakref.ref(viewer)
        self._layer: weakref.ref[Any] | None = None
        viewer.mouse_drag_callbacks.append(self._on_press)
        self._links = Links((session.m_mode.changed, self._show), failed=to_message(session))

    def close(self) -> None:
        """Show and take no more."""
        self._links.cut()
        viewer = self._viewer_ref()
        if viewer is not None and self._on_press in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._on_press)

    def attach(self, layer: Any) -> None:
        """Draw on `layer`, that of the frames."""
        layer._overlays[_NAME] = BeamOverlay()
        self._layer = weakref.ref(layer)
        self._show()

    def _show(self) -> None:
        layer = self._layer() if self._layer else None
        if layer is None:
            return
        mode = self._session.m_mode
        points = None
        if mode.shown and mode.beam is not None:
            ends = [[v[0], v[-1]] for v in (mode.beam.x, mode.beam.y)]
            points = np.array(ends, np.float32).T + 0.5  # the middle of a pixel
        layer._overlays[_NAME].show(points)

    def _on_press(self, _viewer: Any, event: Any) -> Iterator[None]:
        if self._session.view().tool is not Tool.M_MODE or event.button != LEFT:
            return
        self._place(event)
        yield
        while event.type == "mouse_move":
            self._place(event)
            yield
        self._place(event)

    def _place(self, event: Any) -> None:
        layer = self._layer() if self._layer else None
        if layer is not None:
            y, x = layer.world_to_data(event.position)[-2:]
            self._session.m_mode.place(float(y), float(x))
