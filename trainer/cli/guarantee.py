"""``confseg-train guarantee``: contours and intervals that hold for a share of patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.numerals import percent
from trainer.cli.parsing import DATA, DONE, add_command, add_compute_options, model_folder

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers
    from trainer.guarantee import ClassRow, Measured, ReadoutRow


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "guarantee",
        run,
        purpose="measure on patients not seen which contours and intervals hold, for predict",
        example="confseg-train guarantee runs/first ward.zarr --against consensus --level 80",
    )
    parser.add_argument(
        "model", type=model_folder, metavar="RUN", help="folder of a fit, or starter"
    )
    parser.add_argument("data", metavar="DATA", help=DATA)
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="RATER",
        help="the panel, whose mean confidence is the measure; those that would be learnt from "
        "if not given",
    )
    parser.add_argument(
        "--patients",
        nargs="+",
        default=[],
        help="whom to measure on; if not given, all that the run was neither fitted to nor "
        "chosen on",
    )
    parser.add_argument(
        "--level",
        type=int,
        default=90,
        metavar="PERCENT",
        help="patients in a hundred that each promise is to hold in (default: 90)",
    )
    parser.add_argument(
        "--allow",
        type=int,
        default=20,
        metavar="PERCENT",
        help="share of a region that may lie beyond its contour (default: 20)",
    )
    parser.add_argument(
        "--threshold",
        type=int,
        default=50,
        metavar="PERCENT",
        help="mean confidence from which the panel marks a pixel (default: 50)",
    )
    add_compute_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, write it into the run's folder, and show it."""
    from trainer.cli.terminal import print_json, progress_bar
    from trainer.compute import set_threads
    from trainer.guarantee import measure
    from trainer.predict import Predictor
    from trainer.sources import open_source

    set_threads(arguments.threads)
    with progress_bar("Measuring", quiet=arguments.json) as update:
        found = measure(
            Predictor.load(arguments.model, arguments.device),
            arguments.model,
            open_source(arguments.data),
            panel=arguments.against,
            patients=arguments.patients,
            level=arguments.level,
            allowed=arguments.allow,
            threshold=arguments.threshold,
            on_progress=update,
        )
    if arguments.json:
        print_json(found)
    else:
        print_measured(found)
    return DONE


def print_measured(found: Measured) -> None:
    """Print a table of the contours, one of the read-outs, and the cautions."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from napari_confseg.store.errors import printable

    console = Console()

    def show(text: str) -> None:
        console.print(printable(text), highlight=False, markup=False)

    promised = found.guarantee
    show(f"{found.run}, {promised}")
    show(
        f"Contours: at most {promised.allowed} % of the panel's region lies outside of outer, "
        f"at most {promised.allowed} % of inner outside of the panel's region. Held: by both, then "
        "by inner and by outer, in patients who are left out in turn."
    )
    table = Table(box=SIMPLE_HEAD)
    table.add_column("class", no_wrap=True)
    for title in ("n", "marked", "inner", "outer", "asked", "held", "inner", "outer"):
        table.add_column(title, justify="right")
    for row in found.classes:
        table.add_row(*_class_cells(row, promised.level))
    console.print(table)
    if found.readouts:
        table = Table(box=SIMPLE_HEAD)
        table.add_column("read-out of a clip", no_wrap=True)
        for title in ("patients", "interval", "asked", "held"):
            table.add_column(title, justify="right")
        for readout in found.readouts:
            table.add_row(*_readout_cells(readout, promised.level))
        console.print(table)
    show(found.note)


def _class_cells(row: ClassRow, level: int) -> list[str]:
    if row.band is None:
        ends = [f"needs {row.needed}", "-"]
    else:
        ends = [
            f"{row.band.inner} %" if row.band.inner else "none",
            f"{row.band.outer} %" if row.band.outer else "sector",
        ]
    shares = [percent(v) for v in (row.held, row.inner_held, row.outer_held)]
    return [row.class_name, str(row.patients), str(row.marked), *ends, f"{level} %", *shares]


def _readout_cells(row: ReadoutRow, level: int) -> list[str]:
    if row.half_width is None:
        width = f"needs {row.needed}" if row.patients < row.needed else "unbounded"
    else:
        width = f"± {row.half_width:.1f} {row.unit}"
    name = row.readout.replace("_", " ")
    return [name, str(row.patients), width, f"{level} %", percent(row.held)]
