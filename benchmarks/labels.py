"""Dice by the number of reviewed frames: from scratch, fine-tuned, and in the order of `rank`.

``python -m benchmarks.labels FOLDER [tuning | order] [--patients 20] [--seeds 3] [--json]``

A synthetic cohort; two fifths of its patients are kept for the test, and of the others' frames so
many are reviewed by a reader as each column says. Models of size ``study`` learn from them and are
scored against the truth on the test: Dice of all pixels of a class together, mean over classes.
Intervals resample the test's patients and the seeds (of drawing and fitting) together. *tuning*
draws the frames at random, and sets fits that begin from a model of another cohort beside fits from
scratch: one of the same kinds of clips, and a narrow one that has seen no linear probe, no
consolidation and no effusion. *order* lets the narrow model choose the frames, as ``confseg-train
rank`` does, and each fit to them the next ones, beside frames at random; all fits begin from it.

Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.uncertainty import LACKS
from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.methods import Method
from napari_confseg.store import Cohort, Status
from sample_data import clinical_path, make_cohort
from trainer.evaluate import DECISION
from trainer.predict import Predictor
from trainer.rank import look_at, ordered
from trainer.run_job import execute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Frames = list[tuple[str, int]]
    Array = NDArray[np.float64]

READER, TEST, RESAMPLES = "reader-a", 0.4, 1000
COUNTS = (6, 12, 24)
"""Reviewed frames, and then all there are."""
LIKE, NARROW = "base", "narrow-base"
"""Folders of the models that fits begin from."""


@dataclass(frozen=True)
class Bench:
    """A cohort, its test, and the model of other patients.

    Attributes
    ----------
    folder : Path
        Where runs are kept.
    cohort : Cohort
        What is learnt from and scored on.
    pool : list of (str, int)
        Clips and frames to learn from.
    test : dict of str to str
        Clip -> patient of the test.
    """

    folder: Path
    cohort: Cohort
    pool: Frames
    test: dict[str, str]

    @classmethod
    def make(cls, folder: Path, patients: int) -> Bench:
        """Make the cohorts and the model, or find them."""
        cohort, other = (_made(folder / name, patients, seed) for name, seed in SEEDS.items())
        names = sorted({cohort.clip(c).meta.patient for c in cohort.clips()})
        held = names[: round(TEST * len(names))]
        patient_of = {c: cohort.clip(c).meta.patient for c in cohort.clips()}
        pool = [
            (c, t)
            for c in cohort.clips()
            if patient_of[c] not in held
            for t in range(cohort.clip(c).shape[0])
        ]
        test = {c: p for c, p in patient_of.items() if p in held}
        _fit(folder / LIKE, request_for(other))
        for clip in map(other.clip, other.clips()):
            if any(lacks(clip) for lacks in LACKS.values()):
                rater = clip.rater(READER)
                rater.write_status(np.full_like(rater.read_status(), Status.UNTOUCHED))
        _fit(folder / NARROW, request_for(other))
        return cls(folder, cohort, pool, test)

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of reviewed frames."""
        return (*(n for n in COUNTS if n < len(self.pool)), len(self.pool))

    def dice(self, name: str, frames: Frames, seed: int, base: str | None) -> Array:
        """Return what each patient of the test adds, (patients, classes, 2), of a fit to `frames`.

        The two numbers are twice the overlap, and the sum of both areas.
        """
        run = self.run(name, len(frames), seed)
        kept = run.with_suffix(".npy")
        if not kept.exists():
            self.review(frames)
            start = str(self.folder / base) if base else None
            _fit(run, request_for(self.cohort, base=start, seed=seed))
            np.save(kept, self.scores(run))
        found: Array = np.load(kept)
        return found

    def run(self, name: str, frames: int, seed: int) -> Path:
        """Return the folder of a fit."""
        return self.folder / f"{name}-{frames}-{seed}"

    def review(self, frames: Frames) -> None:
        """Let the reader have reviewed just these frames; the test's stay as they are."""
        chosen = set(frames)
        for name in sorted({clip for clip, _ in self.pool}):
            rater = self.cohort.clip(name).rater(READER)
            status = np.full_like(rater.read_status(), Status.UNTOUCHED)
            status[[t for clip, t in chosen if clip == name]] = Status.REVIEWED
            rater.write_status(status)
        for name in self.test:  # neither learnt from nor validated on
            rater = self.cohort.clip(name).rater(READER)
            rater.write_status(np.full_like(rater.read_status(), Status.UNTOUCHED))

    def scores(self, run: Path) -> Array:
        """Return what each patient of the test adds; see :meth:`dice`."""
        predictor = Predictor.load(run, "cpu")
        patients = sorted(set(self.test.values()))
        found = np.zeros((len(patients), len(predictor.config.classes), 2))
        for name, patient in self.test.items():
            clip = self.cohort.clip(name)
            marked = predictor.percent(np.asarray(clip.frames[:])) >= DECISION
            truth = clip.rater("truth").read_classes(range(marked.shape[1])) >= DECISION
            truth = truth.swapaxes(0, 1)
            at = patients.index(patient)
            found[at, :, 0] += 2 * (marked & truth).sum((0, 2, 3))
            found[at, :, 1] += marked.sum((0, 2, 3)) + truth.sum((0, 2, 3))
        return found


