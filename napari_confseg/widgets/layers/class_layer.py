"""The layer of one class: painting there becomes edits of the session.

With ``session_layers`` and ``layer_guard`` the place that touches napari's corners: a layer's own
undo is replaced, its brush, and what its polygon and its fill do while another tool stands behind
them. What a layer reports is a request; the session says what holds, and the view puts it back.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from napari.layers import Labels
from napari.layers.labels._labels_constants import Mode
from napari.layers.labels._labels_key_bindings import reset_polygon
from napari.layers.labels._labels_utils import (
    interpolate_coordinates,
    mouse_event_to_labels_coordinate,
)
from napari.settings import get_settings
from qtpy.QtCore import QTimer

from napari_confseg.annotate.patches import patch_between
from napari_confseg.annotate.tools.marking import EXCLUDED_STAYS, NOTHING_BY_RULE
from napari_confseg.annotate.tools.merging import Merge, merged
from napari_confseg.annotate.view import BAND_TOOLS, Tool
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, Edit, Patch
from napari_confseg.widgets.layers.layer_guard import STAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.view import ViewState
    from napari_confseg.widgets.layers.band_clicks import BandClicks


def patches_of(item: Sequence[Any], data: Any, class_index: int) -> list[Patch]:
    """Return what a paint event changed, one patch for each frame.

    Parameters
    ----------
    item : sequence
        The event's atoms: masks within boxes, or (indices, values before, values after).
    data : ndarray of uint8 (T, Y, X)
        The plane. napari emits a polygon before it writes and of a drag after, so neither the
        values there are taken for those before nor for those after: the atoms know both.
    class_index : int
        Whose plane it is.
    """
    found = [_changes(list(run)) for _, run in groupby(item, key=_kind_of)]
    at = [np.concatenate([places[d] for places, _, _ in found]) for d in range(3)]
    old, new = (np.concatenate([each[i] for each in found]) for i in (1, 2))
    low = [int(i.min()) for i in at]
    union = tuple(slice(a, int(i.max()) + 1) for a, i in zip(low, at, strict=True))
    within = tuple(i - a for i, a in zip(at, low, strict=True))
    before = np.array(data[union])
    # Of a pixel the first value counts. Copies: numpy goes through a reversed view forwards.
    before[tuple(i[::-1].copy() for i in within)] = old[::-1].copy()
    after = before.copy()
    after[within] = new  # and here the last
    patches = (
        patch_between(class_index, low[0] + t, before[t], after[t], y=low[1], x=low[2])
        for t in range(len(after))
    )
    return [p for p in patches if p is not None]


def _kind_of(atom: Any) -> tuple[int, ...] | None:
    """Return the shape of a masked atom's box; None for one that lists its pixels."""
    if not hasattr(atom, "mask"):
        return None
    shape: tuple[int, ...] = (atom.old_values if atom.mask is None else atom.mask).shape
    return shape


