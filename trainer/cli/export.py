"""``confseg-train export``: a fitted network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.cli.parsing import DONE, add_command, local_path, model_folder
from trainer.shipped import STARTER, is_shipped

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers

FORMATS = ("onnx", "torchscript", "monai-bundle")


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "export",
        run,
        purpose="write a fitted network for other programs",
        example="confseg-train export runs/first --to onnx",
    )
    parser.add_argument(
        "model", type=model_folder, metavar="RUN", help="folder of a fit, or starter"
    )
    parser.add_argument("--to", required=True, choices=FORMATS, help="format to write")
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FOLDER",
        help=f"a new folder; RUN/exports/FORMAT, of the shipped model {STARTER}-FORMAT here",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what was written."""
    import json

    from trainer.export.folder import export

    out = arguments.model / "exports" / arguments.to
    if is_shipped(arguments.model):  # the package's own folder may belong to somebody else
        out = Path(f"{STARTER}-{arguments.to}")
    done = export(arguments.model, arguments.to, arguments.out or out)
    facts = {"folder": str(done.folder), "files": done.files, "difference": done.difference}
    if arguments.json:
        print(json.dumps(facts))
    else:
        print(f"Written to {done.folder}: {', '.join(done.files)}")
        print(f"Its output differs from the network's by at most {done.difference:.0e}")
    return DONE
