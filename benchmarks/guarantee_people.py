"""Guarantees against real people: what was asked for, what came, and what breaks them.

``python -m benchmarks.guarantee_people FOLDER --pictures DIR``

DIR holds the pictures that five people outlined twice (:mod:`benchmarks.people`). Models of size
``study`` learn by the default method from three of them, who state a confidence in three habits;
the panel are the two others, both readings each. A picture stands for a patient.

- *Mixed*: a model learns from half of each set, and is tried on the other half, in which pictures
  are drawn at random to measure on (`SPLITS` times). Both halves, two seeds: four models.
- *Another set*: a model learns from one set, is measured on the second, and tried on the third.
- *Another person*: as mixed, but measured against one person, and tried against another.

Splits at random of what was counted once are exchangeable by construction: that the promise holds
there tests the program. What people add is whether anything is promised, and what breaks it. Beside
the models stands what one reader's own outline keeps of the same promise. What was counted is kept
in FOLDER, so that a second call takes seconds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.guarantee import Scores, at_random, both, scores_of, tried
from benchmarks.people import CLASS, DEVELOP, WAYS, import_pictures, make_panel
from napari_confseg.agreement.conformal import NOTHING, bound, needed, share_of
from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.readouts import Beams
from napari_confseg.readouts.lung import area
from trainer.guarantee import ALLOWED
from trainer.predict import Predictor
from trainer.run_job import execute
from trainer.study.pooled import draw
from trainer.unseen import Counts, Evidence, gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Cohort

PANEL = replace(DEVELOP, sets=("set1", "set2a", "set3"))
PANELS = {"both": PANEL.against} | {
    f"person {p}": tuple(f"person{p}-{way}" for way in WAYS) for p in PANEL.reference
}
SEEDS, MEASURED, LEVELS, RESAMPLES = 2, 38, (80, 90), 2000
GENEROUS = 40
"""Percent allowed beside the default: with less, these models promise nothing."""
AREA = "area"


@dataclass(frozen=True)
class Model:
    """A model to be fitted.

    Attributes
    ----------
    name : str
        Of its run.
    seed : int
        Of its fit.
    unseen : tuple of str
        Pictures that it does not learn from.
    """

    name: str
    seed: int
    unseen: tuple[str, ...]


def by_set(cohort: Cohort) -> dict[str, list[str]]:
    """Return the pictures of each set."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in cohort.clips():
        found[cohort.clip(name).meta.tags[0]].append(name)
    return found


def planned(sets: dict[str, list[str]]) -> tuple[list[Model], dict[str, Model]]:
    """Return the models of mixed halves, and those that learn from one set."""
    mixed = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        dealt = [rng.permutation(names).tolist() for names in sets.values()]
        for half in (0, 1):
            unseen = tuple(sorted(n for names in dealt for n in names[half::2]))
            mixed.append(Model(f"mixed-{seed}-{half}", seed, unseen))
    alone = {
        name: Model(f"only-{name}", 0, tuple(n for s, of in sets.items() if s != name for n in of))
        for name in sets
    }
    return mixed, alone


def fitted(folder: Path, cohort: Cohort, model: Model) -> Predictor:
    """Return the model; fit it, or go on where it was stopped."""
    request = FitRequest(
        cohort=cohort.location,
        rater="benchmark",
        raters=PANEL.halves["mixed"],
        classes=(CLASS.name,),
        size="study",
        device="cpu",
        seed=model.seed,
        threads=1,
        held_out=tuple(sorted({cohort.clip(n).meta.patient for n in model.unseen})),
    )
    path = folder / "runs" / model.name
    run = RunFolder(path) if path.exists() else RunFolder.create(path, request)
    if execute(run) is None:
        raise SystemExit(str(run.events()[0][-1]))
    return Predictor.load(path, "cpu")


def areas_away(predictor: Predictor, cohort: Cohort, names: Sequence[str]) -> dict[str, dict]:  # type: ignore[type-arg]
    """Return how far the model's area is from the mean of the panel's, in px², by panel."""
    found: dict[str, dict[str, float]] = {who: {} for who in PANELS}
    for name in names:
        clip = cohort.clip(name)
        beams = Beams.of(clip.meta, clip.shape)
        mine = area(predictor.percent(np.asarray(clip.frames[0]))[0], beams).value
        for who, raters in PANELS.items():
            theirs = [area(clip.rater(r).read_plane(0, 0), beams).value for r in raters]
            found[who][clip.meta.patient] = abs(mine - float(np.mean(theirs)))
    return found