def _changes(atoms: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return (indices along each axis), values before and values after of every pixel changed.

    A stroke has a hundred and more atoms: those of one shape are taken as one array.
    """
    if not hasattr(atoms[0], "mask"):
        listed = [np.broadcast_arrays(*atom[0], atom[1], atom[2]) for atom in atoms]
        *places, old, new = (np.concatenate([np.ravel(a[i]) for a in listed]) for i in range(5))
        return places, old, new
    masks = [np.ones_like(a.old_values, bool) if a.mask is None else a.mask for a in atoms]
    which, *inside = np.nonzero(np.array(masks))
    starts = np.array([[s.start for s in a.slice_key] for a in atoms])
    places = [starts[which, d] + i for d, i in enumerate(inside)]
    old = np.concatenate([a.old_values.ravel() for a in atoms])
    return places, old, np.array([a.new_value for a in atoms])[which]


def value_painted(atom: Any) -> int:
    """Return the value that `atom` wrote."""
    return int(atom.new_value if hasattr(atom, "mask") else np.ravel(atom[2])[0])


LEFT: Final = 1
RIGHT: Final = 2
PICKING: Final = "Point at a mark and press 5: its confidence is taken for the next strokes."

MODES: Final = {
    Tool.PAN: "pan_zoom",
    Tool.BRUSH: "paint",
    Tool.POLYGON: "polygon",
    Tool.FILL: "fill",
    Tool.ERASE: "erase",
    Tool.EXCLUDE: "paint",
    Tool.B_LINE: "fill",  # for its cross-hair: what a click fills is ours to decide
    Tool.PLEURA: "fill",
    Tool.SMART_EDGE: "polygon",
    Tool.M_MODE: "fill",  # for its cross-hair, too
}
"""napari's mode for each tool."""

TOOLS: Final = {
    "pan_zoom": Tool.PAN,
    "paint": Tool.BRUSH,
    "polygon": Tool.POLYGON,
    "fill": Tool.FILL,
    "erase": Tool.ERASE,
}
"""The tool that a mode stands for by itself."""


class View(Protocol):
    """What a class's layer needs of the view that it belongs to."""

    session: Session
    clicks: BandClicks
    left_for_pan: Tool | None
    shown: ViewState | None

    @property
    def pushing(self) -> bool:
        """Whether what a layer reports now is the view's own doing."""

    def push(self, *_: object) -> None:
        """Show what differs from what is on show."""

    def settle(self) -> None:
        """Give the layers what the session says, whether it changed or not."""


class ClassLayer:
    """Listens to one class's layer.

    Parameters
    ----------
    view : View
        What it belongs to.
    name : str
        The class.
    layer : napari.layers.Labels
        Its layer.
    """

    def __init__(self, view: View, name: str, layer: Labels) -> None:
        self._view = view
        self._session = view.session
        self._name = name
        self._unsettled: list[tuple[Patch, NDArray[np.uint8]]] = []
        # napari's own undo knows one layer, one sitting and a hundred strokes; the session's
        # knows all of them, for ever.
        layer.undo = self._session.undo
        layer.redo = self._session.redo
        layer.paint_polygon = partial(self._paint_polygon, layer)
        layer.fill = partial(self._fill, layer)
        # napari's own gives a layer that is shown again the mode that it had when it was hidden.
        layer._on_visible_changed = lambda: None
        layer._drag_modes = {
            **Labels._drag_modes,
            Mode.PAINT: self._on_draw,
            Mode.ERASE: self._on_draw,
            Mode.FILL: self._on_fill_click,
        }
        events = layer.events
        events.paint.connect(lambda event: self._on_paint(layer, event.value))
        events.mode.connect(lambda: self._on_mode(layer))
        events.selected_label.connect(lambda: self._on_label(layer))
        events.brush_size.connect(lambda: self._on_brush_size(layer))
        events.visible.connect(lambda: self._on_visible(layer))
        events.opacity.connect(lambda: self._on_opacity(layer))
        for name in ("data", "colormap", "editable"):
            events[name].connect(self._on_foreign_change)
        layer.mouse_drag_callbacks.append(self._until_release)
        view.clicks.attach(layer)
        self._bind_keys(layer)

    def _bind_keys(self, layer: Labels) -> None:
        """Let napari's keys of the tools mean ours, also where the mode is the same already."""
        shortcuts = get_settings().shortcuts.shortcuts
        for mode, tool in TOOLS.items():
            for key in shortcuts.get(f"napari:activate_labels_{mode}_mode", ()):
                layer.bind_key(key, self._taking(tool), overwrite=True)
        for key in shortcuts.get("napari:reset_polygon", ()):
            layer.bind_key(key, self._on_give_up, overwrite=True)

    def _taking(self, tool: Tool) -> Callable[[Labels], None]:
        def take(_layer: Labels) -> None:  # napari wants a name to call it by
            self._session.tool = tool

        return take

    def _on_give_up(self, layer: Labels) -> None:
        if self._session.view().tool is Tool.M_MODE:
            self._session.m_mode.leave()
        elif self._view.clicks.waiting:
            self._view.clicks.drop()
        else:
            reset_polygon(layer)

    # ---- painting -------------------------------------------------------------------------

    def _paint_polygon(self, layer: Labels, points: Sequence[Any], new_label: int) -> None:
        if self._session.view().tool is Tool.SMART_EDGE:
            corners = np.floor(np.asarray(points, float)[:, -2:])  # napari's lie half a pixel on
            self._session.toolkit.marker.snap([(float(y), float(x)) for y, x in corners])
            return
        Labels.paint_polygon(layer, points, new_label)
        self._finish_stroke(layer)

    def _on_draw(self, layer: Labels, event: Any) -> Iterator[None]:
        if "Shift" in event.modifiers and self._session.suggestions.on:
            place = mouse_event_to_labels_coordinate(layer, event)
            y, x = (round(float(v)) for v in place[-2:])
            self._session.suggestions.accept_region((y, x))
            return
        yield from draw_to_release(layer, event)

    def _on_fill_click(self, layer: Labels, event: Any) -> None:
        if event.button == LEFT:
            at = mouse_event_to_labels_coordinate(layer, event)
            self._fill(layer, at, layer.selected_label)

    def _fill(
        self, layer: Labels, coord: Sequence[float], new_label: int, refresh: bool = True
    ) -> None:
        if self._session.view().tool in (*BAND_TOOLS, Tool.M_MODE):
            return
        if 0 < new_label <= MAX_CONFIDENCE:
            frame, y, x = (round(float(v)) for v in coord)
            self._session.toolkit.marker.fill((y, x), frame, self._name, new_label)
        else:  # other code takes marks away
            Labels.fill(layer, coord, new_label, refresh)

    def _on_paint(self, layer: Labels, item: Sequence[Any]) -> None:
        value = value_painted(item[0])
        tool = TOOLS.get(str(layer.mode), Tool.BRUSH)
        tool = {EXCLUDED: Tool.EXCLUDE, 0: Tool.ERASE}.get(value, tool)
        index = self._session.class_index(self._name)
        layer._undo_history.clear()  # never used: the journal remembers
        for painted in patches_of(item, layer.data, index):
            final = ruled(painted, self._session.merge)
            _write(layer, painted, final)  # a polygon is not there yet
            if not self._commit(painted, final, value, tool):
                final = painted.before
            if not np.array_equal(final, painted.after):
                self._unsettled.append((painted, final))
        if self._unsettled:  # and again when napari has written, which may be after this
            QTimer.singleShot(0, partial(self._finish_stroke, layer))

    def _commit(self, painted: Patch, final: NDArray[np.uint8], value: int, tool: Tool) -> bool:
        """Save what a stroke changed on one frame, also where it was dragged through several."""
        patch = patch_between(
            painted.class_index, painted.frame, painted.before, final, y=painted.y, x=painted.x
        )
        kept = bool(((painted.before == EXCLUDED) & (painted.after != final)).any())
        if patch is None or kept:
            self._session.message = EXCLUDED_STAYS if kept else NOTHING_BY_RULE
        if patch is None:
            return True
        edit = Edit((patch,), value, tool.value, patch.class_index, patch.frame)
        return self._session.commit(edit, painted=True) is not None

    def _finish_stroke(self, layer: Labels) -> None:
        """Bring the layer to what the rule or a refusal made of a stroke."""
        unsettled, self._unsettled = self._unsettled, []
        for painted, final in unsettled:
            _write(layer, painted, final)
        if unsettled:
            layer.refresh(extent=False)

    def _until_release(self, _layer: Labels, event: Any) -> Iterator[None]:
        self._session.playing = False
        blocked = self._session.view().blocked
        if blocked and event.button == LEFT:
            self._session.message = blocked
        yield
        while event.type == "mouse_move":
            yield
        # After napari's own handler of the release, which may come after this one.
        QTimer.singleShot(0, self._view.push)

    # ---- napari's own controls ------------------------------------------------------------

    def _on_mode(self, layer: Labels) -> None:
        mode = str(layer.mode)
        if self._view.pushing:
            return
        if mode not in TOOLS:
            self._session.message = PICKING if mode == "pick" else STAY
            self._view.settle()
            return
        session, left = self._session, self._view.left_for_pan
        tool = next((t for t in (session.tool, left) if t and MODES[t] == mode), TOOLS[mode])
        before, session.tool = session.tool, tool
        # Space, held, moves the picture: the tool that it came from comes back after it.
        self._view.left_for_pan = before if tool is Tool.PAN else None
        self._view.settle()  # also where the session had that tool

    def _on_label(self, layer: Labels) -> None:
        """Answer napari's keys for the next label, the last, the background and the picker."""
        value, shown = int(layer.selected_label), self._view.shown
        if self._view.pushing or shown is None or value == shown.label:
            return
        if value == 0:  # X: to and fro between painting and erasing
            erasing = self._session.tool is Tool.ERASE
            self._session.tool = Tool.BRUSH if erasing else Tool.ERASE
        elif value == EXCLUDED:
            self._session.tool = Tool.EXCLUDE
        else:
            self._session.confidence = min(value, MAX_CONFIDENCE)
        self._view.settle()  # also where the setting stayed as it was: 100 and one more

    def _on_brush_size(self, layer: Labels) -> None:
        if not self._view.pushing:
            self._session.brush_size = min(max(int(layer.brush_size), 1), 400)
            self._view.settle()

    def _on_opacity(self, layer: Labels) -> None:
        if not self._view.pushing:
            self._session.opacity = float(layer.opacity)

    def _on_foreign_change(self, *_: object) -> None:
        if not self._view.pushing:
            self._view.settle()

    def _on_visible(self, layer: Labels) -> None:
        if self._view.pushing:
            return
        hidden = self._session.hidden
        self._session.hidden = hidden - {self._name} if layer.visible else hidden | {self._name}
        if layer.visible:
            self._session.solo, self._session.marks_shown = False, True
        self._view.settle()


def draw_to_release(layer: Labels, event: Any) -> Iterator[None]:
    """Paint as napari's own brush does, and to the point where the button is let go.

    vispy drops moves that come within 10 ms of each other: of a flick none may be left.
    """
    overlay = layer._overlays["brush_stroke"]  # the right button rings an area
    ringing = overlay.active or (overlay.enabled and event.button == RIGHT)
    if layer.cursor == "circle_frozen" or ringing:  # the mouse sets the brush's size
        return
    label = 0 if layer.mode == "erase" else layer.selected_label
    last = mouse_event_to_labels_coordinate(layer, event)
    drawn = last, last
    with layer.block_history():
        layer._draw(label, last, last)
        yield
        while True:
            here = mouse_event_to_labels_coordinate(layer, event)
            if not np.array_equal(np.round(here), np.round(last)):
                layer._draw(label, last, here)
                drawn = last, here
            last = here
            if event.type != "mouse_move":
                painted = interpolate_coordinates(*drawn, layer.brush_size)[-1]
                if not np.array_equal(np.round(here), np.round(painted)):
                    layer._draw(label, here, here)  # napari leaves out the end of a short step
                return
            yield


def ruled(painted: Patch, rule: Merge) -> NDArray[np.uint8]:
    """Return what the box of a stroke becomes under `rule`; erasing and excluding know none.

    What is excluded stays so: only the eraser takes it away.
    """
    proposal = np.where(painted.before != painted.after, painted.after, np.uint8(0))
    if proposal.max() > MAX_CONFIDENCE:
        return painted.after
    return np.where(proposal > 0, merged(painted.before, proposal, rule), painted.after)


def _write(layer: Labels, painted: Patch, final: NDArray[np.uint8]) -> None:
    h, w = final.shape
    where = np.s_[painted.frame, painted.y : painted.y + h, painted.x : painted.x + w]
    box = layer.data[where]  # a copy
    np.copyto(box, final, where=painted.before != painted.after)
    layer.data[where] = box
