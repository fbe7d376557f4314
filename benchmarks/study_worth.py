"""How many readers without a confidence one reader with one is worth to a model that learns.

``python -m benchmarks.study_worth FOLDER --pictures DIR [--jobs 2]``

:mod:`benchmarks.worth` compares maps of readers; here models are compared that learn from them, on
the same frames, over the same steps: from each choice of one, two and three readers without a
confidence, whose marks are a sample each, and from each reader with theirs. People are the panel
that methods are developed on (no test is spent), against two other people; simulated readers are
compared with the latent probability. Intervals resample pictures, or patients, and seeds; choices
of readers are averaged. What a confidence is worth is read off between one and three readers,
unless models from three are no better than from one. Resumes where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.people import DEVELOP, import_pictures, make_panel
from benchmarks.worth import LEVELS, READERS, SQUARED, make_simulated
from napari_confseg.report.figures import INK, LINE, drawing, save_png
from napari_confseg.store import EXCLUDED, Cohort
from trainer.__main__ import main as train
from trainer.study.compare import Interval
from trainer.study.pooled import HIGHER, TITLES, pool
from trainer.study.request import open_study

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from benchmarks.people import Groups
    from trainer.study.scores import Floats

    Scores = dict[str, dict[str, Floats]]

LEARN_SOFT, DEFAULT = "soft+overlap", "relative-threshold"
"""Of hard marks both learn the same; of confidences the one learns percents, the other a cut.

An outline that is doubtful by distance, cut at half, is the outline: the other learns from it what
it does from hard marks, and is not fitted to it.
"""
KINDS = {"calibrated": "abc", "hasty": "ghi"}
"""Kinds of simulated readers, and their letters in the cohort of :mod:`benchmarks.worth`."""
PATIENTS = 16
SCORES = (SQUARED, LEVELS)


@dataclass(frozen=True)
class Trial:
    """A cohort, and who is learnt from in it.

    Attributes
    ----------
    name, title : str
        Of its folder, and above its plots.
    cohort : Path
        Where it is.
    without, confident : dict
        Rater groups: ``k-READERS`` without a confidence, and ``form-READER`` with one.
    against : tuple of str
        The reference; none for the latent probability.
    """

    name: str
    title: str
    cohort: Path
    without: Groups
    confident: Groups
    against: tuple[str, ...] = ()


def of_people(folder: Path, pictures: Path) -> Trial:
    """Return the trial of real people; make its cohort if need be."""
    whole = import_pictures(folder / "pictures.zarr", pictures)
    path = folder / "people-worth.zarr"
    make_panel(path, whole, DEVELOP, DEVELOP.without | DEVELOP.confident)
    return Trial("people", "Real people", path, DEVELOP.without, DEVELOP.confident, DEVELOP.against)


def of_simulated(folder: Path, kind: str) -> Trial:
    """Return the trial of three simulated readers of a kind; make its cohort if need be."""
    cohort = make_simulated(folder, PATIENTS)
    for letter in KINDS[kind]:
        _mark_hard(cohort, f"reader-{letter}")
    without = {
        f"{k}-{'-'.join(letters)}": tuple(f"reader-{letter}-hard" for letter in letters)
        for k in READERS
        for letters in combinations(KINDS[kind], k)
    }
    confident = {f"stated-{letter}": (f"reader-{letter}",) for letter in KINDS[kind]}
    return Trial(kind, f"Simulated: {kind}", folder / "worth.zarr", without, confident)


def _mark_hard(cohort: Cohort, name: str) -> None:
    """Add a rater who marks what another holds for likelier than not, without a confidence."""
    for clip in map(cohort.clip, cohort.clips()):
        if f"{name}-hard" in clip.raters():
            continue
        stated = clip.rater(name)
        hard = clip.create_rater(f"{name}-hard", kind="human", label=f"{name}, hard marks")
        with hard.bulk() as write:
            for c in range(len(cohort.meta.classes)):
                for t, plane in enumerate(stated.read_planes(c)):
                    marks = np.where(plane >= 50, 100, 0).astype(np.uint8)
                    marks[plane == EXCLUDED] = EXCLUDED
                    write(t, c, marks)
        hard.write_status(stated.read_status())


def studies(trial: Trial, folder: Path, jobs: int) -> list[Path]:
    """Fit what is not fitted yet, and return the folders of the trial's studies."""
    asked: dict[str, Groups] = {LEARN_SOFT: {**trial.without, **trial.confident}}
    if trial.against:
        asked[DEFAULT] = {g: r for g, r in trial.confident.items() if not g.startswith("edge")}
    found = []
    for method, groups in asked.items():
        out = folder / "worth-models" / trial.name / method
        named = [f"{name}={','.join(raters)}" for name, raters in groups.items()]
        against = ["--against", ",".join(trial.against)] if trial.against else []
        code = train(
            ["study", str(trial.cohort), "--out", str(out), "--methods", method,
             "--groups", *named, "--folds", "2", "--seeds", "2", "--jobs", str(jobs), *against]
        )  # fmt: skip
        if code:
            sys.exit(code)
        found.append(out)
    return found


