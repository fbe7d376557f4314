"""A skip fails a run of the CI, unless the test needs a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]

TESTS = {
    "passes": "def test_it(): pass",
    "gpu": "import pytest\n@pytest.mark.gpu\ndef test_it(): pytest.skip('no GPU')",
    "skips": "import pytest\ndef test_it(): pytest.skip('no such tool')",
    "module": "import pytest\npytest.importorskip('no_such_oracle')\ndef test_it(): pass",
    "expected": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False",
}

UNUSED = ("cacheprovider", "xvfb", "pytest-qt")  # a screen and Qt take seconds a run


def run(folder: Path, name: str, env: Mapping[str, str], *options: str) -> tuple[int, str]:
    """Run one file of tests with our conftest in a process of its own."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / f"test_{name}.py").write_text(TESTS[name])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        ROOT / "pyproject.toml",
        "--rootdir",
        folder,
        "-o",
        "addopts=-W ignore::pytest.PytestConfigWarning",  # of the options of those plugins
        *(word for plugin in UNUSED for word in ("-p", f"no:{plugin}")),
        *options,
        folder,
    ]
    rest = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("PYTEST_")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        env=rest | {"PYTHONPATH": path} | dict(env),
        text=True,
        capture_output=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("name", "code"), [("passes", 0), ("gpu", 0), ("expected", 0), ("skips", 1), ("module", 1)]
)
def test_on_the_ci(tmp_path: Path, name: str, code: int) -> None:
    found, text = run(tmp_path, name, {"CI": "true"})
    if name == "module":
        assert found != 0  # nothing else was collected: pytest has a code of its own for that
    else:
        assert found == code, text
    assert ("takes for a failure" in text) == bool(code)


def test_with_workers_and_elsewhere(tmp_path: Path) -> None:
    found, text = run(tmp_path, "skips", {"CI": "true"}, "-n", "1")
    assert found == 1
    assert "test_skips.py::test_it: Skipped: no such tool" in text
    assert run(tmp_path, "skips", {})[0] == 0
