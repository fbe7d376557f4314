"""A toy cohort that a tiny network learns in seconds: a bright disc and a bright bar."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.methods import Method
from napari_confseg.store import Cohort, Status
from tests.conftest import clip_meta
from trainer.records import Records
from trainer.samples import PackedFrames, PackedPlanes, Samples

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (32, 48)
FRAMES = 5
PLEURA, B_LINE = 0, 2


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def add_toy_clip(
    cohort: Cohort,
    name: str,
    patient: str,
    *,
    n_frames: int = FRAMES,
    shape: tuple[int, int] = SHAPE,
    **meta: Any,
) -> None:
    """A clip with a disc of confidence 90 (certain core) and 50 (rim), and a bar of 100."""
    rng = np.random.default_rng(sum(map(ord, name)))
    y, x = np.mgrid[: shape[0], : shape[1]]
    bar = np.abs(y - rng.integers(4, shape[0] - 4)) < 2
    cy, cx = rng.uniform(8, shape[0] - 8), rng.uniform(8, shape[1] - 16)
    planes = []
    with cohort.new_clip(name, shape=shape) as new:
        for t in range(n_frames):
            radius = np.hypot(y - cy, x - cx - t)
            frame = rng.normal(60, 15, shape) + 100 * (radius < 6) + 60 * bar
            new.append(frame.clip(0, 255).astype(np.uint8))
            disc = np.where(radius < 5, 90, np.where(radius < 7, 50, 0)).astype(np.uint8)
            planes.append((disc, (100 * bar).astype(np.uint8)))
        new.finish(clip_meta(n_frames, patient=patient).model_copy(update=meta))
    rater = cohort.clip(name).create_rater("reader-a", kind="human")
    for t, (disc, line) in enumerate(planes):
        rater.write_plane(t, B_LINE, disc)
        rater.write_plane(t, PLEURA, line)
    status = np.zeros((n_frames, len(cohort.meta.classes)), np.uint8)
    status[:, [PLEURA, B_LINE]] = Status.REVIEWED
    rater.write_status(status)


@pytest.fixture(scope="session")
def shared_toy(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Four patients with a clip each. Read it, don't write to it."""
    cohort = Cohort.create(tmp_path_factory.mktemp("toy") / "toy.zarr", name="toy")
    for i in range(4):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}")
    return cohort


@pytest.fixture
def toy(tmp_path: Path) -> Cohort:
    """As `shared_toy`, one's own."""
    cohort = Cohort.create(tmp_path / "toy.zarr", name="toy")
    for i in range(4):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}")
    return cohort


def request(cohort: Cohort, **changes: Any) -> FitRequest:
    """A short fit of the two classes."""
    fields: dict[str, Any] = {
        "cohort": cohort.location,
        "rater": "model-a",
        "classes": ("pleura", "b-line"),
        "method": Method(name="threshold", params={"t": 60}),
        "steps": 24,
        "threads": 1,
        "device": "cpu",
    }
    return FitRequest(**(fields | changes))


def packed(samples: Samples) -> Samples:
    """Samples of tensors as they are when read."""
    n, n_samples = len(samples.frames), len(samples.planes)
    records = Records(n + n_samples * samples.planes.shape[1])
    frames = PackedFrames(records, tuple(samples.frames.shape))
    planes = PackedPlanes(records, n, tuple(samples.planes.shape))
    planes.put_blank(slice(None), np.zeros(samples.planes.shape[2:], np.uint8))
    for i, frame in enumerate(samples.frames[:].numpy()):
        frames.put(i, frame)
    for row, of_sample in enumerate(samples.planes[:].numpy()):
        for c, plane in enumerate(of_sample):
            planes.put(row, c, plane)
    return replace(samples, frames=frames, planes=planes)


def run_folder(path: Path, cohort: Cohort, **changes: Any) -> RunFolder:
    return RunFolder.create(path, request(cohort, **changes))
