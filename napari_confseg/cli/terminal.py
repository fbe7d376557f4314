"""Output on a terminal for people, and as JSON for machines."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console, RenderHook
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import ConsoleRenderable

    from napari_confseg.store import Problem

Choice = TypeVar("Choice", bound=str)
MOST_ROWS = 500
"""Problems that a table holds."""


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on standard error; yields what to call with (done, all or 0, what)."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=Console(stderr=True), disable=quiet, transient=True
    ) as progress:
        task = progress.add_task("", total=None)

        def tell(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total or None, description=_printable(what))

        yield tell


def print_json(data: object) -> None:
    """Print `data` as JSON on standard output."""
    json.dump(data, sys.stdout, indent=2)
    print()


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; headings that begin with ``>`` are of numbers."""
    table = Table(title=_printable(title), title_justify="left", title_style="bold")
    for heading in headings:
        numeric = heading.startswith(">")
        table.add_column(
            _printable(heading.lstrip(">")),
            justify="right" if numeric else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(_printable, row))
    console().print(table)


def print_problems(problems: Sequence[Problem]) -> None:
    """Print `problems` as a table on standard output; of very many, the first."""
    headings = ("where", "code", "problem", "what to do")
    rows = [(p.path or "cohort", p.code, p.message, p.hint) for p in problems[:MOST_ROWS]]
    title = f"{len(problems):,} problem{'s' * (len(problems) != 1)}"
    if len(problems) > MOST_ROWS:
        title += f", of which the first {MOST_ROWS:,}"
    print_table(title, headings, rows)


def ask(question: str, choices: Mapping[Choice, str], default: Choice) -> Choice | None:
    """Return what a person at the terminal answers, of `choices` with their meanings.

    None if nobody is there to be asked.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    from rich.prompt import Prompt

    screen = Console(stderr=True, highlight=False)
    screen.print(question)
    for name, meaning in choices.items():
        screen.print(f"  {name}: {meaning}", markup=False)
    answer = Prompt.ask("Kind", choices=list(choices), default=default, console=screen)
    return next(name for name in choices if name == answer)


def console() -> Console:
    """Return a console on standard output, wide enough for tables when it is piped on."""
    made = Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)
    made.push_render_hook(Printable())
    return made


class Printable(RenderHook):
    """Spells out control characters of texts that are printed: they come from files."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return `renderables`, texts among them made printable."""
        for item in renderables:
            if isinstance(item, Text):
                item.plain = _printable(item.plain)
        return renderables


def _printable(text: str) -> str:
    from napari_confseg.store.errors import printable  # the store takes a second to import

    return printable(text)
