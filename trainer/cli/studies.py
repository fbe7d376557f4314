"""Arguments and execution of many fits, shared by study and clinical."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.job import Progress
from napari_confseg.methods import Method
from trainer.cli.terminal import report_events
from trainer.data import find_sources
from trainer.errors import TrainError
from trainer.sources import FOLDS, fold_patients
from trainer.study.report import write_report
from trainer.study.request import REPORT, StudyRequest
from trainer.study.run import run_study

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.sources import AnyCohort


def run_remaining(folder: Path, request: StudyRequest, arguments: argparse.Namespace) -> bool:
    """Do the remaining fits and write the page; return False if stopped."""
    try:
        with report_events(as_json=arguments.json) as listen:
            run_study(
                folder,
                request,
                jobs=arguments.jobs,
                scheduler=arguments.scheduler,
                on_progress=lambda done, total, message, left: listen(
                    Progress(current=done, maximum=total, message=message, seconds_left=left)
                ),
            )
        write_report(folder)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. Run the same command again to resume.")
        return False
    if not arguments.json:
        Console().print(f"Report: {folder / REPORT}")
    return True


def all_classes(source: AnyCohort) -> tuple[str, ...]:
    """Return the classes of a cohort or dataset."""
    return tuple(c.name for c in source.meta.classes)


def all_teachers(source: AnyCohort) -> tuple[str, ...]:
    """Return the raters that are learnt from unless others are named."""
    clips = find_sources(source, all_classes(source), ())
    return tuple(sorted({r.name for clip in clips for r in clip.raters}))


def folds_of(source: AnyCohort, asked: int | None) -> int:
    """Return how many folds there are: a dataset's own, else as many as are asked for."""
    if asked is None and isinstance(source, FrozenCohort):
        return len(fold_patients(source))
    return asked or FOLDS


def parse_range(text: str) -> range:
    """Read ``FIRST:LAST:STEP``, the last included.

    Raises
    ------
    TrainError
        If it is not of that form, or outside 1 to 100.
    """
    try:
        first, last, step = (int(part) for part in text.split(":"))
    except ValueError:
        first, last, step = 0, 0, 0
    if not (1 <= first <= last <= 100 and step > 0):
        raise TrainError(f"Thresholds {text!r} can't be read", "Write e.g. 10:90:10.")
    return range(first, last + 1, step)


def parse_methods(texts: Sequence[str], thresholds: Sequence[int]) -> tuple[Method, ...]:
    """Return the methods asked for; ``threshold`` alone becomes one for each of `thresholds`."""
    methods: list[Method] = []
    for text in texts:
        if text == "threshold":
            methods += [Method(name="threshold", params={"t": t}) for t in thresholds]
        else:
            methods.append(Method.parse(text))
    return tuple(methods)


def parse_groups(texts: Sequence[str], source: AnyCohort) -> dict[str, tuple[str, ...]]:
    """Read ``NAME=RATER,...``, or ``RATER`` for a group of one; all readers by default."""
    groups: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, given, raters = text.partition("=")
        if name in groups:
            raise TrainError(f"Rater group {name!r} is given twice", "Name each once.")
        groups[name] = tuple(filter(None, raters.split(","))) if given else (name,)
        if not groups[name]:
            raise TrainError(f"Rater group {name!r} has no raters", "Write NAME=RATER,RATER.")
    if groups:
        return groups
    return {"everybody": all_teachers(source)}


def parse_against(
    texts: Sequence[str], groups: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Read ``RATER,...`` for all groups, or ``GROUP=RATER,...``; a group's name means its raters.

    Raises
    ------
    TrainError
        If a rater group is unknown, or has nobody to be compared with.
    """
    against: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, given, rest = text.rpartition("=")
        if given and name not in groups:
            raise TrainError(
                f"--against names {name!r}, which is no rater group",
                f"There are {', '.join(groups)}.",
            )
        named = [r for word in filter(None, rest.split(",")) for r in groups.get(word, (word,))]
        for group in [name] if given else groups:
            against[group] = tuple(dict.fromkeys((*against.get(group, ()), *named)))
    for group, raters in against.items():
        if not set(raters) - set(groups[group]):
            raise TrainError(
                f"Nobody is left to compare rater group {group} with: it learns from all of them",
                "Name a rater that it does not learn from in --against.",
            )
    return against
