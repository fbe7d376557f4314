"""Runs side by side on the same clips, and which of them is to be a cohort's active model.

Scores are taken from the same frames and readers for all, and Dice is of all pixels of a class
together: of a clip on which a reader marks nothing a false mark counts, as it should. Intervals
resample patients, those of differences on the same draws for both (a paired bootstrap).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_confseg.agreement.intervals import Estimate, estimate, mean_estimate
from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.job import active_model, set_active, weights_sha256
from trainer.checkpoint import load_config
from trainer.data import find_sources
from trainer.errors import TrainError
from trainer.evaluate import evaluate
from trainer.shipped import is_shipped, run_folder
from trainer.sources import called, test_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.job import ActiveModel
    from napari_confseg.store import Cohort, ModelChange
    from trainer.checkpoint import RunConfig
    from trainer.evaluate import Case
    from trainer.sources import AnyCohort

    Progress = Callable[[int, int, str], None]

LEAST_PATIENTS = 2

FIRST = "the first model that was made active in this cohort"


@dataclass(frozen=True)
class Part:
    """Clips that runs are compared on.

    Attributes
    ----------
    source : Cohort or FrozenCohort
        Where they are.
    name : str
        What they are called, e.g. ``"part test"``.
    clips : tuple of str
        Their names.
    """

    source: AnyCohort
    name: str
    clips: tuple[str, ...]

    @property
    def title(self) -> str:
        """Name of the part and of what it is a part of."""
        return f"{called(self.source)}, {self.name}"


class RunScores(BaseModel):
    """Scores of one run.

    Attributes
    ----------
    run : str
        Its name.
    sha256 : str
        Of its weights.
    learnt : int
        How many of the clips it has learnt from: its scores there are no test.
    dice : dict of Estimate
        Class -> Dice; only classes that it knows.
    mean_dice, brier : Estimate
        Mean over the classes that all runs know.
    gain : Estimate or None
        Its mean Dice less that of the first run; None for the first.
    """

    model_config = ConfigDict(frozen=True)
    run: str
    sha256: str
    learnt: int
    dice: dict[str, Estimate]
    mean_dice: Estimate
    brier: Estimate
    gain: Estimate | None


class Comparison(BaseModel):
    """Runs side by side.

    Attributes
    ----------
    part : str
        What they were compared on.
    clips, patients : int
        How many of each.
    against : tuple of str
        Raters that they were compared with.
    threshold : int
        Confidence in percent from which a rater's pixels count as present.
    classes : tuple of str
        Those that all runs know.
    runs : tuple of RunScores
        In the order they were named.
    note : str
        Cautions.
    """

    model_config = ConfigDict(frozen=True)
    part: str
    clips: int
    patients: int
    against: tuple[str, ...]
    threshold: int
    classes: tuple[str, ...]
    runs: tuple[RunScores, ...]
    note: str


def part_of(source: AnyCohort, runs: Sequence[Path], part: str | None = None) -> Part:
    """Return the clips to compare runs on.

    Parameters
    ----------
    source : Cohort or FrozenCohort
        Where they are.
    runs : sequence of Path
        Folders of the runs.
    part : str, optional
        Of a dataset; if not given, its part that is neither learnt from nor validated on. Of a
        cohort: the clips that none of the runs has learnt from.

    Raises
    ------
    TrainError
        If there is no such part, or no such clip.
    """
    if isinstance(source, FrozenCohort):
        return _frozen_part(source, part)
    if part is not None:
        raise TrainError(
            f"A cohort has no parts, so none called {part}",
            "Name a frozen dataset, or leave the part out.",
        )
    learnt = {clip for run in runs for clip in _learnt_in(source, load_config(run))}
    clips = tuple(c for c in source.clips() if c not in learnt)
    if not clips:
        raise TrainError(
            f"There is no clip in {called(source)} that none of these runs has learnt from",
            "Name a frozen dataset with a part test, or fit with --held-out.",
        )
    return Part(source, "clips that no run has learnt from", clips)


def _frozen_part(source: FrozenCohort, part: str | None) -> Part:
    split = source.dataset.manifest.split
    if part is None:
        parts = test_parts(source)
        if not parts:
            raise TrainError(
                f"{called(source).capitalize()} has no part but those to learn from",
                f"Name one of its parts: {', '.join(split.names)}.",
            )
        return Part(source, "part " + " and ".join(dict.fromkeys(parts.values())), tuple(parts))
    if part not in split.names:
        raise TrainError(
            f"{called(source).capitalize()} has no part called {part}",
            f"Its parts are {', '.join(split.names)}.",
        )
    return Part(source, f"part {part}", tuple(c for c, p in split.of_clip.items() if p == part))


def _learnt_in(source: AnyCohort, config: RunConfig) -> set[str]:
    """Return the clips of `source` that a run has learnt from."""
    same = config.origin.cohort_id == source.meta.cohort_id
    mine = set(config.learnt) if same else set()
    base = config.base
    if not same and base is not None and base.cohort_id == source.meta.cohort_id:
        mine |= set(base.learnt)
    return mine


def compare(
    runs: Sequence[Path],
    part: Part,
    *,
    against: Sequence[str] = (),
    threshold: int = 50,
    device: str = "auto",
    on_progress: Progress = lambda *_: None,
) -> Comparison:
    """Score runs on the same clips against the same raters.

    Parameters
    ----------
    runs : sequence of Path
        Folders of fits; the first is the one that others are compared with.
    part : Part
        From :func:`part_of`.
    against : sequence of str
        Raters to compare with; if empty, those that would be learnt from.
    threshold : int
        Confidence in percent from which a rater's pixels count as present.
    device : str
        Where to compute.
    on_progress : callable
        Called with (clips done, clips, message).

    Raises
    ------
    TrainError
        If a run has no model, they have no class in common, or nobody has reviewed the clips.
    """
    configs = [load_config(run) for run in runs]
    classes = tuple(c for c in configs[0].classes if all(c in config.classes for config in configs))
    if not classes:
        raise TrainError(
            "These runs have no class in common", "Compare runs that learnt the same classes."
        )
    sources = find_sources(part.source, classes, against, part.clips)
    against = tuple(sorted({r.name for s in sources for r in s.raters}))
    cases: list[tuple[Case, ...]] = []
    there = {c.name for c in part.source.meta.classes}
    for done, (run, config) in enumerate(zip(runs, configs, strict=True)):
        known = tuple(c for c in config.classes if c in there)
        found = evaluate(
            run,
            part.source,
            against=against,
            thresholds=(threshold,),
            clips=[s.clip.name for s in sources],
            classes=known,
            device=device,
            on_progress=partial(_progress_of, on_progress, done, len(runs)),
        )
        cases.append(found.cases)
    clips = {s.clip.name: s.clip.meta.patient for s in sources}
    return Comparison(
        part=part.title,
        clips=len(clips),
        patients=len(set(clips.values())),
        against=against,
        threshold=threshold,
        classes=classes,
        runs=tuple(
            _scores(run, config, cases[0] if i else (), cases[i], classes, clips, part)
            for i, (run, config) in enumerate(zip(runs, configs, strict=True))
        ),
        note=_note(runs, configs, part, clips),
    )


def _progress_of(tell: Progress, run: int, runs: int, done: int, clips: int, message: str) -> None:
    tell(run * clips + done, runs * clips, message)


def _scores(
    run: Path,
    config: RunConfig,
    first: Sequence[Case],
    cases: Sequence[Case],
    classes: Sequence[str],
    clips: dict[str, str],
    part: Part,
) -> RunScores:
    patients = list(clips.values())
    known = tuple(dict.fromkeys(c.class_name for c in cases))
    sums = _sums(cases, known, clips)
    both = np.concatenate([_sums(cases, classes, clips), _sums(first, classes, clips)], 1)
    width = 2 * len(classes)
    scored = [c for c in cases if c.class_name in classes]
    return RunScores(
        run=run.name,
        sha256=weights_sha256(run),
        learnt=len(_learnt_in(part.source, config) & set(clips)),
        dice={
            name: estimate(
                sums[:, 2 * i : 2 * i + 2], patients, lambda s: _dice(s)[:, 0], n=len(clips)
            )
            for i, name in enumerate(known)
        },
        mean_dice=estimate(both[:, :width], patients, _mean_dice, n=len(clips)),
        brier=mean_estimate([c.brier for c in scored], [c.patient for c in scored]),
        gain=estimate(
            both,
            patients,
            lambda s: _mean_dice(s[:, :width]) - _mean_dice(s[:, width:]),
            n=len(clips),
        )
        if first
        else None,
    )


def _sums(
    cases: Sequence[Case], classes: Sequence[str], clips: dict[str, str]
) -> NDArray[np.float64]:
    """Return what each clip adds, (clips, 2 a class): twice the overlap, and both areas."""
    rows, columns = {c: i for i, c in enumerate(clips)}, {c: i for i, c in enumerate(classes)}
    found = np.zeros((len(clips), 2 * len(classes)))
    for case in cases:
        if case.class_name in columns:
            at = 2 * columns[case.class_name]
            found[rows[case.clip], at : at + 2] += 2 * case.overlap, case.marked + case.meant
    return found


def _dice(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Dice of each class, (B, classes); NaN where nobody marks anything."""
    overlap, total = sums[:, 0::2], sums[:, 1::2]
    found = np.full(overlap.shape, np.nan)
    np.divide(overlap, total, out=found, where=total > 0)
    return found


