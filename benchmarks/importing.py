"""Import speed against bare PyAV decoding of the same file: each step of the way, as a ratio."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from napari_confseg.ingest import ImportOptions, import_sources
from napari_confseg.ingest.decoded import Source
from napari_confseg.ingest.video import read_video
from napari_confseg.ingest.worker import Decoder
from napari_confseg.store import Cohort

if TYPE_CHECKING:
    from collections.abc import Callable

CLIPS = Path(__file__).parents[1] / "sample_data" / "clips"
BARE = "PyAV: decode"
STEPS = (
    BARE,
    "PyAV: decode, to grey array",
    "read_video, here",
    "read_video, in its process",
    "import",
    "import, cropped (two passes)",
)


def make_large(path: Path, *, n: int = 200, shape: tuple[int, int] = (768, 1024)) -> Path:
    """Write an H.264 video of drifting speckle, the size that scanners export."""
    rng = np.random.default_rng(0)
    speckle = (rng.rayleigh(25, shape)).clip(0, 255).astype(np.uint8)
    speckle = (speckle + np.roll(speckle, 1, 0) + np.roll(speckle, 1, 1)) // 3
    speckle[:, :200] = speckle[:, -200:] = 0
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *shape, "yuv420p"
        for i in range(n):
            frame = av.VideoFrame.from_ndarray(np.roll(speckle, i, 0), "gray")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decode(path: Path, *, to_array: bool) -> None:
    """Decode with nothing of ours."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if to_array:
                frame.to_ndarray(format="gray")


def in_process(decoder: Decoder, path: Path) -> None:
    """Decode in the decoder process, and receive every frame."""
    for _ in decoder.read(Source("video", (str(path),))):
        pass


def best(work: Callable[[], object], times: int) -> float:
    """Return the best of some runs, in seconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def measure(path: Path, folder: Path, times: int) -> dict[str, float]:
    """Return seconds of each step for one video."""
    made = 0

    def cohort() -> Cohort:
        nonlocal made
        made += 1
        return Cohort.create(folder / f"{path.stem}-{made}.zarr", name="bench")

    with Decoder() as decoder:
        in_process(decoder, path)  # starting it costs once an import, and is counted there
        took = (
            best(lambda: decode(path, to_array=False), times),
            best(lambda: decode(path, to_array=True), times),
            best(lambda: list(map(type, read_video(str(path)))), times),
            best(lambda: in_process(decoder, path), times),
            best(lambda: import_sources([path], cohort(), ImportOptions(patient="p")), times),
            best(
                lambda: import_sources([path], cohort(), ImportOptions(patient="p", crop="sector")),
                times,
            ),
        )
    return dict(zip(STEPS, took, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--times", type=int, default=3, help="runs of each; the best counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        large = make_large(Path(folder) / "large.mp4")
        paths = [CLIPS / "lung-convex.mpeg", CLIPS / "lung-linear.mp4", large]
        results = {p.name: measure(p, Path(folder), arguments.times) for p in paths}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, steps in results.items():
        print(f"{name}")
        for step, seconds in steps.items():
            print(f"  {step:30s} {seconds:7.3f} s   {seconds / steps[BARE]:6.1f} x")


if __name__ == "__main__":
    main()
