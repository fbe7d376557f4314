"""Panels that are opened one after the other share one place in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QDockWidget

from napari_confseg.widgets.annotate.zone_map import NAME as ZONE_MAP
from napari_confseg.widgets.demo.hand import Hand
from napari_confseg.widgets.work_list_dock import NAME as WORK_LIST

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


def test_the_menu_opens_the_docks_that_keys_and_code_name(
    make_napari_viewer: Callable[..., Any], state_dir: Path
) -> None:
    viewer = make_napari_viewer(show=True)
    hand = Hand(viewer)
    (entry,) = (a for a in hand.window.menuBar().actions() if a.text() == "&Plugins")
    ours = {a.text(): a.menu() for a in entry.menu().actions()}["napari-confseg"]
    entries = {a.text(): a for a in ours.actions()}
    for panel, name in (("Work list", WORK_LIST), ("Zone map", ZONE_MAP)):
        before = set(hand.window.findChildren(QDockWidget))
        entries[panel].trigger()
        hand.wait(300)
        (dock,) = set(hand.window.findChildren(QDockWidget)) - before
        assert dock.objectName() == dock.name == name
