"""The pictures of the page on sample data: ``python -m sample_data.gallery FOLDER --clips CLIPS``.

Needs matplotlib (in the extras ``train`` and ``dataset``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import av
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from napari_confseg.store import DEFAULT_CLASSES
from sample_data.cohort import make_cohort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort

SEED = 5
SIZE = (360, 400)
VIDEOS = (".mp4", ".mov", ".mpeg", ".mpg", ".avi")
REAL_FRAMES = 4


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    p = argparse.ArgumentParser(
        prog="python -m sample_data.gallery",
        description="Draw the pictures of the sample data's page.",
        epilog="example:\n  python -m sample_data.gallery docs/images --clips path/to/real-clips",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("folder", type=Path, help="where sample-*.png go")
    p.add_argument("--clips", type=Path, help="folder of real videos to draw beside synthetic ones")
    p.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    mpl.use("Agg")
    mpl.rcParams.update({"figure.facecolor": "black", "text.color": "white", "font.size": 9})
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        cohort = make_cohort(
            Path(scratch) / "gallery.zarr",
            patients=6,
            seed=args.seed,
            frames=28,
            size=SIZE,
        )
        if args.clips:
            beside(cohort, args.clips, args.folder / "sample-vs-real.png")
        cine(cohort, args.folder / "sample-cine.png")
        readers(cohort, args.folder / "sample-readers.png")
    return 0


def _square(frame: NDArray[np.uint8], side: int = 360) -> NDArray[np.uint8]:
    """Return the middle of `frame`, cut to a square and padded with black."""
    h, w = frame.shape
    out = np.zeros((side, side), np.uint8)
    cut = frame[max(0, (h - side) // 2) :, max(0, (w - side) // 2) :][:side, :side]
    y, x = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    out[y : y + cut.shape[0], x : x + cut.shape[1]] = cut
    return out


def real_frames(folder: Path) -> list[NDArray[np.uint8]]:
    """Return a frame of each video in `folder`, about as fine as ours."""
    frames = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEOS):
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number == 30:
                    scale = 360 / max(frame.width, frame.height)
                    size = round(frame.width * scale), round(frame.height * scale)
                    small = frame.reformat(width=size[0], height=size[1], format="gray")
                    frames.append(small.to_ndarray().astype(np.uint8))
                    break
    return frames


def beside(cohort: Cohort, clips: Path, path: Path) -> None:
    """Draw real frames and synthetic ones in alternating rows."""
    real = [("real", f) for f in real_frames(clips)]
    names = cohort.clips()
    flat = [n for n in names if cohort.clip(n).meta.probe == "linear"][:1]
    curved = [n for n in names if cohort.clip(n).meta.probe == "convex"]
    chosen = (curved[:3] + flat + curved[3:])[: max(len(real), 1)]
    ours = [("synthetic", np.asarray(cohort.clip(n).frames[12])) for n in chosen]
    rows = []
    for i in range(0, len(ours), REAL_FRAMES):
        rows += [real[i : i + REAL_FRAMES], ours[i : i + REAL_FRAMES]]
    figure, axes = plt.subplots(len(rows), REAL_FRAMES, figsize=(12, 3.15 * len(rows)))
    for ax in axes.flat:
        ax.axis("off")
    for row, cells in zip(axes, rows, strict=True):
        for ax, (what, frame) in zip(row, cells, strict=False):
            ax.imshow(_square(frame), cmap="gray", vmin=0, vmax=255)
            ax.set_title(what, pad=3)
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _with_most(cohort: Cohort, wanted: Sequence[str]) -> Clip:
    """Return the clip that shows the most of the classes `wanted`."""
    indices = [cohort.meta.class_index(name) for name in wanted]

    def shown(clip: Clip) -> tuple[int, int]:
        rater = clip.rater("truth")
        areas = [int(np.count_nonzero(rater.read_plane(0, c))) for c in indices]
        return len([a for a in areas if a]), sum(areas)

    return max((cohort.clip(n) for n in cohort.clips()), key=shown)


def cine(cohort: Cohort, path: Path) -> None:
    """Draw a strip of one clip in time, and its M-mode."""
    clip = _with_most(cohort, ["a-line", "b-line"])
    frames = clip.frames[:]
    figure, axes = plt.subplots(1, 5, figsize=(14, 3))
    for ax, t in zip(axes, (0, 9, 18, 27), strict=False):
        ax.imshow(frames[t], cmap="gray", vmin=0, vmax=255)
        ax.set_title(f"{clip.meta.frame_times[t]:.1f} s", pad=3)
    column = frames.shape[2] // 2
    axes[4].imshow(frames[:, :, column].T, cmap="gray", vmin=0, vmax=255, aspect="auto")
    axes[4].set_title("M-mode of the middle column", pad=3)
    for ax in axes:
        ax.axis("off")
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def readers(cohort: Cohort, path: Path) -> None:
    """Draw one frame with its truth, its latent probability and what readers made of it."""
    clip = _with_most(cohort, ["consolidation", "a-line", "b-line", "rib"])
    t = 12
    frame = np.asarray(clip.frames[t], float) / 255
    figure, axes = plt.subplots(2, 3, figsize=(13, 8.2))
    names = [None, "truth", "latent", "reader-a", "reader-b", "reader-c"]
    for ax, name in zip(axes.flat, names, strict=True):
        picture = np.repeat(frame[..., None], 3, 2)
        if name is not None:
            rater = clip.rater(name)
            for spec in DEFAULT_CLASSES:
                share = 0.75 * rater.read_plane(t, spec.index)[..., None] / 100
                picture = (1 - share) * picture + share * np.array(mpl.colors.to_rgb(spec.color))
        ax.imshow(picture)
        ax.set_title("frame" if name is None else clip.rater(name).meta.label, pad=3)
        ax.axis("off")
    for i, spec in enumerate(DEFAULT_CLASSES):
        figure.text(0.02 + 0.16 * i, 0.008, f"■ {spec.label}", color=spec.color)
    figure.tight_layout(pad=0.8, rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
