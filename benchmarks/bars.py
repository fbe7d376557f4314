"""Bars that the default method has to clear on people, fixed before the test was run.

``python -m benchmarks.bars FOLDER --part people-develop [--default relative-threshold-50]``

reads the studies of :mod:`benchmarks.study` that lie in FOLDER/PART and says for each bar whether
it is held:

1. in Dice over thresholds the default is behind none of threshold 50, threshold 60 and soft, in no
   group of readers, beyond the interval;
2. in squared error (the Brier score against the share of other readers, but for a constant) the
   same is true of its probability output (``--probability`` names the method that writes it);
3. in the mean over groups it is ahead of threshold 50 and of threshold 60 in Dice over thresholds,
   beyond the interval.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.study.compare import Interval
from trainer.study.pooled import HIGHER, pool
from trainer.study.request import REQUEST, open_study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.study.pooled import Pooled
    from trainer.study.scores import Floats

BASELINES = ("threshold-50", "threshold-60", "soft")
AHEAD_OF = ("threshold-50", "threshold-60")
LEVELS, SQUARED = "threshold_dice", "squared_error"


@dataclass(frozen=True)
class Outcome:
    """How much better a method is than a baseline, and whether that clears the bar.

    `bar` is the number of the bar above; `gain` is positive where the method is better.
    """

    bar: int
    group: str
    baseline: str
    gain: Interval
    held: bool


def judge(studies: Sequence[Pooled], default: str, probability: str) -> list[Outcome]:
    """Hold the methods to each bar, in each group of studies of the same patients."""
    found: list[Outcome] = []
    gains: dict[str, list[Floats]] = {}
    for pooled in studies:
        for group in pooled.study.groups:
            cells = {c.method: c for c in pooled.of(group)}
            for baseline in (b for b in BASELINES if b in cells):
                for bar, score, method in ((1, LEVELS, default), (2, SQUARED, probability)):
                    sign = 1 if score in HIGHER else -1
                    gain = sign * (cells[method].mean(score) - cells[baseline].mean(score))
                    interval = Interval.of(gain)
                    found.append(Outcome(bar, group, baseline, interval, not interval.high < 0))
                    if bar == 1:
                        gains.setdefault(baseline, []).append(gain)
    for baseline in (b for b in AHEAD_OF if b in gains):
        interval = Interval.of(np.mean(gains[baseline], 0))
        found.append(Outcome(3, "mean of groups", baseline, interval, interval.low > 0))
    return found


def main() -> None:
    """Print each bar with its outcome."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bars", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", required=True, help="folder of the part's studies")
    parser.add_argument("--default", default="relative-threshold-50", metavar="METHOD")
    parser.add_argument("--probability", metavar="METHOD", help="default: the default itself")
    arguments = parser.parse_args()
    folders = sorted(p.parent for p in (arguments.folder / arguments.part).glob(f"*/{REQUEST}"))
    studies = [pool(folder, open_study(folder)) for folder in folders]
    outcomes = judge(studies, arguments.default, arguments.probability or arguments.default)
    for o in outcomes:
        value = f"{o.gain.value:+.4f} ({o.gain.low:+.4f} to {o.gain.high:+.4f})"
        print(f"{o.bar} {'held' if o.held else 'NOT held'}: {o.group} against {o.baseline} {value}")
    missed = sum(not o.held for o in outcomes)
    print(f"{len(outcomes) - missed} of {len(outcomes)} held")


if __name__ == "__main__":
    main()
