"""``confseg sectors``: every sector with its trust, and on one sheet, to check by eye."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE, add_command, local_path, slug

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.store import ClipMeta


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "sectors",
        run,
        purpose="list every sector with its trust, and draw them on one sheet, to check by eye",
        example="confseg sectors study.zarr --out sheet.png",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument("clips", nargs="*", type=slug, metavar="CLIP", help="default: all")
    parser.add_argument("--out", type=local_path, metavar="PNG", help="draw the sheet there")


def run(arguments: argparse.Namespace) -> int:
    """List them, and draw the sheet."""
    from napari_confseg.cli.terminal import console, print_json, print_table, progress_bar
    from napari_confseg.ingest.contact_sheet import save_contact_sheet
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=True)
    names = arguments.clips or cohort.clips()
    if arguments.out:
        with progress_bar(quiet=arguments.json) as progress:
            save_contact_sheet(cohort, names, arguments.out, progress=progress)
    sectors = {name: _facts(cohort.clip(name).meta) for name in names}
    if arguments.json:
        sheet = str(arguments.out) if arguments.out else None
        print_json({"sheet": sheet, "clips": names, "sectors": sectors})
        return DONE
    rows = [
        (
            name,
            s["kind"] or "not found",
            "" if s["trust"] is None else f"{s['trust']:.2f}",
            s["note"],
        )
        for name, s in sectors.items()
    ]
    if rows:
        print_table("Sectors", ("clip", "kind", ">trust", "note"), rows)
    else:
        console().print(f"Empty: confseg import SOURCE... --cohort {arguments.cohort}")
    if arguments.out:
        console().print(f"{len(names)} clips are on {arguments.out}")
    return DONE


def _facts(meta: ClipMeta) -> dict[str, Any]:
    from napari_confseg.ingest.sector import waiting_words

    sector = meta.sector
    note = ""
    if sector:
        note = "confirmed" if sector.confirmed else "doubtful" if sector.doubtful else ""
    return {
        "kind": sector.kind if sector else None,
        "trust": sector.trust if sector else None,
        "confirmed": bool(sector and sector.confirmed),
        "note": waiting_words(meta) or note,
    }
