"""``confseg mask``: black out what lies outside confirmed sectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, REFUSED, add_command, slug

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "mask",
        run,
        purpose="make everything outside the confirmed sectors black, for good",
        example="confseg mask study.zarr",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder or s3:// address")
    parser.add_argument("clips", nargs="*", type=slug, metavar="CLIP", help="default: all")


def run(arguments: argparse.Namespace) -> int:
    """Mask; 1 if a clip's sector is not confirmed."""
    from napari_confseg.cli.terminal import console, print_json, print_table, progress_bar
    from napari_confseg.ingest import IngestError
    from napari_confseg.ingest.sector import mask_clip
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort)
    names = arguments.clips or cohort.clips()
    masked, refused = [], []
    with progress_bar(quiet=arguments.json) as progress:
        for i, name in enumerate(names):
            progress(i, len(names), name)
            try:
                mask_clip(cohort, name)
            except IngestError as error:
                refused.append((name, str(error)))
            else:
                masked.append(name)
    if arguments.json:
        told = [{"clip": name, "reason": reason} for name, reason in refused]
        print_json({"masked": masked, "refused": told})
    else:
        if masked:
            console().print(f"Masked: {', '.join(masked)}")
        if refused:
            print_table("Refused", ("clip", "why"), refused)
    return REFUSED if refused else DONE
