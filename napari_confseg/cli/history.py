"""``confseg history``: every stroke of a rater on a clip, in force or not; brings some back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command, slug

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.store import Cohort
    from napari_confseg.store.reflog import PastStroke


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "history",
        run,
        purpose="list every stroke of a rater on a clip, overwritten ones too; restore some",
        example="confseg history study.zarr left-3 ann --restore 3-12.1",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument("clip", metavar="CLIP", type=slug, help="name of the clip")
    parser.add_argument("rater", metavar="RATER", type=slug, help="name of the rater")
    parser.add_argument(
        "--lost",
        action="store_true",
        help="only strokes that are not in force: undone, set aside, left behind",
    )
    parser.add_argument(
        "--restore",
        nargs="+",
        default=[],
        metavar="STROKE",
        help="paint these once more, on top; names as listed (3-12.1), or of a segment (3-12)",
    )


def run(arguments: argparse.Namespace) -> int:
    """List or restore."""
    from napari_confseg.cli.terminal import console, print_json
    from napari_confseg.store import Cohort
    from napari_confseg.store.reflog import past_strokes

    cohort = Cohort.open(arguments.cohort, read_only=not arguments.restore)
    rater = cohort.clip(arguments.clip).rater(arguments.rater)
    strokes = past_strokes(rater.record.read())
    if arguments.restore:
        chosen = _chosen(strokes, arguments.restore, rater.path)
        _restore(cohort, arguments.clip, arguments.rater, chosen)
        if arguments.json:
            print_json({"restored": [s.name for s in chosen]})
        else:
            console().print(f"{len(chosen)} strokes are painted once more; undo takes them back.")
        return DONE
    if arguments.lost:
        strokes = [s for s in strokes if s.standing != "in force"]
    if arguments.json:
        print_json({"strokes": [s.as_dict() for s in strokes]})
    else:
        _print(cohort, strokes)
    return DONE


def _chosen(strokes: Sequence[PastStroke], names: Sequence[str], path: str) -> list[PastStroke]:
    """Return the strokes that `names` stand for, each once, in their order in the record.

    Raises
    ------
    StoreError
        With a problem for each name that is none.
    """
    from napari_confseg.store import Problem, StoreError

    def called(stroke: PastStroke, name: str) -> bool:
        return name in (stroke.name, stroke.name.partition(".")[0])

    unknown = [n for n in names if not any(called(s, n) for s in strokes)]
    if unknown:
        raise StoreError(
            Problem(
                "no-such-stroke",
                path,
                f"There is no stroke {name!r} in the record",
                hint="`confseg history` lists them.",
            )
            for name in unknown
        )
    return [s for s in strokes if any(called(s, n) for n in names)]


def _restore(cohort: Cohort, clip: str, rater: str, chosen: Sequence[PastStroke]) -> None:
    from napari_confseg.store import Problem, RaterWriter, StoreError
    from napari_confseg.store.reflog import restore

    meta = cohort.clip(clip).rater(rater).meta
    with RaterWriter.open(
        cohort, clip, rater, kind=meta.kind, adjudicator=meta.adjudicator, imported=meta.imported
    ) as writer:
        restore(writer, chosen)
        if not writer.flush(60):
            raise StoreError(
                Problem(
                    "unsaved",
                    f"{clip}/raters/{rater}",
                    writer.state.problem or "The store does not answer",
                    hint="The strokes wait in the journal and follow when the clip is next opened.",
                )
            )


def _print(cohort: Cohort, strokes: Sequence[PastStroke]) -> None:
    from napari_confseg.cli.terminal import console, print_table

    if not strokes:
        console().print("No strokes.")
        return
    classes = [c.label for c in cohort.meta.classes]
    rows = [
        (
            past.name,
            f"{past.stroke.time.astimezone():%Y-%m-%d %H:%M:%S}",
            f"{past.by} on {past.host}" if past.by else "a program",
            str(past.stroke.frame + 1),
            classes[past.stroke.class_index],
            past.stroke.tool,
            str(past.stroke.confidence),
            str(past.stroke.pixels),
            past.standing,
        )
        for past in strokes
    ]
    headings = (
        "stroke",
        "time",
        "by",
        ">frame",
        "class",
        "tool",
        ">percent",
        ">pixels",
        "standing",
    )
    print_table("", headings, rows)
