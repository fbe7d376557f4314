"""``confseg-train compare``: runs side by side on the same clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.cli.parsing import DATA, DONE, add_command, add_compute_options, model_folder

if TYPE_CHECKING:
    import argparse

    from trainer.champion import Comparison
    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "compare",
        run,
        purpose="score runs side by side on the same clips, with intervals over patients",
        example="confseg-train compare runs/first runs/second --on demo-ds --part test",
    )
    parser.add_argument(
        "models",
        nargs="+",
        type=model_folder,
        metavar="RUN",
        help="folders of fits, or starter; others are compared with the first",
    )
    add_part_options(parser, required=True)
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="RATER",
        help="raters to compare with; those that would be learnt from if not given",
    )
    parser.add_argument(
        "--threshold",
        type=int,
        default=50,
        metavar="PERCENT",
        help="confidence from which a rater's pixel counts as present (default: 50)",
    )
    add_compute_options(parser)


def add_part_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the options for the clips that runs are compared on."""
    otherwise = "" if required else "; the cohort itself if not given"
    parser.add_argument("--on", required=required, metavar="DATA", help=f"{DATA}{otherwise}")
    parser.add_argument(
        "--part",
        help="part of that dataset, e.g. test; if not given, the one that is neither learnt from "
        "nor validated on; of a cohort, the clips that none of the runs has learnt from",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, and show the scores."""
    from trainer.champion import compare, part_of
    from trainer.cli.terminal import print_json, progress_bar
    from trainer.compute import set_threads
    from trainer.sources import open_source

    set_threads(arguments.threads)
    part = part_of(open_source(arguments.on), arguments.models, arguments.part)
    with progress_bar("Scoring", quiet=arguments.json) as update:
        found = compare(
            arguments.models,
            part,
            against=arguments.against,
            threshold=arguments.threshold,
            device=arguments.device,
            on_progress=update,
        )
    if arguments.json:
        print_json(found)
    else:
        print_comparison(found)
    return DONE


def print_comparison(found: Comparison) -> None:
    """Print a row for each score and a column for each run."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from napari_confseg.store.errors import printable

    console = Console()
    raters = ", ".join(found.against)
    title = (
        f"{found.part}: {found.clips} clips of {found.patients} patients, "
        f"against {raters} from {found.threshold} %"
    )
    console.print(printable(title), highlight=False, markup=False)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("")
    for scores in found.runs:
        table.add_column(escape(printable(scores.run)), justify="right")
    classes = list(dict.fromkeys(c for scores in found.runs for c in scores.dice))
    for name in classes:
        row = [str(s.dice[name]) if name in s.dice else "-" for s in found.runs]
        table.add_row(f"Dice {name}", *row)
    table.add_row("mean Dice", *(str(s.mean_dice) for s in found.runs))
    table.add_row("mean Brier", *(str(s.brier) for s in found.runs))
    gains = [f"{s.gain}" if s.gain is not None else "" for s in found.runs]
    table.add_row("gain over the first", *gains)
    table.add_row("hash of the weights", *(s.sha256[:12] for s in found.runs))
    console.print(table)
    if len(found.classes) < len(classes):
        console.print(f"Means are over the classes that all know: {', '.join(found.classes)}.")
    if found.note:
        console.print(printable(found.note), highlight=False, markup=False)