def scores(folders: Sequence[Path]) -> Scores:
    """Return the resampled scores, mean over choices of readers, by who is learnt from."""
    rows: dict[str, dict[str, list[Floats]]] = defaultdict(lambda: defaultdict(list))
    patients = set()
    for folder in folders:
        pooled = pool(folder, open_study(folder))
        patients.add(pooled.patients)
        for cell in pooled.cells:
            kind = cell.group.partition("-")[0]
            name = kind if kind.isdigit() else f"{kind}, {folder.name}"
            for score in SCORES:
                rows[name][score].append(cell.mean(score))
    if len(patients) > 1:  # resamplings would not be paired
        sys.exit(f"The studies in {folders[0].parent} are of different patients.")
    return {n: {s: np.mean(v, 0) for s, v in found.items()} for n, found in rows.items()}


def worth(found: Scores, name: str, score: str) -> Floats:
    """Return to how many readers without a confidence models from one with it are equal.

    Between the numbers that were tried, for each resampling: 1 also where they are worse than from
    one reader, and 3 where they are better than from three.
    """
    sign = 1 if score in HIGHER else -1
    each = np.stack([sign * found[f"{k}"][score] for k in READERS], 1)
    risen = np.maximum.accumulate(each, 1)
    mine = sign * found[name][score]
    return np.array([np.interp(m, e, READERS) for m, e in zip(mine, risen, strict=True)])


def gain(found: Scores, name: str, score: str) -> Floats:
    """Return how much better models are than those from one reader without a confidence."""
    sign = 1 if score in HIGHER else -1
    return sign * (found[name][score] - found["1"][score])


def tells(found: Scores, score: str) -> bool:
    """Whether three readers are better than one beyond the interval, so that k has a meaning."""
    return Interval.of(gain(found, f"{READERS[-1]}", score)).low > 0


def table(found: Scores) -> dict[str, dict[str, Interval]]:
    """Return each row's scores and gain over one reader; its worth, where that has a meaning."""
    rows: dict[str, dict[str, Interval]] = {}
    for name, values in found.items():
        rows[name] = {score: Interval.of(values[score]) for score in SCORES}
        for score in SCORES:
            rows[name][f"gain in {score}"] = Interval.of(gain(found, name, score))
            if tells(found, score):
                rows[name][f"worth by {score}"] = Interval.of(worth(found, name, score))
    return rows


def figure(parts: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Figure:
    """Draw gains over models from one reader without a confidence, a row of plots a trial."""
    with drawing(7.2, 2.9 * len(parts)) as drawn:
        axes = np.atleast_2d(drawn.subplots(len(parts), len(SCORES), sharey="row"))
    for line, (title, found) in zip(axes, parts.items(), strict=True):
        names = [name for name in found if name != "1"]
        labels = [f"{n} readers without" if n.isdigit() else f"one: {n}" for n in names]
        for ax, score in zip(line, SCORES, strict=True):
            by = 1 if score in HIGHER else 1000
            gains = [found[name][f"gain in {score}"].times(by) for name in names]
            ax.errorbar(
                [g.value for g in gains],
                labels,
                xerr=[[g.value - g.low for g in gains], [g.high - g.value for g in gains]],
                fmt="o",
                color=INK,
                ms=4,
            )
            ax.axvline(0, color=LINE, lw=1)
            ax.set_title(title)
            ax.set_xlabel(f"gain: {TITLES[score]}" + ("" if by == 1 else f" x {by}"))
        line[0].invert_yaxis()
    return drawn


def main() -> int:
    """Fit, compare, and write ``worth-models.json`` and ``worth-models.png``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study_worth", description=(__doc__ or "").splitlines()[0]
    )
    folder = Path(tempfile.gettempdir(), "study")
    parser.add_argument("folder", type=Path, nargs="?", default=folder)
    parser.add_argument("--pictures", type=Path, metavar="DIR", required=True)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    trials = [of_people(arguments.folder, arguments.pictures)]
    trials += [of_simulated(arguments.folder, kind) for kind in arguments.kinds]
    parts = {t.title: scores(studies(t, arguments.folder, arguments.jobs)) for t in trials}
    rows = {title: table(found) for title, found in parts.items()}
    plain = {
        t: {n: {s: (i.value, i.low, i.high) for s, i in r.items()} for n, r in found.items()}
        for t, found in rows.items()
    }
    (arguments.folder / "worth-models.json").write_text(json.dumps(plain, indent=1))
    save_png(figure(rows), arguments.folder / "worth-models.png")
    for title, found in rows.items():
        print(title)
        for name, row in found.items():
            shown = (f"{s} {i.value:.4f} ({i.low:.4f} to {i.high:.4f})" for s, i in row.items())
            print(f"  {name}: {'; '.join(shown)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
