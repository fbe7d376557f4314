"""``confseg-train run``: the request in a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.job import RunFolder
from trainer.cli.jobs import add_where, carry_out, carry_out_together, is_shared
from trainer.cli.parsing import add_command, local_path

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "run",
        run,
        purpose="do what a run folder asks; resume it if it was stopped",
        example="confseg-train run runs/first",
    )
    parser.add_argument(
        "folder", type=local_path, metavar="FOLDER", help="a folder with job.json in it"
    )
    add_where(parser)


def run(arguments: argparse.Namespace) -> int:
    """Execute the folder's request, in one process or as one of several."""
    if is_shared():
        return carry_out_together(arguments.folder, None, as_json=arguments.json)
    return carry_out(RunFolder(arguments.folder), as_json=arguments.json, where=arguments.where)