SEEDS = {"cohort.zarr": 72, "other.zarr": 71}


def _made(place: Path, patients: int, seed: int) -> Cohort:
    if not clinical_path(place).exists():  # written last
        make_cohort(
            place,
            patients=patients,
            seed=seed,
            frames=4,
            size=(96, 128),
            readers=("calibrated",),
        )
    return Cohort.open(place)


def request_for(cohort: Cohort, *, base: str | None = None, seed: int = 0) -> FitRequest:
    return FitRequest(
        cohort=cohort.location,
        rater="benchmark",
        raters=(READER,),
        base=base,
        size=None if base else "study",
        classes=tuple(c.name for c in cohort.meta.classes),
        device="cpu",
        seed=seed,
        method=Method(name="soft"),
        threads=1,
    )


def _fit(path: Path, request: FitRequest) -> None:
    run = RunFolder(path) if path.exists() else RunFolder.create(path, request)
    if execute(run) is None:
        raise SystemExit(str(run.events()[0][-1]))


def shuffled(bench: Bench, seed: int) -> Frames:
    """Return the pool in random order."""
    order = np.random.default_rng(seed).permutation(len(bench.pool))
    return [bench.pool[i] for i in order]


def at_random(bench: Bench, seeds: int, name: str, base: str | None) -> Array:
    """Return sums (counts, seeds, patients, classes, 2) of fits to frames in random order."""
    return np.array(
        [
            [bench.dice(name, shuffled(bench, seed)[:n], seed, base) for seed in range(seeds)]
            for n in bench.counts
        ]
    )


def by_rank(bench: Bench, seeds: int, name: str, base: str) -> Array:
    """Return the same, where each model chooses the frames that the next one learns from."""
    found = np.array([list(_ranked(bench, seed, name, base)) for seed in range(seeds)])
    return found.swapaxes(0, 1)


def _ranked(bench: Bench, seed: int, name: str, base: str) -> Iterator[Array]:
    frames: Frames = []
    model = bench.folder / base
    clips = sorted({clip for clip, _ in bench.pool})
    for n in bench.counts:
        bench.review(frames)
        predictor = Predictor.load(model, "cpu")
        looks = [
            look
            for clip in clips
            for look in look_at(
                bench.cohort.clip(clip), [predictor], predictor.config.classes, len(bench.pool)
            )
        ]
        order = ordered(looks, n - len(frames), compare=False)
        frames = [*frames, *((f.clip, f.frame) for f in order)]
        yield bench.dice(name, frames, seed, base)
        model = bench.run(name, n, seed)


