"""Optional packages that are missing are asked for by name; foreign packages are named."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from napari_confseg.extras import EXTRAS, absent, foreign, missing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_confseg.store import Cohort

OPTIONAL = sorted(package for packages in EXTRAS.values() for package in packages)


BLOCK = """
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
PathFinder.find_spec = staticmethod(
    lambda name, *more: None if name in blocked else find_spec(name, *more)
)
"""


def run(path: Path, *command: str, blocked: Sequence[str] = ()) -> tuple[int, str]:
    """Run Python with `path` first on its path, where `blocked` packages are not installed."""
    path.mkdir(exist_ok=True)
    (path / "sitecustomize.py").write_text(f"blocked = {set(blocked)!r}\n{BLOCK}")
    paths = os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stderr or done.stdout).strip()


def asks_for(text: str, package: str, extra: str) -> bool:
    return f'{package}, which is not installed: pip install "napari-confseg[{extra}]"' in text


def test_the_trainer_asks_for_torch(tmp_path: Path, cohort: Cohort) -> None:
    fit = ("fit", cohort.location, "--out", str(tmp_path / "run"))
    code, text = run(tmp_path / "p", "-m", "napari_confseg.launcher", *fit, blocked=OPTIONAL)
    assert code == 1
    # Folded at the width of the terminal.
    said = " ".join(text.split())
    assert "This run needs PyTorch, which is not installed" in said
    assert 'pip install "napari-confseg[train]"' in said
    assert not (tmp_path / "run" / "trainer.log").exists()


def test_the_demonstration_asks_for_the_viewer(tmp_path: Path) -> None:
    demo = ("-m", "napari_confseg", "demo", "--out", str(tmp_path / "out"))
    code, text = run(tmp_path / "p", *demo, blocked=OPTIONAL)
    assert code == 1
    assert asks_for(text, "napari", "viewer")
    code, text = run(tmp_path / "p", *demo, "--scripted", blocked=["torch"])
    assert code == 1
    assert asks_for(text, "PyTorch", "train")


def test_what_needs_no_extra_works_without_any(tmp_path: Path, cohort: Cohort) -> None:
    code, text = run(
        tmp_path / "p",
        "-m",
        "napari_confseg",
        "status",
        cohort.location,
        "--json",
        blocked=OPTIONAL,
    )
    assert code == 0, text


SCRIPT = """
import sys
from pathlib import Path
from napari_confseg.ingest.decoded import IngestError
from napari_confseg.store import Cohort, StoreError
here = Path(sys.argv[1])

def say(name, do):
    try:
        do()
    except (StoreError, IngestError) as error:
        print(name, str(error).replace(chr(10), " "))
    else:
        print(name, "did it")

def bucket(): Cohort.open("s3://bucket/cohort.zarr")
def dicom():
    from napari_confseg.ingest.dicom import read_dicom
    next(read_dicom(str(here / "x.dcm")))
def exports(name):
    from napari_confseg.formats.export import ExportRequest, export
    return lambda: export(None, ExportRequest(format=name), here / name)
def imports(name):
    from napari_confseg.formats import FORMATS
    return lambda: FORMATS[name].load()
def report():
    from napari_confseg.cli.agree import _writer
    _writer(here / "report.html")

say("s3", bucket)
say("dicom", dicom)
for name in ("coco", "dicom-seg", "monai", "nifti", "nrrd"):
    say("export-" + name, exports(name))
for name in ("coco", "dicom-seg", "nifti", "nrrd"):
    say("import-" + name, imports(name))
say("report", report)
"""

ASKED = {
    "s3": ("obstore", "s3"),
    "dicom": ("pydicom", "dicom"),
    "export-coco": ("pycocotools", "coco"),
    "export-dicom-seg": ("pydicom", "dicom"),
    "export-monai": ("nibabel", "nifti"),
    "export-nifti": ("nibabel", "nifti"),
    "export-nrrd": ("pynrrd", "slicer"),
    "import-coco": ("pycocotools", "coco"),
    "import-dicom-seg": ("pydicom", "dicom"),
    "import-nifti": ("nibabel", "nifti"),
    "import-nrrd": ("pynrrd", "slicer"),
    "report": ("matplotlib", "dataset"),
}


def test_each_use_names_its_extra(tmp_path: Path) -> None:
    code, text = run(tmp_path / "p", "-c", SCRIPT, str(tmp_path), blocked=OPTIONAL)
    assert code == 0
    lines = dict(line.split(" ", 1) for line in text.splitlines())
    assert set(lines) == set(ASKED)
    for name, (package, extra) in ASKED.items():
        assert f"needs {package}, which is not installed" in lines[name]
        assert f'pip install "napari-confseg[{extra}]"' in lines[name]


PANELS = """
import napari
viewer = napari.Viewer(show=False)
for name in ("Annotate", "Train", "Calibrate", "Dataset", "Review", "Work list", "Zone map"):
    _, panel = viewer.window.add_plugin_dock_widget("napari-confseg", name)
    print(name)
from napari_confseg.launcher import trainer_problem
print(trainer_problem())
viewer.close()
"""


def test_all_panels_open_with_napari_and_nothing_else(tmp_path: Path) -> None:
    """What napari's plugin manager installs: this package without an extra."""
    brought = set(EXTRAS["viewer"])
    code, text = run(tmp_path / "p", "-c", PANELS, blocked=sorted(set(OPTIONAL) - brought))
    assert code == 0, text
    assert asks_for(text, "PyTorch", "train")


def test_a_library_that_does_not_load_is_no_missing_one() -> None:
    error = ImportError("DLL load failed\nmore", name="torch._C")
    assert str(missing(error, "Training")) == (
        "Training needs PyTorch, which does not load here (DLL load failed): "
        'pip install --force-reinstall "napari-confseg[train]"'
    )
    assert missing(ModuleNotFoundError("no", name="napari_confseg.gone"), "It") is None
    assert absent("train", "Training") is None


# ---- foreign packages ---------------------------------------------------------------------


def test_ours_are_found() -> None:
    assert foreign("trainer") == foreign("sample_data") == ""


@pytest.mark.parametrize("name", ["trainer", "trainer/__init__.py", "trainer.py"])
def test_a_foreign_trainer_is_named_and_not_run(tmp_path: Path, name: str) -> None:
    place = tmp_path / "p" / name
    (place if "." not in place.name else place.parent).mkdir(parents=True)
    if place.suffix:
        place.write_text("print('foreign code ran')")
    code, text = run(tmp_path / "p", "-P", "-m", "napari_confseg.launcher", "--help")
    if name == "trainer":  # an empty folder: Python itself prefers a real package
        assert code == 0
        return
    assert code == 1
    assert text.startswith('confseg-train: A foreign package called "trainer" (')
    assert str(tmp_path / "p") in text
    assert "foreign code ran" not in text


def test_a_foreign_trainer_where_we_stand_does_not_matter(tmp_path: Path) -> None:
    """The trainer's process does not look into the folder where the viewer was started."""
    (tmp_path / "trainer.py").write_text("print('foreign code ran')")
    ask = "from napari_confseg.launcher import trainer_problem as t; print(repr(t()))"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "''\n"


def test_a_foreign_sample_is_named(tmp_path: Path) -> None:
    (tmp_path / "p" / "sample_data").mkdir(parents=True)
    (tmp_path / "p" / "sample_data" / "__init__.py").touch()
    demo = ("-P", "-m", "napari_confseg", "demo", "--out", str(tmp_path / "o"))
    code, text = run(tmp_path / "p", *demo)
    assert code == 1
    assert text.startswith('confseg: A foreign package called "sample_data" (')
