"""Panels that are opened one after the other share one place in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.widgets.demo.hand import Hand

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_panels_become_tabs_of_one_place(
    make_napari_viewer: Callable[..., Any], state_dir: Path
) -> None:
    viewer = make_napari_viewer(show=True)
    hand = Hand(viewer)
    docks = []
    for name in ("Annotate", "Calibrate", "Review"):
        dock, _ = viewer.window.add_plugin_dock_widget("napari-confseg", name)
        docks.append(dock)
        hand.wait(200)
    first, *others = docks
    assert set(hand.window.tabifiedDockWidgets(first)) == set(others)
    assert not docks[-1].visibleRegion().isEmpty()  # the one just opened is in front
    assert first.visibleRegion().isEmpty()
    others[0].setFloating(True)  # who pulls one out keeps it out
    hand.wait(200)
    assert hand.window.tabifiedDockWidgets(first) == [docks[-1]]
