"""The session as napari layers.

Pushes the differences between two view states to napari. With ``class_layer``, ``paint_events`` and
``preview`` it is the one place that touches napari's corners: the private atoms of paint events, a
stroke's beginning and end, the replacement of a layer's own undo.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from napari.layers import Image, Labels

from napari_confseg.annotate.frames import CachedFrames
from napari_confseg.annotate.hatch import OUTLINE_AT, HatchedPlanes
from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.view import Style, Tool, ViewState, differences
from napari_confseg.store import RATER_KINDS
from napari_confseg.widgets.layers.band_clicks import BandClicks
from napari_confseg.widgets.layers.class_layer import MODES, ClassLayer
from napari_confseg.widgets.layers.colormaps import faint, ramp
from napari_confseg.widgets.layers.contour_lines import ContourLines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Clip

_AXES: Final = ("frame", "y", "x")


class SessionLayers:
    """Keeps a viewer's layers in step with a session.

    Parameters
    ----------
    session : Session
        The truth.
    viewer : napari.Viewer
        Where to show it; a plugin's proxy will do.
    """

    def __init__(self, session: Session, viewer: Any) -> None:
        self.session = session
        self.clicks = BandClicks(session)
        self.left_for_pan: Tool | None = None
        # Weakly: whoever keeps this must not keep a closed window alive.
        self._viewer_ref = weakref.ref(getattr(viewer, "__wrapped__", viewer))
        self.shown: ViewState | None = None
        self._pushing = 0
        self._frames: Any = None
        self._mine: dict[str, Any] = {}
        self._theirs: dict[tuple[str, str], Any] = {}
        self._lines = ContourLines(session)
        self._links = Links(
            (session.events.clip, self._on_clip),
            (session.events.overlays, self._on_overlays),
            (session.events, self.push),
            (session.editor.planes_changed, self._on_planes_changed),
            (session.editor.progress_changed, self._lines.refresh),  # a stroke has ended
            failed=to_message(session),
        )
        session.editor.refuse_undo_while(self.stroking)
        self._viewer.dims.events.current_step.connect(self._on_step)
        self._viewer.layers.selection.events.active.connect(self._on_active)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._on_clip()

    def detach(self) -> None:
        """Show no more: the window is going."""
        self._links.cut()

    @property
    def _viewer(self) -> Any:
        viewer = self._viewer_ref()
        if viewer is None:
            raise ReferenceError("the viewer of this session is closed")
        return viewer

    # ---- the session shown ----------------------------------------------------------------

    @property
    def pushing(self) -> bool:
        """Whether layers are being changed by us: what they report then is our own echo."""
        return self._pushing > 0

    @contextmanager
    def _pushed(self) -> Iterator[None]:
        self._pushing += 1
        try:
            yield
        finally:
            self._pushing -= 1

    @contextmanager
    def undisturbed(self) -> Iterator[int]:
        """Let another add or remove layers of its own; gives where those above the frames begin.

        The layer that is painted stays the active one.
        """
        layers = self._viewer.layers
        active = layers.selection.active
        with self._pushed():
            yield layers.index(self._frames) + 1 if self._frames in layers else 0
            if active in layers:
                layers.selection.active = active

    def stroking(self) -> bool:
        """Whether a stroke is under way: from press to release nothing may move beneath it."""
        return any(layer._block_history for layer in self._mine.values())

    def push(self, *_: object) -> None:
        """Give the view what differs from what it shows; later, if a stroke is under way."""
        if not self._pushing and self._frames is not None and not self.stroking():
            self._push_now()

    def _push_now(self) -> None:
        new, old = self.session.view(), self.shown
        self.shown = new
        with self._pushed():
            for name in differences(old, new):
                getattr(self, f"_push_{name}")(new)
        if self.shown is None:  # a layer came back: it needs all the rest too
            self._push_now()

    def _push_frame(self, state: ViewState) -> None:
        self._drop_polygon()
        dims = self._viewer.dims
        if dims.current_step[dims.ndim - 3] != state.frame:
            dims.set_current_step(dims.ndim - 3, state.frame)

    def _push_active(self, state: ViewState) -> None:
        self._drop_polygon()
        layer = self._mine.get(state.active or "")
        if layer is not None and self._viewer.layers.selection.active is not layer:
            self._viewer.layers.selection.active = layer

    def _push_tool(self, state: ViewState) -> None:
        for name, layer in self._mine.items():
            mode = MODES[state.tool] if name in state.editable else "pan_zoom"
            if layer.mode != mode:
                layer.mode = mode
        if state.tool is not Tool.PAN:
            self._push_active(state)

    def push_label(self) -> None:
        """Put the value that strokes get into the layers."""
        with self._pushed():
            self._push_label(self.session.view())

    def _push_label(self, state: ViewState) -> None:
        for layer in self._mine.values():
            layer.selected_label = state.label

    def _push_brush_size(self, state: ViewState) -> None:
        for layer in self._mine.values():
            layer.brush_size = state.brush_size

    def _push_threshold(self, state: ViewState) -> None:
        colors = {c.name: c.color for c in self.session.classes}
        layers = [*self._mine.items(), *self._overlays_of(models=False)]
        own = set(map(id, self._mine.values())) if state.style is not Style.FILL else set()
        for name, layer in layers:
            colormap = (faint if id(layer) in own else ramp)(colors[name], state.threshold)
            colormap.selection = layer.selected_label
            layer.colormap = colormap
        self._push_lines(state)

    def _push_style(self, state: ViewState) -> None:
        self._push_threshold(state)

    def _push_lines(self, state: ViewState) -> None:
        self._lines.push(state, self._viewer, _AXES, self._scale())

    def _push_opacity(self, state: ViewState) -> None:
        others = (layer for _, layer in self._overlays_of(models=False))
        for layer in (*self._mine.values(), *others):
            layer.opacity = state.opacity
        self._push_lines(state)

    def _push_model_threshold(self, state: ViewState) -> None:
        colors = {c.name: c.color for c in self.session.classes}
        for name, layer in self._overlays_of(models=True):
            layer.data.outline_at = state.model_threshold
            layer.colormap = ramp(colors[name], state.model_threshold)
            layer.refresh(extent=False)

    def _push_model_opacity(self, state: ViewState) -> None:
        for _, layer in self._overlays_of(models=True):
            layer.opacity = state.model_opacity

    def _overlays_of(self, *, models: bool) -> Iterator[tuple[str, Any]]:
        """Yield (class name, layer) of each overlay of a model, or of each other one."""
        own = {o.name for o in self.session.overlays if RATER_KINDS[o.kind].own_threshold}
        for (rater, name), layer in self._theirs.items():
            if (rater in own) is models:
                yield name, layer

    def _push_visible(self, state: ViewState) -> None:
        for name in state.visible - self._mine.keys():
            self._add_mine(name)  # a person had removed it from napari's list
        for name, layer in self._mine.items():
            layer.visible = name in state.visible
        self._push_lines(state)

    def _push_editable(self, state: ViewState) -> None:
        for name, layer in self._mine.items():
            editable = name in state.editable
            if layer.editable != editable:
                layer.editable = editable
        self._push_tool(state)

    def _push_overlays(self, state: ViewState) -> None:
        for key, layer in self._theirs.items():
            layer.visible = key in state.overlays

    def _drop_polygon(self) -> None:
        for layer in self._mine.values():
            if layer.mode == "polygon" and layer._overlays["polygon"].points:
                layer._overlays["polygon"].points = []

    # ---- layers come and go ---------------------------------------------------------------

    def _on_clip(self, *_: object) -> None:
        session = self.session
        with self._pushed():
            self.shown = None
            if self._frames is not None and self._mine.keys() == set(session.planes):
                self._swap_data()
                return
            # Not in one batch, though napari would be quicker: what it puts off (collecting what
            # the layers leave, rebuilding its scene) then crashes Qt now and then.
            self._remove_all()
            if session.clip is not None:
                self._add_all(session.clip)
        self.push()

    def _remove_all(self) -> None:
        for layer in (self._frames, *self._mine.values(), *self._theirs.values()):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._lines.remove(self._viewer)
        self._frames, self._mine, self._theirs = None, {}, {}

    def _add_all(self, clip: Clip) -> None:
        # A fixed window: brightness means the same on every frame and nothing is scanned.
        self._frames = Image(
            CachedFrames(clip),
            name=clip.name,
            contrast_limits=(0, 255),
            scale=self._scale(),
            axis_labels=_AXES,
        )
        self._viewer.add_layer(self._frames)
        for spec in self.session.classes:
            self._add_mine(spec.name)
        self._sync_overlays(self.session.overlays)

    def _swap_data(self) -> None:
        """Show another clip in the layers there are: new ones take napari seconds."""
        session = self.session
        assert session.clip is not None
        before = self._frames.data.shape[1:], tuple(self._frames.scale)
        self._frames.data = CachedFrames(session.clip)
        self._frames.name = session.clip.name
        for name, layer in self._mine.items():
            layer.data = session.planes[name]
        self._sync_overlays(session.overlays)
        for layer in (self._frames, *self._mine.values(), *self._theirs.values()):
            layer.scale = self._scale()
        self._push_now()
        if before != (session.clip.shape[1:], self._scale()):
            self._viewer.reset_view()

    def read_frames_anew(self) -> None:
        """Forget the frames that were read: the store had been out of reach."""
        if self._frames is not None and self.session.clip is not None:
            with self._pushed():
                self._frames.data = CachedFrames(self.session.clip)

    def _scale(self) -> tuple[float, float, float]:
        assert self.session.clip is not None
        spacing = self.session.clip.meta.spacing
        return (1.0, spacing.y, spacing.x) if spacing else (1.0, 1.0, 1.0)

    def _add_mine(self, name: str) -> None:
        spec = next(c for c in self.session.classes if c.name == name)
        layer = Labels(
            self.session.planes[name],
            name=spec.label,
            colormap=ramp(spec.color),
            scale=self._scale(),
            axis_labels=_AXES,
        )
        ClassLayer(self, name, layer)
        self._mine[name] = layer
        self._viewer.add_layer(layer)
        self.shown = None

    def _on_overlays(self, overlays: tuple[Overlay, ...]) -> None:
        if self._frames is None or self._pushing:
            return
        active = self._viewer.layers.selection.active
        with self._pushed():
            self._sync_overlays(overlays)
            if active in self._viewer.layers:
                self._viewer.layers.selection.active = active

    def _sync_overlays(self, overlays: Sequence[Overlay]) -> None:
        wanted = {(o.name, c): (i, o) for i, o in enumerate(overlays) for c in o.planes}
        for key in self._theirs.keys() - wanted.keys():
            self._viewer.layers.remove(self._theirs.pop(key))
        for (rater, name), (direction, overlay) in wanted.items():
            at = (
                self.session.model_threshold
                if RATER_KINDS[overlay.kind].own_threshold
                else OUTLINE_AT
            )
            data = HatchedPlanes(overlay.planes[name], direction, at)
            if (rater, name) in self._theirs:
                self._theirs[rater, name].data = data
                continue
            self._theirs[rater, name] = layer = self._their_layer(overlay, name, data)
            # Beneath one's own marks, above the frames.
            self._viewer.layers.insert(self._viewer.layers.index(self._frames) + 1, layer)
        self.shown = None

    def _their_layer(self, overlay: Overlay, name: str, data: HatchedPlanes) -> Any:
        spec = next(c for c in self.session.classes if c.name == name)
        layer = Labels(
            data,
            name=f"{spec.label} · {overlay.label}",
            colormap=ramp(spec.color),
            scale=self._scale(),
            axis_labels=_AXES,
        )
        layer.editable = False
        return layer

    def _on_removed(self, event: Any) -> None:
        """Hide what one of our layers showed that a person took from napari's list."""
        if self._pushing:
            return
        if event.value is self._lines.layer:
            self.session.style = Style.FILL
        if event.value is self._frames:
            self._frames = None
            self.session.close_clip()
        for name, layer in list(self._mine.items()):
            if layer is event.value:
                del self._mine[name]
                self.session.hidden |= {name}
        for (rater, name), layer in list(self._theirs.items()):
            if layer is event.value:
                del self._theirs[rater, name]
                self.session.overlays_hidden |= {rater}

    def _on_planes_changed(self, changed: tuple[tuple[str, int], ...]) -> None:
        for name in {name for name, frame in changed if frame == self.session.frame}:
            if name in self._mine:
                self._mine[name].refresh(extent=False)
        self._lines.refresh()

    # ---- what a person does in napari -----------------------------------------------------

    def _on_step(self, *_: object) -> None:
        if self._pushing or self._frames is None:
            return
        dims = self._viewer.dims
        if self.stroking() and self.shown is not None:
            with self._pushed():  # one stroke, one frame
                dims.set_current_step(dims.ndim - 3, self.shown.frame)
            return
        self.session.frame = int(dims.current_step[dims.ndim - 3])

    def _on_active(self, *_: object) -> None:
        if self._pushing or self._frames is None:
            return
        active = self._viewer.layers.selection.active
        for name, layer in self._mine.items():
            if layer is active:
                self.session.class_name = name
                return
        self.session.tool = Tool.PAN
