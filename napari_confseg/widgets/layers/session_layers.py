"""The session as napari layers.

Pushes the differences between two view states to napari. With ``class_layer``, ``paint_events`` and
``preview`` it is the one place that touches napari's corners: the private atoms of paint events, a
stroke's beginning and end, the replacement of a layer's own undo.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from napari.layers import Image, Labels
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QTimer

from napari_confseg.annotate.frames import CachedFrames
from napari_confseg.annotate.hatch import OUTLINE_AT, HatchedPlanes
from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.suggestions import OVERLAY
from napari_confseg.annotate.view import Style, Tool, ViewState, differences
from napari_confseg.store import RATER_KINDS
from napari_confseg.widgets.common.memory import give_memory_back
from napari_confseg.widgets.layers.band_clicks import BandClicks
from napari_confseg.widgets.layers.band_lines import BandLines
from napari_confseg.widgets.layers.beam_line import BeamLine
from napari_confseg.widgets.layers.class_layer import MODES, ClassLayer
from napari_confseg.widgets.layers.colormaps import faint, ramp
from napari_confseg.widgets.layers.contour_lines import ContourLines
from napari_confseg.widgets.layers.layer_guard import (
    AS_FRAMES,
    AS_LABELS,
    LayerGuard,
    Rank,
    layer_name,
    scale_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Clip

_AXES: Final = ("frame", "y", "x")

_NOTHING: Final = np.zeros((1, 1, 1), np.uint8)

AFTER_PAINT: Final = 10
"""Milliseconds: Qt paints 5 after a widget has asked for it."""

_PUSHED: Final = frozenset(
    {
        "frame",
        "active",
        "opacity",
        "visible",
        "overlays",
        "model_threshold",
        "model_opacity",
        "bands",
    }
)
"""Fields that are pushed where they differ; the rest is cheap to look at, and is so each time."""


_KEPT: Final = ("tool", "style", "bands", "hidden", "overlays_hidden")
"""Settings of the session that follow when somebody takes a layer from napari's list."""


class _Colored(NamedTuple):
    """What the colormap of one's own marks depends on."""

    color: str
    threshold: int
    faint: bool  # beneath lines that show the confidence


