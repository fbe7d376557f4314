"""Opening and scrolling a long clip, beside napari showing the same arrays without the plugin.

``python -m benchmarks.scrolling [--frames 2000] [--json]``

A clip of 1024 x 768 with 8 classes, all marked on every 20th frame. Plain napari gets the frames as
the same lazy array and the planes as numpy arrays, read beforehand by the plainest way there is:
``zarr.open_array(...)[:, c]`` would take minutes here, so its reading is left out of its time. Each
way runs in a process of its own, so that memory is its own, and in a window that was idle for two
seconds, which the panel uses to load what napari loads with its first layer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from skimage.filters import gaussian

from napari_confseg.store import ClassSpec, ClipMeta, Cohort, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE, N_CLASSES, EVERY = (768, 1024), 8, 20
PANEL = 420  # pixels beside the canvas, whichever way: its size decides what drawing takes
WAYS = ("plain napari", "the Annotate panel")


def make_cohort(place: Path, n_frames: int) -> None:
    """Make the cohort: speckle that slides, and marks."""
    rng = np.random.default_rng(0)
    speckle = [
        np.clip(60 + 160 * gaussian(rng.normal(size=SHAPE), 2), 0, 255).astype(np.uint8)
        for _ in range(8)
    ]
    classes = [
        ClassSpec(index=i, name=f"c{i}", label=f"Class {i}", color="#d55e00")
        for i in range(N_CLASSES)
    ]
    cohort = Cohort.create(place, name="bench", classes=classes)
    with cohort.new_clip("clip", shape=SHAPE) as new:
        for t in range(n_frames):
            new.append(np.roll(speckle[t % len(speckle)], t, axis=1))
        times = tuple(t / 30 for t in range(n_frames))
        provenance = Provenance(source_sha256="0" * 64, decoder="benchmark")
        new.finish(ClipMeta(patient="p", frame_times=times, provenance=provenance))
    rater = cohort.clip("clip").create_rater("ada", kind="human")
    status = np.zeros((n_frames, N_CLASSES), np.uint8)
    marks = np.zeros((N_CLASSES, *SHAPE), np.uint8)
    for c in range(N_CLASSES):
        marks[c, 100 + 60 * c : 150 + 60 * c, 200:800] = 60
    rater.write_each((t, c, marks[c]) for t in range(0, n_frames, EVERY) for c in range(N_CLASSES))
    status[::EVERY] = 1
    rater.write_status(status)


def show(way: str, place: str) -> dict[str, float]:
    """Open the clip in a window one way, scroll through it, and return what that took."""
    import napari
    from qtpy.QtWidgets import QApplication, QWidget

    from napari_confseg.widgets.annotate.panel import AnnotatePanel
    from napari_confseg.widgets.demo.hand import Hand

    viewer = napari.Viewer()
    if way == WAYS[0]:
        beside = QWidget()
    else:
        beside = panel = AnnotatePanel(viewer)
    beside.setFixedWidth(PANEL)  # so that both draw as much
    viewer.window.add_dock_widget(beside, name="Annotate", area="right")
    hand = Hand(viewer)
    hand.window.resize(1400, 900)
    hand.wait(2000)  # an idle moment: somebody looks for the clip to open
    app: Any = QApplication.instance()
    clip = Cohort.open(place).clip("clip")
    planes = clip.rater("ada").read_classes(range(N_CLASSES)) if way == WAYS[0] else None

    def open_plainly() -> None:
        viewer.add_image(clip.frames, contrast_limits=(0, 255))
        for plane in () if planes is None else planes:
            viewer.add_labels(plane)

    def shown(open_it: Callable[[], object]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        open_it()
        hand.canvas.repaint()
        app.processEvents()
        return time.perf_counter() - wall, time.process_time() - cpu

    if way == WAYS[0]:
        first = later = shown(open_plainly)
    else:
        first = shown(lambda: panel.cohort_actions.open(place, "ada"))
        later = shown(lambda: panel.session.open_clip("clip"))
    took = {
        "first open, wall s": first[0],
        "first open, CPU s": first[1],
        "a later one beside napari's first, wall s": later[0],
        "a later one beside napari's first, CPU s": later[1],
    }

    def step(t: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.thread_time()
        viewer.dims.set_current_step(0, t)
        hand.canvas.repaint()
        app.processEvents()
        return 1000 * (time.perf_counter() - wall), 1000 * (time.thread_time() - cpu)

    steps = [step(t) for t in range(1, 121)]
    took["next frame, wall ms"] = median(w for w, _ in steps)
    took["next frame, CPU ms of the window"] = median(c for _, c in steps)
    took["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    if way != WAYS[0]:
        panel.session.release()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON and no table")
    parser.add_argument("--frames", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--way", choices=(*WAYS, "make"), help=argparse.SUPPRESS)
    parser.add_argument("--cohort", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way == "make":
        make_cohort(Path(args.cohort), args.frames)
        return
    if args.way:
        print(json.dumps(show(args.way, args.cohort)))
        return
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONFSEG_STATE_DIR"] = str(Path(folder, "state"))
        # A process each, the making too: a child's peak memory begins with its parent's.
        command = [
            sys.executable,
            "-m",
            "benchmarks.scrolling",
            "--cohort",
            str(Path(folder, "c.zarr")),
            "--frames",
            str(args.frames),
        ]
        subprocess.run([*command, "--way", "make"], check=True)
        for way in WAYS:
            done = subprocess.run([*command, "--way", way], check=True, stdout=subprocess.PIPE)
            for name, value in json.loads(done.stdout.splitlines()[-1]).items():
                rows.setdefault(name, {})[way] = value
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("", *WAYS, "ratio", title=f"{args.frames} frames of 1024 x 768, 8 classes")
    for name, row in rows.items():
        plain, ours = (row[way] for way in WAYS)
        table.add_row(name, f"{plain:.2f}", f"{ours:.2f}", f"{ours / plain:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
