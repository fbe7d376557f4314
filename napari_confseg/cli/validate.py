"""``confseg validate``: every problem of a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, REFUSED, add_command

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "validate",
        run,
        purpose="check all of a cohort and list every problem",
        example="confseg validate study.zarr",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")


def run(arguments: argparse.Namespace) -> int:
    """Validate; 1 if there is a problem."""
    from napari_confseg.cli.terminal import (
        console,
        print_json,
        print_problems,
        progress_bar,
    )
    from napari_confseg.store.validate import validate

    with progress_bar(quiet=arguments.json) as progress:
        problems = validate(arguments.cohort, progress=progress)
    if arguments.json:
        print_json({"problems": [p.as_dict() for p in problems]})
    elif problems:
        print_problems(problems)
    else:
        console().print(f"{arguments.cohort} is sound.")
    return REFUSED if problems else DONE
