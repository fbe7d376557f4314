"""Output of ``confseg-train``: progress, tables and lines of JSON."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from napari_confseg.job import Cancelled, Failed, Finished, Metrics, Preview, Progress, Started
from napari_confseg.store import rater_label
from napari_confseg.store.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel

    from napari_confseg.job import Event
    from trainer.evaluate import Evaluation


def print_json(record: BaseModel) -> None:
    """Print `record` as one line of JSON, at once."""
    print(record.model_dump_json(), flush=True)


class ProgressLines:
    """Progress where nobody watches a bar, such as a log: a line at every tenth of the way.

    Parameters
    ----------
    console : Console
        Where it prints.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._reached = -1

    def tell(self, done: int, total: int | None, message: str, left: float | None = None) -> None:
        """Print a line if another tenth is done, or another stage has begun."""
        tenth = 10 * done // total if total else 0
        if tenth == self._reached:
            return
        self._reached = tenth
        of = f"{done}/{total} " if total else f"{done} " if done else ""
        self._console.print(
            f"{of}{printable(message)}{_in_words(left)}", markup=False, highlight=False
        )


def _in_words(left: float | None) -> str:
    """Return how long it will take, in words that stay true for a while."""
    if left is None:
        return ""
    return ", less than a minute left" if left < 60 else f", {left / 60:.0f} min left"


class Terminal:
    """Shows the events of a run as a bar and lines; use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._lines = None if console.is_terminal else ProgressLines(console)
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=self._lines is not None,
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("Starting", total=None, left="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        show = self._bar.console.print
        match event:
            case Started():
                show(
                    "\n".join(
                        f"[bold]{_plain(name)}[/bold] {_plain(str(value))}"
                        for name, value in event.facts.items()
                    )
                )
            case Progress():
                left = event.seconds_left
                if self._lines:
                    self._lines.tell(event.current, event.maximum, event.message, left)
                self._bar.update(
                    self._task,
                    description=printable(event.message),
                    completed=event.current,
                    total=event.maximum,
                    left="" if left is None else f"{left:.0f} s left",
                )
            case Metrics() if "val_dice" in event.values:
                show(
                    f"step {event.step}: "
                    + ", ".join(f"{k} {v:.3g}" for k, v in event.values.items() if v is not None)
                )
            case Preview():
                show(f"Marked {event.clip} as rater {event.rater}")
            case Failed():
                show(f"[bold red]{_plain(event.error)}[/bold red]\n{_plain(event.hint)}")
            case Cancelled():
                show("Stopped; the best checkpoint is kept. Run it again to resume.")
            case Finished():
                show("Finished.")
            case _:
                pass


@contextmanager
def report_events(*, as_json: bool, quiet: bool = False) -> Iterator[Callable[[Event], None]]:
    """Yield a listener of events: it prints lines of JSON, or a progress bar.

    Parameters
    ----------
    as_json : bool
        Lines of JSON, for machines.
    quiet : bool
        Print nothing: of the processes of one fit only the first reports.
    """
    if quiet:
        yield lambda _: None
    elif as_json:
        yield print_json
    else:
        with Terminal() as terminal:
            yield terminal.show


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on standard error; yields its update (done, total, message)."""
    columns = (TextColumn("{task.description}", markup=False), *Bar.get_default_columns()[1:])
    with Bar(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def update(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total, description=printable(message))

        yield update


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the means, a table for each rater with one row per class and threshold."""
    console = Console()
    console.print(printable(evaluation.title), highlight=False, markup=False)
    # Without the unit of length that no clip has: the others need the width.
    scores = [c for c in evaluation.columns if any(m.defined[c] for m in evaluation.means)]
    raters = {m.against: (m.label, m.kind) for m in evaluation.means}
    for name, (label, kind) in raters.items():
        title = _plain(f"Against {rater_label(name, label, kind)}")
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        table.add_column("class", no_wrap=True)
        table.add_column("t", no_wrap=True)
        for score in scores:
            table.add_column(score.replace("_", " "), justify="right", overflow="fold")
        for row in evaluation.means:
            if row.against == name:
                cells = [_cell(row.values[c], row.defined[c]) for c in scores]
                table.add_row(row.class_name, str(row.threshold), *cells)
        console.print(table)
    console.print(printable(evaluation.note), highlight=False, markup=False)


def _plain(text: str) -> str:
    """Return `text` as it stands: no markup, no control characters."""
    return escape(printable(text))


def _cell(value: float | None, defined: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f} ({defined})"
