"""The pages: what they tell people to type is understood, and what is generated is all there is."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.docs_pages import (
    PROGRAMS,
    PUBLIC,
    Program,
    command_names,
    errors,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def typed() -> Iterator[tuple[str, str]]:
    """Yield page and line of each of our commands in a block of a page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                if re.match(r"(confseg|confseg-train|python -m sample_data) [a-z]", line):
                    yield str(page.relative_to(ROOT)), line


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each program with subcommands; it parses and does nothing."""
    made = {}
    for program in PROGRAMS:
        module = import_module(program.module)
        if hasattr(module, "COMMANDS"):
            made[program.call] = argparse.ArgumentParser(program.call)
            subparsers = made[program.call].add_subparsers(
                required=True,
                parser_class=getattr(module, "CommandParser", argparse.ArgumentParser),
            )
            for command in module.COMMANDS:
                command.add(subparsers)
    return made


def test_every_command_of_the_pages_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    known, wrong, n = parsers(), [], 0
    for page, line in typed():
        program, *arguments = shlex.split(line, comments=True)
        if program not in known:
            continue
        n += 1
        try:
            known[program].parse_args(arguments)
        except SystemExit:
            wrong.append(f"{page}: {line}: {capsys.readouterr().err.splitlines()[-1]}")
    assert n > 60
    assert wrong == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that mkdocs reads."""
    out = tmp_path_factory.mktemp("site") / "docs"
    write(out)
    return out


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.call)
def test_a_page_of_commands_has_them_all(program: Program, written: Path) -> None:
    page = (written / "reference" / program.page).read_text(encoding="utf-8")
    names = command_names(program)
    assert re.findall(r"^## (\S+)$", page, re.MULTILINE) == list(names)
    assert page.count("usage: ") == max(1, len(names))
    assert "--json" in page


def test_errors_are_read_from_the_code(written: Path) -> None:
    page = (written / "reference" / "errors.md").read_text(encoding="utf-8")
    assert "| `missing` |" in page
    found = errors()
    codes = {code for area in found.values() for code in area}
    assert {"value-range", "exists", "needs-extra", "too-few-raters"} <= codes
    assert all(r.message for area in found.values() for told in area.values() for r in told)


def test_links_read_as_titles(written: Path) -> None:
    tutorial = (written / "tutorials" / "index.md").read_text(encoding="utf-8")
    assert "[Your first clip](first-clip.md)" in tutorial  # its file's name, in the source


def test_links_lead_somewhere() -> None:
    """As mkdocs says at more length: here for whoever has not installed it."""
    made = {f"docs/reference/{p.page}" for p in PROGRAMS} | {"docs/reference/errors.md"}
    made |= {f"docs/reference/api/{p.rpartition('.')[2]}.md" for p in PUBLIC}
    astray = []
    for page in PAGES:
        for target in re.findall(r"\]\(((?!https?:)[^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            place = (page.parent / target).resolve()
            if not place.exists() and place.relative_to(ROOT).as_posix() not in made:
                astray.append(f"{page.relative_to(ROOT)}: {target}")
    assert astray == []


def test_what_stands_in_a_list_is_shown_as_meant() -> None:
    # Markdown of the site: four spaces, and an empty line before, or a table is shown as its text.
    wrong = []
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        for number, (before, line) in enumerate(pairwise(lines), 2):
            if re.match(r" {1,3}(\||!\[|```)", line):
                wrong.append(f"{page.name}:{number}: indent by four")
            if re.match(r" *\|", line) and not re.match(r"\s*$| *\||<!--", before):
                wrong.append(f"{page.name}:{number}: no empty line before the table")
    assert wrong == []
