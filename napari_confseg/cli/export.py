"""``confseg export``: a frozen dataset in the formats people use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command, local_path, slug

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers

# As in dataset.exports, which is not imported for --help; a test compares them.
FORMATS = (
    "coco",
    "dicom-seg",
    "monai",
    "nifti",
    "nnunet",
    "nrrd",
    "ome-zarr",
    "png",
    "tiff",
    "webdataset",
)


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "export",
        run,
        purpose="write a frozen dataset in another format",
        example="confseg export lung-ds --format nnunet --at 60 --out exports/nnunet",
    )
    parser.add_argument(
        "dataset",
        type=local_path,
        metavar="DATASET",
        help="folder of a dataset (newest version) or of a version",
    )
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="empty or new")
    parser.add_argument("--rater", type=slug, help="needed if the dataset has several")
    parser.add_argument(
        "--at",
        type=int,
        default=50,
        metavar="PERCENT",
        help="threshold for formats that hold no confidence (default: 50)",
    )
    parser.add_argument(
        "--band",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="nnunet: confidences from LOW up to HIGH are ignored in training",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export; refused if a rater is missing or a format's library is not installed."""
    from napari_confseg.cli.terminal import console, print_json, progress_bar
    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.formats.export import Options, export

    dataset = Dataset.open(arguments.dataset)
    options = Options(
        rater=arguments.rater,
        threshold=arguments.at,
        band=tuple(arguments.band) if arguments.band else None,
    )
    with progress_bar(quiet=arguments.json) as progress:
        facts = export(dataset, arguments.format, arguments.out, options, progress=progress)
    if arguments.json:
        print_json(facts)
    else:
        console().print(f"{facts['files']} files in {arguments.out}")
        for note in facts["notes"]:
            console().print(f"- {note}")
    return DONE
