"""How many readers without a confidence one reader with a confidence is worth.

``python -m benchmarks.worth FOLDER --pictures DIR [--patients 16]``

No model is fitted: maps of readers are compared with the share of other readers (real people) or
with the latent probability (simulated readers), in squared error and in Dice over thresholds. The
error of k readers falls as a + b / k, exactly so in the mean over all choices of readers; what a
map is worth is the k at which k readers without a confidence have its error. Intervals resample
pictures, or patients.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import rule
from benchmarks.people import WAYS, blurred, import_pictures, own_doubt, state
from napari_confseg.agreement.overlap import joint_histogram
from napari_confseg.report.figures import INK, LINE, PALETTE, drawing, save_png
from napari_confseg.store import Cohort
from sample_data import clinical_path, make_cohort
from trainer.study.compare import Interval
from trainer.study.pooled import draw
from trainer.study.scores import SCORES, mean_defined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainer.study.scores import Floats

PEOPLE = (1, 2, 3, 4, 5)
REFERENCE = 2
"""People of the reference; the others read."""
MOST = 3
"""Readers without a confidence, at most."""
READERS = tuple(range(1, MOST + 1))
WIDTHS = (1.5, 3.0, 5.0, 8.0)
"""Standard deviations, in pixels, of a contour that is stated to be doubtful by distance alone."""
KINDS = ("calibrated", "over-inclusive", "hasty")
"""Kinds of simulated readers, three of each."""
SIZE = (96, 128)
SQUARED, LEVELS = "squared_error", "threshold_dice"


class Tally:
    """Joint histograms of maps with their references, by map and by who is resampled."""

    def __init__(self, units: Sequence[str], classes: int) -> None:
        self.units = list(units)
        shape = (len(units), classes, 101, 101)
        self.tables: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(shape, np.int64))

    def add(
        self, name: str, unit: str, index: int, stated: Floats, reference: NDArray[np.uint8]
    ) -> None:
        """Count one map (percent, float) against its reference."""
        percent = np.rint(stated).astype(np.uint8)
        self.tables[name][self.units.index(unit), index] += joint_histogram(percent, reference)

    def value(self, name: str, score: str, weights: Floats) -> Floats:
        """Return a score for each weighting of the units, mean over classes."""
        sums = SCORES[score].sums(self.tables[name])
        return mean_defined(SCORES[score].value(np.tensordot(weights, sums, 1)))


def of_people(pictures: Cohort) -> Tally:
    """Compare all choices of two people as the reference and of those who read."""
    names = pictures.clips()
    tally = Tally(names, 1)
    for name in names:
        clip = pictures.clip(name)
        read = {
            (p, way): clip.rater(f"person{p}-{way}").read_plane(0, 0).astype(float)
            for p in PEOPLE
            for way in WAYS
        }
        edges = {p: [blurred(read[p, WAYS[0]] > 0, w) for w in WIDTHS] for p in PEOPLE}
        for reference in combinations(PEOPLE, REFERENCE):
            readers = tuple(p for p in PEOPLE if p not in reference)
            mean = np.mean([read[p, way] for p in reference for way in WAYS], 0)
            rest = np.rint(mean).astype(np.uint8)
            for k in range(1, MOST + 1):
                for chosen in combinations(readers, k):
                    for way in WAYS:
                        several = np.mean([read[p, way] for p in chosen], 0)
                        tally.add(f"{k}", name, 0, several, rest)
            everything = [read[p, way] for p in readers for way in WAYS]
            tally.add("six", name, 0, np.mean(everything, 0), rest)
            for p in readers:
                tally.add("twice", name, 0, np.mean([read[p, way] for way in WAYS], 0), rest)
                tally.add("own", name, 0, own_doubt(*(read[p, way] > 0 for way in WAYS)), rest)
                others = [read[q, way] for q in readers if q != p for way in WAYS]
                share = np.mean(others, 0)
                tally.add("exact", name, 0, share, rest)
                tally.add("honest", name, 0, state(share / 100, "honest").astype(float), rest)
                for width, edge in zip(WIDTHS, edges[p], strict=True):
                    tally.add(f"edge {width:g}", name, 0, edge, rest)
    tally.tables["edge"] = _best_elsewhere(tally, [pictures.clip(n).meta.tags[0] for n in names])
    return tally


def _best_elsewhere(tally: Tally, sets: Sequence[str]) -> NDArray[np.int64]:
    """Return the tables of the width that is best in squared error on the other sets' pictures."""
    found = np.zeros_like(tally.tables["1"])
    for held in set(sets):
        here = np.array([s == held for s in sets])
        errors = {
            w: tally.value(f"edge {w:g}", SQUARED, (~here).astype(float)[None])[0] for w in WIDTHS
        }
        best = min(WIDTHS, key=lambda w: errors[w])
        found[here] = tally.tables[f"edge {best:g}"][here]
    return found


