"""Uncertainty maps, written and not, against disagreement and against what training lacked.

``python -m benchmarks.uncertainty FOLDER [--members 4] [--patients 40] [--json]``

Models of size ``study`` learn from clips of the synthetic cohort that lack something (`LACKS`)
and look at clips of other patients, with and without it. Asked of each map: does it follow the
entropy of the probability that was there to be seen (rank correlation by pixel on clips like those
learnt from, over the sector and where the truth's or the model's probability is at least 5 %), and
is it higher on clips with what was lacking (AUROC by clip)? Beside them stands
the plain entropy, of the members' mean and of one model. Intervals resample patients.

Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.methods import Method
from napari_confseg.readouts import insonated
from napari_confseg.store import Cohort, Status
from sample_data import clinical_path, make_cohort
from sample_data.findings import CONSOLIDATION, EFFUSION
from trainer.predict import Predictor
from trainer.run_job import execute
from trainer.study.compare import Interval
from trainer.study.pooled import draw
from trainer.study.scores import presence_auroc
from trainer.uncertainty import DOUBT_FROM, decompose, entropy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip

    Array = NDArray[np.float64]

READER, HELD_OUT, LEAST = "reader-a", 0.4, 0.05
DROPOUT, DRAWS = 0.1, 10
PLAIN, SHARE = "entropy of the mean", "epistemic / entropy"
FOLLOWS, FOLLOWS_THERE, RISES = (
    "follows entropy",
    "follows entropy where marked",
    "rises on the new",
)
GAIN = ", gain over the entropy"
MAPS = ("aleatoric", "epistemic", SHARE, PLAIN, "entropy of one model")


def _is_linear(clip: Clip) -> bool:
    return clip.meta.probe == "linear"


def _is_solid(clip: Clip) -> bool:
    truth = clip.rater("truth")
    return any(bool(truth.read_planes(c).any()) for c in (CONSOLIDATION, EFFUSION))


LACKS: dict[str, Callable[[Clip], bool]] = {
    "linear probes": _is_linear,
    "consolidation and effusion": _is_solid,
}


def learn(
    cohort: Cohort, runs: Path, lacks: str, held_out: Sequence[str], members: int
) -> tuple[list[Predictor], Predictor]:
    """Fit members, and one with dropout, to the clips of all other patients without `lacks`."""
    left_out = [c for c in map(cohort.clip, cohort.clips()) if LACKS[lacks](c)]
    kept = [(rater := c.rater(READER), rater.read_status()) for c in left_out]
    for rater, status in kept:
        rater.write_status(np.full_like(status, Status.UNTOUCHED))  # unknown: not learnt from
    try:
        found = []
        for number in range(members + 1):
            last = number == members
            request = FitRequest(
                cohort=cohort.location,
                rater="benchmark",
                raters=(READER,),
                size="study",
                classes=tuple(c.name for c in cohort.meta.classes),
                device="cpu",
                seed=number,
                method=Method(name="soft"),
                held_out=tuple(held_out),
                threads=1,
                dropout=DROPOUT if last else 0,
            )
            path = runs / f"{lacks.replace(' ', '-')}-{'dropout' if last else number}"
            run = RunFolder(path) if path.exists() else RunFolder.create(path, request)
            if execute(run) is None:
                raise SystemExit(str(run.events()[0][-1]))
            found.append(Predictor.load(path, "cpu"))
    finally:
        for rater, status in kept:
            rater.write_status(status)
    return found[:members], found[members]


def maps(members: Sequence[Predictor], frames: NDArray[np.uint8], draws: int) -> dict[str, Array]:
    """Return every map of :data:`MAPS`, and the mean probability, (T, C, Y, X)."""

    def probabilities() -> Iterator[torch.Tensor]:
        for member in members:
            for draw_number in range(draws) if draws else [None]:
                yield member.probability(frames, draw_number)

    mean, aleatoric, epistemic = (m.numpy() for m in decompose(probabilities()))
    whole = entropy(torch.from_numpy(mean)).numpy()
    one = entropy(members[0].probability(frames).double()).numpy()
    share = np.where(whole >= DOUBT_FROM, epistemic / np.maximum(whole, DOUBT_FROM), 0)
    return dict(zip((*MAPS, "mean"), (aleatoric, epistemic, share, whole, one, mean), strict=True))


def look(clip: Clip, members: Sequence[Predictor], draws: int) -> dict[str, dict[str, float]]:
    """Return by map its level in the sector, and its rank correlation with the true entropy.

    The level is the mean; of the share, that over the pixels where there is doubt.
    """
    frames = np.asarray(clip.frames[:])
    latent = clip.rater("latent")
    classes = range(latent.shape[1])
    likely = np.stack([latent.read_planes(c) for c in classes], 1) / 100
    true = entropy(torch.from_numpy(likely)).numpy()
    found = maps(members, frames, draws)
    mean = found.pop("mean")
    asked = (likely >= LEAST) | (mean >= LEAST)  # elsewhere all agree that there is nothing
    sector = insonated(clip.meta.sector, clip.shape[1:])
    doubt = found[PLAIN][..., sector] >= DOUBT_FROM
    return {
        name: {
            "level": float(m[..., sector][doubt if name == SHARE else ...].mean()),
            FOLLOWS: float(spearmanr(m[..., sector].ravel(), true[..., sector].ravel()).statistic),
            FOLLOWS_THERE: float(spearmanr(m[asked], true[asked]).statistic),
        }
        for name, m in found.items()
    }


def scores(
    clips: Sequence[Clip], lacks: str, seen: Sequence[dict[str, dict[str, float]]]
) -> dict[str, dict[str, Array]]:
    """Return each map's two scores over all held-out patients, then over resamplings of them."""
    new = np.array([LACKS[lacks](c) for c in clips])
    names = sorted({c.meta.patient for c in clips})
    weights = draw(len(names))[:, [names.index(c.meta.patient) for c in clips]]
    found = {}
    for name in MAPS:
        known = weights[:, ~new]
        found[name] = {
            which: known @ np.array([s[name][which] for s in seen])[~new] / known.sum(1)
            for which in (FOLLOWS, FOLLOWS_THERE)
        }
        level = np.array([s[name]["level"] for s in seen])
        found[name][RISES] = presence_auroc(level, new, weights)
    return found


