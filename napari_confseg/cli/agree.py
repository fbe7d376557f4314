"""``confseg agree``: how far raters agree, as tables, JSON or one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE, REFUSED, add_command, local_path, slug

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_confseg.agreement.agreement import Agreement
    from napari_confseg.agreement.overview import Overview
    from napari_confseg.agreement.suggested import Contrast
    from napari_confseg.agreement.summary import Summary
    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.store import Cohort


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "agree",
        run,
        purpose="measure how far raters agree, in class, outline, confidence and over time",
        example="confseg agree study.zarr --at 30 60 90 --report agreement.html",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(
        "--raters",
        nargs="+",
        type=slug,
        default=[],
        metavar="R",
        help="whom to compare (default: every reader); NAME-2 is NAME's second reading",
    )
    parser.add_argument(
        "--classes", nargs="+", type=slug, default=[], metavar="C", help="default: all"
    )
    parser.add_argument("--clips", nargs="+", type=slug, default=[], help="default: all")
    parser.add_argument(
        "--at",
        nargs="+",
        type=int,
        default=[],
        metavar="PERCENT",
        help="thresholds (default: the cohort's anchors)",
    )
    parser.add_argument(
        "--report",
        type=local_path,
        metavar="HTML",
        help="write a page with pictures, worst disagreements first",
    )
    parser.add_argument(
        "--per-clip",
        type=local_path,
        metavar="CSV",
        help="write every score of every clip, one a line",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare; refused if there are fewer than two raters, 1 as well if a clip can't be read."""
    from napari_confseg.agreement.overview import overview
    from napari_confseg.agreement.rater_view import rater_titles
    from napari_confseg.agreement.suggested import with_and_without
    from napari_confseg.cli.terminal import console, print_json, print_problems, progress_bar
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=True)
    options: dict[str, Any] = {
        "raters": arguments.raters,
        "classes": arguments.classes,
        "clips": arguments.clips,
        "thresholds": arguments.at,
        "processes": True,
    }
    with progress_bar(quiet=arguments.json) as progress:
        if arguments.report or arguments.per_clip:
            found = _with_files(cohort, arguments, options | {"progress": progress})
        else:
            found = overview(cohort, **options, progress=progress)
    contrasts = with_and_without(cohort, found.raters, arguments.classes, arguments.clips)
    if arguments.json:
        facts = {
            "cohort": cohort.meta.name,
            "raters": list(found.raters),
            "clips": list(found.clips),
            "problems": [p.as_dict() for p in found.problems],
        }
        if contrasts:
            facts["suggestions"] = [c.as_dict() for c in contrasts]
        print_json(facts | found.summary.as_dict())
        return REFUSED if found.problems else DONE
    console().print(f"Compared: {', '.join(rater_titles(cohort, found.raters))}")
    _print(found.summary)
    _print_contrasts(contrasts)
    if found.problems:
        print_problems(found.problems)
    if arguments.report:
        console().print(f"Report: {arguments.report}")
    return REFUSED if found.problems else DONE


def _with_files(cohort: Cohort, arguments: argparse.Namespace, options: dict[str, Any]) -> Overview:
    """Compare, and write the files that need more than a summary."""
    from napari_confseg.agreement.agreement import agree
    from napari_confseg.agreement.overview import Overview
    from napari_confseg.agreement.summary import summarise, write_per_clip

    agreement = agree(cohort, **options)
    summary = summarise(agreement)
    if arguments.report:
        _writer(arguments.report)(cohort, agreement, summary, arguments.report)
    if arguments.per_clip:
        write_per_clip(agreement, arguments.per_clip)
    clips = tuple(c.clip for c in agreement.clips)
    return Overview(agreement.raters, clips, summary, agreement.problems)


def _writer(path: Path) -> Callable[[Cohort, Agreement, Summary, Path], None]:
    from napari_confseg.extras import needed_for
    from napari_confseg.store.errors import needs_extra

    with needed_for("the report", needs_extra(str(path))):
        from napari_confseg.report.agreement import write_report
    return write_report


def _print(summary: Summary) -> None:
    from napari_confseg.cli.terminal import print_table

    soft = [
        (
            s.class_name,
            f"{s.a} – {s.b}",
            str(s.soft_dice),
            str(s.energy_distance),
            str(s.soft_dice.n),
        )
        for s in summary.soft
    ]
    headings = ("class", "raters", "soft Dice", "energy distance", ">clips")
    print_table("Confidence against confidence (95 % by patient)", headings, soft)
    cut = [
        (
            p.class_name,
            f"{p.a} – {p.b}",
            f">= {p.threshold} %",
            str(p.dice),
            str(p.iou),
            f"{p.hd95} {p.unit}",
        )
        for p in summary.pairs
    ]
    print_table("At a threshold", ("class", "raters", "marked", "Dice", "IoU", "HD95"), cut)
    chance = [
        (
            c.class_name,
            "confidence" if c.threshold is None else f">= {c.threshold} %",
            str(c.presence_kappa or "–"),
            str(c.presence_alpha or "–"),
            str(c.pixel_alpha),
        )
        for c in summary.chance
    ]
    headings = ("class", "of", "presence kappa", "presence alpha", "pixel alpha")
    print_table("Beyond chance", headings, chance)
    worth = [(r.class_name, r.rater, str(r.error), str(r.correlation)) for r in summary.reliability]
    titles = ("class", "rater", "calibration error (0 to 1)", "correlation with others")
    print_table("What a stated confidence is worth", titles, worth)


def _print_contrasts(contrasts: Sequence[Contrast]) -> None:
    from napari_confseg.cli.terminal import print_table

    if not contrasts:
        return
    rows = [
        (
            c.class_name,
            f"{c.a} – {c.b}",
            f"{c.offered} of {c.offered.n}",
            f"{c.withheld} of {c.withheld.n}",
            str(c.difference),
        )
        for c in contrasts
    ]
    headings = ("class", "raters", "soft Dice, suggested", "withheld", "difference")
    print_table("With a model's suggestions and without (95 % by patient)", headings, rows)
