"""What napari reads of us: commands, widgets, sample data."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

from napari_confseg.widgets.annotate import cohort_actions
from napari_confseg.widgets.shared import session_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-confseg")


def test_the_manifest_is_valid_and_all_it_names_is_there(manifest: PluginManifest) -> None:
    manifest.validate_imports()
    contributions = manifest.contributions
    names = {c.id: import_python_name(c.python_name) for c in contributions.commands}
    assert {w.display_name for w in contributions.widgets} == {
        "Annotate",
        "Calibrate",
        "Dataset",
        "Review",
        "Train",
        "Work list",
        "Zone map",
    }
    used = {w.command for w in contributions.widgets}
    used |= {s.command for s in contributions.sample_data}
    used |= {r.command for r in contributions.readers}
    assert used == set(names)  # no command that nothing uses
    assert all(callable(f) for f in names.values())


def test_napari_finds_it() -> None:
    (found,) = [e for e in entry_points(group="napari.manifest") if e.name == "napari-confseg"]
    assert found.value == "napari_confseg:napari.yaml"


def test_open_sample(
    make_napari_viewer: Callable[..., Any],
    manifest: PluginManifest,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sample_data import make_cohort

    place = cohort_actions.sample_location()
    place.parent.mkdir(parents=True)
    make_cohort(place, patients=1, clips_per_patient=1, frames=4, size=(64, 80))
    viewer = make_napari_viewer()
    (command,) = [c for c in manifest.contributions.commands if c.id.endswith("sample")]
    monkeypatch.setattr(
        type(viewer.window), "add_plugin_dock_widget",
        lambda self, _plugin, _name: (None, _dock(viewer)),
    )  # fmt: skip  # the test's plugin manager knows no plugins
    assert import_python_name(command.python_name)() == []
    session = session_for(viewer)
    assert session.clip is not None
    assert [layer.name for layer in viewer.layers][1] == "Pleural line"
    session.close_clip()


def _dock(viewer: Any) -> Any:
    from napari_confseg.widgets.annotate.panel import AnnotatePanel

    panel = AnnotatePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Annotate")
    return panel
