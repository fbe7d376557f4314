"""Commands over a whole cohort, cold and warm, and their requests in a bucket."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import numpy as np

from napari_confseg.store import (
    ClipMeta,
    Cohort,
    Edit,
    Patch,
    Provenance,
    RaterWriter,
    Status,
    StatusChange,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAMES, SHAPE, READERS, PATTERNS = 16, (120, 160), ("ann", "bea"), 10
COMMANDS = ("status", "validate", "agree")


def paint(cohort: Cohort, clip: str, reader: str, seed: int, state: Path) -> None:
    """Let a reader mark two classes on five frames and review all."""
    rng = np.random.default_rng(seed)
    with RaterWriter.open(cohort, clip, reader, journal_root=state) as writer:
        for frame in range(0, 15, 3):
            for c in (1, 2):
                y, x = (int(v) for v in rng.integers(0, 60, 2))
                after = np.full((40, 30), int(rng.choice([30, 60, 90])), np.uint8)
                patch = Patch(c, frame, y, x, np.zeros_like(after), after)
                writer.commit(Edit((patch,), 60, "brush", c, frame))
        changes = tuple(
            StatusChange(f, c, Status.UNTOUCHED, Status.REVIEWED)
            for f in range(FRAMES)
            for c in (0, 3, 4, 5)
        )
        writer.commit(Edit((), 0, "status", 0, 0, changes))


def make(cohort: Cohort, n_clips: int, state: Path) -> None:
    """Add `n_clips` clips that two readers have read."""
    rng = np.random.default_rng(0)
    for number in range(n_clips):
        name = f"clip-{number:05}"
        with cohort.new_clip(name, shape=SHAPE) as new:
            for _ in range(FRAMES):
                new.append(rng.integers(0, 255, SHAPE, dtype=np.uint8) // 16 * 16)
            times = tuple(i / 20 for i in range(FRAMES))
            provenance = Provenance(source_sha256="0" * 64, decoder="-")
            new.finish(ClipMeta(patient=f"p{number}", frame_times=times, provenance=provenance))
        for n, reader in enumerate(READERS):
            paint(cohort, name, reader, 10 * number + n, state)


def multiply(root: Path, n_clips: int) -> None:
    """Copy the first clips until there are `n_clips`; each of another patient, two a patient."""
    for number in range(PATTERNS, n_clips):
        clip = root / f"clip-{number:05}"
        shutil.copytree(root / f"clip-{number % PATTERNS:05}", clip)
        node = json.loads((clip / "zarr.json").read_text())
        node["attributes"]["confseg"]["patient"] = f"p{number // 2}"
        (clip / "zarr.json").write_text(json.dumps(node))


def seconds(command: str, location: str) -> float:
    """Return how long ``confseg COMMAND`` takes, from start to end."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "napari_confseg", command, location],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{command} failed: {done.stdout[-2000:]}")
    return time.perf_counter() - began


def measure_folder(folder: Path, n_clips: int) -> None:
    """Print cold and warm times of each command on this disk."""
    root = folder / "cohort.zarr"
    cohort = Cohort.create(root, name="bench")
    make(cohort, min(PATTERNS, n_clips), folder / "state")
    multiply(root, n_clips)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "napari_confseg", "--version"], stdout=subprocess.PIPE)
    print(f"{n_clips} clips of {FRAMES} frames, {len(READERS)} readers; {os.cpu_count()} cores")
    print(f"| start of the program alone | {time.perf_counter() - began:.1f} s |")
    print("| command | cold | warm |\n|---|---|---|")
    for command in COMMANDS:
        cold, warm = (seconds(command, str(root)) for _ in range(2))
        print(f"| {command} | {cold:.1f} s | {warm:.1f} s |", flush=True)


@contextmanager
def bucket(folder: Path) -> Iterator[Path]:
    """Run an S3 server on this machine; give its log, a line a request."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / "requests.log"
    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    code = "import sys; from moto.server import main; main(sys.argv[1:])"
    with log.open("wb") as out:
        command = [sys.executable, "-W", "ignore", "-c", code, "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            _wait_for(f"{url}/moto-api/")
            yield log
        finally:
            server.kill()
            server.wait()


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the S3 server did not start")


def requests_in(log: Path) -> int:
    """Return how many requests the server has answered."""
    return len(re.findall(rb'"(?:GET|PUT|POST|HEAD|DELETE) ', log.read_bytes()))


def measure_bucket(folder: Path, n_clips: int) -> None:
    """Print the requests of each command in a bucket."""
    import boto3

    with bucket(folder) as log:
        client: Any = boto3.client("s3")
        client.create_bucket(Bucket="benchmark-bucket")
        location = "s3://benchmark-bucket/cohort.zarr"
        make(Cohort.create(location, name="bench"), n_clips, folder / "state")
        print("\n| command, in a bucket | requests a clip, cold | warm |\n|---|---|---|")
        for command in COMMANDS:
            counts = []
            for _ in range(2):
                before = requests_in(log)
                seconds(command, location)
                counts.append((requests_in(log) - before) / n_clips)
            print(f"| {command} | {counts[0]:.1f} | {counts[1]:.1f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=500, help="of the cohort on disk")
    parser.add_argument("--bucket-clips", type=int, default=20, help="of the cohort in a bucket")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ |= {
            "CONFSEG_CACHE_DIR": str(folder / "cache"),
            "CONFSEG_STATE_DIR": str(folder / "state"),
        }
        measure_folder(folder, arguments.clips)
        measure_bucket(folder, arguments.bucket_clips)


if __name__ == "__main__":
    main()