def _mean_dice(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the classes that anybody marks; NaN without one."""
    dice = _dice(sums)
    known = ~np.isnan(dice)
    found = np.full(len(dice), np.nan)
    np.divide(np.where(known, dice, 0).sum(1), known.sum(1), out=found, where=known.any(1))
    return found


def _note(
    runs: Sequence[Path], configs: Sequence[RunConfig], part: Part, clips: dict[str, str]
) -> str:
    said = []
    for run, config in zip(runs, configs, strict=True):
        learnt = len(_learnt_in(part.source, config) & set(clips))
        same = config.origin.cohort_id == part.source.meta.cohort_id
        chosen = len(set(config.split.validation) & set(clips)) if same else 0
        if learnt:
            said.append(f"{run.name} has learnt from {learnt} of these {len(clips)} clips.")
        elif chosen:
            said.append(
                f"The checkpoint of {run.name} was chosen on {chosen} of these {len(clips)} "
                "clips, so its scores are a little optimistic."
            )
    return " ".join(said)


@dataclass(frozen=True)
class Verdict:
    """Whether a run may take the place of the active model.

    Attributes
    ----------
    replaces : bool
        Whether it may.
    why : str
        What speaks for or against it, as what follows "it is".
    told : bool
        Whether the comparison tells; if not, `why` says what it lacks.
    """

    replaces: bool
    why: str
    told: bool = True


def judge(comparison: Comparison) -> Verdict:
    """Return whether the second run of a comparison may take the place of the first.

    It may unless it is worse beyond the interval: unless even the upper end of the 95 % interval of
    the difference is below zero. What can't be told, with one patient or on clips that one of both
    has learnt from, speaks against it.
    """
    old, new = comparison.runs
    gain = new.gain
    assert gain is not None
    on = f"{comparison.part} ({comparison.clips} clips of {comparison.patients} patients)"
    for run in (new, old):
        if run.learnt:
            why = f"not to be judged on {on}: {run.run} has learnt from {run.learnt} of the clips"
            return Verdict(False, why, told=False)
    if comparison.patients < LEAST_PATIENTS or np.isnan(gain.low):
        why = f"not to be judged on {on}: too few patients for an interval"
        return Verdict(False, why, told=False)
    words = (
        f"than {old.run} on {on}: mean Dice {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    )
    if gain.high < 0:
        return Verdict(False, f"worse {words}")
    return Verdict(True, f"{'better' if gain.low > 0 else 'not worse'} {words}")


def activate(
    cohort: Cohort,
    run: str | Path,
    *,
    by: str,
    on: AnyCohort | None = None,
    part: str | None = None,
    insist: str = "",
    device: str = "auto",
    on_progress: Progress = lambda *_: None,
) -> ModelChange:
    """Make a run the cohort's active model, if it is not worse than the one that is.

    The first one is compared with the model that comes with the package where that can be told;
    where it can't, the first one needs no comparison.

    Parameters
    ----------
    cohort : Cohort
        Open for writing.
    run : str or Path
        Folder of a fit, or ``"starter"``.
    by : str
        Who asks, for the record.
    on : Cohort or FrozenCohort, optional
        What they are compared on; the cohort itself if not given.
    part : str, optional
        Of a dataset; see :func:`part_of`.
    insist : str
        A person's reason to make it active without a comparison.
    device : str
        Where to compute.
    on_progress : callable
        Called with (clips done, clips, message).

    Returns
    -------
    ModelChange
        What was recorded.

    Raises
    ------
    TrainError
        If it is worse beyond the interval, can't be compared, or is active already.
    StoreError
        If the cohort can't be changed.
    """
    folder = run_folder(run)
    _check_knows(cohort, load_config(folder), folder)
    active = active_model(cohort)
    _refuse_same(active, folder)
    target = None if is_shipped(run) else folder
    if insist:
        return set_active(cohort, target, by=by, why=insist, insisted=True)
    first = active.chosen is None
    if first and target is None:
        return set_active(cohort, target, by=by, why=FIRST)
    if active.problem:
        raise TrainError(
            f"{active.problem}, so {folder.name} can't be compared with it",
            "Bring it back, go back with --back, or give a reason with --insist.",
        )
    runs = (run_folder(active.location), folder)
    try:
        clips = part_of(on or cohort, runs, part)
        verdict = judge(compare(runs, clips, device=device, on_progress=on_progress))
    except TrainError as error:
        if not first or on is not None:
            raise
        verdict = Verdict(False, f"not to be compared: {error.error}", told=False)
    if first and not verdict.told:
        why = f"{FIRST}; with {active.name} it is {verdict.why}"
        return set_active(cohort, target, by=by, why=why)
    if not verdict.replaces:
        raise TrainError(
            f"{folder.name} is {verdict.why}",
            f"{active.name} stays the active model. To change it all the same, give a reason with "
            "--insist.",
        )
    return set_active(
        cohort, target, by=by, why=f"{FIRST}; {verdict.why}" if first else verdict.why
    )


def _check_knows(cohort: Cohort, config: RunConfig, folder: Path) -> None:
    there = {c.name for c in cohort.meta.classes}
    if not there & set(config.classes):
        raise TrainError(
            f"{folder.name} knows {', '.join(config.classes)}, and {called(cohort)} has none of "
            "these classes",
            "Choose a run that learnt classes of this cohort.",
        )


def _refuse_same(active: ActiveModel, folder: Path) -> None:
    if active.chosen is None or active.problem:
        return
    if weights_sha256(folder) == weights_sha256(run_folder(active.location)):
        raise TrainError(f"{active.name} is the active model already")
