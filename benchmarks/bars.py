"""What counts as holding: the default method of a study against its baselines.

``python -m benchmarks.bars STUDY...``

Fixed before the test of the default on people who had no say in it. For each rater group of the
studies, which are of the same patients, and each baseline that was run on it:

- **Dice over thresholds** of the contour output, and the **squared error** of the probability
  output, both against the study's reference;
- the default is *behind* where the 95 % interval of the paired difference, over resamplings of
  patients and seeds, lies wholly on the worse side. No correction for the number of comparisons:
  that would make it harder to be behind.

The default holds if it is behind nowhere, and its mean over groups is ahead of 50 % and of 60 % in
Dice over thresholds, the whole interval above 0.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_confseg.methods import DEFAULT, Method
from trainer.study.compare import EVERYBODY, Interval
from trainer.study.pooled import HIGHER, TITLES, Pooled, pool
from trainer.study.request import open_study, slug

if TYPE_CHECKING:
    from collections.abc import Sequence

BASELINES = ("threshold-50", "threshold-60", "soft")
AHEAD_OF = BASELINES[:2]
SCORES = ("threshold_dice", "squared_error")


@dataclass(frozen=True)
class Verdict:
    """The default against one baseline, on one group.

    Attributes
    ----------
    group, baseline, score : str
        What is compared; `group` may be all together, each counting the same.
    gain : Interval
        How much better (positive) the default is.
    """

    group: str
    baseline: str
    score: str
    gain: Interval

    @property
    def must_lead(self) -> bool:
        """Whether the default has to be ahead here, not only level."""
        leads = self.score == SCORES[0] and self.baseline in AHEAD_OF
        return self.group == EVERYBODY and leads

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return self.gain.low > 0 if self.must_lead else self.gain.high >= 0


def verdicts(pooled: Pooled | Sequence[Pooled], method: str) -> list[Verdict]:
    """Return `method` against each baseline, group by group and over all groups together."""
    studies = [pooled] if isinstance(pooled, Pooled) else pooled
    found = []
    for score in SCORES:
        sign = 1 if score in HIGHER else -1
        for baseline in BASELINES:
            gains = []
            for study in studies:
                for group in study.study.groups:
                    of = {c.method: c.mean(score) for c in study.of(group)}
                    if baseline in of:
                        gains.append(sign * (of[method] - of[baseline]))
                        found.append(Verdict(group, baseline, score, Interval.of(gains[-1])))
            if gains:
                mean = Interval.of(np.mean(gains, 0))
                found.append(Verdict(EVERYBODY, baseline, score, mean))
    return found


def _table(found: Sequence[Verdict]) -> Table:
    table = Table("group", "against", "score", "gain (95 %)", "holds")
    for v in found:
        gain = f"{v.gain.value:+.4f} ({v.gain.low:+.4f} to {v.gain.high:+.4f})"
        table.add_row(v.group, v.baseline, TITLES[v.score], gain, "yes" if v.holds else "NO")
    return table


def main() -> int:
    """Print the verdicts of the studies together; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bars", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY")
    parser.add_argument("--method", type=Method.parse, default=Method(name=DEFAULT))
    arguments = parser.parse_args()
    studies = [pool(folder, open_study(folder)) for folder in arguments.studies]
    found = verdicts(studies, slug(arguments.method))
    Console().print(_table(found))
    return 0 if all(v.holds for v in found) else 1


if __name__ == "__main__":
    sys.exit(main())
