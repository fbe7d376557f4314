"""``confseg demo``: the whole job in one window."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import REFUSED, add_command, local_path
from napari_confseg.extras import absent, foreign
from napari_confseg.launcher import trainer_problem

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "demo",
        run,
        purpose="open napari on a synthetic cohort to paint and train, or let it show the job",
        example="confseg demo --scripted --out demo-out",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("demo-out"),
        metavar="DIR",
        help="where cohort, pictures and summary go (default: demo-out)",
    )
    parser.add_argument(
        "--scripted",
        action="store_true",
        help="do the whole job with a simulated hand, leave pictures, and end",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration."""
    problem = absent("viewer", "the demonstration") or foreign("sample_data")
    if not problem and arguments.scripted:
        problem = trainer_problem()
    if problem:
        print(f"confseg: {problem}", file=sys.stderr)
        return REFUSED
    from napari_confseg.widgets.demo.scripted import run_demo

    return run_demo(arguments.out, scripted=arguments.scripted)
