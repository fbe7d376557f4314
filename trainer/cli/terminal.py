"""What a person at a terminal sees of a run, and what a machine reads."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from napari_confseg.job import Cancelled, Failed, Finished, Metrics, Preview, Progress, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel

    from napari_confseg.job import Event
    from trainer.evaluate import Evaluation


def print_json(record: BaseModel) -> None:
    """Print `record` as one line of JSON, at once."""
    print(record.model_dump_json(), flush=True)


class Terminal:
    """Shows the events of a run as a bar and lines; use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console or Console(stderr=True),
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
        say = self._bar.console.print
        match event:
            case Started():
                say(
                    "\n".join(f"[bold]{name}[/bold] {value}" for name, value in event.facts.items())
                )
            case Progress():
                left = event.seconds_left
                self._bar.update(
                    self._task,
                    description=event.message,
                    completed=event.current,
                    total=event.maximum,
                    left="" if left is None else f"{left:.0f} s left",
                )
            case Metrics() if "val_dice" in event.values:
                say(
                    f"step {event.step}: "
                    + ", ".join(f"{k} {v:.3g}" for k, v in event.values.items() if v is not None)
                )
            case Preview():
                say(f"Marked {event.clip} as rater {event.rater}")
            case Failed():
                say(f"[bold red]{escape(event.error)}[/bold red]\n{escape(event.hint)}")
            case Cancelled():
                say("Stopped; the best checkpoint is kept. Run it again to go on.")
            case Finished():
                say("Finished.")
            case _:
                pass


@contextmanager
def telling(*, as_json: bool, quiet: bool = False) -> Iterator[Callable[[Event], None]]:
    """Yield what to call with each event: lines of JSON for machines, a bar for people.

    Parameters
    ----------
    as_json : bool
        Which.
    quiet : bool
        Neither: of several processes that work together, one tells.
    """
    if quiet:
        yield lambda _: None
    elif as_json:
        yield print_json
    else:
        with Terminal() as terminal:
            yield terminal.show


@contextmanager
def waiting(what: str, *, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on standard error; yields what to call with (done, all, message)."""
    with Bar(console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total, description=message)

        yield tell


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the means, one row per rater, class and threshold."""
    console = Console()
    table = Table(title=evaluation.title, caption=evaluation.note)
    for heading in ("against", "class", "t"):
        table.add_column(heading)
    for heading in evaluation.columns:
        table.add_column(heading, justify="right")
    for row in evaluation.means:
        table.add_row(
            row.against,
            row.class_name,
            str(row.threshold),
            *(_cell(row.values[c], row.defined[c]) for c in evaluation.columns),
        )
    console.print(table)


def _cell(value: float | None, defined: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f} ({defined})"
