"""Log of a run's metrics in ``metrics.csv``."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

METRICS = "metrics.csv"


class MetricsLog:
    """The table of a run's metrics.

    Parameters
    ----------
    folder : Path
        The run's folder.
    columns : sequence of str
        Names of the metrics; ``step`` comes first by itself.
    after : int
        Keep what is there up to this step: a fit that resumes does later steps again.
    """

    def __init__(self, folder: Path, columns: Sequence[str], after: int) -> None:
        self._path = folder / METRICS
        self._columns = ["step", *columns]
        kept: list[list[str]] = []
        if after and self._path.exists():
            with self._path.open(newline="", encoding="utf-8") as f:
                kept = [
                    row
                    for row in list(csv.reader(f))[1:]
                    if len(row) == len(self._columns) and int(row[0]) <= after
                ]
        with self._path.open("w", newline="", encoding="utf-8") as f:
            csv.writer(f).writerows([self._columns, *kept])

    def add(self, step: int, values: dict[str, float | None]) -> None:
        """Append a row; what `values` lacks stays empty."""
        row = [step, *(values.get(name) for name in self._columns[1:])]
        with self._path.open("a", newline="", encoding="utf-8") as f:
            csv.writer(f).writerow(
                ["" if v is None else f"{v:.9g}" if isinstance(v, float) else v for v in row]
            )