def drawn(sums: Array, patients: Array, seeds: Array) -> Array:
    """Return mean Dice (resamplings, counts) with weights of patients and of seeds."""
    pooled = np.einsum("nspcx,bp->bnscx", sums, patients)
    total = pooled[..., 1]
    dice = np.divide(pooled[..., 0], total, out=np.full(total.shape, np.nan), where=total > 0)
    mean = np.nanmean(dice, -1)  # (b, n, s)
    found: Array = np.einsum("bns,bs->bn", mean, seeds) / seeds.sum(1)[:, None]
    return found


def weights(n: int, rng: np.random.Generator) -> Array:
    """Return weights of `n` things: once each, then resampled."""
    again = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.concatenate([np.ones((1, n)), again]).astype(float)


def needed(curve: Array, counts: Sequence[int], aim: float) -> float:
    """Return the frames at which a curve reaches `aim`, between counts by their logarithm."""
    above = np.flatnonzero(curve >= aim)
    if not above.size:
        return np.inf
    i = int(above[0])
    if i == 0:
        return float(counts[0])
    share = (aim - curve[i - 1]) / (curve[i] - curve[i - 1])
    return float(counts[i - 1] * (counts[i] / counts[i - 1]) ** share)


def interval(values: Array, digits: int) -> str:
    """Return the first with the middle 95 % of the others; what is never reached as such."""
    low, high = np.sort(values[1:])[
        [round(0.025 * (len(values) - 2)), round(0.975 * (len(values) - 2))]
    ]
    shown = ["never" if np.isinf(v) else f"{v:.{digits}f}" for v in (values[0], low, high)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def compare(bench: Bench, found: dict[str, Array], aim_of: str, at: int) -> dict[str, object]:
    """Return the table: Dice by count for each way, and the frames that each needs for an aim.

    The aim is what the way `aim_of` reaches at its count number `at`, in each resampling anew.
    """
    counts = list(bench.counts)
    rng = np.random.default_rng(0)
    first = next(iter(found.values()))
    patients, seeds = weights(first.shape[2], rng), weights(first.shape[1], rng)
    dice = {name: drawn(sums, patients, seeds) for name, sums in found.items()}
    aims = dice[aim_of][:, at]
    rows: dict[str, object] = {"frames": counts, "aim": interval(aims, 3)}
    for name, curve in dice.items():
        frames = np.array([needed(c, counts, a) for c, a in zip(curve, aims, strict=True)])
        rows[name] = {
            "dice": [interval(curve[:, i], 3) for i in range(len(counts))],
            "needs": interval(frames, 0),
        }
    others = [name for name in dice if name != aim_of]
    for name in others:
        gain = dice[name] - dice[aim_of]
        rows[f"{name} less {aim_of}"] = [interval(gain[:, i], 3) for i in range(len(counts))]
    return rows


def show(title: str, rows: dict[str, object]) -> None:
    frames = rows["frames"]
    assert isinstance(frames, list)
    table = Table("", *map(str, frames), "frames to the aim", title=title)
    for name, row in rows.items():
        if isinstance(row, dict):
            table.add_row(name, *row["dice"], row["needs"])
        elif isinstance(row, list) and name != "frames":
            table.add_row(name, *row, "")
    Console(width=200).print(table)
    Console().print(f"The aim is a Dice of {rows['aim']}.")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.labels", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(tempfile.gettempdir(), "labels")
    )
    parser.add_argument("what", nargs="?", choices=("tuning", "order"), default="tuning")
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench, seeds = Bench.make(arguments.folder, arguments.patients), arguments.seeds
    random = at_random(bench, seeds, "narrow", NARROW)
    if arguments.what == "order":
        ranked = by_rank(bench, seeds, "ranked", NARROW)
        found = {"at random": random, "in the order of rank": ranked}
        rows = compare(bench, found, "at random", -2)
    else:
        found = {
            "from scratch": at_random(bench, seeds, "scratch", None),
            "from a model of the same kinds": at_random(bench, seeds, "like", LIKE),
            "from a narrow model": random,
        }
        rows = compare(bench, found, "from scratch", -1)
    if arguments.json:
        print(json.dumps(rows))
    else:
        show("Dice by reviewed frames", rows)


if __name__ == "__main__":
    main()