def measure(cohort: Cohort, folder: Path, lacks: str, members: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind of several models, map and score."""
    patients = sorted({cohort.clip(c).meta.patient for c in cohort.clips()})
    held_out = patients[: round(HELD_OUT * len(patients))]
    ensemble, dropped = learn(cohort, folder / "runs", lacks, held_out, members)
    clips = [c for c in map(cohort.clip, cohort.clips()) if c.meta.patient in held_out]
    new = sum(LACKS[lacks](c) for c in clips)
    for kind, models, draws in (
        (f"{members} members", ensemble, 0),
        (f"{DRAWS} draws", [dropped], DRAWS),
    ):
        found = scores(clips, lacks, [look(c, models, draws) for c in clips])
        for name, of in found.items():
            row = {"lacks": lacks, "by": kind, "map": name, "seen": len(clips) - new, "new": new}
            for score, values in of.items():
                row[score] = vars(Interval.of(values))
                row[score + GAIN] = vars(Interval.of(values - found[PLAIN][score]))
            yield row


def _shown(interval: dict[str, float]) -> str:
    return "{value:.3f} ({low:.3f} to {high:.3f})".format(**interval)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.uncertainty", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(tempfile.gettempdir(), "uncertainty")
    )
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    place = arguments.folder / "lung.zarr"
    if not clinical_path(place).exists():  # written last
        make_cohort(
            place,
            patients=arguments.patients,
            seed=53,
            frames=4,
            size=(96, 128),
            readers=("calibrated",),
        )
    cohort = Cohort.open(place)
    columns = [f"{score}{end}" for score in (FOLLOWS, FOLLOWS_THERE, RISES) for end in ("", GAIN)]
    table = Table("lacking", "by", "map", *columns)
    for lacks in LACKS:
        for row in measure(cohort, arguments.folder, lacks, arguments.members):
            if arguments.json:
                print(json.dumps(row), flush=True)
            table.add_row(
                f"{lacks} ({row['seen']} clips without, {row['new']} with)",
                row["by"],
                row["map"],
                *(_shown(row[c]) for c in columns),
            )
    if not arguments.json:
        Console().print(table)


if __name__ == "__main__":
    main()
