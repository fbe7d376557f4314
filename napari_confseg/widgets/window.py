"""A window of napari with the Annotate panel on a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_confseg.widgets.annotate.panel import AnnotatePanel


def open_window(cohort: str, clip: str | None = None, reader: str = "") -> Any:
    """Open napari on `cohort` and return the viewer.

    Parameters
    ----------
    cohort : str
        Folder, zip or address of a bucket.
    clip : str, optional
        The clip to open; the first one with work left if not given.
    reader : str
        Who reads, as people write the name; as the last time if empty.
    """
    import napari

    viewer = napari.Viewer(title="napari-confseg")
    # By way of the manifest, as a person opens it from the Plugins menu.
    panel: AnnotatePanel
    _, panel = viewer.window.add_plugin_dock_widget("napari-confseg", "Annotate")
    if panel.cohort_actions.open(cohort, reader) and clip:
        panel.cohort_actions.open_clip(clip)
    return viewer


def run_window(cohort: str, clip: str | None = None, reader: str = "") -> int:
    """Open the window, wait until it is closed and return the exit code."""
    import napari

    open_window(cohort, clip, reader)
    napari.run()
    return 0
