"""Which consensus is nearest to a known truth, and to the probability that was there to be seen.

Synthetic cohorts whose truth and latent probability are known, several panels of simulated readers.
Errors are mean squared differences over pixels that anybody marked or the latent probability of
which is over 5 %, a clip and class at a time; differences to the calibrated consensus with 95 %
intervals from resampling patients. Run with ``--patients 12 --seed 5 --json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.agreement.consensus import estimate, merge, threshold_codes
from napari_confseg.agreement.intervals import mean_estimate
from napari_confseg.agreement.methods import METHODS
from napari_confseg.agreement.overlap import joint_histogram, soft_dice
from napari_confseg.agreement.patterns import CODES, Collector
from napari_confseg.agreement.rater_view import planes_of, rater_views
from sample_data import make_cohort

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.store import Cohort

KINDS = ("calibrated", "over-inclusive", "over-confident", "one-value", "lazy")
PANELS = {
    "all five": "abcde",
    "calibrated, over-inclusive, over-confident": "abc",
    "calibrated, over-inclusive, lazy": "abe",
    "without the calibrated": "bcde",
    "calibrated, one-value, lazy": "ade",
}


def score_panel(cohort: Cohort, raters: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one row per method, class and clip."""
    rows = []
    for index, spec in enumerate(cohort.meta.classes):
        rules = {}
        for method in METHODS:
            collector = Collector(raters, threshold_codes(50) if method == "staple" else CODES)
            for clip_name in cohort.clips():
                collector.add_clip(cohort.clip(clip_name), index, least=2)
            rules[method], _ = estimate(method, collector.patterns())
        for clip_name in cohort.clips():
            rows += score_clip(cohort, clip_name, index, spec.name, raters, rules)
    return rows


def score_clip(
    cohort: Cohort,
    clip_name: str,
    index: int,
    class_name: str,
    raters: tuple[str, ...],
    rules: Mapping[Any, Any],
) -> list[dict[str, Any]]:
    """Return one row per method."""
    clip = cohort.clip(clip_name)
    panel = rater_views(clip, raters)
    truth, latent = clip.rater("truth"), clip.rater("latent")
    sums = {m: np.zeros(3) for m in rules}
    tables = {m: np.zeros((101, 101), np.int64) for m in rules}
    for frame in range(clip.shape[0]):
        planes = planes_of(panel, frame, index, clip.shape[1:])
        if len(planes) < 2:
            continue
        exact, likely = truth.read_plane(frame, index), latent.read_plane(frame, index)
        where = np.logical_or.reduce([p > 0 for p in planes.values()]) | (likely > 5) | (exact > 0)
        for method, rule in rules.items():
            combined = merge(raters, planes, rule)
            x, t, p = (v[where] / 100 for v in (combined, exact, likely))
            sums[method] += [x.size, ((x - p) ** 2).sum(), ((x - t) ** 2).sum()]
            tables[method] += joint_histogram(combined, likely)
    return [
        {
            "method": m,
            "patient": clip.meta.patient,
            "class": class_name,
            "latent": s[1] / s[0] if s[0] else np.nan,
            "truth": s[2] / s[0] if s[0] else np.nan,
            "soft_dice": soft_dice(tables[m]),
        }
        for m, s in sums.items()
    ]


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return mean of each measure per method, and its paired difference to calibrated."""
    found: dict[str, dict[str, Any]] = {}
    own = [r for r in rows if r["method"] == "calibrated"]
    for method in dict.fromkeys(r["method"] for r in rows):
        mine = [r for r in rows if r["method"] == method]
        patients = [r["patient"] for r in mine]
        found[method] = {
            key: (
                mean_estimate([r[key] for r in mine], patients),
                mean_estimate([r[key] - c[key] for r, c in zip(mine, own, strict=True)], patients),
            )
            for key in ("latent", "truth", "soft_dice")
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_cohort(
            Path(folder) / "lung.zarr",
            patients=args.patients,
            seed=args.seed,
            clips_per_patient=1,
            frames=args.frames,
            size=(160, 200),
            readers=KINDS,
        )
        results = {
            title: summarise(score_panel(cohort, tuple(f"reader-{x}" for x in who)))
            for title, who in PANELS.items()
        }
    if args.json:
        plain = {
            t: {m: {k: [vars(e) for e in pair] for k, pair in row.items()} for m, row in r.items()}
            for t, r in results.items()
        }
        print(json.dumps(plain))
        return
    print(
        "mean squared error to the latent probability and to the truth, soft Dice with the latent"
    )
    for title, result in results.items():
        print(
            f"\n{title}\n{'':27s}{'to latent':>10s}  {'minus calibrated':28s}{'to truth':>9s}"
            f"  {'minus calibrated':28s}{'soft Dice':>9s}"
        )
        for method, row in result.items():
            cells = [
                f"{row[k][0].value:9.4f}  {_difference(row[k][1]):28s}" for k in ("latent", "truth")
            ]
            print(f"{method:27s}{''.join(cells)}{row['soft_dice'][0].value:9.3f}")


def _difference(d: Any) -> str:
    return f"{d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f})"


if __name__ == "__main__":
    main()
