"""``confseg import-raters``: pictures that several people outlined, with their outlines."""

from __future__ import annotations

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
    import argparse

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.formats.rater_pictures import RaterPicturesReport
    from napari_confseg.store import Cohort


def add(commands: Subparsers) -> None:
    """Declare the command."""
    add_command(
        commands,
        "import-raters",
        run,
        purpose="make clips of pictures that several people outlined, each outline a rater",
        example="confseg import-raters cells/ --cohort cells.zarr --create --class-name cell",
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from napari_confseg.formats.rater_pictures import RaterPicturesRequest

    parser.add_argument(
        "folder",
        type=local_path,
        metavar="FOLDER",
        help="pictures with bit planes and raters.json, or with a folder of masks for each rater; "
        "or a folder of such sets",
    )
    parser.add_argument("--cohort", required=True, metavar="COHORT", help="folder or s3:// address")
    parser.add_argument("--create", action="store_true", help="make the cohort, with this class")
    add_fields(parser, RaterPicturesRequest, "class_name", "pictures", "kind", "confidence")
    parser.add_argument(
        "--dry-run", action="store_true", help="read and check everything; write nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Import; 1 if anything was left out."""
    from dataclasses import asdict

    from napari_confseg.cli.terminal import print_json, progress_bar
    from napari_confseg.formats.rater_pictures import (
        RaterPicturesRequest,
        find_pictures,
        import_rater_pictures,
    )

    request = request_from(arguments, RaterPicturesRequest)
    find_pictures(arguments.folder, request.pictures)  # before a cohort is made for nothing
    cohort = _open_or_create(arguments, request.class_name)
    with progress_bar(quiet=arguments.json) as progress:
        report = import_rater_pictures(
            cohort, arguments.folder, request, dry_run=arguments.dry_run, progress=progress
        )
    if arguments.json:
        print_json({"cohort": arguments.cohort, **asdict(report)})
    else:
        _print(report, dry=arguments.dry_run)
    return REFUSED if report.problems else DONE


def _open_or_create(arguments: argparse.Namespace, class_name: str) -> Cohort:
    from pathlib import Path

    from zarr.storage import MemoryStore

    from napari_confseg.ingest.pseudonyms import slug_from_name
    from napari_confseg.store import DEFAULT_CLASSES, Cohort, StoreError

    try:
        return Cohort.open(arguments.cohort, read_only=arguments.dry_run)
    except StoreError as error:
        if not arguments.create or any(p.code != "missing" for p in error.problems):
            raise
    spec = DEFAULT_CLASSES[1].model_copy(
        update={"index": 0, "name": class_name, "label": class_name.capitalize()}
    )
    name = slug_from_name(Path(arguments.cohort.rstrip("/"))) or "cohort"
    where = MemoryStore() if arguments.dry_run else arguments.cohort
    return Cohort.create(where, name=name, classes=(spec,))


def _print(report: RaterPicturesReport, *, dry: bool) -> None:
    from napari_confseg.cli.terminal import print_problems, print_table

    done = "would come in" if dry else "came in"
    if report.clips:
        print_table(
            f"{len(report.clips)} pictures {done}",
            ("set", ">pictures"),
            [(name, str(n)) for name, n in report.sets.items()],
        )
        print_table(
            "Raters", ("rater", ">pictures"), [(n, str(k)) for n, k in report.raters.items()]
        )
    if report.problems:
        print_problems(report.problems)
