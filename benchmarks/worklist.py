"""The longest block of the event loop while a long work list is opened and used.

Beside it the same with a list of a few clips: what napari itself takes to open one is in both. The
processor time of the window's thread is told too, which a busy machine does not change.
"""

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

FEW: Final = 4

TICK: Final = 1
"""Milliseconds between two looks at the clock in the event loop."""


class Blocks:
    """Gaps between ticks of a timer in the event loop: how long nothing else got its turn."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.gaps: list[float] = []  # seconds
        self.work: list[float] = []  # seconds of this thread on a processor, in each
        self._last = self._used = 0.0
        self.begin()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK)

    def _tick(self) -> None:
        now, used = time.perf_counter(), time.thread_time()
        self.gaps.append(now - self._last)
        self.work.append(used - self._used)
        self._last, self._used = now, used

    def begin(self) -> None:
        """Count from now on."""
        self.gaps, self.work = [], []
        self._last, self._used = time.perf_counter(), time.thread_time()


def make_cohort(folder: Path, n_clips: int) -> str:
    """Make a cohort of `n_clips` on disk, most of them copies of the first few."""
    folder.mkdir()
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
            longest, busiest = 1000 * max(blocks.gaps), 1000 * max(blocks.work)
            print(f"| {words} | {longest:.0f} ms | {busiest:.0f} ms | {took:.1f} s |", flush=True)

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

        def step() -> None:
            for _ in range(10):
                panel.cohort_actions.step(1)
                wait(100)

        print("| what | longest block | most work at once | in all |\n|---|---|---|---|")
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
        row("next clip, ten times", step)
        row("close the cohort", panel.cohort_actions.close_cohort)
        row("open it again", lambda: panel.cohort_actions.open(location, READERS[0]))


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
        few = make_cohort(folder / "few", FEW)
        many = arguments.cohort or make_cohort(folder / "many", arguments.clips)
        for location in (few, many):
            print(f"\n{len(Cohort.open(location).clips()):,} clips; {os.cpu_count()} cores\n")
            measure(location)


if __name__ == "__main__":
    main()
