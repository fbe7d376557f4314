"""How much hand the tools save, and how well they carry on: on a synthetic clip with known truth.

The hand is a model, so that it is the same for every way of working:

- keystroke-level model (Card, Moran and Newell 1980): a key 0.28 s, a press or release of the
  button 0.1 s, hand to pen or keys not counted, 1.35 s of thought before each new mark and none
  for the ones that repeat it;
- pointing by Fitts' law, 0.1 + 0.15 log2(1 + distance / width) s, to targets 8 px wide;
- drawing by the steering law (Accot and Zhai 1997), 0.1 + 0.05 * length / width s, in a tunnel
  twice as wide as the brush is accurate.

It outlines every region (corners of the truth simplified to 1.5 px, each misplaced by 1 px) or,
with tools, clicks two points for a B-line and two for a piece of pleural line (misplaced by 1 px).
A frame is done when its marks' soft Dice with the truth (2 sum min / sum, confidence as a
fraction, over B-line and pleura together) is what that frame's own paint reaches; a clip is done
when the mean over frames reaches 0.9.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from skimage.measure import approximate_polygon, find_contours, label

from napari_confseg.annotate.suggestions import TAUGHT
from napari_confseg.annotate.tools.bands import b_line_band, pleura_band
from napari_confseg.annotate.tools.interpolation import between
from napari_confseg.annotate.tools.propagation import carried
from napari_confseg.annotate.tools.snapping import region_of
from napari_confseg.motion import small
from napari_confseg.readouts import Beams
from napari_confseg.suggest.client import ModelProcess
from napari_confseg.suggest.path import path_between
from napari_confseg.suggest.protocol import Suggest, Suggested
from sample_data.cohort import make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Planes = dict[int, NDArray[np.uint8]]

PLEURA, B_LINE = 0, 2
CLASSES = (PLEURA, B_LINE)
AIM = 0.9
KEY, BUTTON, THOUGHT = 0.28, 0.1, 1.35
TARGET_PX, TUNNEL_PX = 8.0, 6.0
SURE = 100


@dataclass
class Hand:
    """What a hand did, and how long it took."""

    rng: np.random.Generator
    strokes: int = 0
    keys: int = 0
    seconds: float = 0.0
    at: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def key(self, n: int = 1) -> None:
        """Press keys."""
        self.keys += n
        self.seconds += n * KEY

    def click(self, point: NDArray[np.float64]) -> tuple[float, float]:
        """Point and click; return where it landed."""
        distance = float(np.hypot(*(point - self.at)))
        self.seconds += 0.1 + 0.15 * np.log2(1 + distance / TARGET_PX) + 2 * BUTTON
        self.at = point + self.rng.normal(0, 1.0, 2)
        return float(self.at[0]), float(self.at[1])

    def outline(self, corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw round a region; return what was drawn."""
        self.click(corners[0])
        length = np.hypot(*np.diff(np.vstack([corners, corners[:1]]), axis=0).T).sum()
        self.seconds += 0.1 + 0.05 * float(length) / TUNNEL_PX
        drawn: NDArray[np.bool_] = region_of(
            corners + self.rng.normal(0, 1.0, corners.shape), shape
        )
        return drawn


@dataclass(frozen=True)
class Case:
    """A clip with its truth."""

    frames: NDArray[np.uint8]
    truth: Planes  # class -> (T, Y, X)
    beams: Beams