def _colormap(colored: _Colored, selected: int) -> Any:
    made = (faint if colored.faint else ramp)(colored.color, colored.threshold)
    made.selection = selected
    return made


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
        self._going: dict[str, Any] = {}
        self._frames: Any = None
        self._mine: dict[str, Any] = {}
        # As we set them, and for what, by class.
        self._colormaps: dict[str, tuple[Any, _Colored]] = {}
        self._theirs: dict[tuple[str, str], Any] = {}
        self.guard = LayerGuard(session, self._viewer_ref, self._pushed, lambda: self.pushing)
        self._lines = ContourLines(session, self.guard)
        self._bands = BandLines(session, self.guard)
        self._links = Links(
            (session.events.clip, self._on_clip),
            (session.events.overlays, self._on_overlays),
            (session.events, self.push),
            (session.sector_changed, self._on_sector),
            (session.editor.planes_changed, self._on_planes_changed),
            (session.editor.progress_changed, self._lines.refresh),  # a stroke has ended
            (session.suggestions.redrawn, self._on_suggested),
            failed=to_message(session),
        )
        session.editor.refuse_undo_while(self.stroking)
        # Panels, counts and lists take several times as long as a stroke's end in napari itself.
        # The application's child: whoever drops the session last may be a thread that read for it.
        self._announcing = QTimer(
            QCoreApplication.instance(), singleShot=True, interval=AFTER_PAINT
        )
        self._announcing.timeout.connect(session.editor.announce)
        session.editor.announce_with(self._announce_soon)
        session.toolkit.marker.point_with(self._pointer)
        self._beam = BeamLine(session, self._viewer)
        self._viewer.dims.events.current_step.connect(self._on_step)
        self._viewer.layers.selection.events.active.connect(self._on_active)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.scene.camera.events.zoom.connect(self._on_zoom)
        self._on_clip()

    def detach(self) -> None:
        """Show no more: the window is going."""
        self._links.cut()
        self._beam.close()
        self._announcing.stop()
        self.session.editor.announce_with(None)

    def let_go(self) -> None:
        """Leave nothing with the application: the viewer is gone."""
        if isalive(self._announcing):
            self._announcing.deleteLater()

    def _announce_soon(self) -> None:
        if not self._announcing.isActive():  # the first of several is not put off by the next
            self._announcing.start()

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

    def settle(self) -> None:
        """Give the layers what the session says, whether it changed or not."""
        self.push()

    def _push_now(self) -> None:
        self.guard.keep_apart()
        new, old = self.session.view(), self.shown
        self.shown = new
        with self._pushed():
            for name in differences(old, new):
                if name in _PUSHED:
                    getattr(self, f"_push_{name}")(new)
            if old is None or (old.threshold, old.style) != (new.threshold, new.style):
                self._push_colors(new)
            self._push_state(new)
        if self.shown is None:  # a layer came back: it needs all the rest too
            self._push_now()

    def _push_frame(self, state: ViewState) -> None:
        self._drop_polygon()
        dims = self._viewer.dims
        if dims.current_step[dims.ndim - 3] != state.frame:
            dims.set_current_step(dims.ndim - 3, state.frame)

    def _push_active(self, state: ViewState) -> None:
        self._drop_polygon()
        self._select_active(state)

    def _select_active(self, state: ViewState) -> None:
        layer = self._mine.get(state.active or "")
        if layer is not None and self._viewer.layers.selection.active is not layer:
            self._viewer.layers.selection.active = layer

    def _push_state(self, state: ViewState) -> None:
        """Bring the hand to what `state` says: looked at each time, whatever changed it."""
        for name, layer in self._mine.items():
            self._settle_layer(name, layer, state)
            if layer.data is not self.session.planes[name]:
                layer.data = self.session.planes[name]  # marks in a copy would not be stored
            if name not in self._colormaps or layer.colormap is not self._colormaps[name][0]:
                self._push_colors(state)
        if state.tool is not Tool.PAN:
            self._select_active(state)

    @staticmethod
    def _settle_layer(name: str, layer: Any, state: ViewState) -> None:
        """Bring the layer of one's own marks of a class to what `state` says."""
        editable = name in state.editable
        wanted = {
            "visible": name in state.visible,
            "editable": editable,
            "mode": MODES[state.tool] if editable else "pan_zoom",
            "selected_label": state.label,
            "brush_size": state.brush_size,
            "opacity": state.opacity,
        }
        for what, value in wanted.items():
            if getattr(layer, what) != value:
                setattr(layer, what, value)
        # A tool that can't mark does nothing; it does not become the one that moves.
        blocked = bool(state.blocked) and name == state.active
        beam = state.tool is Tool.M_MODE
        layer.mouse_pan = layer.mode == "pan_zoom" and not blocked and not beam

    def _push_colors(self, state: ViewState) -> None:
        for name, layer in self._mine.items():
            colored = self._colored(name, state)
            # Setting a colormap draws the layer: not where it is as it should be already.
            made, of = self._colormaps.get(name, (None, None))
            if made is not layer.colormap or of != colored:
                layer.colormap = _colormap(colored, layer.selected_label)
                self._colormaps[name] = layer.colormap, colored
        for name, layer in self._overlays_of(models=False):
            colored = self._colored(name, state)._replace(faint=False)
            layer.colormap = _colormap(colored, layer.selected_label)
            # No edge around what the threshold hides.
            layer.data.outline_at = max(OUTLINE_AT, state.threshold)
            layer.refresh(extent=False)
        self._push_lines(state)

    def _colored(self, name: str, state: ViewState) -> _Colored:
        color = next(c.color for c in self.session.classes if c.name == name)
        return _Colored(color, state.threshold, faint=state.style is not Style.FILL)

    def _push_lines(self, state: ViewState) -> None:
        self._lines.push(state, self._viewer, _AXES, self._scale())

    def _push_opacity(self, state: ViewState) -> None:
        for _, layer in self._overlays_of(models=False):
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

    def _push_bands(self, state: ViewState) -> None:
        self._bands.push(state, self._viewer, _AXES)

    def _on_sector(self) -> None:
        """Cut guaranteed contours to the sector as it is now."""
        if self.shown is not None and not self.stroking():
            with self._pushed():
                self._push_bands(self.shown)

    def _on_zoom(self, *_: object) -> None:
        self._bands.on_zoom(self._viewer)

    def _overlays_of(self, *, models: bool) -> Iterator[tuple[str, Any]]:
        """Yield (class name, layer) of each overlay of a model, or of each other one."""
        own = {o.name for o in self.session.overlays if RATER_KINDS[o.kind].own_threshold}
        for (rater, name), layer in self._theirs.items():
            if (rater in own) is models:
                yield name, layer

    def _push_visible(self, state: ViewState) -> None:
        for name in state.visible - self._mine.keys():
            self._add_mine(name)  # other code had removed it
        self._push_lines(state)

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
            else:  # once what still holds its planes on the way here has let go
                QTimer.singleShot(0, give_memory_back)
        self.push()

    def _remove_all(self) -> None:
        for layer in (self._frames, *self._mine.values(), *self._theirs.values()):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
                layer.data = _NOTHING  # napari keeps the one that was active, and its data with it
        self._lines.remove(self._viewer)
        self._bands.remove(self._viewer)
        self._frames, self._mine, self._theirs = None, {}, {}
        self._colormaps = {}

    def _add_all(self, clip: Clip) -> None:
        # A fixed window: brightness means the same on every frame and nothing is scanned.
        self._frames = Image(
            CachedFrames(clip),
            name=layer_name(clip.name),
            contrast_limits=(0, 255),
            scale=self._scale(),
            axis_labels=_AXES,
        )
        self.guard.keep(self._frames, Rank.FRAMES, AS_FRAMES)
        self._viewer.dims.order = tuple(range(self._viewer.dims.ndim))
        self._viewer.dims.ndisplay = 2
        self._viewer.canvas.grid.enabled = False
        self._viewer.add_layer(self._frames)
        self._beam.attach(self._frames)
        first, *others = self.session.classes
        # napari makes room for a class's controls, and draws anew, while there is little to draw.
        self._add_mine(first.name)
        with self._none_activated():
            for spec in others:
                self._add_mine(spec.name)
            self._sync_overlays(self.session.overlays)

    @contextmanager
    def _none_activated(self) -> Iterator[None]:
        """Add layers without making each the active one on the way: its controls take time."""
        layers = self._viewer.layers
        before, layers._activate_on_insert = layers._activate_on_insert, False
        try:
            yield
        finally:
            layers._activate_on_insert = before

    def _swap_data(self) -> None:
        """Show another clip in the layers there are: new ones take napari seconds."""
        session = self.session
        assert session.clip is not None
        before = self._frames.data.shape[1:], tuple(self._frames.scale)
        self._bands.remove(self._viewer)
        self._frames.data = CachedFrames(session.clip)
        self._frames.name = layer_name(session.clip.name)
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
        return scale_of(self.session.clip)

    def _add_mine(self, name: str) -> None:
        spec = next(c for c in self.session.classes if c.name == name)
        state = self.session.view()
        colored = self._colored(name, state)
        layer = Labels(
            self.session.planes[name],
            name=spec.label,
            colormap=_colormap(colored, state.label),
            scale=self._scale(),
            axis_labels=_AXES,
        )
        self.guard.keep(layer, Rank.MINE, AS_LABELS)
        ClassLayer(self, name, layer)
        # What is set later is drawn, and shown in napari's controls, each by itself.
        layer.visible = name in state.visible
        layer.selected_label, layer.brush_size = state.label, state.brush_size
        layer.opacity = state.opacity
        self._mine[name] = layer
        self._colormaps[name] = layer.colormap, colored
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
            name=layer_name(overlay.label, before=f"{spec.label} · "),
            colormap=ramp(spec.color),
            scale=self._scale(),
            axis_labels=_AXES,
        )
        layer.editable = False
        self.guard.keep(layer, Rank.OTHERS, AS_FRAMES)
        layer.events.visible.connect(
            lambda _event=None: self._on_their_sight(overlay.name, layer.visible)
        )
        layer.events.opacity.connect(self._on_their_opacity)
        return layer

    def _on_their_sight(self, rater: str, visible: bool) -> None:
        if not self._pushing:
            hidden = self.session.overlays_hidden
            self.session.overlays_hidden = hidden - {rater} if visible else hidden | {rater}
            self._settle_theirs()

    def _on_their_opacity(self, *_: object) -> None:
        if not self._pushing:
            self._settle_theirs()

    def _settle_theirs(self) -> None:
        state = self.session.view()
        with self._pushed():
            self._push_overlays(state)
            self._push_opacity(state)
            self._push_model_opacity(state)

    def _on_removed(self, event: Any) -> None:
        """Hide what one of our layers showed that a person took from napari's list."""
        if self._pushing:
            return
        self._note_going()
        if event.value is self._lines.layer:
            self.session.style = Style.FILL
        if event.value in self._bands.layers.values():
            self.session.bands = False
        if event.value is self._frames:
            self._frames = None
            for setting, value in self._going.items():
                setattr(self.session, setting, value)
            self.session.close_clip()
        for name, layer in list(self._mine.items()):
            if layer is event.value:
                del self._mine[name]
                self.session.hidden |= {name}
                QTimer.singleShot(0, self._put_back)  # napari is in the midst of removing
        for (rater, name), layer in list(self._theirs.items()):
            if layer is event.value:
                del self._theirs[rater, name]
                self.session.overlays_hidden |= {rater}

    def _note_going(self) -> None:
        """Remember what is in hand and in sight until napari has done with the layers.

        It takes one after the other where code closes a viewer: a place that is kept then must be
        the reader's, not what each layer left.
        """
        if not self._going:
            self._going = {name: getattr(self.session, name) for name in _KEPT}
            QTimer.singleShot(0, self._going.clear)

    def _put_back(self) -> None:
        """Add the layers of classes that other code removed, out of sight: the tools need them."""
        if self._frames is None or self._viewer_ref() is None:
            return
        with self._pushed():
            active = self._viewer.layers.selection.active
            for name in self.session.planes.keys() - self._mine.keys():
                self._add_mine(name)
            if active in self._viewer.layers:
                self._viewer.layers.selection.active = active
        self.push()

    def _on_planes_changed(self, changed: tuple[tuple[str, int], ...]) -> None:
        for name in {name for name, frame in changed if frame == self.session.frame}:
            if name in self._mine:
                self._mine[name].refresh(extent=False)
        self._lines.refresh()

    def _on_suggested(self) -> None:
        for (rater, _), layer in self._theirs.items():
            if rater == OVERLAY:
                layer.refresh(extent=False)

    # ---- what a person does in napari -----------------------------------------------------

    def _on_step(self, *_: object) -> None:
        if self._pushing or not self._frames_shown():
            return
        dims = self._viewer.dims
        if self.stroking() and self.shown is not None:
            with self._pushed():  # one stroke, one frame
                dims.set_current_step(dims.ndim - 3, self.shown.frame)
            return
        # A layer of somebody's own may have more frames than the clip.
        self.session.frame = min(int(dims.current_step[dims.ndim - 3]), self._last_frame())
        if dims.current_step[dims.ndim - 3] != self.session.frame:
            with self._pushed():
                dims.set_current_step(dims.ndim - 3, self.session.frame)

    def _frames_shown(self) -> bool:
        """Whether the clip is there; napari's last step is no frame while it takes all layers."""
        return self._frames is not None and self._frames in self._viewer.layers

    def _last_frame(self) -> int:
        return max(len(self.session.status) - 1, 0)

    def _pointer(self) -> tuple[int, int] | None:
        """Return the pixel (y, x) of the picture under the mouse; None beside it."""
        if self._frames is None or self.session.clip is None:
            return None
        place = self._frames.world_to_data(self._viewer.cursor.position)[-2:]
        y, x = (round(float(v)) for v in place)
        height, width = self.session.clip.shape[1:]
        return (y, x) if 0 <= y < height and 0 <= x < width else None

    def _on_active(self, *_: object) -> None:
        if self._pushing or self._frames is None:
            return
        active = self._viewer.layers.selection.active
        for name, layer in self._mine.items():
            if layer is active:
                self.session.class_name = name
                return
        if active is None:
            self._note_going()
        self.session.tool = Tool.PAN  # on any other layer the mouse does nothing else
