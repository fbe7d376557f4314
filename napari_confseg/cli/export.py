"""``confseg export``: a frozen dataset in the formats people use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command, add_fields, local_path, request_from

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    add_command(
        commands,
        "export",
        run,
        purpose="write a frozen dataset in another format",
        example="confseg export lung-ds --format nnunet --at 60 --out exports/nnunet",
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from napari_confseg.formats.export import ExportRequest

    parser.add_argument(
        "dataset",
        type=local_path,
        metavar="DATASET",
        help="folder of a dataset (newest version) or of a version",
    )
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="empty or new")
    add_fields(parser, ExportRequest, "format", "rater", threshold="--at", band="--band")


def run(arguments: argparse.Namespace) -> int:
    """Export; refused if a rater is missing or a format's library is not installed."""
    from napari_confseg.cli.terminal import console, print_json, progress_bar
    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.formats.export import ExportRequest, export

    dataset = Dataset.open(arguments.dataset)
    request = request_from(arguments, ExportRequest)
    with progress_bar(quiet=arguments.json) as progress:
        facts = export(dataset, request, arguments.out, progress=progress)
    if arguments.json:
        print_json(facts)
    else:
        console().print(f"{facts['files']} files in {arguments.out}")
        for note in facts["notes"]:
            console().print(f"- {note}")
    return DONE