def soft_dice(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    total = float(found.sum(dtype=float) + truth.sum(dtype=float))
    return 2 * float(np.minimum(found, truth).sum(dtype=float)) / total if total else 1.0


def regions(plane: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    labels, n = label(plane > 0, connectivity=2, return_num=True)
    return [labels == k for k in range(1, n + 1) if (labels == k).sum() > 12]


def by_outline(case: Case, t: int, c: int, hand: Hand) -> NDArray[np.uint8]:
    """Outline every region of a class on a frame."""
    out = np.zeros(case.beams.shape, np.uint8)
    for region in regions(case.truth[c][t]):
        contour = max(find_contours(np.pad(region, 1).astype(float), 0.5), key=len) - 1
        hand.strokes += 1
        out[hand.outline(approximate_polygon(contour, 1.5)[:-1], out.shape)] = SURE
    return out


def click_places(
    c: int, depth: NDArray[np.float32], lateral: NDArray[np.float32]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return (depth, lateral) of the two clicks for the pixels of one region.

    A B-line: at its top, as far apart as it is wide on the way down, by the median. A piece of
    pleural line: its ends, at their middle depth.
    """
    if c == B_LINE:
        slices = np.unique(np.round(depth), return_inverse=True)[1]
        order = np.argsort(slices, kind="stable")
        parts = np.split(lateral[order], np.flatnonzero(np.diff(slices[order])) + 1)
        edges = [np.median([p.min() for p in parts]), np.median([p.max() for p in parts])]
        top = np.asarray(depth.min(), float)
        return [(top, np.asarray(edge, float)) for edge in edges]
    out = []
    for edge in np.percentile(lateral, [1, 99]):
        near = np.abs(lateral - edge) <= np.ptp(lateral) * 0.1 + 1e-9
        out.append((np.asarray(np.median(depth[near]), float), np.asarray(edge, float)))
    return out


def by_tools(case: Case, t: int, c: int, hand: Hand) -> NDArray[np.uint8]:
    """Two clicks for each region: edges of a B-line at its top, ends of a pleural line."""
    beams, out = case.beams, np.zeros(case.beams.shape, np.uint8)
    pixel = min(beams.step)
    for region in regions(case.truth[c][t]):
        y, x = np.nonzero(region)
        lateral, depth = beams.lateral[y, x], beams.depth[y, x]
        ends = [np.array(beams.place(*e)) for e in click_places(c, depth, lateral)]
        first, second = hand.click(ends[0]), hand.click(ends[1])
        hand.strokes += 1
        if c == B_LINE:
            band = b_line_band(beams, first, second, width=pixel, confidence=SURE)
        else:
            across = beams.width_at(float(np.median(depth)), 1.0)
            width = region.sum() * beams.pixel_area / max(np.ptp(lateral) / across, pixel)
            band = pleura_band(
                beams, first, second, width=float(width), confidence=SURE, frame=case.frames[t]
            )
        out = np.maximum(out, band)
    return out


def by_both(case: Case, t: int, c: int, hand: Hand) -> NDArray[np.uint8]:
    """Each class by what suits it: the pleura tool, and outlines of B-lines, which taper."""
    return (by_tools if c == PLEURA else by_outline)(case, t, c, hand)


def paint_frame(case: Case, t: int, paint: Callable[..., NDArray[np.uint8]], hand: Hand) -> Planes:
    hand.key()  # go to the frame
    out = {}
    for c in CLASSES:
        hand.key()  # choose the class
        hand.seconds += THOUGHT
        out[c] = paint(case, t, c, hand)
    return out


def frame_scores(case: Case, marks: dict[int, Planes]) -> NDArray[np.float64]:
    blank = {c: np.zeros(case.beams.shape, np.uint8) for c in CLASSES}
    return np.array(
        [
            soft_dice(
                np.stack([marks.get(t, blank)[c] for c in CLASSES]),
                np.stack([case.truth[c][t] for c in CLASSES]),
            )
            for t in range(len(case.frames))
        ]
    )


def fill_none(case: Case, keys: dict[int, Planes], hand: Hand) -> dict[int, Planes]:
    return dict(keys)


def fill_carried(case: Case, keys: dict[int, Planes], hand: Hand) -> dict[int, Planes]:
    """From each painted frame forward to the next one; the first also backward."""
    out, order = dict(keys), sorted(keys)
    for i, t in enumerate(order):
        stop = order[i + 1] if i + 1 < len(order) else len(case.frames)
        hand.key()
        for step in carried(case.frames, keys[t], t, steps=stop - t - 1, inside=case.beams.inside):
            out[step.frame] = dict(step.proposals)
    if order[0] > 0:
        hand.key()
        for step in carried(case.frames, keys[order[0]], order[0], steps=order[0], direction=-1):
            out[step.frame] = dict(step.proposals)
    return out


def fill_between(case: Case, keys: dict[int, Planes], hand: Hand) -> dict[int, Planes]:
    """Between neighbouring painted frames; copied beyond the last ones."""
    out, order = dict(keys), sorted(keys)
    for a, b in pairwise(order):
        hand.key()
        per_class = {c: list(between(keys[a][c], keys[b][c], b - a)) for c in CLASSES}
        for k in range(b - a - 1):
            out[a + k + 1] = {c: per_class[c][k] for c in CLASSES}
    for t in [*range(order[0]), *range(order[-1] + 1, len(case.frames))]:
        out[t] = keys[min(order, key=lambda o: abs(o - t))]
    return out


def work(
    case: Case,
    paint: Callable[..., NDArray[np.uint8]],
    fill: Callable[[Case, dict[int, Planes], Hand], dict[int, Planes]],
) -> dict[str, float]:
    """Paint more and more frames, evenly spread, until the clip reaches ``AIM``; count the last."""
    n = len(case.frames)
    counts = [n] if fill is fill_none else [c for c in (2, 3, 4, 5, 9, 17, 34, n) if c <= n]
    score, hand = 0.0, Hand(np.random.default_rng(0))
    for count in counts:
        hand = Hand(np.random.default_rng(0))
        frames = np.unique(np.linspace(0, n - 1, count).round().astype(int))
        keys = {int(t): paint_frame(case, int(t), paint, hand) for t in frames}
        score = float(frame_scores(case, fill(case, keys, hand)).mean())
        if score >= AIM:
            break
    return {
        "painted frames": len(frames),
        "strokes": hand.strokes,
        "keys": hand.keys,
        "seconds": round(hand.seconds, 1),
        "soft dice": round(score, 3),
    }


def carried_quality(case: Case, steps: tuple[int, ...] = (1, 2, 4, 8, 16)) -> dict[str, float]:
    """Dice with the truth of the truth itself, carried on; and of the truth left where it was."""
    out: dict[str, list[float]] = {}
    starts = range(0, len(case.frames) - max(steps), max(steps))
    for start in starts:
        planes = {c: case.truth[c][start] for c in CLASSES}
        for step in carried(case.frames, planes, start, steps=max(steps)):
            k = step.frame - start
            if k in steps:
                now = np.stack([case.truth[c][step.frame] > 0 for c in CLASSES])
                moved = np.stack([step.proposals[c] > 0 for c in CLASSES])
                still = np.stack([planes[c] > 0 for c in CLASSES])
                for name, found in (("carried", moved), ("left", still)):
                    dice = 2 * (found & now).sum() / max(found.sum() + now.sum(), 1)
                    out.setdefault(f"{name} {k}", []).append(float(dice))
    return {name: round(float(np.mean(v)), 3) for name, v in sorted(out.items())}


def make_case(folder: Path, frames: int) -> Case:
    cohort = make_cohort(
        folder / "tools.zarr", patients=3, clips_per_patient=1, frames=frames, seed=3, readers=()
    )
    best: Case | None = None
    for name in cohort.clips():
        clip = cohort.clip(name)
        truth = {c: clip.rater("truth").read_planes(c) for c in CLASSES}
        case = Case(np.asarray(clip.frames[:]), truth, Beams.of(clip.meta, clip.shape))
        if best is None or truth[B_LINE].any(axis=(1, 2)).sum() > (
            best.truth[B_LINE].any(axis=(1, 2)).sum()
        ):
            best = case
    assert best is not None
    return best


class Suggester:
    """The model that comes with the package: it learns from the marks, and carries them."""

    NAMES: ClassVar = {PLEURA: "pleura", B_LINE: "b-line"}
    BETWEEN: ClassVar = 17
    """Frames, evenly spread, on which a suggestion is accepted where the rest is interpolated."""

    def __init__(self) -> None:
        self._process = ModelProcess()

    def fill(self, case: Case, keys: dict[int, Planes], hand: Hand) -> dict[int, Planes]:
        """On every other frame what is suggested there is accepted, whole."""
        return self._accept(case, keys, range(len(case.frames)), hand)

    def fill_some(self, case: Case, keys: dict[int, Planes], hand: Hand) -> dict[int, Planes]:
        """Accept on some frames what is suggested there; the others are interpolated."""
        spread = np.linspace(0, len(case.frames) - 1, self.BETWEEN).round().astype(int)
        return fill_between(case, self._accept(case, keys, spread.tolist(), hand), hand)

    def _accept(
        self, case: Case, keys: dict[int, Planes], frames: Iterable[int], hand: Hand
    ) -> dict[int, Planes]:
        """Accept what is suggested, the frames next to painted ones first: two keys each.

        What is accepted teaches what comes next, as any marks do.
        """
        marks = dict(keys)
        for t in sorted(set(frames) - set(keys), key=lambda t: min(abs(t - k) for k in keys)):
            hand.key(2)
            of_class = self._suggested(case, keys, marks, t, hand.strokes)
            marks[t] = {
                c: np.where(case.beams.inside & (of_class[n] >= 50), of_class[n], np.uint8(0))
                for c, n in self.NAMES.items()
            }
        return marks

    def _suggested(
        self, case: Case, keys: dict[int, Planes], marks: dict[int, Planes], t: int, strokes: int
    ) -> dict[str, NDArray[np.uint8]]:
        near = sorted(marks, key=lambda k: abs(k - t))[:TAUGHT]
        given = [(i, c) for i, k in enumerate(near) for c in CLASSES if marks[k][c].any()]
        path = path_between([t], near)
        reduced = [small(case.frames[k]) for k in (path or (t,))]
        request = Suggest(
            model="starter",
            marks=tuple((i, self.NAMES[c]) for i, c in given),
            # Painted frames were looked at whole.
            reviewed=tuple(
                (i, self.NAMES[c]) for i, k in enumerate(near) if k in keys for c in CLASSES
            ),
            strokes=strokes,
            frames_at=(t,),
            taught_at=tuple(near),
            path_at=path,
            factor=reduced[0][1],
        )
        arrays = {
            "frames": case.frames[[t]],
            "taught": case.frames[near],
            "marks": np.stack([marks[near[i]][c] for i, c in given]),
        }
        if path:
            arrays["path"] = np.stack([frame for frame, _ in reduced])
        while True:
            answer = self._process.ask(request, arrays)
            assert answer is not None
            assert isinstance(answer.message, Suggested)
            if not answer.message.partial:
                percent = answer.arrays["percent"][0]
                return dict(zip(answer.message.classes, percent, strict=True))


SUGGESTER = Suggester()

WAYS = {
    "outline every frame": (by_outline, fill_none),
    "outline + propagation": (by_outline, fill_carried),
    "outline + interpolation": (by_outline, fill_between),
    "band tools every frame": (by_tools, fill_none),
    "band tools + propagation": (by_tools, fill_carried),
    "band tools + interpolation": (by_tools, fill_between),
    "pleura tool, outlines + propagation": (by_both, fill_carried),
    "pleura tool, outlines + interpolation": (by_both, fill_between),
    "outline + suggestions, each accepted": (by_outline, SUGGESTER.fill),
    "outline + suggestions + interpolation": (by_outline, SUGGESTER.fill_some),
    "pleura tool, outlines + suggestions + interpolation": (by_both, SUGGESTER.fill_some),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="hand needed with and without the tools")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        case = make_case(Path(folder), args.frames)
    rows = {name: work(case, *way) for name, way in WAYS.items()}
    quality = carried_quality(case)
    if args.json:
        print(json.dumps({"ways": rows, "propagation": quality}))
        return
    print(f"soft Dice {AIM} on {args.frames} frames, B-lines and pleura; a modelled hand\n")
    print(f"| {'way':51} | painted | strokes | keys | seconds | soft Dice |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name:51} | " + " | ".join(f"{v:g}" for v in row.values()) + " |")
    print(
        "\nDice with the truth after k frames: " + ", ".join(f"{k} {v}" for k, v in quality.items())
    )


if __name__ == "__main__":
    main()
