"""Suggestions while one paints: how good after a few strokes, how soon, and what the brush pays.

Dice: a synthetic clip with known truth; the model learns from the first k marks of a reader who
paints region by region, on frames spread over the clip, exactly. Scored on frames without marks,
as the mean over the classes of which they show something, at 50 %: what is suggested, the model
that learnt alone, the marks carried along with the picture from the nearest painted frame, and the
model as it was fitted. ``--stride n`` leaves all but every n-th frame out: the picture jumps.
Beside it how far off the percents are: of pixels suggested with 5 % or more, in tenths, the mean
distance of the share that is true from what was said, weighted by pixels.

Latency: the same requests to a real model process, from the stroke's end to the planes in hand,
which is what a window adds its drawing to. The brush: gaps between ticks of an event-loop-like
timer in this process, with the model busy and idle.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label

from napari_confseg.annotate.tools.propagation import carried
from napari_confseg.motion import small
from napari_confseg.suggest.client import ModelProcess
from napari_confseg.suggest.path import path_between
from napari_confseg.suggest.protocol import Suggest, Suggested
from sample_data.cohort import make_cohort

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store import Clip

STROKES = (0, 1, 2, 5, 10)
CLASSES = ("pleura", "b-line")
MODEL = "starter"
TICK = 0.005


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


class Reader:
    """Paints the truth of a clip region by region, on frames spread over it."""

    def __init__(self, clip: Clip, names: list[str], truth: str, stride: int = 1) -> None:
        rater = clip.rater(truth)
        self.frames = np.asarray(clip.frames[:])[::stride]
        self.truth = {n: rater.read_planes(names.index(n))[::stride] for n in CLASSES}
        self.small = [small(frame) for frame in self.frames]
        order = np.linspace(0, len(self.frames) - 1, 5).round().astype(int).tolist()
        self.strokes: list[tuple[int, str, NDArray[np.bool_]]] = []
        for t in [order[2], order[0], order[4], order[1], order[3]]:
            for n in CLASSES:
                pieces = label(self.truth[n][t] >= 50)
                for i in range(1, pieces.max() + 1):
                    if (pieces == i).sum() >= 20:
                        self.strokes.append((t, n, pieces == i))

    def marks(self, k: int) -> dict[tuple[int, str], NDArray[np.uint8]]:
        """Return planes by frame and class after k strokes."""
        planes: dict[tuple[int, str], NDArray[np.uint8]] = {}
        for t, n, where in self.strokes[:k]:
            plane = planes.setdefault((t, n), np.zeros(where.shape, np.uint8))
            plane[where] = self.truth[n][t][where]
        return planes


def ask(
    process: ModelProcess, reader: Reader, k: int, shown: list[int], *, moving: bool = True
) -> tuple[dict[str, NDArray[np.uint8]], float]:
    """Return what is suggested after k strokes, by class (n, Y, X), and the seconds it took.

    With `moving` the marks are carried as well, as far as one answer gets.
    """
    marks = reader.marks(k)
    frames = sorted({t for t, _ in marks})
    arrays: dict[str, Any] = {"frames": reader.frames[shown]}
    path = path_between(shown, frames) if moving else ()
    if frames:
        arrays |= {"taught": reader.frames[frames], "marks": np.stack(list(marks.values()))}
    if path:
        arrays["path"] = np.stack([reader.small[t][0] for t in path])
    request = Suggest(
        model=MODEL,
        marks=tuple((frames.index(t), n) for t, n in marks),
        strokes=k,
        frames_at=tuple(shown),
        taught_at=tuple(frames),
        path_at=path,
        factor=reader.small[0][1],
    )
    began = time.perf_counter()
    answer = process.ask(request, arrays)
    took = time.perf_counter() - began
    assert answer is not None
    assert isinstance(answer.message, Suggested)
    if answer.message.partial:
        return ask(process, reader, k, shown)[0], took
    percent = answer.arrays["percent"]
    return {n: percent[:, i] for i, n in enumerate(answer.message.classes)}, took


def ask_each(
    process: ModelProcess, reader: Reader, k: int, shown: list[int], *, moving: bool = True
) -> dict[str, NDArray[np.uint8]]:
    """Return what is suggested on frames, asked for one by one as they are looked at."""
    answers = [ask(process, reader, k, [t], moving=moving)[0] for t in shown]
    return {n: np.concatenate([a[n] for a in answers]) for n in CLASSES}


def carry(reader: Reader, k: int, shown: list[int]) -> dict[str, NDArray[np.uint8]]:
    """Return the marks of k strokes carried with the picture from the nearest painted frame."""
    marks = reader.marks(k)
    shape = reader.frames.shape[1:]
    found = {n: np.zeros((len(shown), *shape), np.uint8) for n in CLASSES}
    inside = np.ones(shape, np.bool_)
    for j, t in enumerate(shown):
        for i, n in enumerate(CLASSES):
            painted = sorted((f for f, m in marks if m == n), key=lambda f: abs(f - t))
            if not painted:
                continue
            f = painted[0]
            plane = {i: marks[f, n]}
            steps, way = abs(t - f), 1 if t > f else -1
            if not steps:
                continue
            for step in carried(reader.frames, plane, f, steps=steps, direction=way, inside=inside):
                if step.frame == t and step.proposals.get(i) is not None:
                    found[n][j] = step.proposals[i]
    return found


def quality(process: ModelProcess, readers: list[Reader]) -> list[dict[str, Any]]:
    """Return by number of strokes the Dice of each way, and how far off the percents are."""
    rows = []
    for k in STROKES:
        scores: dict[str, list[float]] = {}
        for reader in readers:
            taught = {t for t, _, _ in reader.strokes[:k]}
            shown = [t for t in range(1, len(reader.frames), 4) if t not in taught]
            ways = {
                "suggested": ask_each(process, reader, k, shown),
                "learnt": ask_each(process, reader, k, shown, moving=False),
                "carried": carry(reader, k, shown),
            }
            truth = {n: reader.truth[n][shown] >= 50 for n in CLASSES}
            there = [n for n in CLASSES if truth[n].any()]
            for way, made in ways.items():
                found = float(np.mean([dice(made[n] >= 50, truth[n]) for n in there]))
                scores.setdefault(way, []).append(found)
                off = float(np.mean([miscalibration(made[n], truth[n]) for n in there]))
                scores.setdefault(f"{way}, percents off by", []).append(off)
        rows.append({"strokes": k} | {w: round(float(np.mean(s)), 3) for w, s in scores.items()})
    return rows


def miscalibration(percent: NDArray[np.uint8], truth: NDArray[np.bool_]) -> float:
    """Return the mean distance of what was said, in tenths, from the share that is true."""
    said, true = percent[percent >= 5], truth[percent >= 5]
    if not len(said):
        return 0.0
    tenth = np.minimum(said // 10, 9)
    number = np.bincount(tenth, minlength=10)
    gap = np.bincount(tenth, said / 100, 10) - np.bincount(tenth, true.astype(float), 10)
    return float(np.abs(gap).sum() / number.sum())


def latency(process: ModelProcess, reader: Reader, repeats: int) -> dict[str, Any]:
    """Return milliseconds of requests with marks, and of ticks beside them and without."""
    for t in range(len(reader.frames)):  # what is seen in frames, and the ways between, are known
        ask(process, reader, 10, [t])
    gaps: dict[str, list[float]] = {"busy": [], "idle": []}
    took: list[float] = []
    stop = threading.Event()

    def work() -> None:
        for i in range(repeats):
            t = i % (len(reader.frames) - 2)
            # Other strokes each time: the head is fitted anew.
            took.append(ask(process, reader, 5 + i % 6, [t])[1])
        stop.set()

    thread = threading.Thread(target=work)
    thread.start()
    _tick(gaps["busy"], stop.is_set)
    thread.join()
    end = time.perf_counter() + 2
    _tick(gaps["idle"], lambda: time.perf_counter() > end)
    return {
        "latency_ms": _percentiles(took),
        "tick_ms_while_learning": _percentiles(gaps["busy"]),
        "tick_ms_idle": _percentiles(gaps["idle"]),
    }


def _tick(gaps: list[float], done: Any) -> None:
    last = time.perf_counter()
    while not done():
        time.sleep(TICK)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now


def _percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--stride", type=int, default=1, help="leave all but every n-th out")
    parser.add_argument("--repeats", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_cohort(
            Path(folder) / "c.zarr",
            patients=arguments.clips,
            frames=arguments.frames * arguments.stride,
            seed=arguments.seed,
            readers=(),
        )
        names = [c.name for c in cohort.meta.classes]
        readers = [Reader(cohort.clip(n), names, "truth", arguments.stride) for n in cohort.clips()]
        readers = [r for r in readers if len(r.strokes) >= max(STROKES)][: arguments.clips]
        process = ModelProcess()
        began = time.perf_counter()
        loaded = process.warm(MODEL)
        start = time.perf_counter() - began
        found = {
            "model": loaded.name,
            "version": loaded.version[:8],
            "start_s": round(start, 2),
            "frame": list(readers[0].frames.shape[1:]),
            "clips": len(readers),
            "dice": quality(process, readers),
            **latency(process, readers[0], arguments.repeats),
        }
        process.close()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
