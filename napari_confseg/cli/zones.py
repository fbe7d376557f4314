"""``confseg zones``: what was found where on the chest, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE, REFUSED, add_command, local_path, slug

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.readouts.zones import Examination, ZoneReading
    from napari_confseg.store import Cohort, Problem


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "zones",
        run,
        purpose="draw what was found in each zone of the chest, and its change",
        example="confseg zones study.zarr --patient p01 --out p01.svg",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument("--patient", type=slug, metavar="P", help="default: all, on one page")
    parser.add_argument(
        "--rater", type=slug, metavar="R", help="who read; needed where there are several readers"
    )
    parser.add_argument(
        "--day", type=int, metavar="N", help="examination for a picture (default: the last one)"
    )
    parser.add_argument(
        "--zones",
        type=int,
        choices=(8, 12, 14),
        help="number of zones of the chest (default: as the clips' zones are named)",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FILE",
        help="a picture of one examination (.svg) or a page of all (.html)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw; refused if there is nothing to draw, 1 as well if a clip can't be read."""
    from napari_confseg.cli.terminal import console, print_json, print_problems, progress_bar
    from napari_confseg.readouts.zones import examinations, scheme_for
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=True)
    rater = arguments.rater or _only_reader(cohort)
    with progress_bar(quiet=arguments.json) as progress:
        readings, problems = _read(cohort, rater, progress)
    chosen = [r for r in readings if arguments.patient in (None, r.patient)]
    _check_patient(arguments, readings, chosen)
    scheme = arguments.zones or scheme_for(r.zone for r in chosen if r.zone)
    patients = {
        name: examinations((r for r in chosen if r.patient == name), scheme)
        for name in sorted({r.patient for r in chosen})
    }
    if arguments.out:
        _write(arguments, cohort, rater, scheme, patients)
    if arguments.json:
        print_json(
            {
                "cohort": cohort.meta.name,
                "rater": rater,
                "zones": scheme,
                "patients": {name: _facts(list_) for name, list_ in patients.items()},
                "problems": [p.as_dict() for p in problems],
            }
        )
        return REFUSED if problems else DONE
    _print(patients)
    if problems:
        print_problems(problems)
    if arguments.out:
        console().print(f"Written: {arguments.out}")
    return REFUSED if problems else DONE


def _only_reader(cohort: Cohort) -> str:
    from napari_confseg.agreement.rater_view import compared_raters
    from napari_confseg.store import Problem, StoreError

    found = compared_raters(cohort, processes=True)
    if len(found) == 1:
        return found[0]
    why = f"there are several readers: {', '.join(found)}" if found else "nobody has read here yet"
    raise StoreError(Problem("rater", "--rater", f"It is not clear whose findings: {why}"))


def _read(cohort: Cohort, rater: str, progress: Any) -> tuple[list[ZoneReading], list[Problem]]:
    from napari_confseg.readouts.zones import reading_from, zone_question
    from napari_confseg.store.survey import survey

    readings: list[ZoneReading] = []
    problems: list[Problem] = []
    for answer in survey(cohort, zone_question(rater), processes=True, progress=progress):
        problems += answer.problems
        if answer.data is not None:
            readings.append(reading_from(answer.clip, answer.data))
    return readings, problems


def _check_patient(
    arguments: argparse.Namespace, readings: Sequence[ZoneReading], chosen: Sequence[ZoneReading]
) -> None:
    from napari_confseg.store import Problem, StoreError

    if arguments.patient and not chosen:
        there = ", ".join(sorted({r.patient for r in readings})[:20])
        raise StoreError(
            Problem("patient", arguments.patient, f"There is no such patient; there are {there}")
        )


def _write(
    arguments: argparse.Namespace,
    cohort: Cohort,
    rater: str,
    scheme: int,
    patients: Mapping[str, Sequence[Examination]],
) -> None:
    from napari_confseg.report.zones import write_chest, write_zones
    from napari_confseg.store import Problem, StoreError

    path = arguments.out
    if path.suffix.lower() in (".html", ".htm"):
        write_zones(path, cohort.meta.name, rater, scheme, patients)
        return
    if path.suffix.lower() != ".svg":
        raise StoreError(Problem("out", str(path), "A file that ends in .svg or .html is needed"))
    if len(patients) != 1:
        hint = "Name one by --patient, or write a page (.html) of all."
        raise StoreError(
            Problem(
                "patient", str(path), "A picture shows one patient, and here are more", hint=hint
            )
            if patients
            else Problem("patient", str(path), "There is no clip to draw")
        )
    (list_,) = patients.values()
    days = [e.day for e in list_]
    if arguments.day is not None and arguments.day not in days:
        there = ", ".join("none given" if d is None else str(d) for d in days)
        raise StoreError(
            Problem("day", f"--day {arguments.day}", f"There is no such examination; days: {there}")
        )
    at = len(list_) - 1 if arguments.day is None else days.index(arguments.day)
    write_chest(path, scheme, list_[at], list_[at - 1] if at else None, rater)


def _facts(list_: Sequence[Examination]) -> list[dict[str, Any]]:
    from napari_confseg.readouts.zones import changes

    found = []
    for i, e in enumerate(list_):
        changed = changes(e, list_[i - 1] if i else None)
        found.append(
            {
                "day": e.day,
                "zones": {
                    zone: [r.as_dict() for r in several] for zone, several in e.zones.items()
                },
                "elsewhere": [r.as_dict() for r in e.elsewhere],
                "changes": {zone: c.words for zone, c in changed.items()},
            }
        )
    return found


def _print(patients: Mapping[str, Sequence[Examination]]) -> None:
    from napari_confseg.cli.terminal import print_table
    from napari_confseg.readouts.zones import QUANTITIES, changes

    rows = []
    for name, list_ in patients.items():
        for i, e in enumerate(list_):
            changed = changes(e, list_[i - 1] if i else None)
            for zone, several in sorted(e.zones.items()):
                r = several[0]
                day = "" if e.day is None else str(e.day)
                values = [str(r.values.get(q, "–")) for q in QUANTITIES]
                words = changed[zone].words if zone in changed else ""
                rows.append([name, day, zone, r.clip, *values, words])
    print_table(
        "Findings by zone",
        ("patient", ">day", "zone", "clip", *QUANTITIES.values(), "change"),
        rows,
    )
