"""``confseg-train rank``: what to annotate next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.job import STARTER
from trainer.cli.parsing import DONE, add_command, add_compute_options, model_folder

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from napari_confseg.job import LearningOrder
    from napari_confseg.store import Cohort
    from trainer.cli.parsing import Subparsers

SHOWN = 20
"""Frames that are printed; all are in the file."""


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "rank",
        run,
        purpose="order clips and frames by how much a model would learn from them",
        example="confseg-train rank demo.zarr --model runs/first",
    )
    parser.add_argument("cohort", metavar="COHORT")
    parser.add_argument(
        "--model",
        type=model_folder,
        metavar="RUN",
        help=f"folder of a fit, or {STARTER}; the cohort's active model if not given",
    )
    parser.add_argument(
        "--members",
        nargs="+",
        type=model_folder,
        default=[],
        metavar="RUN",
        help="more runs: where they contradict each other the model has not seen enough",
    )
    parser.add_argument(
        "--frames", type=_count, default=8, metavar="N", help="of each clip (default: 8)"
    )
    parser.add_argument(
        "--number", type=_count, default=200, metavar="N", help="to rank at most (default: 200)"
    )
    add_compute_options(parser)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def run(arguments: argparse.Namespace) -> int:
    """Rank, write the order beside the cohort's runs, and show its beginning."""
    from napari_confseg.job import weights_sha256
    from napari_confseg.job.learning_order import write_order
    from napari_confseg.store import Cohort
    from trainer.cli.terminal import print_json, progress_bar
    from trainer.compute import set_threads
    from trainer.ensemble import Ensemble
    from trainer.rank import rank
    from trainer.shipped import is_shipped

    set_threads(arguments.threads)
    cohort = Cohort.open(arguments.cohort, read_only=True)
    folder = arguments.model or _active(cohort)
    members = Ensemble.load([folder, *arguments.members], device=arguments.device).members
    with progress_bar("Looking", quiet=arguments.json) as update:
        order = rank(
            cohort,
            members,
            model=STARTER if is_shipped(folder) else folder.absolute().name,
            sha256=weights_sha256(folder),
            per_clip=arguments.frames,
            number=arguments.number,
            on_progress=update,
        )
    path = write_order(cohort, order)
    if arguments.json:
        print_json(order)
    else:
        _print(order, path)
    return DONE


def _active(cohort: Cohort) -> Path:
    from rich.console import Console

    from napari_confseg.job import active_model
    from napari_confseg.store.errors import printable
    from trainer.shipped import run_folder

    active = active_model(cohort)
    if active.problem:
        said = f"{active.problem}; {active.name} ranks in its place"
        Console(stderr=True).print(printable(said), markup=False, highlight=False)
    return run_folder(active.location)


def _print(order: LearningOrder, path: Path) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("", "clip", "frame", "why", box=SIMPLE_HEAD)
    for place, frame in enumerate(order.frames[:SHOWN], 1):
        table.add_row(str(place), frame.clip, str(frame.frame), frame.why)
    console.print(table)
    console.print(
        f"{len(order.frames)} of {order.looked_at} frames, by {order.model}: {path}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
