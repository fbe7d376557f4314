"""What the project's files say of one another: versions, Pythons, requirements, addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import napari_confseg

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_one_version():
    version = napari_confseg.__version__
    assert CITATION["version"] == version
    assert RECIPE["context"]["version"] == version
    released = re.findall(r"^## \[([\d.]+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0][0] == version
    assert str(CITATION["date-released"]) == released[0][1]


def test_hooks_have_the_versions_of_the_constraints():
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    asked = {d for hook in hooks for d in hook["additional_dependencies"]}
    assert len(asked) == 2
    assert asked <= set(pinned)


def test_the_workflows_try_each_python_that_is_claimed():
    claimed = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    for job in ("linux", "newest"):
        assert set(jobs[job]["strategy"]["matrix"]["python"]) == claimed
    assert f">={min(claimed)}" == PROJECT["requires-python"]


def test_the_recipe_asks_for_what_pip_would_install():
    renamed = {"torch": "pytorch", "pyside6-essentials": "pyside6", "matplotlib": "matplotlib-base"}
    extras = PROJECT["optional-dependencies"]
    wanted = set()
    for asked in [*PROJECT["dependencies"], *extras["viewer"], *extras["train"], *extras["dicom"]]:
        name, limits = re.fullmatch(r"([\w-]+)(.*)", asked).groups()
        wanted.add(f"{renamed.get(name.lower(), name.lower())} {limits}".strip())

    def same(line: str) -> tuple[str, frozenset[str]]:
        name, _, limits = line.partition(" ")
        return name, frozenset(limits.split(","))

    found = [line for line in RECIPE["requirements"]["run"] if not line.startswith("python ")]
    assert {same(line) for line in found} == {same(line) for line in wanted}
    scripts = {f"{name} = {where}" for name, where in PROJECT["scripts"].items()}
    assert set(RECIPE["build"]["python"]["entry_points"]) == scripts


def test_each_package_is_typed():
    for package in ("napari_confseg", "trainer", "sample_data"):
        assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("name", ["Source", "Issues", "Changelog"])
def test_one_address(name):
    home = CITATION["repository-code"]
    assert PROJECT["urls"][name].startswith(home)
    assert RECIPE["about"]["homepage"] == home


def test_the_index_shows_pictures_and_links():
    readme = (ROOT / "README.md").read_text()
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]
    for rule in hook["hooks"]["fancy-pypi-readme"]["substitutions"]:
        readme = re.sub(rule["pattern"], rule["replacement"], readme)
    targets = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(targets) > 10
    assert all(re.match("https?://|#", target) for target in targets)
    assert CITATION["repository-code"].removeprefix("https://github.com/") in readme


def test_pages_name_the_menu_as_it_is():
    manifest = yaml.safe_load((ROOT / "napari_confseg/napari.yaml").read_text(encoding="utf-8"))
    # Docks of the menu are called "PANEL (DISPLAY NAME)", and code asks for them by that name.
    assert manifest["display_name"] == manifest["name"]
    panels = {w["display_name"] for w in manifest["contributions"]["widgets"]}
    entry = re.compile(r"Plugins\s*[>›]\s*([\w -]+?)\s*[>›]\s*([\w ]+)")
    named = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        found = entry.findall(text)
        assert len(found) == len(re.findall(r"Plugins\s*[>›]", text)), page
        named |= set(found)
    assert {plugin for plugin, _ in named} == {manifest["display_name"]}
    assert {panel for _, panel in named} == panels
