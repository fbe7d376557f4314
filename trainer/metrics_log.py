"""Log of a run's metrics in ``metrics.csv``."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from napari_confseg.store import StoreError
from napari_confseg.store.durable import write_durably
from napari_confseg.store.files import MIB, read_csv

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
        out = io.StringIO()
        csv.writer(out).writerows([self._columns, *self._kept(after)])
        write_durably(self._path, out.getvalue().encode())

    def _kept(self, after: int) -> list[list[str]]:
        # Events hold the metrics as well: a damaged table is begun anew.
        try:
            header, rows = read_csv(self._path, 64 * MIB)
            if after and list(header) == self._columns:
                return [list(row.values()) for _, row in rows if int(row["step"]) <= after]
        except (StoreError, OSError, ValueError):
            pass
        return []

    def add(self, step: int, values: dict[str, float | None]) -> None:
        """Append a row; what `values` lacks stays empty."""
        row = [step, *(values.get(name) for name in self._columns[1:])]
        with self._path.open("a", newline="", encoding="utf-8") as f:
            csv.writer(f).writerow(
                ["" if v is None else f"{v:.9g}" if isinstance(v, float) else v for v in row]
            )
