"""``confseg import-labels``: what others have marked, as planes of a rater."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, REFUSED, add_command, slug

if TYPE_CHECKING:
    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.formats.labels import ImportReport

# As in dataset.imports, which is not imported for --help; a test compares them.
FORMATS = ("annotate-ultrasound", "coco", "nnunet", "nrrd")


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "import-labels",
        run,
        purpose="bring labels that others made into a cohort, as planes of a rater",
        example="confseg import-labels slicer/ --cohort study.zarr --rater tom --confidence 80",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a file or a folder of them")
    parser.add_argument("--cohort", required=True, metavar="COHORT", help="folder or s3:// address")
    parser.add_argument("--rater", type=slug, required=True, help="who it shall be")
    parser.add_argument("--label", help="what people read as their name (default: the rater)")
    parser.add_argument(
        "--confidence",
        type=int,
        default=80,
        metavar="PERCENT",
        help="of labels that state none (default: 80)",
    )
    parser.add_argument("--format", choices=FORMATS, help="default: found out")
    parser.add_argument(
        "--classes",
        nargs="+",
        type=_pair,
        default=[],
        metavar="NAME=CLASS",
        help="what names in the source mean; NAME= leaves one out",
    )
    parser.add_argument(
        "--clips",
        nargs="+",
        type=_pair,
        default=[],
        metavar="NAME=CLIP",
        help="which clips names in the source are",
    )
    parser.add_argument(
        "--reviewed",
        choices=("marked", "all"),
        default="marked",
        help="nrrd: which frames count as reviewed (default: marked)",
    )
    parser.add_argument("--author", help="annotate-ultrasound: whose lines, if of several")
    parser.add_argument(
        "--line-width",
        type=float,
        default=7.0,
        metavar="PIXELS",
        help="annotate-ultrasound: of pleura lines (default: 7)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="tell what would come; write nothing"
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, meaning = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=MEANING, found {text!r}")
    return name, meaning


def run(arguments: argparse.Namespace) -> int:
    """Import; 1 if anything was left out."""
    from dataclasses import asdict

    from napari_confseg.cli.terminal import print_json, progress_bar
    from napari_confseg.formats.labels import Options, import_labels
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=arguments.dry_run)
    options = Options(
        confidence=arguments.confidence,
        classes=dict(arguments.classes),
        clips=dict(arguments.clips),
        reviewed=arguments.reviewed,
        author=arguments.author,
        line_width=arguments.line_width,
    )
    with progress_bar(quiet=arguments.json) as progress:
        report = import_labels(
            cohort,
            arguments.source,
            arguments.rater,
            options,
            format=arguments.format,
            label=arguments.label,
            dry_run=arguments.dry_run,
            progress=progress,
        )
    if arguments.json:
        print_json({"cohort": arguments.cohort, **asdict(report)})
    else:
        _print(report, dry=arguments.dry_run)
    return REFUSED if report.problems else DONE


def _print(report: ImportReport, *, dry: bool) -> None:
    from napari_confseg.cli.terminal import print_problems, print_table

    rows = [
        (c.clip, c.source, str(c.frames), ", ".join(f"{n} px of {k}" for k, n in c.pixels.items()))
        for c in report.clips
    ]
    done = "would come in" if dry else "came in"
    if rows:
        print_table(
            f"{report.format}: {done} as rater {report.rater}",
            ("clip", "from", ">frames reviewed", "marked"),
            rows,
        )
    if report.problems:
        print_problems(report.problems)
