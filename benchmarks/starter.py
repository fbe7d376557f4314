"""How well the starter model, or any run, marks clips that somebody has judged as a whole.

``python -m benchmarks.starter FOLDER... [--run starter] [--findings CSV] [--sheet FILE]``

Clips are imported as the tool imports them. The table of findings has a column ``file`` and one
for each class that was judged, with 1, 0 or nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw

from napari_confseg.dataset.resample import Resampler
from napari_confseg.ingest.options import ImportOptions
from napari_confseg.ingest.pipeline import import_sources
from napari_confseg.ingest.sector import inside_mask
from napari_confseg.store import DEFAULT_CLASSES, Cohort
from trainer.errors import TrainError
from trainer.predict import Predictor
from trainer.starter.phantoms import PhantomSet
from trainer.starter.request import StarterRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip

FINDINGS = Path(__file__).with_name("starter_findings.csv")
FRAMES = 24
"""Frames of each clip that are looked at, evenly spaced."""
PRESENT = 50
MUCH = 0.01
"""Share of the sector from which marks count as a finding in a clip that has none."""
TILE, TITLE, SHOWN, COLUMNS = 190, 14, 2, 3
BATCH = 8


@dataclass(frozen=True)
class Marked:
    """What a model marked in one clip.

    Attributes
    ----------
    file : str
        Its file's name.
    area : dict
        Share of the sector marked with at least 50 %, by class, mean over frames.
    mean : dict
        Mean probability over the sector, by class.
    wide : dict
        Share of the sector's columns in which a class is marked, by class, mean over frames.
    """

    file: str
    area: dict[str, float]
    mean: dict[str, float]
    wide: dict[str, float]


def clips_of(folders: Sequence[Path], cohort: Cohort) -> Iterator[tuple[str, Clip]]:
    """Import each file by itself, for its name; yield the name and the clip."""
    files = [f for folder in folders for f in folder.rglob("*") if f.is_file()]
    for file in sorted(files, key=lambda f: f.name):
        report = import_sources([file], cohort, ImportOptions())
        for path, reason in report.refused:
            print(f"left out: {path}: {reason}", file=sys.stderr)
        for name in report.imported:
            yield file.name, cohort.clip(name)


def frames_of(clip: Clip) -> NDArray[np.uint8]:
    """Return some frames, ``uint8 (T, Y, X)``."""
    picks = np.unique(np.linspace(0, clip.shape[0] - 1, FRAMES).astype(int))
    return np.stack([np.asarray(clip.frames[int(t)]) for t in picks])


def sector_of(clip: Clip) -> NDArray[np.bool_]:
    """Return the sector, ``bool (Y, X)``; the whole frame where it is doubtful."""
    sector = clip.meta.sector
    if sector is None or sector.doubtful:
        return np.ones(clip.shape[1:], bool)
    return inside_mask(sector, (clip.shape[1], clip.shape[2])).astype(bool)


def measure(file: str, predictor: Predictor, clip: Clip, percent: NDArray[np.uint8]) -> Marked:
    """Return what is marked within the sector; `percent` is ``uint8 (T, C, Y, X)``."""
    inside = sector_of(clip)
    classes = predictor.config.classes
    present = (percent >= PRESENT) & inside
    columns = max(1, int(inside.any(0).sum()))
    area = present.sum((0, 2, 3)) / len(percent) / inside.sum()
    mean = percent[..., inside].mean((0, 2)) / 100
    wide = present.any(2).sum((0, 2)) / len(percent) / columns
    return Marked(
        file,
        *(
            {c: round(float(v), 5) for c, v in zip(classes, values, strict=True)}
            for values in (area, mean, wide)
        ),
    )


def predicted(predictor: Predictor, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return percents ``uint8 (T, C, Y, X)``, a few frames at a time."""
    parts = [predictor.percent(frames[i : i + BATCH]) for i in range(0, len(frames), BATCH)]
    return np.concatenate(parts)


