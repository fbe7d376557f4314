"""``confseg sectors``: every clip with its sector on one sheet, to check by eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command, local_path, slug

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "sectors",
        run,
        purpose="draw every clip with its sector on one sheet, to check by eye",
        example="confseg sectors study.zarr --out sheet.png",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument("clips", nargs="*", type=slug, metavar="CLIP", help="default: all")
    parser.add_argument("--out", type=local_path, required=True, metavar="PNG", help="the picture")


def run(arguments: argparse.Namespace) -> int:
    """Draw it."""
    from napari_confseg.cli.terminal import console, print_json, progress_bar
    from napari_confseg.ingest.contact_sheet import save_contact_sheet
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=True)
    names = arguments.clips or cohort.clips()
    with progress_bar(quiet=arguments.json) as progress:
        save_contact_sheet(cohort, names, arguments.out, progress=progress)
    if arguments.json:
        print_json({"sheet": str(arguments.out), "clips": names})
    else:
        console().print(f"{len(names)} clips are on {arguments.out}")
    return DONE
