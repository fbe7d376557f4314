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
    parser.add_argument(
        "--repair",
        action="store_true",
        help="first set right what can be without guessing, and say what was done",
    )
    parser.add_argument(
        "--accept-changed",
        action="store_true",
        help="with --repair: take planes that somebody has changed as they are, where no record "
        "tells what they were",
    )


def run(arguments: argparse.Namespace) -> int:
    """Validate, after a repair if asked for; 1 if there is a problem."""
    from napari_confseg.cli.terminal import (
        console,
        print_json,
        print_problems,
        progress_bar,
    )
    from napari_confseg.store import Problem, StoreError
    from napari_confseg.store.repair import repair
    from napari_confseg.store.validate import validate

    if arguments.accept_changed and not arguments.repair:
        raise StoreError(
            Problem("option", arguments.cohort, "--accept-changed is for --repair: give both")
        )
    with progress_bar(quiet=arguments.json) as progress:
        done = (
            repair(arguments.cohort, accept_changed=arguments.accept_changed, progress=progress)
            if arguments.repair
            else []
        )
        problems = validate(arguments.cohort, progress=progress)
    if arguments.json:
        repaired = {"repaired": done} if arguments.repair else {}
        print_json(repaired | {"problems": [p.as_dict() for p in problems]})
        return REFUSED if problems else DONE
    for line in done:
        console().print(f"Repaired: {line}.")
    if arguments.repair and not done:
        console().print("There was nothing to repair.")
    if problems:
        print_problems(problems)
    else:
        console().print(f"{arguments.cohort} is sound.")
    return REFUSED if problems else DONE
