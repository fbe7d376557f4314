"""The reading layout: the picture and the panels alone, napari's own controls folded away."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_confseg.annotate.preferences import Preferences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtWidgets import QWidget


class ReadingLayout:
    """Folds napari's layer list, layer controls, frame slider and status bar away.

    The panels have all of them, for reading; the choice is remembered for the person.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose window it is. One without a window has nothing to fold.
    """

    changed = Signal(bool)  # whether it is on

    def __init__(self, viewer: Any) -> None:
        # Weakly: whoever keeps this must not keep a closed window alive.
        self._viewer_ref = weakref.ref(viewer)
        self._hidden: list[QWidget] = []
        self.on = False

    def restore(self) -> None:
        """Take the layout in which the person read last; called once a clip is shown."""
        if Preferences.load().reading_layout:
            self._set(True)

    def toggle(self) -> None:
        """Fold napari's controls away, or bring them back; remembered."""
        self._set(not self.on)
        Preferences.load().model_copy(update={"reading_layout": self.on}).save()

    def _set(self, on: bool) -> None:
        if on == self.on:
            return
        self.on = on
        if on:
            # What the person had closed already stays closed afterwards.
            self._hidden = [part for part in self._parts() if not part.isHidden()]
        for part in self._hidden:
            part.setVisible(not on)
        if not on:
            self._hidden = []
        viewer = self._viewer_ref()
        if viewer is not None and viewer.layers:
            QTimer.singleShot(0, viewer.reset_view)  # once the canvas has its new size
        self.changed.emit(on)

    def _parts(self) -> Iterator[QWidget]:
        window = getattr(self._viewer_ref(), "window", None)
        if window is None:
            return
        inside = window._qt_viewer  # napari has no public name for its own docks
        yield inside.dockLayerControls
        yield inside.dockLayerList
        yield inside.dims
        yield window._qt_window.statusBar()
