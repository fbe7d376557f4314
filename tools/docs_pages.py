"""The pages of the site: those of ``docs/``, and those that the code itself can write.

::

    python -m tools.docs_pages build/docs

copies ``docs/`` and adds every command's ``--help``, the errors by code and a page for each public
package. mkdocs then builds from that folder: ``make docs``. Nothing here needs mkdocs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
COLUMNS: Final = 88
"""Letters in a line of the help texts: what a page shows without scrolling on a desktop."""

PUBLIC: Final = (
    "napari_confseg.store",
    "napari_confseg.dataset",
    "napari_confseg.agreement",
    "napari_confseg.readouts",
    "trainer",
)
"""Packages whose ``__all__`` is the public interface."""


class Program(NamedTuple):
    """A command line: how it is called, its ``main``, and the module with its commands."""

    call: str
    module: str
    page: str


PROGRAMS: Final = (
    Program("confseg", "napari_confseg.__main__", "confseg.md"),
    Program("confseg-train", "trainer.__main__", "confseg-train.md"),
    Program("python -m sample_data", "sample_data.__main__", "sample-data-command.md"),
)


# ---- commands -----------------------------------------------------------------------------


def help_of(main: Callable[[list[str]], object], *command: str) -> str:
    """Return what ``--help`` prints, at a width of :data:`COLUMNS`."""
    printed = io.StringIO()
    before, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), str(COLUMNS)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*command, "--help"])
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return printed.getvalue().strip()


def command_names(program: Program) -> dict[str, str]:
    """Return the purpose of each subcommand; empty for a program that has none."""
    commands = getattr(import_module(program.module), "COMMANDS", ())
    subparsers = argparse.ArgumentParser().add_subparsers()
    for command in commands:
        command.add(subparsers)
    return {a.dest: a.help or "" for a in subparsers._choices_actions}


def command_page(program: Program) -> str:
    """Return the page of a program: each command as its own ``--help`` tells it."""
    main = import_module(program.module).main
    names = command_names(program)
    page = [f"# {program.call}\n", f"What `{program.call} --help` says.\n"]
    if names:
        page[1] = (
            f"What `--help` of each command says; `{program.call} COMMAND --help` prints it.\n"
        )
        page += ["| command | purpose |", "|---|---|"]
        page += [f"| [`{n}`](#{n}) | {purpose} |" for n, purpose in names.items()]
    else:
        page += ["```text", help_of(main), "```"]
    for name in names:
        page += [f"\n## {name}\n", "```text", help_of(main, name), "```"]
    return "\n".join(page) + "\n"


# ---- errors -------------------------------------------------------------------------------

AREAS: Final = {
    "napari_confseg/store": "The store",
    "napari_confseg/ingest": "Import",
    "napari_confseg/formats": "File formats",
    "napari_confseg/agreement": "Agreement and consensus",
    "napari_confseg/dataset": "Frozen datasets",
    "napari_confseg/": "Commands and window",
    "trainer/": "Trainer",
}
"""Where a code is raised, by the beginning of its file's path -> heading."""

_RAISERS: Final = {"Problem", "mismatch", "_add", "_report", "problem", "refuse", "_problem"}
_CODE: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, order=True)
class Raised:
    """One place that tells a problem: its code, sentence and hint, names in braces."""

    code: str
    message: str
    hint: str


