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
CI = {"CI": "true"}

TESTS = {
    "passes": "def test_it(): pass",
    "gpu": "import pytest\n@pytest.mark.gpu\ndef test_it(): pytest.skip('no GPU')",
    "skips": "import pytest\ndef test_it(): pytest.skip('no such tool')",
    "module": "import pytest\npytest.importorskip('no_such_oracle')\ndef test_it(): pass",
    "expected": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False",
}

PLUGINS = ("-p", "timeout", "-p", "xdist")  # a screen, Qt and napari's fixtures take seconds a run


def run(folder: Path, *names: str, env: Mapping[str, str], workers: int = 0) -> tuple[int, str]:
    """Run some files of tests with our conftest in a process of its own."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    for name in names:
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
        # The options of the plugins that are left out are not known.
        "addopts=--disable-plugin-autoload -W ignore::pytest.PytestConfigWarning",
        "-p",
        "no:cacheprovider",
        *PLUGINS,
        "-n",
        str(workers),
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


def test_the_ci_passes_without_a_gpu_and_with_what_is_expected_to_fail(tmp_path: Path) -> None:
    code, text = run(tmp_path, "passes", "gpu", "expected", env=CI)
    assert code == 0, text
    assert "1 passed, 1 skipped, 1 xfailed" in text
    assert "takes for a failure" not in text


def test_a_module_that_is_skipped_fails_the_ci(tmp_path: Path) -> None:
    code, text = run(tmp_path, "passes", "module", env=CI)
    assert code == 1, text
    assert "takes for a failure" in text
    assert "test_module.py: " in text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_test_that_is_skipped_fails_the_ci(tmp_path: Path, workers: int) -> None:
    code, text = run(tmp_path, "passes", "skips", env=CI, workers=workers)
    assert code == 1, text
    assert "takes for a failure" in text
    assert "test_skips.py::test_it: Skipped: no such tool" in text


def test_elsewhere_a_skip_is_no_failure(tmp_path: Path) -> None:
    assert run(tmp_path, "skips", "module", env={})[0] == 0
