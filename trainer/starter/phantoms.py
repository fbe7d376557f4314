"""The starter's samples: still frames of phantoms, made once and kept beside the run."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from napari_confseg.dataset.resample import Resampler
from napari_confseg.store import DEFAULT_CLASSES
from napari_confseg.store.durable import write_durably
from sample_data.screens import on_screen
from sample_data.variety import Phantom
from trainer.errors import TrainError
from trainer.records import Records
from trainer.samples import PackedFrames, PackedPlanes, Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.dataset.resample import Size

CLASSES = tuple(c.name for c in DEFAULT_CLASSES)
FOLDER = "phantoms"
VIEWS = 2
"""Frames of each phantom, each on a screen of its own: to make the phantom costs as many again."""

TOGETHER = 50
"""Phantoms in one file: some twenty seconds of work, which is what a stopped run loses at most."""

Part = Literal["training", "held-out", "validation"]
_STREAM: dict[Part, int] = {"training": 0, "held-out": 1, "validation": 2}


@dataclass(frozen=True)
class PhantomSet:
    """Phantoms by number; each is a function of the seed, the part and its number.

    Attributes
    ----------
    seed : int
        Of all of them.
    number : int
        How many.
    canvas : (int, int)
        Height and width of the frames.
    part : {"training", "held-out", "validation"}
        What they are for; those held out are looked at with settings that no other is.
    """

    seed: int
    number: int
    canvas: Size
    part: Part = "training"

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.number * VIEWS

    def paths(self, folder: Path) -> list[Path]:
        """Return where the files lie."""
        height, width = self.canvas
        return [
            folder / FOLDER / f"{self.part}-{self.seed}-{height}x{width}-{file:03d}.npz"
            for file in range(-(-self.number // TOGETHER))
        ]

    def make(
        self,
        folder: Path,
        on_progress: Callable[[int, int, str], None],
        cancelled: Callable[[], bool],
    ) -> bool:
        """Make the files that are not there yet; return False if it was stopped before the end."""
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for file, path in enumerate(self.paths(folder)):
            on_progress(file * TOGETHER, self.number, f"Making phantoms for {self.part}")
            if path.exists():
                continue
            if cancelled():
                return False
            last = min(self.number, (file + 1) * TOGETHER)
            frames, planes = zip(*self._views(range(file * TOGETHER, last)), strict=True)
            packed = io.BytesIO()
            np.savez_compressed(packed, frames=np.stack(frames), planes=np.stack(planes))
            write_durably(path, packed.getvalue())
        on_progress(self.number, self.number, f"Making phantoms for {self.part}")
        return True

    def _views(
        self, numbers: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Yield frame ``(H, W)`` and planes ``(C, H, W)`` of each view of some phantoms."""
        for number in numbers:
            rng = np.random.default_rng([self.seed, _STREAM[self.part], number])
            phantom = Phantom.draw(rng, held_out=self.part == "held-out")
            for view in phantom.views(rng, VIEWS):
                shown = on_screen(rng, view)
                height, width = shown.frame.shape
                resampler = Resampler.into((height, width), self.canvas)
                planes = np.stack([resampler.plane(plane) for plane in shown.percent])
                yield resampler.frame(shown.frame), planes

    def load(self, folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return frames ``uint8 (N, H, W)`` and planes ``uint8 (N, C, H, W)``, 255 beside a frame.

        Raises
        ------
        TrainError
            If a file is damaged, or of fewer phantoms.
        """
        parts = [_read(path) for path in self.paths(folder)]
        frames, planes = (np.concatenate(part) for part in zip(*parts, strict=True))
        if len(frames) != self.frames:
            raise TrainError(
                f"{folder / FOLDER} holds {len(frames) // VIEWS} phantoms for {self.part}, "
                f"and {self.number} were asked for",
                "Choose another folder with --out.",
            )
        return frames, planes


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["frames"], arrays["planes"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainError(
            f"{path} can't be read: {error}", "Remove it, and run the same command again."
        ) from error


def as_samples(parts: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Samples:
    """Return frames and planes of all parts as the samples of a fit, packed."""
    n = sum(len(frames) for frames, _ in parts)
    _, n_classes, height, width = parts[0][1].shape
    records = Records(n * (1 + n_classes))
    packed = PackedFrames(records, (n, height, width))
    planes = PackedPlanes(records, n, (n, n_classes, height, width))
    row = 0
    for frames, percents in parts:
        for frame, percent in zip(frames, percents, strict=True):
            packed.put(row, frame)
            blank = np.where(percent[0] > 100, percent[0], np.uint8(0))
            planes.put_blank(slice(row, row + 1), blank)
            for c, plane in enumerate(percent):
                planes.put(row, c, plane)
            row += 1
    return Samples(
        frames=packed,
        planes=planes,
        reviewed=torch.ones(n, n_classes, dtype=torch.bool),
        frame_of=torch.arange(n),
        clips=tuple(f"phantom-{i // VIEWS}" for i in range(n)),
        times=tuple(i % VIEWS for i in range(n)),
        rater_of=torch.zeros(n, dtype=torch.int64),
        raters=("latent",),
    )
