"""Layers that stay where and as they belong, whatever napari's own controls do to them.

A picture that is turned under its marks, or marks painted into a copy, would be stored as something
else than what was seen. What a person may change in napari changes the session instead.
"""

from __future__ import annotations

import weakref
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Labels
from napari.layers.utils._link_layers import get_linked_layers, unlink_layers
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from napari_confseg.annotate.session import Session


class Rank(IntEnum):
    """Which layers of a clip lie on which."""

    FRAMES = 0
    OTHERS = 1
    MINE = 2
    LINES = 3


STAY: Final = "The layers of a clip stay where they are: else marks and picture would come apart."
FLAT: Final = "A clip is shown flat, frame by frame: that is where marks are painted."
BY_PANEL: Final = "This control of napari's is not used here: the panel's say how marks are made."

LONGEST_NAME: Final = 24
"""Characters that a layer's name has room for in napari's list."""

FOREIGN: Final = (
    "{} is no layer of this clip: what is painted there is not saved with it. Choose a tool "
    "to mark a class."
)

_PLACES: Final = ("scale", "translate", "rotate", "shear", "affine")

AS_LABELS: Final[Mapping[str, Any]] = {
    "n_edit_dimensions": 2,  # a mark is on one frame
    "contiguous": True,
    "preserve_labels": False,
    "show_selected_label": False,
    "contour": 0,
    "blending": "translucent",
    "projection_mode": "none",
}
"""What the layers of one's own marks keep."""

AS_FRAMES: Final[Mapping[str, Any]] = {"projection_mode": "none"}
"""What the picture keeps: a mean of several frames is none that was painted on."""


