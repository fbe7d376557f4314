"""The longest block of the event loop while a work list of thousands of clips is opened and used."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.cohorts import PATTERNS, READERS, make, multiply
from napari_confseg.store import Cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TICK: Final = 1
"""Milliseconds between two looks at the clock in the event loop."""


class Blocks:
    """Gaps between ticks of a timer in the event loop: how long nothing else got its turn."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._last = time.perf_counter()
        self.gaps: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def begin(self) -> None:
        """Count from now on."""
        self.gaps, self._last = [], time.perf_counter()


def make_cohort(folder: Path, n_clips: int) -> str:
    """Make a cohort of `n_clips` on disk, most of them copies of the first few."""
    root = folder / "cohort.zarr"
    make(Cohort.create(root, name="bench"), min(PATTERNS, n_clips), folder / "state")
    multiply(root, n_clips)
    return str(root)


@contextmanager
def window(location: str) -> Iterator[tuple[Any, Any]]:
    """Give an Annotate panel in napari's window and its work list, nothing open."""
    import napari

    from napari_confseg.widgets.annotate.panel import AnnotatePanel
    from napari_confseg.widgets.annotate.worklist import WorkListPanel
    from napari_confseg.widgets.demo.hand import wait

    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1920, 1080)
    panel = AnnotatePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Annotate", area="right")
    panel.form.head.list.click()
    wait(500)
    yield panel, viewer.window._qt_window.findChildren(WorkListPanel)[0]
    panel.session.close_cohort()
    viewer.close()


def measure(location: str) -> None:
    """Print a row for each thing that a reader does with the list."""
    from qtpy.QtTest import QTest

    from napari_confseg.widgets.annotate.worklist_table import COLUMNS
    from napari_confseg.widgets.demo.hand import wait, wait_until

    with window(location) as (panel, work):
        blocks, session = Blocks(), panel.session

        def row(words: str, do: Callable[[], object], settle: int = 300) -> None:
            blocks.begin()
            began = time.perf_counter()
            do()
            wait(settle)
            took = time.perf_counter() - began
            longest, late = max(blocks.gaps), sum(gap > 0.05 for gap in blocks.gaps)
            print(f"| {words} | {1000 * longest:.0f} ms | {late} | {took:.1f} s |", flush=True)

        def read_all() -> None:
            wait_until(lambda: all(f.patient for f in session.worklist.facts.values()), 600)

        def scroll() -> None:
            bar = work.clips.verticalScrollBar()
            for step in range(100):
                bar.setValue(bar.maximum() * step // 99)
                wait(20)

        def sort() -> None:
            for column in COLUMNS[1:]:
                work._on_order(column.sort)
                wait(150)

        def type_words() -> None:
            for letter in ("c", "l", "i", "p", "-", "0", "1", "9"):
                QTest.keyClick(work.find, letter)
                wait(120)
            work.find.clear()

        print("| what | longest block | blocks over 50 ms | in all |\n|---|---|---|---|")
        row("nothing, for comparison", lambda: wait(1000))
        row(
            "open the cohort: list and first clip",
            lambda: panel.cohort_actions.open(location, READERS[0]),
        )
        row("scroll from end to end while it is read", scroll)
        row("sort by each column while it is read", sort)
        row("type in the filter while it is read", type_words)
        row("read the rest", read_all)
        row("scroll from end to end", scroll)
        row("sort by each column", sort)
        row("type in the filter", type_words)
        row(
            "next clip, ten times",
            lambda: [(panel.cohort_actions.step(1), wait(100)) for _ in range(10)],
        )
        row(
            "close the cohort, open it again",
            lambda: (
                panel.cohort_actions.close_cohort(),
                panel.cohort_actions.open(location, READERS[0]),
            ),
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000, help="of the cohort")
    parser.add_argument("--cohort", help="one that there is, in place of one made for this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ |= {
            "CONFSEG_CACHE_DIR": str(folder / "cache"),
            "CONFSEG_STATE_DIR": str(folder / "state"),
        }
        print(f"{arguments.clips} clips; {os.cpu_count()} cores")
        measure(arguments.cohort or make_cohort(folder, arguments.clips))


if __name__ == "__main__":
    main()
