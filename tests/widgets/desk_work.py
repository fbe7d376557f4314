"""Helpers of the Annotate panel's tests: an open panel, a hand, plain zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zarr
from qtpy.compat import isalive

from napari_confseg.widgets.annotate.panel import AnnotatePanel
from napari_confseg.widgets.demo.hand import Hand

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from napari_confseg.store import Cohort

SHAPE = (96, 128)


class Desk:
    """A viewer with the panel, a session and a hand.

    Where the viewer is not shown, the panel is a window of its own: what needs no canvas to be
    drawn is tested in half the time.
    """

    def __init__(self, viewer: Any, *, shown: bool = True) -> None:
        self.viewer = viewer
        self.panel = AnnotatePanel(viewer)
        self.session = self.panel.session
        self.hand = Hand(viewer)
        self.shown = shown
        if shown:
            viewer.window.add_dock_widget(self.panel, name="Annotate", area="right")
            self.hand.window.resize(1200, 800)
        else:
            self.panel.resize(320, 900)
            self.panel.show()
        self.hand.wait(100)

    def open(self, cohort: Cohort, reader: str = "Dr. Ada", clip: str = "clip-1") -> None:
        """Open a clip to paint B-lines with a brush of 8."""
        assert self.panel.desk.open(cohort.location, reader)
        assert self.panel.desk.open_clip(clip)
        self.session.class_name = "b-line"
        self.session.brush_size = 8
        self.hand.wait(100)

    def layer(self, label: str = "B-line") -> Any:
        """One of napari's layers."""
        return self.viewer.layers[label]

    def close(self) -> None:
        """Close the clip and let go of the window: pytest keeps fixtures a little longer."""
        self.session.close_clip()
        if not self.shown:
            self.panel.close()
            self.panel.deleteLater()
        self.__dict__.clear()

    def panel_alive(self) -> bool:
        """Whether Qt still has the panel."""
        return bool(isalive(self.panel))

    def until(self, true: Callable[[], object], timeout: float = 60) -> None:
        """Let the program run until `true()`."""
        self.hand.wait_until(lambda: bool(true()), timeout)


def planes_by_plain_zarr(cohort: Cohort, clip: str, rater: str) -> np.ndarray:
    """The planes ``(T, C, Y, X)`` as any program with zarr reads them."""
    return zarr.open_array(f"{cohort.location}/{clip}/raters/{rater}/0", mode="r")[:]
