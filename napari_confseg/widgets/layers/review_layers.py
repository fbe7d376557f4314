"""Layers of a review: raters' contours, agreement map, outline of a disagreement.

They lie between the frames and the marks that are painted, and show the current class.
"""

from __future__ import annotations

import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap

from napari_confseg.agreement.maps import MAPS
from napari_confseg.annotate.hatch import HatchedPlanes
from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.review.lines import (
    EventOutline,
    GuaranteedContours,
    Lines,
    RaterContours,
    fine_shape,
    line_width,
)
from napari_confseg.annotate.review.planes import MapOfAgreement, StoredPlanes
from napari_confseg.widgets.layers.colormaps import line_colors, ramp
from napari_confseg.widgets.layers.layer_guard import (
    AS_FRAMES,
    Rank,
    layer_name,
    place_of,
    scale_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.agreement.disagreement import Region
    from napari_confseg.annotate.review.model import Review
    from napari_confseg.annotate.review.state import RaterRow, ReviewState
    from napari_confseg.widgets.layers.session_layers import SessionLayers

_AXES: Final = ("frame", "y", "x")
MAP: Final = "Agreement"
OUTLINE: Final = "Disagreement"
FILL: Final = " (fill)"
"""Ends the key of a rater's hatching; no rater's name can."""
BAND: Final = " (band)"
"""Ends the key of a model's guaranteed contours."""
MAP_OPACITY: Final = 0.75
ROOM: Final = 2.2
"""How many times the size of a disagreement the canvas shows around it."""
CLOSEST: Final = 8.0
"""Pixels of the canvas that a pixel of the clip gets at most."""


@cache
def map_colors(levels: int) -> dict[int | None, Any]:
    """Return the colours of map values 0 (clear) to `levels`: perceptually even (viridis)."""
    even = ensure_colormap("viridis").map(np.linspace(0, 1, levels + 1)[1:])
    clear = np.zeros(4, np.float32)
    table: dict[int | None, Any] = {None: clear, 0: clear}
    table |= {i + 1: np.asarray(color, np.float32) for i, color in enumerate(even)}
    return table


class ReviewLayers:
    """Keeps a viewer's layers in step with a review.

    Parameters
    ----------
    review : Review
        What is shown.
    view : SessionLayers
        Shows the session in the same viewer.
    viewer : napari.Viewer
        Where; a plugin's proxy will do.
    """

    def __init__(self, review: Review, view: SessionLayers, viewer: Any) -> None:
        self._review = review
        self._view = view
        self._viewer_ref = weakref.ref(getattr(viewer, "__wrapped__", viewer))
        self._layers: dict[str, Any] = {}
        self._sources: dict[str, object] = {}
        self._colored: dict[str, tuple[Any, object]] = {}
        self._planes: dict[tuple[str, int], StoredPlanes] = {}
        self._views: object = None
        self._in_sight = True
        self._links = Links(
            (review.changed, self.sync),
            (review.session.events.class_name, self.sync),
            (review.session.events.bands, self.sync),
            (review.session.sector_changed, self.sync),
            (review.focused, self.zoom_to),
            failed=to_message(review.session),
        )
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.scene.camera.events.zoom.connect(self._on_zoom)
        self.sync()

    @property
    def _viewer(self) -> Any:
        return self._viewer_ref()

    def close(self) -> None:
        """Take all layers away and listen no more."""
        self._links.cut()
        if self._viewer is not None:
            self._viewer.layers.events.removed.disconnect(self._on_removed)
            self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)
            with self._view.undisturbed():
                for name in list(self._layers):
                    self._remove(name)

    # ---- layers ---------------------------------------------------------------------------

    def set_in_sight(self, in_sight: bool) -> None:
        """Show while the panel is in sight, and while one adjudicates with other panels' tools.

        Whoever turns to the Annotate panel to read a clip is not to see what others marked.
        """
        self._in_sight = in_sight
        if self._links:  # a panel that goes hides first or last
            self.sync()

    def sync(self, *_: object) -> None:
        """Show what the review says now."""
        review, session = self._review, self._review.session
        if self._views is not review.views:
            self._views, self._planes = review.views, {}
        with self._view.undisturbed() as above:
            fits = session.clip is not None
            seen = self._in_sight or review.state.adjudicating
            for name, layer in list(self._layers.items()):
                # Not hidden: the slider of frames goes by the longest layer, and napari's list
                # shows a small picture of each, to who reads blinded too.
                if not (fits and seen) or layer.data.shape not in self._shapes():
                    self._remove(name)
            if fits and seen and session.class_name in {c.name for c in session.classes}:
                self._show(review.state, session.class_index(), above)

    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        clip = self._review.session.clip
        return () if clip is None else (clip.shape, fine_shape(clip.shape))

    def _show(self, state: ReviewState, class_index: int, above: int) -> None:
        item = state.item
        event = item.event if item and item.event.class_index == class_index else None
        source = (event, state.settings.threshold)
        clip = self._review.session.clip
        assert clip is not None
        self._put(
            OUTLINE, event is not None, source, above, lambda: EventOutline(event, clip.shape)
        )
        self._color(OUTLINE, "", lambda: line_colors("#ffffff"))
        for row in reversed(state.raters):
            self._show_rater(row, class_index, state, above)
        self._show_map(state, class_index, above)

    def _show_rater(self, row: RaterRow, class_index: int, state: ReviewState, above: int) -> None:
        source = (self._views, class_index, row.style, state.settings.threshold)
        color, direction, at = row.style.color, row.style.direction, state.settings.threshold
        fill = row.name + FILL
        self._put(
            row.name,
            row.shown,
            source,
            above,
            lambda: RaterContours(self._stored(row.name, class_index), direction, at),
        )
        self._color(row.name, color, lambda: line_colors(color))
        self._put(
            fill,
            row.shown and state.settings.filled,
            source,
            above,
            lambda: HatchedPlanes(self._stored(row.name, class_index), direction, at),
        )
        self._color(fill, color, lambda: ramp(color))
        self._show_band(row, class_index, above)
        for name, after in ((row.name, ""), (fill, " · hatched")):
            if name in self._layers:
                self._layers[name].name = layer_name(row.title, after=after)
                self._layers[name].opacity = state.settings.opacity

    def _show_band(self, row: RaterRow, class_index: int, above: int) -> None:
        session, name = self._review.session, row.name + BAND
        promised = self._review.views[row.name].rater.meta.guarantee
        spec = next(c for c in session.classes if c.index == class_index)
        band = promised.bands.get(spec.name) if promised else None
        sector = session.clip.meta.sector if session.clip else None

        def made() -> GuaranteedContours:
            assert band is not None
            return GuaranteedContours(self._stored(row.name, class_index), band, sector)

        on = row.shown and session.bands and band is not None
        self._put(name, on, (self._views, class_index, sector), above, made)
        self._color(name, row.style.color, lambda: line_colors(row.style.color))
        if name in self._layers:
            self._layers[name].name = layer_name(row.title, after=" · guaranteed")

    def _show_map(self, state: ReviewState, class_index: int, above: int) -> None:
        settings = state.settings
        compared = tuple(r.name for r in state.compared)
        on = bool(settings.map) and len(compared) > 1
        source = (self._views, class_index, settings.map, compared, settings.threshold)
        self._put(
            MAP,
            on,
            source,
            above,
            lambda: MapOfAgreement(
                [self._stored(n, class_index) for n in compared],
                MAPS[settings.map][1],
                settings.threshold,
            ),
        )
        levels = len(compared) if settings.map == "votes" else 100
        self._color(MAP, levels, lambda: DirectLabelColormap(color_dict=dict(map_colors(levels))))
        if MAP in self._layers:
            self._layers[MAP].opacity = MAP_OPACITY

    def _color(self, name: str, which: object, make: Callable[[], Any]) -> None:
        """Colour layer `name` unless it has these colours: napari takes its time over it."""
        layer = self._layers.get(name)
        if layer is not None and self._colored.get(name) != (layer, which):
            self._colored[name] = layer, which
            layer.colormap = make()

    def _stored(self, rater: str, class_index: int) -> StoredPlanes:
        key = rater, class_index
        if key not in self._planes:
            view = self._review.views[rater]
            self._planes[key] = StoredPlanes(view, class_index, self._show_message)
        return self._planes[key]

    def _show_message(self, words: str) -> None:
        self._review.session.message = words

    def _put(
        self, name: str, on: bool, source: tuple[object, ...], above: int, make: Callable[[], Any]
    ) -> None:
        """Show layer `name` of what `make` makes of `source`, or hide it."""
        layer = self._layers.get(name)
        if layer is not None and layer.visible != on:
            layer.visible = on
        if not on or self._sources.get(name) == source:
            return
        self._sources[name] = source
        if layer is not None:
            data = make()
            self._set_width(data)
            layer.data = data
            return
        clip = self._review.session.clip
        assert clip is not None
        data = make()
        fine = data.fine if isinstance(data, Lines) else 1
        self._set_width(data)
        scale, translate = place_of(clip, fine)
        layer = Labels(data, name=name, scale=scale, translate=translate, axis_labels=_AXES)
        layer.editable = False
        self._view.guard.keep(layer, Rank.OTHERS, AS_FRAMES, fine=fine)
        self._layers[name] = layer
        self._viewer.layers.insert(above, layer)

    def _remove(self, name: str) -> None:
        layer = self._layers.pop(name)
        self._sources.pop(name, None)
        self._colored.pop(name, None)
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        """Take note that a person took one of our layers from napari's list."""
        for name, layer in list(self._layers.items()):
            if layer is event.value:
                del self._layers[name]
                self._sources.pop(name, None)
                if name == MAP:
                    self._review.configure(map="")
                elif name.endswith(FILL):
                    self._review.configure(filled=False)
                elif name.endswith(BAND):
                    self._review.session.bands = False
                elif name != OUTLINE:
                    hidden = self._review.settings.hidden | {name}
                    self._review.configure(hidden=hidden)

    # ---- how wide lines are, and where to look --------------------------------------------

    def _set_width(self, data: Any) -> bool:
        """Draw lines as wide as they are seen well at this zoom; return whether that is new."""
        clip = self._review.session.clip
        if clip is None or not isinstance(data, Lines):
            return False
        step = min(scale_of(clip)[1:])
        return data.set_width(line_width(data.fine, self._viewer.scene.camera.zoom * step))

    def _on_zoom(self, *_: object) -> None:
        for layer in self._layers.values():
            if self._set_width(layer.data):
                layer.refresh(extent=False)

    def zoom_to(self, region: Region) -> None:
        """Bring a region into sight: nothing moves where it is in sight already.

        Unless the person has every disagreement enlarged.
        """
        clip = self._review.session.clip
        assert clip is not None
        step = np.array(scale_of(clip)[1:])
        y0, x0, y1, x1 = region.box
        middle = step * ((y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2)
        size = step * (y1 - y0, x1 - x0)
        canvas = np.array(self._viewer.canvas.size, float)
        camera = self._viewer.scene.camera
        close = float((canvas / (size * ROOM)).min())
        if self._review.state.settings.follow:
            fits = float((canvas / (step * clip.shape[1:])).min())  # shows the whole frame
            camera.zoom = min(max(close, fits), CLOSEST / float(step.max()))
        else:
            away = np.abs(middle - np.array(camera.center)[-2:]) + size / 2
            if (away <= canvas / camera.zoom / 2).all():
                return
            camera.zoom = min(camera.zoom, close)
        camera.center = (0.0, *middle)
