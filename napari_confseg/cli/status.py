"""``confseg status``: what a cohort holds and how far its raters are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE, REFUSED, add_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.store import Clip, Cohort, Problem

MOST_ROWS = 40
"""Rows of the table of clips that are printed unasked."""


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "status",
        run,
        purpose="show clips, raters, and how much each has reviewed",
        example="confseg status study.zarr",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(
        "--clips", action="store_true", help=f"list every clip, even if there are over {MOST_ROWS}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show it; 1 if a clip can't be read."""
    from napari_confseg.cli.terminal import print_json, progress_bar
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=True)
    with progress_bar(quiet=arguments.json) as progress:
        found = facts(cohort, progress)
    if arguments.json:
        print_json(found)
    else:
        _print(found, every=arguments.clips)
    return REFUSED if found["problems"] else DONE


def facts(
    cohort: Cohort, progress: Callable[[int, int, str], None] | None = None
) -> dict[str, Any]:
    """Return what the command shows.

    `reviewed` is the share of frames that a rater has reviewed, 0..1, for each class; `seconds`
    the time that the rater was active on each frame, without idle time, and `minutes` its sum;
    `waiting` counts what is safe in this machine's journal but not in the cohort yet. `raters`
    are totals over clips, and `problems` names the clips that can't be read.
    """
    from napari_confseg.store.pending import waiting
    from napari_confseg.store.survey import Question, survey

    clips: list[dict[str, Any]] = []
    problems: list[Problem] = []
    question = Question(clip_facts, "status 1", planes=False)
    for answer in survey(cohort, question, processes=True, progress=progress):
        problems += answer.problems
        if answer.data is not None:
            clips.append(answer.data)
    totals = _totals(cohort, clips)
    for clip in clips:
        for rater in clip["raters"]:
            rater["waiting"] = waiting(cohort, clip["clip"], rater["rater"])
            del rater["frames_reviewed"]
    return {
        "cohort": cohort.meta.name,
        "location": cohort.location,
        "classes": [c.name for c in cohort.meta.classes],
        "blinding": cohort.meta.blinding,
        "patients": len({c["patient"] for c in clips}),
        "frames": sum(c["frames"] for c in clips),
        "raters": totals,
        "problems": [p.as_dict() for p in problems],
        "clips": clips,
    }


def clip_facts(clip: Clip) -> dict[str, Any]:
    """Return what is shown of one clip, but for what waits in journals."""
    from napari_confseg.store import Status

    raters = []
    for name in clip.raters():
        rater = clip.rater(name)
        about = rater.read_clip_notes()
        reviewed = (rater.read_status() == Status.REVIEWED).sum(axis=0).tolist()
        counts = dict(zip((c.name for c in clip.classes), reviewed, strict=True))
        raters.append(
            {
                "rater": name,
                "kind": rater.meta.kind,
                "imported": rater.meta.model_dump(mode="json")["imported"],
                "reviewed": {c: round(n / clip.shape[0], 4) for c, n in counts.items()},
                "frames_reviewed": counts,
                "strokes": rater.n_strokes,
                "minutes": round(sum(about.seconds.values()) / 60, 2),
                "seconds": {str(frame): seconds for frame, seconds in about.seconds.items()},
                "zone": about.zone,
                "quality": about.quality,
                "pathology": list(about.pathology),
                "tags": list(about.tags),
                "note": about.note,
                "unblinded": about.model_dump(mode="json")["unblinded"],
            }
        )
    meta = clip.meta
    return {
        "clip": clip.name,
        "patient": meta.patient,
        "frames": clip.shape[0],
        "height": clip.shape[1],
        "width": clip.shape[2],
        "seconds": round(meta.frame_times[-1], 3),
        "tags": list(meta.tags),
        "raters": raters,
    }


