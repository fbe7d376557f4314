"""Methods side by side: each fitted once per seed, scored on the held-out patients.

``python -m benchmarks.methods sample.zarr [--methods soft calibrated raters] [--seeds 2] [--json]``

For a cohort of ``python -m sample_data``, whose latent probability is known. The error is the mean
squared difference to it, over pixels where either is at least 5 %. One seed is one draw: what
differs less than seeds do says nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.methods import METHODS, Method
from napari_confseg.store import Cohort
from trainer.predict import Predictor
from trainer.run_job import execute

LATENT = "latent"
LEAST = 5  # percent


def fit_and_score(cohort: Cohort, method: Method, seed: int) -> dict[str, Any]:
    """Fit one method in size ``study``; return its error and what it took."""
    classes = tuple(c.name for c in cohort.meta.classes)
    with tempfile.TemporaryDirectory() as folder:
        request = FitRequest(
            cohort=cohort.location,
            rater="benchmark",
            classes=classes,
            method=method,
            size="study",
            device="cpu",
            seed=seed,
        )
        run = RunFolder.create(Path(folder) / "run", request)
        begin = time.process_time()
        result = execute(run)
        seconds = time.process_time() - begin
        assert result is not None
        predictor = Predictor.load(run.path, "cpu")
    error, pixels = 0.0, 0
    for name in predictor.config.split.validation:
        clip = cohort.clip(name)
        latent = clip.rater(LATENT)
        for t in range(clip.shape[0]):
            (found,) = predictor.percent(np.asarray(clip.frames[t : t + 1])).astype(np.int64)
            for c, cls in enumerate(cohort.meta.classes):
                likely = latent.read_plane(t, cls.index).astype(np.int64)
                counted = (likely >= LEAST) | (found[c] >= LEAST)
                error += float(((found[c] - likely)[counted] ** 2).sum()) / 100**2
                pixels += int(counted.sum())
    return {
        "method": str(method),
        "seed": seed,
        "squared_error": error / pixels,
        "val_dice": result.scores["val_dice"],
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cohort = Cohort.open(arguments.cohort, read_only=True)
    table = Table("method", "seed", "squared error", "val_dice", "processor seconds")
    for seed in range(arguments.seeds):
        for method in map(Method.parse, arguments.methods):
            row = fit_and_score(cohort, method, seed)
            if arguments.json:
                print(json.dumps(row), flush=True)
            table.add_row(
                row["method"],
                str(seed),
                f"{row['squared_error']:.4f}",
                f"{row['val_dice']:.3f}",
                f"{row['seconds']:.1f}",
            )
    if not arguments.json:
        Console().print(table)


if __name__ == "__main__":
    main()
