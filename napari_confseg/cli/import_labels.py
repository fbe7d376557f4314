"""``confseg import-labels``: what others have marked, as planes of a rater."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, REFUSED, add_command, local_path, slug

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.formats.labels import ImportReport
    from napari_confseg.store import RaterKind

# As in dataset.imports, which is not imported for --help; a test compares them.
FORMATS = ("annotate-ultrasound", "coco", "nnunet", "nrrd")
# As in store.rater_kinds, for the same reason.
KINDS = ("human", "adjudicated", "consensus", "model", "truth", "imported")


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "import-labels",
        run,
        purpose="bring labels that others made into a cohort, as planes of a rater",
        example="confseg import-labels slicer/ --cohort study.zarr --rater tom --kind human",
    )
    parser.add_argument(
        "source", type=local_path, metavar="SOURCE", help="a file or a folder of them"
    )
    parser.add_argument("--cohort", required=True, metavar="COHORT", help="folder or s3:// address")
    parser.add_argument("--rater", type=slug, required=True, help="who it shall be")
    parser.add_argument("--label", help="what people read as their name (default: the rater)")
    parser.add_argument(
        "--kind",
        choices=KINDS,
        help="who or what made them; asked for in a terminal, unless a file of ours says it",
    )
    parser.add_argument(
        "--made-by", metavar="WORDS", help="the same in words: a name, or a program and its version"
    )
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
    from napari_confseg.formats.labels import Options, detect, import_labels
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=arguments.dry_run)
    format = arguments.format or detect(arguments.source)
    kind = arguments.kind or _kind(arguments.source, format, quiet=arguments.json)
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
            format=format,
            label=arguments.label,
            kind=kind,
            made_by=arguments.made_by,
            dry_run=arguments.dry_run,
            progress=progress,
        )
    if arguments.json:
        print_json({"cohort": arguments.cohort, **asdict(report)})
    else:
        _print(report, dry=arguments.dry_run)
    return REFUSED if report.problems else DONE


def _kind(source: Path, format: str, *, quiet: bool) -> RaterKind | None:
    """Return what the person at the terminal says; None if a file of ours says it."""
    from napari_confseg.cli.terminal import ask
    from napari_confseg.formats.origin import told_origin
    from napari_confseg.store import RATER_KINDS, Problem, StoreError

    if told_origin(source, format) is not None:
        return None
    meanings = {kind: info.meaning for kind, info in RATER_KINDS.items()}
    answer = None if quiet else ask("Who or what made these labels?", meanings, "imported")
    if answer is None:
        raise StoreError(
            Problem(
                "kind",
                str(source),
                "Nothing says who or what made these labels",
                hint=f"Name it with --kind: one of {', '.join(KINDS)}.",
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