def read_findings(path: Path) -> dict[str, dict[str, bool]]:
    """Return what is known of each file, by class."""
    with path.open(newline="", encoding="utf-8") as f:
        return {
            row["file"]: {k: v == "1" for k, v in row.items() if k != "file" and v in ("0", "1")}
            for row in csv.DictReader(f)
        }


def auroc(scores: Sequence[float], present: Sequence[bool]) -> float | None:
    """Return the area under the ROC curve; None unless there are both kinds."""
    if len(set(present)) < 2:
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(present, scores))


def summary(
    marked: Sequence[Marked], findings: Mapping[str, Mapping[str, bool]]
) -> dict[str, dict[str, float | int | None]]:
    """Return, for each class that was judged, how marks and judgements agree."""
    found: dict[str, dict[str, float | int | None]] = {}
    for c in marked[0].area if marked else ():
        judged = [(m, findings[m.file][c]) for m in marked if c in findings.get(m.file, {})]
        if not judged:
            continue
        present = [p for _, p in judged]
        without = [m for m, p in judged if not p]
        shown = [m for m, p in judged if p]
        found[c] = {
            "with": len(shown),
            "without": len(without),
            "auroc by area": auroc([m.area[c] for m, _ in judged], present),
            "auroc by mean": auroc([m.mean[c] for m, _ in judged], present),
            "with, marked": sum(m.area[c] > MUCH for m in shown),
            "without, marked": sum(m.area[c] > MUCH for m in without),
        }
    return found


COLORS = {
    c.name: np.array([int(c.color[i : i + 2], 16) for i in (1, 3, 5)]) for c in DEFAULT_CLASSES
}


