"""A tiny model, fitted once a process to the bars and discs of `trainable_cohort`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.widgets import trainable_cohort

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (96, 128)


def fit(place: Path) -> Path:
    """Fit it, by the command, and return the run's folder."""
    cohort = trainable_cohort.make(place / "learnt.zarr", shape=SHAPE)
    run = place / "tiny-run"
    command = [sys.executable, "-m", "napari_confseg.launcher", "fit", cohort.location]
    command += ["--out", str(run), "--method", "soft", "--size", "study", "--steps", "40"]
    command += ["--classes", "pleura", "b-line", "--device", "cpu"]
    environment = {**os.environ, "CONFSEG_STATE_DIR": str(place / "state")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return run