class LayerGuard:
    """Puts layers of a clip back at once, with a word to the person.

    Parameters
    ----------
    session : Session
        Gets the word, and knows whether a clip is open.
    viewer : weakref.ref of napari.Viewer
        Whose layers these are.
    pushed : callable
        Gives a context in which what layers report counts as our own doing.
    pushing : callable
        Whether it is now.
    """

    def __init__(
        self,
        session: Session,
        viewer: weakref.ref[Any],
        pushed: Callable[[], AbstractContextManager[None]],
        pushing: Callable[[], bool],
    ) -> None:
        self._session = session
        self._viewer_ref = viewer
        self._pushed, self._pushing = pushed, pushing
        self._ranks: weakref.WeakKeyDictionary[Any, Rank] = weakref.WeakKeyDictionary()
        self._names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._fine: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._sorting = False
        shown: Any = viewer()
        dims = shown.dims.events
        # First: napari must not begin to read the whole clip as a volume.
        dims.ndisplay.connect(self._on_dims, position="first")
        dims.order.connect(self._on_dims, position="first")
        shown.canvas.grid.events.enabled.connect(self._on_grid, position="first")
        shown.layers.events.reordered.connect(self._on_order)
        shown.layers.events.inserted.connect(self._on_order)
        shown.layers.selection.events.active.connect(self._on_active)

    def keep(
        self, layer: Any, rank: Rank, fixed: Mapping[str, Any] | None = None, *, fine: int = 1
    ) -> None:
        """Let `layer` stay as it is from now on.

        Parameters
        ----------
        layer : napari.layers.Layer
            One of the clip's, before it is added to the viewer.
        rank : Rank
            Where it lies among them.
        fixed : mapping of str to object, optional
            Attributes of napari's and the value that each keeps.
        fine : int
            How many of its pixels lie along one of the clip's.
        """
        self._ranks[layer] = rank
        self._fine[layer] = fine
        self._names[layer] = layer.name
        layer.locked = True  # napari refuses then, with a word, to delete, split or convert it
        events = layer.events
        for name in _PLACES:
            events[name].connect(lambda _event=None, layer=layer: self._on_place(layer))
        events.name.connect(lambda _event=None, layer=layer: self._on_name(layer))
        events.locked.connect(lambda _event=None, layer=layer: self._on_locked(layer))
        if rank is not Rank.MINE:  # what tool is in hand there, the session says
            events.mode.connect(lambda _event=None, layer=layer: self._on_mode(layer))
        for name, value in (fixed or {}).items():
            setattr(layer, name, value)
            events[name].connect(
                lambda _event=None, layer=layer, name=name, value=value: self._on_fixed(
                    layer, name, value
                )
            )

    def keep_apart(self) -> None:
        """Undo napari's links between layers: what is done to one would be done to others."""
        linked = [layer for layer in self._ranks if get_linked_layers(layer)]
        for layer in linked:
            unlink_layers([layer])
        if linked:
            self._session.message = (
                "Layers of a clip are not linked: the panel acts on all of them."
            )

    # ---- one layer ------------------------------------------------------------------------

    def _foreign(self) -> bool:
        """Whether what is reported now was done by somebody else than us."""
        return not self._pushing()

    def _on_place(self, layer: Any) -> None:
        if not self._foreign() or self._session.clip is None or self._is_in_place(layer):
            return
        with self._pushed():
            layer.affine = np.eye(layer.ndim + 1)
            layer.shear = np.zeros(layer.ndim * (layer.ndim - 1) // 2)
            layer.rotate = np.eye(layer.ndim)
            layer.scale, layer.translate = self._place(layer)
        self._session.message = STAY

    def _place(self, layer: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
        assert self._session.clip is not None
        return place_of(self._session.clip, self._fine[layer])

    def _is_in_place(self, layer: Any) -> bool:
        corners = (np.zeros(layer.ndim), *np.eye(layer.ndim))
        there = [layer.data_to_world(corner) for corner in corners]
        scale, translate = self._place(layer)
        return np.allclose(there, np.array(corners) * scale + translate)

    def _on_name(self, layer: Any) -> None:
        """Keep the name: a class or a rater under a false name would be read as another."""
        if not self._foreign():
            self._names[layer] = layer.name
        elif layer.name != self._names[layer]:
            with self._pushed():
                layer.name = self._names[layer]
            self._session.message = (
                "Layers of a clip keep their names: they are those of the study's classes."
            )

    def _on_locked(self, layer: Any) -> None:
        if not layer.locked:
            layer.locked = True
            self._session.message = STAY

    def _on_mode(self, layer: Any) -> None:
        if self._foreign() and str(layer.mode) != "pan_zoom":
            with self._pushed():
                layer.mode = "pan_zoom"
            self._session.message = STAY

    def _on_fixed(self, layer: Any, name: str, value: Any) -> None:
        if getattr(layer, name) != value:
            setattr(layer, name, value)
            if self._foreign():
                self._session.message = BY_PANEL

    # ---- all of them ----------------------------------------------------------------------

    def _on_dims(self, *_: object) -> None:
        viewer = self._viewer_ref()
        if viewer is None or self._session.clip is None:
            return
        dims = viewer.dims
        if dims.ndisplay != 2:
            dims.ndisplay = 2
            self._session.message = FLAT
        straight = tuple(range(dims.ndim))
        if dims.order != straight and self._foreign():
            dims.order = straight
            self._session.message = FLAT

    def _on_active(self, *_: object) -> None:
        """Say that a copy of a class's layer, say, is not the class."""
        viewer = self._viewer_ref()
        active = None if viewer is None else viewer.layers.selection.active
        if (
            isinstance(active, Labels)
            and active not in self._ranks
            and self._foreign()
            and self._session.clip is not None
        ):
            self._session.message = FOREIGN.format(active.name)

    def _on_grid(self, *_: object) -> None:
        viewer = self._viewer_ref()
        if viewer is not None and self._session.clip is not None and viewer.canvas.grid.enabled:
            viewer.canvas.grid.enabled = False
            self._session.message = STAY

    def _on_order(self, *_: object) -> None:
        if self._foreign() and not self._sorting and not self._is_sorted():
            self._sorting = True
            QTimer.singleShot(0, self._sort)  # napari's list is in the midst of moving

    def _ours(self) -> list[tuple[int, Any]]:
        viewer: Any = self._viewer_ref()
        layers = viewer.layers if viewer is not None else ()
        return [(i, layer) for i, layer in enumerate(layers) if layer in self._ranks]

    def _is_sorted(self) -> bool:
        ranks = [self._ranks[layer] for _, layer in self._ours()]
        return ranks == sorted(ranks)

    def _sort(self) -> None:
        """Put layers of ours in order, in the places that they have between them."""
        self._sorting = False
        if self._is_sorted():
            return
        viewer: Any = self._viewer_ref()
        active = viewer.layers.selection.active
        with self._pushed():
            places = [i for i, _ in self._ours()]
            wanted = sorted((layer for _, layer in self._ours()), key=self._ranks.__getitem__)
            for place, layer in zip(places, wanted, strict=True):
                viewer.layers.move(viewer.layers.index(layer), place)
            viewer.layers.selection.active = active
        self._session.message = STAY


def layer_name(name: str, *, before: str = "", after: str = "") -> str:
    """Return a layer's name of which `name` is cut in its middle where napari's list has no room.

    napari cuts what is longer itself, but only beneath the lock that stands beside it.
    """
    room = max(LONGEST_NAME - len(before) - len(after), 8)
    if len(name) > room and name.endswith(")"):
        name = name.rpartition(" (")[0] or name  # the kind
    if len(name) > room:
        end = room // 3
        name = f"{name[: room - end - 1].rstrip()}…{name[-end:].lstrip()}"
    return f"{before}{name}{after}"


def scale_of(clip: Any) -> tuple[float, float, float]:
    """Return the scale (frame, y, x) that every layer of `clip` has."""
    spacing = clip.meta.spacing
    return (1.0, spacing.y, spacing.x) if spacing else (1.0, 1.0, 1.0)


def place_of(clip: Any, fine: int = 1) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and translation (frame, y, x) of a layer over `clip`.

    `fine` of its pixels lie along one of the clip's.
    """
    scale = scale_of(clip)
    apart = (1 / fine - 1) / 2  # the first of them lies that far before the middle of the clip's
    return (
        (scale[0], scale[1] / fine, scale[2] / fine),
        (0.0, apart * scale[1], apart * scale[2]),
    )
