"""The sample cohort under napari's File > Open Sample."""

from __future__ import annotations

from typing import Any

import napari

from napari_confseg.widgets.annotate.cohort_actions import make_sample


def open_sample() -> list[tuple[Any, ...]]:
    """Open the sample cohort in the current viewer, with the Annotate panel; make it if needed.

    Returns
    -------
    list
        Empty: the session adds the layers itself.
    """
    viewer = napari.current_viewer()
    if viewer is None:
        raise RuntimeError("open a viewer first; the sample cohort opens in it")
    place = make_sample()
    _, panel = viewer.window.add_plugin_dock_widget("napari-confseg", "Annotate")
    panel.cohort_actions.open(place)
    return []
