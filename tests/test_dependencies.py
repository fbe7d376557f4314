"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_confseg.extras import EXTRAS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
OURS = {"napari_confseg", "trainer", "sample_data"}
WITHOUT_AN_IMPORT = {
    "pylibjpeg": "pydicom finds it",
    "pylibjpeg-openjpeg": "pydicom finds it",
    "pylibjpeg-rle": "pydicom finds it",
    "pyside6-essentials": "qtpy finds it",
}
"""Declared, used, and never imported by us: why."""
COMMANDS = {"import-linter", "mypy", "pre-commit", "ruff"}
"""Tools of the test extra that are run, not imported."""
PLUGINS = {"pytest-timeout", "pytest-xdist", "pytest-xvfb", "pytest-qt", "napari-ome-zarr"}
"""What pytest or napari finds by itself."""
SITE = "docs"
"""The extra that builds the pages; nothing of it is in the product."""
OTHERWISE = {
    "moto": "a server",
    "pytorch-ignite": "MONAI's evaluator",
    "ngff-zarr": "schemas in its folder",
}
"""Used by the tests without an import: as what."""


def plain(requirement: str) -> str:
    """Return the normalised name of a requirement's distribution."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def declared() -> dict[str, set[str]]:
    """Return the distributions of each extra; those of the base under an empty name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        name: {plain(r) for r in requirements} - {"napari-confseg"}
        for name, requirements in groups.items()
    }


@cache
def imported(*folders: str) -> dict[str, set[str]]:
    """Return third-party packages, by the names they are imported by, and who imports each."""
    found: dict[str, set[str]] = {}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for name in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if name not in sys.stdlib_module_names | OURS | {
                "tests",
                "benchmarks",
                "tools",
                "__future__",
            }:
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:  # a module beside it is ours
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("importorskip"):
            names = [ast.literal_eval(node.args[0])]
        yield from (name.partition(".")[0] for name in names)


@cache
def installed() -> dict[str, list[str]]:
    """Return the distributions by package; asking takes most of a second."""
    return dict(packages_distributions())


def distributions(package: str) -> frozenset[str]:
    """Return the distributions that install `package`."""
    return frozenset(plain(name) for name in installed().get(package, []))


def undeclared(packages: dict[str, set[str]], allowed: set[str]) -> dict[str, set[str]]:
    """Return the packages that none of the `allowed` distributions brings."""
    return {p: who for p, who in packages.items() if not distributions(p) & allowed}


def test_what_is_imported_is_declared() -> None:
    groups = declared()
    allowed = set().union(
        *(names for extra, names in groups.items() if extra not in ("test", SITE))
    )
    assert undeclared(imported(*OURS), allowed) == {}


def test_what_the_tests_import_is_declared() -> None:
    allowed = set().union(*declared().values())
    nnunet = {
        plain(line)
        for line in (ROOT / "tests" / "nnunet-requirements.txt")
        .read_text(encoding="utf-8")
        .splitlines()
        if not line.startswith("#")
    }
    assert undeclared(imported("tests", "benchmarks", "tools"), allowed | nnunet) == {}


def test_what_is_declared_is_imported() -> None:
    used = {name for package in imported(*OURS) for name in distributions(package)}
    groups = declared()
    product = set().union(*(n for extra, n in groups.items() if extra not in ("test", "all", SITE)))
    assert product - used == set(WITHOUT_AN_IMPORT)
    testing = {name for package in imported("tests") for name in distributions(package)}
    assert groups["test"] - testing - COMMANDS - PLUGINS == set(OTHERWISE)


def test_the_base_needs_no_extra() -> None:
    """Of what the base imports when it is loaded, nothing is left to an extra.

    Extras are imported where they are used, or in modules of their own.
    """
    base = declared()[""]
    below = ("store", "ingest", "annotate", "job", "readouts")
    for folder in (f"napari_confseg/{name}" for name in below):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            top = ast.Module(
                [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], []
            )
            names = set(_imports(top)) - sys.stdlib_module_names - OURS - {"__future__"}
            assert {n for n in names if not distributions(n) & base} == set(), path


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_table_of_extras_is_the_declared_one(extra: str) -> None:
    """What a sentence tells people to install brings what they miss."""
    for package in EXTRAS[extra]:
        assert distributions(package) & declared()[extra], package


def test_every_optional_package_is_in_the_table() -> None:
    groups = declared()
    known = {package for packages in EXTRAS.values() for package in packages}
    for package in imported(*OURS):
        if not distributions(package) & groups[""]:
            assert package in known
