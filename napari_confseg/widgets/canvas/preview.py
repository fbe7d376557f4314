"""What a tool is about to paint, drawn over a class's layer before it is.

An overlay of the layer, as napari's own polygon is: nothing in the layer list, nothing in the data.
napari has no public way to add one, so its table of overlays is named here, and only here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari._vispy.overlays.base import LayerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari.components.overlays import SceneOverlay
from napari.layers.base._base_constants import Blending
from vispy.scene.visuals import Image

from napari_confseg.annotate.hatch import outline
from napari_confseg.widgets.canvas.looks import alpha, rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture to lay over the layer.

    Attributes
    ----------
    y, x : int
        Its top-left pixel.
    rgba : ndarray of float32 (h, w, 4)
        Colours, 0..1.
    """

    y: int
    x: int
    rgba: NDArray[np.float32]


class PreviewOverlay(SceneOverlay):  # type: ignore[misc]
    """Shows a drawing while there is one."""

    blending: Blending = Blending.TRANSLUCENT_NO_DEPTH
    drawing: Any = None

    def show(self, drawing: Drawing | None) -> None:
        """Show `drawing`, or nothing."""
        self.drawing = drawing
        self.visible = drawing is not None


class VispyPreview(LayerOverlayMixin, VispySceneOverlay):  # type: ignore[misc]
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
