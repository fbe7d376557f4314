"""``confseg import``: videos, DICOM files and folders of images become clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from napari_confseg.ingest import ImportReport
    from napari_confseg.ingest.patients import Census
    from napari_confseg.store import Cohort


def add(commands: Subparsers) -> None:
    """Declare the command."""
    add_command(
        commands,
        "import",
        run,
        purpose="make clips of videos, DICOM files and folders of images",
        example="confseg import scans/ --cohort study.zarr --create --crop sector",
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from napari_confseg.ingest import ImportOptions

    option = parser.add_argument
    option(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="video, DICOM file, DICOMDIR, image, or folder of them",
    )
    option(
        "--series",
        nargs="+",
        type=int,
        metavar="N",
        help="of a DICOMDIR, only these; confseg series lists them",
    )
    option("--cohort", required=True, help="folder or s3:// address of the cohort")
    option("--create", action="store_true", help="make the cohort if there is none")
    option(
        "--dry-run",
        action="store_true",
        help="write nothing: say how many files of how many patients it comes to",
    )
    add_fields(parser, ImportOptions, "patient", "patient_per", "patient_pattern", "patient_table")
    add_fields(parser, ImportOptions, "crop", "mask", "fps")
    add_fields(parser, ImportOptions, "name_from_file", key_file="--key")
    option(
        "--sheet",
        type=local_path,
        metavar="PNG",
        help="draw the new clips with their sectors on one picture, to check by eye",
    )


def run(arguments: argparse.Namespace) -> int:
    """Import; 1 if anything was refused."""
    from napari_confseg.cli.terminal import console, print_json, progress_bar
    from napari_confseg.ingest import ImportOptions, import_sources
    from napari_confseg.ingest.patients import CensusTaker

    sources = arguments.sources
    if arguments.series:
        sources = _picked(sources, arguments.series)
    options = request_from(arguments, ImportOptions)
    with progress_bar(quiet=arguments.json) as progress:
        census = CensusTaker().count(sources, options, progress=progress)
    assert census is not None  # nobody cancels it
    if arguments.dry_run:
        return _tell(census, arguments)
    cohort = _open_or_create(arguments.cohort, create=arguments.create)
    with progress_bar(quiet=arguments.json) as progress:
        report = import_sources(sources, cohort, options, progress=progress)
    if arguments.sheet and report.imported:
        from napari_confseg.ingest.contact_sheet import save_contact_sheet

        save_contact_sheet(cohort, report.imported, arguments.sheet)
    clips = [_facts(cohort, name) for name in report.imported]
    if arguments.json:
        refused = [{"source": name, "reason": reason} for name, reason in report.refused]
        passed = [{"source": name, "kind": kind} for name, kind in report.passed_over]
        print_json(
            {
                "cohort": cohort.location,
                "imported": clips,
                "refused": refused,
                "passed_over": passed,
                "waiting": report.waiting,
                "warning": census.warning(),
            }
        )
    else:
        _print(report, clips, arguments)
        if warning := census.warning():
            console().print(warning)
    return REFUSED if report.refused else DONE


def _tell(census: Census, arguments: argparse.Namespace) -> int:
    """Say what an import comes to."""
    from napari_confseg.cli.terminal import console, print_json

    if arguments.json:
        print_json(
            {
                "files": census.files,
                "patients": len(census.patients),
                "told": census.told,
                "refused": [{"source": name, "reason": reason} for name, reason in census.refused],
                "unused_rows": census.unused_rows,
                "warning": census.warning(),
            }
        )
    else:
        for text in (census.words(), census.listing(), census.warning()):
            if text:
                console().print(text)
    return REFUSED if census.refused else DONE


def _picked(sources: list[str], numbers: list[int]) -> list[Path]:
    from napari_confseg.cli.series import unreadable
    from napari_confseg.ingest.sources import files_of

    with unreadable(sources[0]):
        return files_of(sources, numbers)


def _open_or_create(location: str, *, create: bool) -> Cohort:
    from napari_confseg.ingest.pseudonyms import slug_from_name
    from napari_confseg.store import Cohort, StoreError

    try:
        return Cohort.open(location)
    except StoreError as error:
        if not create or any(p.code != "missing" for p in error.problems):
            raise
    name = slug_from_name(Path(location.rstrip("/"))) or "cohort"
    return Cohort.create(location, name=name)


def _facts(cohort: Cohort, name: str) -> dict[str, Any]:
    clip = cohort.clip(name)
    meta = clip.meta
    return {
        "clip": name,
        "patient": meta.patient,
        "frames": clip.shape[0],
        "height": clip.shape[1],
        "width": clip.shape[2],
        "seconds": round(meta.frame_times[-1], 3),
        "sector": meta.sector.kind if meta.sector else None,
        "trust": meta.sector.trust if meta.sector else None,
        "crop": meta.provenance.crop,
        "tags": list(meta.tags),
        "decoder": meta.provenance.decoder,
    }


def _print(
    report: ImportReport, clips: list[dict[str, Any]], arguments: argparse.Namespace
) -> None:
    from napari_confseg.cli.terminal import console, print_table

    rows = [
        (
            c["clip"],
            c["patient"],
            str(c["frames"]),
            f"{c['width']} x {c['height']}",
            f"{c['seconds']:.1f}",
            f"{c['sector']}, {c['trust']:.2f}" if c["sector"] else "not found",
            ", ".join(c["tags"]),
        )
        for c in clips
    ]
    if rows:
        headings = ("clip", "patient", ">frames", ">pixels", ">seconds", "sector, trust", "tags")
        print_table(f"Imported into {arguments.cohort}", headings, rows)
    if report.waiting:
        print_table("Waiting for you", ("clip", "what and why"), list(report.waiting.items()))
    if report.refused:
        print_table("Refused", ("source", "why"), report.refused)
    if report.passed_over:
        from napari_confseg.ingest.sources import passed_over_in_words

        words = passed_over_in_words(report.passed_over)
        console().print(f"Passed over, as no pictures: {words}; --json names them.")