def make_simulated(folder: Path, patients: int) -> Cohort:
    """Return a cohort of three simulated readers of each kind; make it if need be."""
    path = folder / "worth.zarr"
    if not clinical_path(path).exists():  # written last
        readers = tuple(kind for kind in KINDS for _ in range(MOST))
        make_cohort(path, patients=patients, seed=67, frames=4, size=SIZE, readers=readers)
    return Cohort.open(path)


def of_simulated(cohort: Cohort) -> dict[str, Tally]:
    """Compare each kind's three readers, with and without their confidence, with the latent."""
    clips = [cohort.clip(name) for name in cohort.clips()]
    patients = sorted({c.meta.patient for c in clips})
    classes = len(cohort.meta.classes)
    tallies = {}
    for number, kind in enumerate(KINDS):
        tally = tallies[kind] = Tally(patients, classes)
        names = [f"reader-{chr(97 + MOST * number + i)}" for i in range(MOST)]
        for clip in clips:
            raters = [clip.rater(n) for n in names]
            seen = np.logical_and.reduce([r.read_status()[:, 0] == 2 for r in raters])
            for c in range(classes):
                latent = clip.rater("latent").read_planes(c)[seen]
                planes = np.stack([r.read_planes(c)[seen] for r in raters]).astype(float)
                for k in range(1, MOST + 1):
                    for chosen in map(list, combinations(range(MOST), k)):
                        hard = 100 * (planes[chosen] >= 50).mean(0)
                        tally.add(f"{k}", clip.meta.patient, c, hard, latent)
                        stated = planes[chosen].mean(0)
                        tally.add(f"stated {k}", clip.meta.patient, c, stated, latent)
    return tallies


def worth(tally: Tally, name: str, weights: Floats, score: str) -> Floats:
    """Return to how many readers without a confidence a map is equal, for each weighting.

    In squared error by the line a + b / k; infinite where no number would do. In Dice over
    thresholds between the numbers that were tried, with 1 and 3 as bounds.
    """
    k = np.array(READERS)
    each = np.stack([tally.value(f"{n}", score, weights) for n in k])  # (MOST, B)
    mine = tally.value(name, score, weights)
    if score == LEVELS:
        pairs = zip(mine, each.T, strict=True)
        return np.array([np.interp(m, np.maximum.accumulate(e), k) for m, e in pairs])
    slope, start = np.polyfit(1 / k, each, 1)
    found: Floats = np.full(mine.shape, math.inf)
    np.divide(slope, mine - start, out=found, where=mine > start)
    return found


def table(tally: Tally, names: Sequence[str]) -> dict[str, dict[str, Interval]]:
    """Return the errors of some maps and what they are worth, with intervals."""
    weights = draw(len(tally.units), resamples=2000)
    rows = {}
    for name in names:
        rows[name] = {
            score: _interval(tally.value(name, score, weights)) for score in (SQUARED, LEVELS)
        }
        rows[name] |= {
            f"worth by {score}": _interval(worth(tally, name, weights, score))
            for score in (SQUARED, LEVELS)
        }
    return rows


def _interval(values: Floats) -> Interval:
    low, high = np.quantile(values[1:], [0.025, 0.975], method="nearest")  # infinity among them
    return Interval(float(values[0]), float(low), float(high))