def counted(folder: Path, cohort: Cohort, model: Model) -> dict[str, Evidence]:
    """Return what pictures that a model has not seen tell, by panel; counted once, then read."""
    kept = folder / f"counted-{model.name}.json"
    if not kept.exists():
        predictor = fitted(folder, cohort, model)
        away = areas_away(predictor, cohort, model.unseen)
        data = {}
        for who, raters in PANELS.items():
            evidence, _ = gather(predictor, cohort, model.unseen, panel=raters)
            of = evidence.counts[CLASS.name]
            pixels = {p: [v.inside.tolist(), v.outside.tolist()] for p, v in of.items()}
            data[who] = {"pixels": pixels, "away": away[who]}
        kept.write_text(json.dumps(data))
    return {
        who: Evidence(
            {
                CLASS.name: {
                    p: Counts(np.array(i), np.array(o)) for p, (i, o) in of["pixels"].items()
                }
            },
            {AREA: of["away"]},
            {AREA: "px²"},
        )
        for who, of in json.loads(kept.read_text()).items()
    }


def sizes(evidence: Evidence, threshold: float, patients: Sequence[str]) -> NDArray[np.float64]:
    """Return each picture's pixels from a threshold on, as a share of the panel's region."""
    found = []
    for p in patients:
        counts = evidence.counts[CLASS.name][p]
        reached = (counts.inside + counts.outside)[int(min(threshold, NOTHING)) :].sum()
        found.append(reached / counts.inside.sum())
    return np.array(found)


def _percent(values: Sequence[float] | NDArray[np.float64], ends: tuple[float, float]) -> str:
    low, high = np.quantile(values, ends)
    return f"{100 * np.mean(values):.1f} ({100 * low:.0f} to {100 * high:.0f})"


def mixed_table(models: Sequence[dict[str, Evidence]]) -> Table:
    """Return coverage on random splits of pictures, all models together."""
    n = len(models[0]["both"].patients)
    table = Table(title=f"{MEASURED} pictures measured on, tried on {n - MEASURED}")
    heads = ("allowed %", "of", "asked %", "got % (5 to 95 % of splits)", "promises %", "median")
    for head in (*heads, "size"):
        table.add_column(head, no_wrap=True)
    for allowed, level in product((ALLOWED, GENEROUS), LEVELS):
        for i, name in enumerate(("inner", "outer")):
            table.add_row(str(allowed), name, *_split_cells(models, i, level, allowed))
        joint = _percent(_joint(models, level, allowed), (0.05, 0.95))
        table.add_row(str(allowed), "both", f"{level}", joint)
    for level in LEVELS:
        table.add_row("", AREA, *_split_cells(models, 2, level, ALLOWED))
    return table


def _split_cells(
    models: Sequence[dict[str, Evidence]], which: int, level: int, allowed: int
) -> list[str]:
    """Return asked, got, promised, bound and size of one promise, over models and splits."""
    got, said, limits, size = [], [], [], []
    for seed, of in enumerate(models):
        patients = sorted(of["both"].patients)
        scores = scores_of(of["both"], allowed)[which]
        share = share_of(level, scores.sides)
        mine = []
        for used, others in at_random(patients, MEASURED, seed):
            mine.append(bound(np.array([scores.values[p] for p in used]), share))
            got.append(float(np.mean([scores.values[p] <= mine[-1] for p in others])))
        said += [limit < scores.vacuous for limit in mine]
        limits += mine
        size.append(np.median(sizes(of["both"], abs(float(np.median(mine))), patients)))
    median = abs(float(np.median(limits)))
    asked, held = f"{100 * float(share):g}", _percent(got, (0.05, 0.95))
    row = [asked, held, f"{100 * np.mean(said):.0f}"]
    if scores.side == "read-out":
        return [*row, f"± {median:.0f} px²", ""]
    return [*row, f"{median:.0f} %", f"{np.mean(size):.2f}"]


def one_readers(cohort: Cohort) -> Table:
    """Return in how many pictures one reader's own outline keeps what models promise."""
    (reader,) = PANEL.hard["hard"]
    missed, false = [], []
    for name in cohort.clips():
        clip = cohort.clip(name)
        mine = clip.rater(reader).read_plane(0, 0) >= 50
        theirs = [clip.rater(r).read_plane(0, 0) for r in PANEL.against]
        region = np.mean(theirs, axis=0) >= 50
        missed.append((region & ~mine).sum() / region.sum())
        false.append((mine & ~region).sum() / mine.sum())
    table = Table(title=f"the outline of {reader}, in place of both contours")
    for head in ("allowed %", "inner holds %", "outer holds %", "both hold %"):
        table.add_column(head, no_wrap=True)
    weights = draw(len(missed), resamples=RESAMPLES) / len(missed)
    for allowed in (ALLOWED, GENEROUS):
        inner, outer = (np.array(v) <= allowed / 100 for v in (false, missed))
        shown = []
        for held in (inner, outer, inner & outer):
            value, *resampled = weights @ held
            low, high = np.quantile(resampled, [0.025, 0.975])
            shown.append(f"{100 * value:.0f} ({100 * low:.0f} to {100 * high:.0f})")
        table.add_row(str(allowed), *shown)
    return table


