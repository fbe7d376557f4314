"""Figures of the source tree, of the work tree or of any revision.

::

    python tools/tree_figures.py [--rev REV] [--json]
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import statistics
import subprocess
import tarfile
import tempfile
import tokenize
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("napari_confseg", "trainer", "sample_data")


@dataclass(frozen=True)
class Figures:
    """Counts over the modules of our packages; tests and benchmarks are left out.

    An importer is another module that imports the module or a name out of it. A function's lines
    include decorators and docstring. The comment share is of all lines, without directives such as
    ``noqa``. The depth is the number of own classes above a class; exceptions and protocols are
    left out of the figures about bases.
    """

    files: int
    lines: int
    lines_median: float
    lines_max: str
    functions: int
    function_lines_median: float
    function_lines_max: str
    modules_with_one_importer: int
    fmt_skip: int
    type_ignore: int
    noqa: int
    comment_share: float
    inheritance_depth: int
    inheritance_chain: str
    classes_with_several_own_bases: list[str]


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name, text and syntax tree."""

    name: str
    text: str
    tree: ast.Module


def modules_in(root: Path) -> list[Module]:
    """Read every module of our packages under `root`."""
    modules = []
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        text = path.read_text(encoding="utf-8")
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, text, ast.parse(text)))
    return modules


def modules_at(rev: str) -> list[Module]:
    """Read every module of our packages as of revision `rev`."""
    command = ["git", "-C", str(ROOT), "archive", rev, *PACKAGES]
    packed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(fileobj=io.BytesIO(packed)) as archive,
    ):
        archive.extractall(folder, filter="data")
        return modules_in(Path(folder))


def figures_of(modules: list[Module]) -> Figures:
    """Count everything."""
    lines = {module.name: module.text.count("\n") for module in modules}
    functions = {
        f"{module.name}.{node.name}:{node.lineno}": _length(node)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    comments = [comment for module in modules for comment in _comments(module.text)]
    prose = sum(not re.match(r"#\s*(fmt|type|noqa|ruff|mypy)\b", comment) for comment in comments)
    chain, several = inheritance(modules)
    return Figures(
        files=len(modules),
        lines=sum(lines.values()),
        lines_median=statistics.median(lines.values()),
        lines_max=_largest(lines),
        functions=len(functions),
        function_lines_median=statistics.median(functions.values()),
        function_lines_max=_largest(functions),
        modules_with_one_importer=sum(len(found) == 1 for found in importers_of(modules).values()),
        fmt_skip=_count(r"fmt:\s*skip", comments),
        type_ignore=_count(r"type:\s*ignore", comments),
        noqa=_count(r"\bnoqa\b", comments),
        comment_share=round(prose / sum(lines.values()), 4),
        inheritance_depth=len(chain) - 1,
        inheritance_chain=" < ".join(chain),
        classes_with_several_own_bases=several,
    )


def importers_of(modules: list[Module]) -> dict[str, set[str]]:
    """Return the modules that import each module."""
    names = {module.name for module in modules}
    importers: dict[str, set[str]] = {name: set() for name in names}
    for module in modules:
        for imported in _imports(module, names):
            if imported != module.name:
                importers[imported].add(module.name)
    return importers


def _imports(module: Module, names: set[str]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from members & names
            if node.module in names and not members <= names:
                yield node.module


def inheritance(modules: list[Module]) -> tuple[list[str], list[str]]:
    """Return the longest chain of own classes, and those with more than one own base."""
    classes = {
        f"{module.name}.{node.name}": [_base_name(base) for base in node.bases]
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    named = {name.rpartition(".")[2]: name for name in reversed(classes)}

    def above(name: str) -> list[str]:
        # A base of the same module first: two modules may have a class of one name.
        here = [f"{name.rpartition('.')[0]}.{base}" for base in classes[name]]
        return [own if own in classes else named.get(own.rpartition(".")[2], "") for own in here]

    def is_apart(name: str) -> bool:  # an exception or a protocol
        outside = any(re.search(r"(^Protocol|Error|Exception)$", base) for base in classes[name])
        return outside or any(is_apart(base) for base in above(name) if base)

    own = {
        name: [base for base in above(name) if base and not is_apart(base)]
        for name in classes
        if not is_apart(name)
    }

    def chain(name: str) -> list[str]:
        return [name, *max((chain(base) for base in own[name]), key=len, default=[])]

    longest = max((chain(name) for name in own), key=len, default=[])
    return longest, sorted(name for name, bases in own.items() if len(bases) > 1)


def _base_name(node: ast.expr) -> str:
    inner = node.value if isinstance(node, ast.Subscript) else node  # Generic[T] -> Generic
    return inner.attr if isinstance(inner, ast.Attribute) else ast.unparse(inner)


def _comments(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def _count(pattern: str, comments: Iterable[str]) -> int:
    return sum(bool(re.search(pattern, comment)) for comment in comments)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.end_lineno or first) - first + 1


def _largest(sizes: dict[str, int]) -> str:
    name = max(sizes, key=lambda key: sizes[key])
    return f"{sizes[name]} ({name})"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Print figures of the source tree.")
    parser.add_argument("--rev", help="a git revision instead of the work tree")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    figures = asdict(figures_of(modules_at(args.rev) if args.rev else modules_in(ROOT)))
    if args.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(
            f"{name.replace('_', ' '):32} {', '.join(value) if isinstance(value, list) else value}"
        )


if __name__ == "__main__":
    main()