def figure(parts: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Figure:
    """Draw the error of k readers without a confidence, and of one with, a plot a part."""
    with drawing(3.4 * len(parts), 3.6) as drawn:
        axes = np.atleast_1d(drawn.subplots(1, len(parts))).ravel()
    for ax, (title, found) in zip(axes, parts.items(), strict=True):
        errors = {name: row[SQUARED].times(1000) for name, row in found.items()}
        each = [errors.pop(f"{n}") for n in READERS]
        draw_readers(ax, each, {LABELS[name]: row for name, row in errors.items()})
        ax.set_ylim(0, 1.6 * ax.get_ylim()[1])  # room for the legend
        ax.set_title(title)
        ax.legend(frameon=False, fontsize=7, loc="upper right")
    axes[0].set_ylabel("squared error x 1000")
    return drawn


def draw_readers(ax: Axes, each: Sequence[Interval], rows: Mapping[str, Interval]) -> None:
    """Draw k readers without a confidence as points, and others, by label, as bands."""
    ax.errorbar(
        READERS,
        [r.value for r in each],
        [[r.value - r.low for r in each], [r.high - r.value for r in each]],
        fmt="o-",
        color=INK,
        ms=4,
        label="k readers without",
    )
    for i, (label, row) in enumerate(rows.items()):
        color = PALETTE[i % len(PALETTE)]
        ax.axhline(row.value, color=color, lw=1.4, label=label)
        ax.axhspan(row.low, row.high, color=color, alpha=0.1, lw=0)
    ax.set_xticks(READERS)
    ax.grid(axis="y", color=LINE, lw=0.6)
    ax.set_xlabel("readers without a confidence")


LABELS = {
    "twice": "one, two readings",
    "own": "one, two readings, blurred",
    "edge": "one, doubtful by distance",
    "honest": "what the others say, 30/60/90",
    "exact": "what the others say, exactly",
    "stated 1": "one with confidence",
    "stated 2": "two with confidence",
}
OF_PEOPLE = ("twice", "own", "edge", "honest", "exact")
OF_SIMULATED = ("stated 1", "stated 2")


def main() -> None:
    """Compare, and write ``worth.json`` and ``worth.png``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worth", description=__doc__)
    folder = Path(tempfile.gettempdir(), "study")
    parser.add_argument("folder", type=Path, nargs="?", default=folder)
    parser.add_argument("--pictures", type=Path, metavar="DIR", required=True)
    parser.add_argument("--patients", type=int, default=16, help="of the simulated cohort")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    people = of_people(import_pictures(arguments.folder / "pictures.zarr", arguments.pictures))
    parts: dict[str, tuple[Tally, Sequence[str]]] = {"Real people": (people, OF_PEOPLE)}
    for kind, tally in of_simulated(make_simulated(arguments.folder, arguments.patients)).items():
        parts[f"Simulated: {kind}"] = tally, OF_SIMULATED
    rows = {
        title: table(tally, [*map(str, READERS), *names]) for title, (tally, names) in parts.items()
    }
    plain = {
        t: {n: {s: (i.value, i.low, i.high) for s, i in r.items()} for n, r in found.items()}
        for t, found in rows.items()
    }
    (arguments.folder / "worth.json").write_text(json.dumps(plain, indent=1))
    save_png(figure(rows), arguments.folder / "worth.png")
    save_png(rule.matrices(people), arguments.folder / "rule.png")
    print("60 against 50, gain by form of the map, highest confidence stated, and size")
    print("\n".join(rule.rows(rule.of_maps(people))))
    for path in sorted(arguments.folder.glob("people-*/halves/report.html")):
        print(f"60 against 50, models of {path.parts[-3]}")
        print("\n".join(rule.rows(rule.of_models(path.parent))))
    for title, found in rows.items():
        print(title)
        for name, row in found.items():
            shown = (f"{s} {i.value:.4f} ({i.low:.4f} to {i.high:.4f})" for s, i in row.items())
            print(f"  {LABELS.get(name, name)}: {'; '.join(shown)}")


if __name__ == "__main__":
    main()
