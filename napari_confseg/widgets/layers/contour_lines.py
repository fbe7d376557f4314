"""The layer of contours or hatching over one's own marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_confseg.annotate.contours import ContourPlanes
from napari_confseg.annotate.view import Style
from napari_confseg.widgets.layers.colormaps import ink
from napari_confseg.widgets.layers.layer_guard import AS_FRAMES, Rank

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.view import ViewState
    from napari_confseg.widgets.layers.layer_guard import LayerGuard

NAME = "Confidence contours"


class ContourLines:
    """Adds the layer, keeps it in step with the view, takes it away.

    Painting goes on in the layers beneath, which are tinted meanwhile; the lines follow when a
    stroke ends, and only the frame on show is drawn.

    Parameters
    ----------
    session : Session
        Whose marks these are.
    guard : LayerGuard
        Keeps the layer where it belongs.
    """

    def __init__(self, session: Session, guard: LayerGuard) -> None:
        self._session = session
        self._guard = guard
        self.layer: Any = None
        self._data: ContourPlanes | None = None

    def push(self, state: ViewState, viewer: Any, axes: tuple[str, ...], scale: Any) -> None:
        """Show `state`; add or remove the layer if need be."""
        if state.style is Style.FILL or not self._session.planes:
            self.remove(viewer)
            return
        session = self._session
        planes = [session.planes[c.name] for c in session.classes]
        if self._data is None or not self._data.is_over(planes):
            assert session.cohort is not None
            self._data = ContourPlanes(planes, session.cohort.meta.anchors)
        data = self._data
        data.style, data.threshold = state.style, state.threshold
        data.shown = frozenset(c.index for c in session.classes if c.name in state.visible)
        if self.layer is None:
            active = viewer.layers.selection.active
            self.layer = Labels(
                data,
                name=NAME,
                colormap=ink([c.color for c in session.classes]),
                scale=scale,
                axis_labels=axes,
            )
            self.layer.editable = False
            self._guard.keep(self.layer, Rank.LINES, AS_FRAMES)
            self.layer.events.visible.connect(self._on_visible)
            viewer.add_layer(self.layer)
            viewer.layers.selection.active = active
        elif self.layer.data is not data:
            self.layer.data, self.layer.scale = data, scale
        self.layer.opacity = state.opacity
        self.refresh()

    def _on_visible(self, *_: object) -> None:
        # Later: napari may be going through its selected layers, from which the lines go then.
        QTimer.singleShot(0, self._follow_sight)

    def _follow_sight(self) -> None:
        if self.layer is not None and not self.layer.visible:
            self._session.style = Style.FILL  # hidden in napari's list: without lines, then

    def refresh(self) -> None:
        """Draw the frame on show anew: somebody painted there."""
        if self.layer is not None:
            self.layer.refresh(extent=False)

    def remove(self, viewer: Any) -> None:
        """Take the layer away."""
        layer, self.layer, self._data = self.layer, None, None
        if layer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)