def _totals(cohort: Cohort, clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each rater, sums over the clips that the rater is on, and shares of these."""
    classes = [c.name for c in cohort.meta.classes]
    totals: dict[tuple[str, str], dict[str, Any]] = {}
    for clip in clips:
        for rater in clip["raters"]:
            key = rater["rater"], rater["kind"]
            empty = {"clips": 0, "frames": 0, "strokes": 0, "minutes": 0.0}
            total = totals.setdefault(key, empty | {"reviewed": dict.fromkeys(classes, 0)})
            total["clips"] += 1
            total["frames"] += clip["frames"]
            total["strokes"] += rater["strokes"]
            total["minutes"] += rater["minutes"]
            for name in classes:
                total["reviewed"][name] += rater["frames_reviewed"][name]
    return [
        {"rater": name, "kind": kind}
        | total
        | {"minutes": round(total["minutes"], 2)}
        | {"reviewed": {c: round(n / total["frames"], 4) for c, n in total["reviewed"].items()}}
        for (name, kind), total in sorted(totals.items())
    ]


def _print(found: dict[str, Any], *, every: bool) -> None:
    from napari_confseg.cli.terminal import console, print_problems, print_table
    from napari_confseg.store import Problem

    n_clips, classes = len(found["clips"]), found["classes"]
    if not n_clips and not found["problems"]:
        _print_sum(found)
        console().print("Empty: confseg import SOURCE... --cohort " + found["location"])
        return
    rows = [row for clip in found["clips"] for row in _rows(clip, classes)]
    shown = every or len(rows) <= MOST_ROWS
    if shown and rows:
        numbers = (">strokes", ">min", *(f">{name}" for name in classes))
        headings = ("clip", "patient", ">frames", ">pixels", "rater", "kind", *numbers, "notes")
        print_table("Frames reviewed, by class", headings, rows)
    if found["raters"]:
        headings = (
            "rater",
            "kind",
            ">clips",
            ">strokes",
            ">min",
            *(f">{name}" for name in classes),
        )
        rows = [_total_row(total, n_clips, classes) for total in found["raters"]]
        print_table("Frames reviewed of each rater's clips, by class", headings, rows)
    if found["problems"]:
        print_problems([Problem(**problem) for problem in found["problems"]])
    _print_sum(found)
    if not shown:
        console().print("--clips lists every clip.")
    _print_waiting(found["clips"], every=every)


def _print_sum(found: dict[str, Any]) -> None:
    from napari_confseg.cli.terminal import console

    console().print(
        f"{found['cohort']}: {len(found['clips'])} clips of {found['patients']} patients, "
        f"{found['frames']} frames"
    )


def _print_waiting(clips: list[dict[str, Any]], *, every: bool) -> None:
    from napari_confseg.cli.terminal import console

    lines = [
        f"{clip['clip']}, {rater['rater']}: {rater['waiting']} strokes wait in this "
        "machine's journal; open the clip in napari to bring them in."
        for clip in clips
        for rater in clip["raters"]
        if rater["waiting"]
    ]
    shown = lines if every else lines[:MOST_ROWS]
    for line in shown:
        console().print(line)
    if len(lines) > len(shown):
        console().print(f"Strokes wait for {len(lines) - len(shown)} more; --clips lists them.")


def _total_row(total: dict[str, Any], n_clips: int, classes: list[str]) -> list[str]:
    spent = f"{total['minutes']:.1f}" if total["minutes"] else "-"
    counts = [f"{total['clips']} of {n_clips}", str(total["strokes"]), spent]
    shares = [_percent(total["reviewed"][name]) for name in classes]
    return [total["rater"], total["kind"], *counts, *shares]


def _rows(clip: dict[str, Any], classes: list[str]) -> list[list[str]]:
    about = [
        clip["clip"],
        clip["patient"],
        str(clip["frames"]),
        f"{clip['width']} x {clip['height']}",
    ]
    if not clip["raters"]:
        return [[*about, "nobody yet", "", "", "", *("" for _ in classes), ""]]
    rows = []
    for rater in clip["raters"]:
        shares = [_percent(rater["reviewed"][name]) for name in classes]
        spent = f"{rater['minutes']:.1f}" if rater["minutes"] else "-"
        rows.append(
            [
                *about,
                rater["rater"],
                rater["kind"],
                str(rater["strokes"]),
                spent,
                *shares,
                _said(rater),
            ]
        )
        about = ["", "", "", ""]
    return rows


def _said(rater: dict[str, Any]) -> str:
    """Return zone, quality, pathology and tags in a few words; the note is for ``--json``."""
    quality = f"quality {rater['quality']}" if rater["quality"] else ""
    words = (rater["zone"] or "", quality, *rater["pathology"], *rater["tags"])
    return ", ".join(w for w in words if w)


def _percent(share: float) -> str:
    return "-" if share == 0 else f"{100 * share:.0f} %" if share >= 0.005 else "<1 %"
