"""``confseg import-labels``: what others have marked, as planes of a rater."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import (
    DONE,
    REFUSED,
    add_command,
    add_fields,
    local_path,
    request_from,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.formats.labels import ImportReport
    from napari_confseg.store import RaterKind


def add(commands: Subparsers) -> None:
    """Declare the command."""
    add_command(
        commands,
        "import-labels",
        run,
        purpose="bring labels that others made into a cohort, as planes of a rater",
        example="confseg import-labels slicer/ --cohort study.zarr --rater tom --confidence 80",
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from napari_confseg.formats.labels import LabelImportRequest

    parser.add_argument(
        "source", type=local_path, metavar="SOURCE", help="a file or a folder of them"
    )
    parser.add_argument("--cohort", required=True, metavar="COHORT", help="folder or s3:// address")
    add_fields(parser, LabelImportRequest, "rater", "label", "kind", "made_by", "confidence")
    add_fields(parser, LabelImportRequest, "format")
    for name, metavar in (("classes", "NAME=CLASS"), ("clips", "NAME=CLIP")):
        parser.add_argument(
            f"--{name}",
            nargs="+",
            type=_pair,
            default=[],
            metavar=metavar,
            help=LabelImportRequest.model_fields[name].description,
        )
    add_fields(parser, LabelImportRequest, "reviewed", "author", "line_width")
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would come; write nothing"
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
    from napari_confseg.formats.labels import LabelImportRequest, detect, import_labels
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=arguments.dry_run)
    format = arguments.format or detect(arguments.source)
    request = request_from(
        arguments,
        LabelImportRequest,
        format=format,
        kind=arguments.kind or _kind(arguments.source, format, quiet=arguments.json),
        classes=dict(arguments.classes),
        clips=dict(arguments.clips),
    )
    with progress_bar(quiet=arguments.json) as progress:
        report = import_labels(
            cohort, arguments.source, request, dry_run=arguments.dry_run, progress=progress
        )
    if arguments.json:
        print_json({"cohort": arguments.cohort, **asdict(report)})
    else:
        _print(report, dry=arguments.dry_run)
    return REFUSED if report.problems else DONE


def _kind(source: Path, format: str, *, quiet: bool) -> RaterKind | None:
    """Return what the person at the terminal says; None if a file of ours says it."""
    from napari_confseg.cli.terminal import ask
    from napari_confseg.formats.origin import recorded_origin
    from napari_confseg.store import RATER_KINDS, Problem, StoreError

    if recorded_origin(source, format) is not None:
        return None
    meanings = {kind: info.meaning for kind, info in RATER_KINDS.items()}
    answer = None if quiet else ask("Who or what made these labels?", meanings, "imported")
    if answer is None:
        raise StoreError(
            Problem(
                "kind",
                str(source),
                "Nothing says who or what made these labels",
                hint=f"Name it with --kind: one of {', '.join(RATER_KINDS)}.",
            )
        )
    return answer


def _print(report: ImportReport, *, dry: bool) -> None:
    from napari_confseg.cli.terminal import print_problems, print_table
    from napari_confseg.store import RATER_KINDS

    rows = [
        (c.clip, c.source, str(c.frames), ", ".join(f"{n} px of {k}" for k, n in c.pixels.items()))
        for c in report.clips
    ]
    done = "would come in" if dry else "came in"
    if rows:
        who = RATER_KINDS[report.kind].label
        who += f", made by {report.made_by}" if report.made_by else ""
        print_table(
            f"{report.format}: {done} as rater {report.rater} ({who})",
            ("clip", "from", ">frames reviewed", "marked"),
            rows,
        )
    if report.problems:
        print_problems(report.problems)
