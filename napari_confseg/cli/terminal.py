"""Output on a terminal for people, and as JSON for machines."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_confseg.store import Problem

Choice = TypeVar("Choice", bound=str)


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
            progress.update(task, completed=done, total=total or None, description=what)

        yield tell


def print_json(data: object) -> None:
    """Print `data` as JSON on standard output."""
    json.dump(data, sys.stdout, indent=2)
    print()


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; headings that begin with ``>`` are of numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in headings:
        numeric = heading.startswith(">")
        table.add_column(
            heading.lstrip(">"), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_problems(problems: Sequence[Problem]) -> None:
    """Print `problems` as a table on standard output."""
    headings = ("where", "code", "problem", "what to do")
    rows = [(p.path or "cohort", p.code, p.message, p.hint) for p in problems]
    print_table(f"{len(rows)} problem{'s' * (len(rows) != 1)}", headings, rows)


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
    return Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)