def tiles(
    title: str,
    classes: Sequence[str],
    frames: NDArray[np.uint8],
    percent: NDArray[np.uint8],
) -> Image.Image:
    """Return some frames, each plain and with marks as strong as they are sure."""
    out = Image.new("RGB", (2 * SHOWN * TILE, TILE + TITLE), (24, 24, 24))
    ImageDraw.Draw(out).text((2, 0), title, fill=(235, 235, 235))
    picks = np.linspace(0, len(frames) - 1, SHOWN + 2).astype(int)[1:-1]
    for i, t in enumerate(picks):
        resampler = Resampler.into((frames.shape[1], frames.shape[2]), (TILE, TILE))
        grey = resampler.frame(frames[t])
        colored = np.repeat(grey[..., None], 3, 2).astype(float)
        for c, name in enumerate(classes):
            plane = resampler.plane(percent[t, c], 0)
            share = np.where(plane >= PRESENT, plane / 200, 0)[..., None]
            colored = colored * (1 - share) + COLORS.get(name, 200) * share
        out.paste(Image.fromarray(grey), (2 * i * TILE, TITLE))
        marks = Image.fromarray(colored.astype(np.uint8))
        out.paste(marks, ((2 * i + 1) * TILE, TITLE))
    return out


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return all clips on one picture."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // COLUMNS)
    out = Image.new("RGB", (COLUMNS * (width + 6), rows * (height + 6)), (60, 60, 60))
    for i, picture in enumerate(pictures):
        out.paste(picture, (i % COLUMNS * (width + 6), i // COLUMNS * (height + 6)))
    return out


def speed(predictor: Predictor, frames: NDArray[np.uint8]) -> float:
    """Return frames a second of processor time, with scaling there and back."""
    predictor.percent(frames[:BATCH])
    begin = time.process_time()
    predicted(predictor, frames)
    return len(frames) / (time.process_time() - begin)


def on_phantoms(predictor: Predictor, phantoms: int) -> dict[str, float | None]:
    """Return soft Dice by class, on settings that were held out of training, and frames' AUROC."""
    canvas = predictor.config.canvas
    held = PhantomSet(StarterRequest().seed, phantoms, canvas, "held-out")
    with tempfile.TemporaryDirectory() as folder:
        held.make(Path(folder), lambda *_: None, lambda: False)
        frames, planes = held.load(Path(folder))
    percent = predicted(predictor, frames)
    known = planes <= 100
    p, y = np.where(known, percent, 0) / 100.0, np.where(known, planes, 0) / 100.0
    found: dict[str, float | None] = {}
    for c, name in enumerate(predictor.config.classes):
        total = (p[:, c] + y[:, c]).sum()
        apart = np.abs(p[:, c] - y[:, c]).sum()
        found[f"dice {name}"] = float(1 - apart / total) if y[:, c].any() else None
        shown = ((y[:, c] >= 0.5).mean((1, 2)) > 0.002).tolist()
        found[f"auroc {name}"] = auroc(p[:, c].mean((1, 2)).tolist(), shown)
    return found


def report(
    marked: Sequence[Marked], findings: Mapping[str, Mapping[str, bool]], classes: Sequence[str]
) -> str:
    """Return the measurements as tables in Markdown."""
    judged = {m.file: findings.get(m.file, {}) for m in marked}
    lines = [
        "| clip | judged | " + " | ".join(f"{c} %" for c in classes) + " | pleura, % of columns |",
        "|---|---|" + "---:|" * (len(classes) + 1),
    ]
    for m in marked:
        said = ", ".join(f"{'' if p else 'no '}{c}" for c, p in judged[m.file].items())
        cells = [f"{100 * m.area[c]:.1f}" for c in classes]
        lines.append(
            f"| {m.file} | {said} | " + " | ".join(cells) + f" | {100 * m.wide['pleura']:.0f} |"
        )
    lines += [
        "",
        "| class | clips with, without | AUROC by area, by mean | marked over 1 %: with, without |",
        "|---|---|---|---|",
    ]
    for c, s in summary(marked, findings).items():
        both = ", ".join(
            "-" if s[k] is None else f"{s[k]:.2f}" for k in ("auroc by area", "auroc by mean")
        )
        lines.append(
            f"| {c} | {s['with']}, {s['without']} | {both} | "
            f"{s['with, marked']}, {s['without, marked']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="of clips")
    parser.add_argument("--run", default="starter", help="folder of a run; the shipped model")
    parser.add_argument("--findings", type=Path, default=FINDINGS, metavar="CSV")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="picture of all, with marks")
    parser.add_argument("--phantoms", type=int, default=50, help="held-out phantoms; 0 for none")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    predictor = Predictor.load(arguments.run, "cpu")
    classes = predictor.config.classes
    if "pleura" not in classes:
        raise TrainError("The model doesn't know the pleura", "Name a run that learnt it.")
    findings = read_findings(arguments.findings)
    marked, pictures, fps, shape = [], [], 0.0, (0, 0)
    with tempfile.TemporaryDirectory() as folder:
        cohort = Cohort.create(Path(folder) / "clips.zarr", name="clips")
        for file, clip in clips_of(arguments.folders, cohort):
            frames = frames_of(clip)
            percent = predicted(predictor, frames)
            if not fps:
                fps, shape = speed(predictor, frames), (clip.shape[1], clip.shape[2])
            marked.append(measure(file, predictor, clip, percent))
            if arguments.sheet:
                said = findings.get(file, {})
                words = ", ".join(f"{'' if p else 'no '}{c}" for c, p in said.items())
                pictures.append(tiles(f"{file}: {words}", classes, frames, percent))
    if pictures:
        arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet(pictures).save(arguments.sheet, quality=82)
    held = on_phantoms(predictor, arguments.phantoms) if arguments.phantoms else {}
    if arguments.json:
        clips = [asdict(m) for m in marked]
        totals = summary(marked, findings)
        print(json.dumps({"clips": clips, "classes": totals, "held out": held, "fps": fps}))
        return
    if marked:
        print(report(marked, findings, classes))
        print(f"\n{fps:.0f} frames a second of one core's time, of {shape[1]} x {shape[0]}")
    for name, value in held.items():
        print(f"held-out phantoms, {name}: {'-' if value is None else f'{value:.3f}'}")


if __name__ == "__main__":
    main()
