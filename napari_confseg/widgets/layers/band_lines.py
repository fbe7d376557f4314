"""Layers of a model's guaranteed contours: inner solid, outer dashed, around each region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_confseg.annotate.review.lines import GuaranteedContours, line_width
from napari_confseg.widgets.layers.colormaps import line_colors
from napari_confseg.widgets.layers.layer_guard import (
    AS_FRAMES,
    Rank,
    layer_name,
    place_of,
    scale_of,
)

if TYPE_CHECKING:
    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.view import ViewState
    from napari_confseg.store import Clip
    from napari_confseg.widgets.layers.layer_guard import LayerGuard


class BandLines:
    """Keeps a layer for each model on show, with its contours of the class in hand.

    Parameters
    ----------
    session : Session
        Whose clip and overlays these are.
    guard : LayerGuard
        Keeps the layers where they belong.
    """

    def __init__(self, session: Session, guard: LayerGuard) -> None:
        self._session = session
        self._guard = guard
        self.layers: dict[str, Any] = {}

    def push(self, state: ViewState, viewer: Any, axes: tuple[str, ...]) -> None:
        """Show `state`; layers of what is not asked for go."""
        clip, active = self._session.clip, viewer.layers.selection.active
        wanted = dict(state.bands)
        for rater in self.layers.keys() - wanted.keys():
            self._remove(rater, viewer)
        for overlay in self._session.overlays:
            name = wanted.get(overlay.name)
            if name is None or name not in overlay.planes:
                continue
            assert clip is not None
            assert overlay.guarantee is not None
            layer, sector = self.layers.get(overlay.name), clip.meta.sector
            if layer is None or not layer.data.is_over(overlay.planes[name], sector):
                band = overlay.guarantee.bands[name]
                data = GuaranteedContours(overlay.planes[name], band, sector)
                self._set_width(data, clip, viewer)
                if layer is None:
                    layer = self._add(overlay, data, clip, viewer, axes)
                else:
                    layer.data = data
                color = next(c.color for c in self._session.classes if c.name == name)
                layer.colormap = line_colors(color)
        viewer.layers.selection.active = active

    def _add(
        self,
        overlay: Overlay,
        data: GuaranteedContours,
        clip: Clip,
        viewer: Any,
        axes: tuple[str, ...],
    ) -> Any:
        scale, translate = place_of(clip, data.fine)
        layer = Labels(
            data,
            name=layer_name(overlay.label, after=" · guaranteed"),
            scale=scale,
            translate=translate,
            axis_labels=axes,
        )
        layer.editable = False
        layer.opacity = 1.0
        self._guard.keep(layer, Rank.LINES, AS_FRAMES, fine=data.fine)
        layer.events.visible.connect(lambda _event=None, layer=layer: self._on_visible(layer))
        self.layers[overlay.name] = layer
        viewer.add_layer(layer)
        return layer

    def _on_visible(self, layer: Any) -> None:
        if not layer.visible:  # hidden in napari's list: no bands, then
            self._session.bands = False

    def on_zoom(self, viewer: Any) -> None:
        """Draw the lines as wide as they are seen well now."""
        clip = self._session.clip
        for layer in self.layers.values():
            if clip is not None and self._set_width(layer.data, clip, viewer):
                layer.refresh(extent=False)

    def remove(self, viewer: Any) -> None:
        """Take all layers away."""
        for rater in list(self.layers):
            self._remove(rater, viewer)

    def _remove(self, rater: str, viewer: Any) -> None:
        layer = self.layers.pop(rater)
        if layer in viewer.layers:
            viewer.layers.remove(layer)

    @staticmethod
    def _set_width(data: GuaranteedContours, clip: Clip, viewer: Any) -> bool:
        step = min(scale_of(clip)[1:])
        return data.set_width(line_width(data.fine, viewer.scene.camera.zoom * step))
