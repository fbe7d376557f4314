"""The picture fills the canvas again when that gets another size, unless somebody zoomed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class KeepsFitted:
    """Fits the picture anew when docks come and go, as long as napari fitted it last.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas.
    stroking : callable
        Whether a stroke is under way: nothing may move beneath it.
    """

    def __init__(self, viewer: Any, stroking: Callable[[], bool]) -> None:
        # Weakly: whoever keeps this must not keep a closed window alive.
        self._viewer_ref = weakref.ref(viewer)
        self._stroking = stroking
        self._fitted: tuple[float, ...] | None = None
        viewer.events.reset_view.connect(self._on_fitted)
        viewer.canvas.events.size.connect(self._on_size)

    def _at(self) -> tuple[float, ...] | None:
        viewer = self._viewer_ref()
        if viewer is None:
            return None
        camera = viewer.scene.camera
        return (*map(float, camera.center), float(camera.zoom))

    def _on_fitted(self, *_: object) -> None:
        self._fitted = self._at()

    def _on_size(self, *_: object) -> None:
        viewer = self._viewer_ref()
        if viewer is None or not viewer.layers or self._stroking():
            return
        if self._fitted is not None and self._at() == self._fitted:
            viewer.reset_view()