def _joint(models: Sequence[dict[str, Evidence]], level: int, allowed: int) -> NDArray[np.float64]:
    found = []
    for seed, of in enumerate(models):
        inner, outer, _ = scores_of(of["both"], allowed)
        splits = at_random(sorted(of["both"].patients), MEASURED, seed)
        joint = both(inner, outer, level, splits)
        assert joint is not None
        found.append(joint)
    return np.concatenate(found)


def held_elsewhere(
    measured: Scores, new: Scores, level: int
) -> tuple[float, NDArray[np.float64], bool]:
    """Return the share held, its resamplings (pictures on both sides), and whether any is promised.

    `measured` and `new` are scores of other pictures, of the same kind.
    """
    share = share_of(level, measured.sides)
    given, tried_on = (np.array(list(s.values.values())) for s in (measured, new))
    assert len(given) >= needed(share)
    limit = bound(given, share)
    rng = np.random.default_rng(0)
    drawn = [
        np.mean(rng.choice(tried_on, len(tried_on)) <= bound(rng.choice(given, len(given)), share))
        for _ in range(RESAMPLES)
    ]
    return float(np.mean(tried_on <= limit)), np.array(drawn), limit < measured.vacuous


def sets_table(
    sets: dict[str, list[str]], alone: dict[str, dict[str, Evidence]], cohort: Cohort
) -> Table:
    """Return coverage of what one set guarantees for another, and for itself."""
    patients = {s: [cohort.clip(n).meta.patient for n in names] for s, names in sets.items()}
    table = Table(title=f"measured on one set, tried on another, at 80 %, {GENEROUS} % allowed")
    heads = ("learnt", "measured", "tried", "of", "asked %", "got %", "promises", "in its own set")
    for head in heads:
        table.add_column(head, no_wrap=True)
    for learnt, first, second in permutations(sets, 3):
        evidence = alone[learnt]["both"]
        a, b = (scores_of(evidence.only(patients[s]), GENEROUS) for s in (first, second))
        for i, name in enumerate(("inner", "outer", AREA)):
            value, drawn, said = held_elsewhere(a[i], b[i], 80)
            low, high = np.quantile(drawn, [0.025, 0.975])
            asked = 100 * float(share_of(80, a[i].sides))
            own = tried(b[i], 80, at_random(patients[second], len(patients[second]) * 3 // 4, 0))
            assert own is not None
            shown = f"{100 * value:.0f} ({100 * low:.0f} to {100 * high:.0f})"
            row = [f"{asked:g}", shown, "yes" if said else "no", f"{100 * own.held:.0f}"]
            table.add_row(learnt, first, second, name, *row)
    return table


def persons_table(models: Sequence[dict[str, Evidence]]) -> Table:
    """Return coverage of what one person's outlines guarantee of another's, on other pictures."""
    table = Table(title=f"measured against one, tried against another, 80 %, {GENEROUS} % allowed")
    for head in ("of", "asked %", *(f"{a} for {b}" for a in PANELS for b in PANELS)):
        table.add_column(head, min_width=8)
    for i, name in enumerate(("inner", "outer", AREA)):
        cells = []
        for a in PANELS:
            for b in PANELS:
                got = []
                for seed, of in enumerate(models):
                    mine, theirs = (scores_of(of[who], GENEROUS)[i] for who in (a, b))
                    share = share_of(80, mine.sides)
                    for used, others in at_random(sorted(of[a].patients), MEASURED, seed):
                        limit = bound(np.array([mine.values[p] for p in used]), share)
                        got.append(np.mean([theirs.values[p] <= limit for p in others]))
                cells.append(f"{100 * np.mean(got):.1f}")
        table.add_row(name, f"{100 * float(share):g}", *cells)
    return table


def main() -> int:
    """Fit, count, try, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.guarantee_people", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="where pictures, runs and counts are kept")
    parser.add_argument("--pictures", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    pictures = import_pictures(folder / "pictures.zarr", arguments.pictures)
    cohort = make_panel(folder / "panel.zarr", pictures, PANEL, PANEL.groups)
    sets = by_set(cohort)
    halves, ones = planned(sets)
    mixed = [counted(folder, cohort, model) for model in halves]
    alone = {name: counted(folder, cohort, model) for name, model in ones.items()}
    console = Console(width=140)
    console.print(mixed_table(mixed))
    console.print(one_readers(cohort))
    console.print(sets_table(sets, alone, cohort))
    console.print(persons_table(mixed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
