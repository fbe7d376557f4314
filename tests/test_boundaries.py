"""The arrows of the design hold in running processes, not only in what the linter reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
LEARNING = {"torch", "monai", "trainer"}
WINDOWS = {"napari", "qtpy", "PySide6", "PyQt6", "superqt", "magicgui", "pyqtgraph", "vispy"}

# Imports every module of some packages and prints what is loaded then; so for each group of them.
# Does a little more after the last one.
SCRIPT = """
import importlib, pkgutil, sys
def tell():
    print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
for packages in {groups!r}:
    for name in packages:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    tell()
{more}
tell()
"""


def loaded(*groups: Sequence[str], more: str = "") -> list[set[str]]:
    """Return the top-level packages in a fresh process, after each group of packages and `more`."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(groups=[*map(list, groups)], more=more)],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [set(line.split()) for line in done.stdout.splitlines()[-len(groups) - 1 :]]


def test_a_viewer_process_never_loads_what_learns_nor_windows_below_the_panels() -> None:
    more = (
        "from napari_confseg.annotate.train.next_run import find_devices\n"
        "from napari_confseg.launcher import trainer_problem\n"
        "assert trainer_problem() == ''\n"
        "assert find_devices()[0][0] == 'auto'\n"
    )
    names = [
        p.name
        for p in (ROOT / "napari_confseg").iterdir()
        if (p / "__init__.py").is_file() and p.name != "widgets"
    ]
    assert {"store", "annotate", "ingest", "dataset"} <= set(names)
    below = [f"napari_confseg.{n}" for n in names] + ["napari_confseg.job", "sample_data"]
    under_the_panels, _, found = loaded(below, ["napari_confseg"], more=more)
    assert not under_the_panels & (LEARNING | WINDOWS)
    assert {"napari", "qtpy"} <= found  # the panels were among what was imported
    assert not found & LEARNING


def test_a_trainer_process_never_loads_a_window() -> None:
    *_, found = loaded(["trainer"])
    assert {"torch", "napari_confseg"} <= found
    assert not found & WINDOWS


def test_the_package_itself_holds_the_version_and_nothing_else() -> None:
    *_, found = loaded(["json"], more="import napari_confseg; print(napari_confseg.__version__)")
    assert "napari_confseg" in found
    assert not found & ({"numpy", "zarr", "pydantic"} | LEARNING | WINDOWS)


def test_every_arrow_of_the_design_is_kept() -> None:
    from importlinter import cli

    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml")) == 0
