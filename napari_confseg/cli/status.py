"""``confseg status``: what a cohort holds and how far its raters are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE, add_command

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.store import Clip, Cohort


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


def run(arguments: argparse.Namespace) -> int:
    """Show it."""
    from napari_confseg.cli.terminal import print_json
    from napari_confseg.store import Cohort

    found = facts(Cohort.open(arguments.cohort, read_only=True))
    if arguments.json:
        print_json(found)
    else:
        _print(found)
    return DONE


def facts(cohort: Cohort) -> dict[str, Any]:
    """Return what the command shows.

    `reviewed` is the share of frames that a rater has reviewed, 0..1, for each class; `seconds`
    the time that the rater was active on each frame, without idle time, and `minutes` its sum;
    `waiting` counts what is safe in this machine's journal but not in the cohort yet.
    """
    clips = [_clip_facts(cohort, cohort.clip(name)) for name in cohort.clips()]
    return {
        "cohort": cohort.meta.name,
        "location": cohort.location,
        "classes": [c.name for c in cohort.meta.classes],
        "blinding": cohort.meta.blinding,
        "patients": len({c["patient"] for c in clips}),
        "frames": sum(c["frames"] for c in clips),
        "clips": clips,
    }


def _clip_facts(cohort: Cohort, clip: Clip) -> dict[str, Any]:
    from napari_confseg.store import Status
    from napari_confseg.store.pending import waiting

    raters = []
    for name in clip.raters():
        rater = clip.rater(name)
        about = rater.read_clip_notes()
        reviewed = (rater.read_status() == Status.REVIEWED).mean(axis=0)
        shares = zip(cohort.meta.classes, reviewed, strict=True)
        raters.append(
            {
                "rater": name,
                "kind": rater.meta.kind,
                "imported": rater.meta.model_dump(mode="json")["imported"],
                "reviewed": {c.name: round(float(share), 4) for c, share in shares},
                "strokes": sum(not s.undone for s in rater.read_strokes()),
                "minutes": round(sum(about.seconds.values()) / 60, 2),
                "seconds": {str(frame): seconds for frame, seconds in about.seconds.items()},
                "zone": about.zone,
                "quality": about.quality,
                "pathology": list(about.pathology),
                "tags": list(about.tags),
                "note": about.note,
                "unblinded": about.model_dump(mode="json")["unblinded"],
                "waiting": waiting(cohort, clip.name, name),
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


def _print(found: dict[str, Any]) -> None:
    from napari_confseg.cli.terminal import console, print_table

    console().print(
        f"{found['cohort']}: {len(found['clips'])} clips of {found['patients']} patients, "
        f"{found['frames']} frames"
    )
    if not found["clips"]:
        console().print("Empty: confseg import SOURCE... --cohort " + found["location"])
        return
    headings = (
        "clip",
        "patient",
        ">frames",
        ">pixels",
        "rater",
        "kind",
        ">strokes",
        ">min",
        *(f">{name}" for name in found["classes"]),
        "said",
    )
    rows = [row for clip in found["clips"] for row in _rows(clip, found["classes"])]
    print_table("Frames reviewed, by class", headings, rows)
    for clip in found["clips"]:
        for rater in clip["raters"]:
            if rater["waiting"]:
                console().print(
                    f"{clip['clip']}, {rater['rater']}: {rater['waiting']} strokes wait in this "
                    "machine's journal; open the clip in napari to bring them in."
                )


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
    return "-" if share == 0 else f"{share:.0%}" if share >= 0.005 else "<1%"
