"""Evaluation of a study's models, each on the patients that were held out from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.errors import TrainError
from trainer.evaluate import Evaluation, evaluate, mean_cases
from trainer.sources import called
from trainer.study.request import REQUEST, RUNS, open_study, plan_fits, slug
from trainer.study.work import is_complete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from trainer.evaluate import Case
    from trainer.sources import AnyCohort


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / REQUEST).is_file()


def evaluate_study(
    folder: Path,
    source: AnyCohort,
    *,
    group: str | None = None,
    method: str | None = None,
    against: Sequence[str] = (),
    thresholds: Sequence[int] = (50,),
    device: str = "auto",
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Evaluation:
    """Score the models of one rater group and method, each on its own hold-out.

    Parameters
    ----------
    folder : Path
        Of the study.
    source : Cohort or FrozenCohort
        The one that the study is of.
    group, method : str, optional
        Which; the method by its slug. Needed where the study has several.
    against : sequence of str
        Raters to compare with; if empty, those that the study compares the group with, else
        those learnt from.
    thresholds, device, on_progress
        As of :func:`trainer.evaluate.evaluate`.

    Raises
    ------
    TrainError
        If it is not clear which models, one of them is not complete, or they have learnt from
        another cohort.
    """
    study = open_study(folder)
    group = _the_one("rater group", group, study.groups, "--group")
    method = _the_one("method", method, [slug(m) for m in study.methods], "--method")
    fits = [f for f in plan_fits(study) if (f.group, slug(f.method)) == (group, method)]
    if left := [fit.name for fit in fits if not is_complete(folder, fit)]:
        raise TrainError(
            f"{len(left)} of the {len(fits)} fits of {group}, {method} are not done",
            "Run the study again to resume it.",
        )
    cases: list[Case] = []
    for done, fit in enumerate(fits):
        on_progress(done, len(fits), fit.name)
        found = evaluate(
            folder / RUNS / fit.name,
            source,
            against=against or study.reference(group),
            thresholds=thresholds,
            device=device,
        )
        if found.part in ("all clips", "validation"):
            raise TrainError(
                f"The study is of {study.source}: nobody of {called(source)} was held out",
                "Name the cohort or dataset of the study; or one of its runs for another one.",
            )
        cases += found.cases
    seeds = "" if study.seeds == 1 else f", once for each of {study.seeds} seeds"
    return Evaluation(
        run=f"{folder.name}, {group}, {method}",
        data=called(source),
        part=f"hold-outs of {study.folds} folds",
        cases=tuple(cases),
        means=mean_cases(cases),
        note=f"Each clip is scored by the model that its patient was held out from{seeds}.",
    )


def _the_one(what: str, asked: str | None, known: Iterable[str], option: str) -> str:
    names = list(known)
    if asked is None and len(names) == 1:
        return names[0]
    if asked not in names:
        found = f"has no {what} {asked}" if asked else f"has several {what}s"
        raise TrainError(f"The study {found}", f"Name one with {option}: {', '.join(names)}.")
    return asked
