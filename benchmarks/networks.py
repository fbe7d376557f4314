"""Which network learns fastest: equal processor time each, same data, one thread.

``python -m benchmarks.networks [COHORT] [--size quick] [--seconds 20] [--json]``

Canvas, batch and peak rate are those of the size.

Processor time and not wall time, so that whatever else runs on the machine doesn't decide.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from monai.networks import nets
from rich.console import Console
from rich.table import Table
from torch import nn

from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.methods import Method
from napari_confseg.store import Cohort
from sample_data import make_cohort
from trainer.fit import draw_batch, learning_rate, update_average
from trainer.losses import cross_entropy_and_dice
from trainer.network import SIZES
from trainer.optimizer import AdamW
from trainer.prepare import FitContext, prepare, prevalence
from trainer.progress import Reporter
from trainer.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = (8, 16, 32, 64)
WIDE, NARROW, DEEP = (16, 32, 64, 128, 256), (8, 16, 32, 64, 128), (32, 64, 128, 256, 512)


def _unet(
    channels: tuple[int, ...], norm: str = "batch", units: int = 2
) -> Callable[..., nn.Module]:
    def make(n: int) -> nn.Module:
        strides = (2,) * (len(channels) - 1)
        net: nn.Module = nets.UNet(2, 1, n, channels, strides, num_res_units=units, norm=norm)
        return net

    return make


def _dynunet(n: int) -> nn.Module:
    strides, kernels = (1, 2, 2, 2, 2), (3,) * 5
    net: nn.Module = nets.DynUNet(2, 1, n, kernels, strides, (2,) * 4, filters=WIDE, res_block=True)
    return net


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "UNet strided, 2 residual units, 16-256": _unet(WIDE),
    "2 residual units, 16-256, instance norm": _unet(WIDE, "instance"),
    "1 residual unit, 16-256": _unet(WIDE, units=1),
    "no residual units, 16-256": _unet(WIDE, units=0),
    "no residual units, 8-128": _unet(NARROW, units=0),
    "no residual units, 8-64": _unet(SMALL, units=0),
    "no residual units, 32-512": _unet(DEEP, units=0),
    "2 residual units, 8-128": _unet(NARROW),
    "2 residual units, 32-512": _unet(DEEP),
    "DynUNet 16-256": _dynunet,
    "SegResNet 16": lambda n: nets.SegResNet(2, 16, 1, n),
    "AttentionUnet 16-256": lambda n: nets.AttentionUnet(2, 1, n, WIDE, (2,) * 4),
}


def learn_for(
    context: FitContext, make: Callable[[int], nn.Module], seconds: float, rate: float
) -> dict[str, Any]:
    """Learn for so many processor seconds; return steps and the validation score."""
    network = context.config.network()
    torch.manual_seed(context.config.seed)
    network.net = cast("Any", make(len(context.config.classes)))
    network.set_statistics(context.samples.frames, prevalence(context))
    network.place(context.device)
    average = deepcopy(network).eval()
    optimizer = AdamW(network.parameters())
    begin, step, done = time.process_time(), 0, 0.0
    while done < 1:
        batch = draw_batch(context, step)
        for group in optimizer.param_groups:  # the schedule follows the time, not the steps
            group["lr"] = learning_rate(int(1000 * done), 1000, rate)
        loss = cross_entropy_and_dice(network(batch.images), batch.target, batch.weight)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        update_average(average, network, step)
        done = (time.process_time() - begin) / seconds
    scores = validate(average, context)
    size = sum(p.numel() for p in network.parameters())
    return {"parameters": size, "steps": step, **scores}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", nargs="?", help="a synthetic one if not given")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", nargs="+", default=[""], help="words in the networks' names")
    parser.add_argument("--size", choices=("study", "quick", "normal"), default="quick")
    parser.add_argument("--rate", type=float, help="peak rate; the size's own if not given")
    parser.add_argument("--batch", type=int, help="the size's own if not given")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        location = arguments.cohort or f"{folder}/synthetic.zarr"
        if not arguments.cohort:
            make_cohort(location, patients=4, frames=12)
        cohort = Cohort.open(location, read_only=True)
        request = FitRequest(
            cohort=location,
            rater="benchmark",
            device="cpu",
            threads=1,
            size=arguments.size,
            classes=tuple(c.name for c in cohort.meta.classes),
            method=Method(name="threshold", params={"t": 60}),
        )
        run = RunFolder.create(Path(folder) / "run", request)
        context = prepare(run, request, Reporter(run))
    if arguments.batch:
        context = replace(
            context, config=context.config.model_copy(update={"batch": arguments.batch})
        )
    rate = arguments.rate or SIZES[arguments.size].learning_rate
    rows = []
    for name, make in NETWORKS.items():
        if any(word in name for word in arguments.only):
            found = learn_for(context, make, arguments.seconds, rate)
            rows.append({"network": name, **found})
            if arguments.json:
                print(json.dumps(rows[-1]), flush=True)
    if not arguments.json:
        table = Table(
            "network",
            "parameters",
            "steps",
            "val_dice",
            title=f"{arguments.seconds:g} processor seconds each",
        )
        for row in rows:
            score = row["val_dice"]
            table.add_row(
                row["network"],
                f"{row['parameters'] / 1e6:.2f} M",
                str(row["steps"]),
                "-" if score is None else f"{score:.3f}",
            )
        Console().print(table)


if __name__ == "__main__":
    main()