def raised_in(path: Path) -> Iterator[Raised]:
    """Yield each problem that a module tells with a code that stands there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or _called(node) not in _RAISERS or not node.args:
            continue
        code, *texts = [_text(a) for a in node.args]
        if not isinstance(node.args[0], ast.Constant) or not _CODE.fullmatch(code):
            continue
        named = {k.arg: _text(k.value) for k in node.keywords}
        if _called(node) == "mismatch":
            expected, found = (*texts[1:], "...", "...")[:2]
            message = (
                f"expected {named.get('expected', expected)}, found {named.get('found', found)}"
            )
            hint = named.get("hint", texts[3] if len(texts) > 3 else "")
        else:
            message, hint = named.get("message", (*texts, "", "")[1]), named.get("hint", "")
        yield Raised(code, message, "" if hint.startswith("{") else hint)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@cache
def _constants() -> dict[str, str]:
    """Return the sentences that modules keep under a name in capitals."""
    return {
        target.id: node.value.value
        for top in ("napari_confseg", "trainer")
        for path in (ROOT / top).rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id.strip("_").isupper()
    }


def _text(node: ast.expr) -> str:
    """Return a string expression as people read it, with what is filled in in braces."""
    if isinstance(node, ast.Name) and node.id in _constants():
        return _constants()[node.id]
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return (
            _text(node.value) if isinstance(node.value, ast.Name) else f"{{{_short(node.value)}}}"
        )
    if isinstance(node, ast.Name):
        return f"{{{node.id.strip('_')}}}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return f"{{{_short(node)}}}"


def _short(node: ast.expr) -> str:
    """Return one word for an expression: the last name in it."""
    names = re.findall(r"[A-Za-z_]\w*", ast.unparse(node))
    return names[-1].strip("_") if names else "..."


def errors() -> dict[str, dict[str, list[Raised]]]:
    """Return all codes by area: heading -> code -> what is told under it."""
    found: dict[str, dict[str, set[Raised]]] = {h: defaultdict(set) for h in AREAS.values()}
    for top in ("napari_confseg", "trainer", "sample_data"):
        for path in sorted((ROOT / top).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            heading = next((h for start, h in AREAS.items() if place.startswith(start)), None)
            for problem in raised_in(path) if heading else ():
                found[heading or ""][problem.code].add(problem)
    return {h: {c: sorted(r) for c, r in sorted(codes.items())} for h, codes in found.items()}


_ABOUT_ERRORS: Final = """\
A refusal ends with its code in brackets, and with `--json` the code stands under `code`. The
sentences here are read from the program; what it fills in stands in braces. What `confseg validate`
finds in a cohort is told at greater length in [the store](store.md#codes-of-validate).
"""


def errors_page() -> str:
    """Return the page of errors by code."""
    page = [
        "# Errors by code\n",
        _ABOUT_ERRORS,
    ]
    for heading, codes in errors().items():
        if codes:
            page += [f"## {heading}\n", "| code | says | what to do |", "|---|---|---|"]
            page += [row for code, all_ in codes.items() for row in _rows(code, all_)]
            page.append("")
    return "\n".join(page)


def _rows(code: str, told: list[Raised]) -> Iterator[str]:
    for number, problem in enumerate(told):
        first = f"`{code}`" if not number else ""
        yield f"| {first} | {_cell(problem.message)} | {_cell(problem.hint)} |"


def _cell(text: str) -> str:
    text = " ".join(text.split())
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", text)


# ---- the public interface -----------------------------------------------------------------


def api_page(package: str) -> str:
    """Return the page of a public package, which mkdocstrings fills from its docstrings."""
    names = import_module(package).__all__
    page = [
        f"# {package}\n",
        f"::: {package}",
        "    options:",
        "      members: false",
        "      show_root_heading: false\n",
    ]
    for name in names:
        page += [f"::: {origin(package, name)}", "    options:", "      heading_level: 2", ""]
    return "\n".join(page)


def origin(package: str, name: str) -> str:
    """Return where a public name is defined, as a dotted path."""
    value = getattr(import_module(package), name)
    home = getattr(value, "__module__", None)
    if isinstance(home, str) and home.startswith(("napari_confseg", "trainer")):
        return f"{home}.{name}"
    # A constant does not know where it is from: the package's import does.
    tree = ast.parse(Path(import_module(package).__file__ or "").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in {a.name for a in node.names}:
            return f"{node.module}.{name}"
    return f"{package}.{name}"


# ---- the whole ----------------------------------------------------------------------------


def generated() -> dict[str, str]:
    """Return the pages that are made here, by their place below ``docs/``."""
    pages = {f"reference/{p.page}": command_page(p) for p in PROGRAMS}
    pages["reference/errors.md"] = errors_page()
    for package in PUBLIC:
        pages[f"reference/api/{package.rpartition('.')[2]}.md"] = api_page(package)
    return pages


def titled(folder: Path) -> None:
    """Let links whose text is the name of their page read as its title."""
    titles = {p.resolve(): _title(p) for p in folder.rglob("*.md")}
    for page in folder.rglob("*.md"):

        def titled_link(found: re.Match[str], page: Path = page) -> str:
            title = titles.get((page.parent / found["target"]).resolve())
            if title is None or found["text"] != Path(found["target"]).name:
                return found[0]
            return f"[{title}]({found['target']}{found['anchor'] or ''})"

        link = r"\[(?P<text>[^\]\n]+)\]\((?P<target>[^)#\s]+\.md)(?P<anchor>#[^)\s]*)?\)"
        page.write_text(re.sub(link, titled_link, page.read_text("utf-8")), "utf-8")


def _title(page: Path) -> str:
    found = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else page.stem


def write(out: Path) -> None:
    """Write all pages into `out`, in place of what is there."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(DOCS, out)
    for name, text in generated().items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    titled(out)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
