"""Memory that a clip takes when every class is marked on every frame, and once it is closed.

``python -m benchmarks.memory [--frames 500] [--classes 12] [--json]``

A clip of 1024 x 768 in the Annotate panel, all its frames shown once, then closed. Making the
cohort and showing it are processes of their own, so that memory is the window's own.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_confseg.store import ClassSpec, ClipMeta, Cohort, Provenance

SHAPE = (768, 1024)


def make_cohort(place: Path, n_frames: int, n_classes: int) -> None:
    """Make the cohort: ellipses that wander, of a confidence that falls from its middle."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rng = np.random.default_rng(0)
    classes = [
        ClassSpec(index=i, name=f"c{i}", label=f"Class {i}", color="#d55e00")
        for i in range(n_classes)
    ]
    cohort = Cohort.create(place, name="bench", classes=classes)
    with cohort.new_clip("clip", shape=SHAPE) as new:
        for _ in range(n_frames):
            new.append(rng.integers(0, 256, SHAPE, np.uint8))
        times = tuple(t / 30 for t in range(n_frames))
        provenance = Provenance(source_sha256="0" * 64, decoder="benchmark")
        new.finish(ClipMeta(patient="p", frame_times=times, provenance=provenance))
    rater = cohort.clip("clip").create_rater("ada", kind="human")
    marks = []
    for c in range(n_classes):
        middle, size = (120 + 45 * c, 300 + 30 * c), (50 + 4 * c, 180)
        away = ((y - middle[0]) / size[0]) ** 2 + ((x - middle[1]) / size[1]) ** 2
        marks.append(np.where(away < 1, 90 - 10 * np.floor(4 * away), 0).astype(np.uint8))
    rater.write_each(
        (t, c, np.roll(marks[c], t % 200, axis=1))
        for t in range(n_frames)
        for c in range(n_classes)
    )
    rater.write_status(np.ones((n_frames, n_classes), np.uint8))


def show(place: str) -> dict[str, float]:
    """Open the clip, show every frame, close it; return megabytes at each point."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_confseg.widgets.annotate.panel import AnnotatePanel
    from napari_confseg.widgets.demo.hand import Hand

    viewer = napari.Viewer()
    panel = AnnotatePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Annotate", area="right")
    hand = Hand(viewer)
    hand.wait(1000)
    app: Any = QApplication.instance()

    def in_use() -> float:  # Linux alone tells what a process has now, beside the most it had
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def resident() -> float:
        gc.collect()
        return in_use()

    found = {"window without a clip": resident()}
    panel.cohort_actions.open(place, "ada")
    hand.wait(200)
    found["clip open"] = peak = resident()
    session = panel.session
    for t in range(len(session.status)):
        session.frame = t
        app.processEvents()
        peak = max(peak, in_use())
    found["most while every frame is shown"] = peak
    planes: Any = session.planes.values()
    found["of that the clip's planes"] = sum(p.held for p in planes) / 1e6
    del planes
    session.close_clip()
    hand.wait(500)
    found["clip closed"] = resident()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON and no table")
    parser.add_argument("--frames", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--classes", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--step", choices=("make", "show"), help=argparse.SUPPRESS)
    parser.add_argument("--cohort", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step == "make":
        make_cohort(Path(args.cohort), args.frames, args.classes)
        return
    if args.step == "show":
        print(json.dumps(show(args.cohort)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONFSEG_STATE_DIR"] = str(Path(folder, "state"))
        command = [sys.executable, "-m", "benchmarks.memory", "--cohort", f"{folder}/c.zarr"]
        command += ["--frames", str(args.frames), "--classes", str(args.classes)]
        subprocess.run([*command, "--step", "make"], check=True)
        done = subprocess.run([*command, "--step", "show"], check=True, stdout=subprocess.PIPE)
        found = json.loads(done.stdout.splitlines()[-1])
    found["the planes, were they arrays"] = args.frames * args.classes * SHAPE[0] * SHAPE[1] / 1e6
    if args.json:
        print(json.dumps(found, indent=2))
        return
    title = f"{args.frames} frames of 1024 x 768, {args.classes} classes, all marked"
    table = Table("", "MB", title=title)
    for name, megabytes in found.items():
        table.add_row(name, f"{megabytes:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
