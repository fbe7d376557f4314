"""Our training beside MONAI's and nnU-Net's recipes: samples per second, time to a given Dice.

``python -m benchmarks.recipes [--size quick] [--steps 300] [--dice 0.5] [--json]``

All three learn the same network, from the same frames in memory, in the same batch, in fp32 on one
thread of a CPU (on a GPU each in its own mixed precision); what differs is what each brings along:
transforms, loss, optimiser, memory format. The cohort is the sample data's, cut at 60 %. They take
turns, and processor time is counted (on a GPU wall time until the end), so that whatever else runs
on the machine touches all alike. nnU-Net's part is left out where ``nnunetv2`` can't be imported.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.training import seconds
from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.store import EXCLUDED
from sample_data.cohort import make_cohort
from trainer.compute import autocast
from trainer.fit import draw_batch, learn_from, learning_rate, update_average
from trainer.network import SIZES
from trainer.optimizer import AdamW
from trainer.prepare import prepare, prevalence
from trainer.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer.network import Segmenter
    from trainer.prepare import FitContext

CUT = 60  # percent
CLASSES = ("pleura", "a-line", "b-line", "consolidation", "effusion", "rib")


@dataclass(frozen=True)
class Recipe:
    """One way to train: what a step does, and the weights to judge it by."""

    step: Callable[[int], object]
    weights: nn.Module


def start(context: FitContext) -> Segmenter:
    """Return the network that all begin with, the grey values' statistics and prevalence known."""
    network = context.config.network()
    network.set_statistics(context.samples.frames, prevalence(context))
    return network


def ours(context: FitContext) -> Recipe:
    """Do in a step what ``trainer.fit`` does."""
    network = start(context).place(context.device)
    average = deepcopy(network).eval()
    optimizer = AdamW(network.parameters())
    scaler = torch.amp.GradScaler(context.device.type, enabled=context.config.precision == "fp16")
    peak = SIZES[context.config.size].learning_rate

    def step(i: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(i, context.config.steps, peak)
        learn_from(draw_batch(context, i), network, context, optimizer, scaler)
        update_average(average, network, i + 1)

    return Recipe(step, average)


def cut_samples(context: FitContext) -> tuple[Tensor, Tensor]:
    """Return frames (N, 1, H, W) and labels (N, C, H, W), uint8, of what is learnt from."""
    frames, planes, _, _ = context.samples.batch(context.train)
    return frames.cpu(), ((planes >= CUT) & (planes != EXCLUDED)).to(torch.uint8).cpu()


def monai(context: FitContext) -> Recipe:
    """MONAI as its tutorials have it: CacheDataset, DataLoader, Adam, Dice plus cross-entropy.

    Its DiceCELoss takes classes to exclude each other (a softmax). Ours overlap, so its DiceLoss
    with a sigmoid and torch's binary cross-entropy are added up, which costs the same.
    """
    from monai import transforms as mt
    from monai.data import CacheDataset, DataLoader
    from monai.losses import DiceLoss

    both = ["image", "label"]
    frames, labels = cut_samples(context)
    height, width = context.config.canvas
    transform = mt.Compose(
        [
            mt.ScaleIntensityRanged("image", 0, 255, 0, 1),
            mt.EnsureTyped(both, dtype=torch.float32),
            mt.RandFlipd(both, prob=0.5, spatial_axis=1),
            mt.RandAffined(
                both,
                prob=1.0,
                rotate_range=0.21,
                scale_range=0.22,
                translate_range=(0.1 * height, 0.1 * width),
                padding_mode="zeros",
                mode=("bilinear", "nearest"),
            ),
            mt.RandScaleIntensityd("image", factors=0.25, prob=1.0),
            mt.RandAdjustContrastd("image", gamma=(0.75, 1.35), prob=1.0),
            mt.RandGaussianNoised("image", std=0.03, prob=0.5),
        ]
    )
    transform.set_random_state(context.config.seed)
    items = [{"image": f, "label": p} for f, p in zip(frames, labels, strict=True)]
    dataset = CacheDataset(items, transform, progress=False)
    loader = DataLoader(dataset, batch_size=context.config.batch, shuffle=True, drop_last=True)
    network = start(context).to(context.device)
    optimizer = torch.optim.Adam(network.parameters(), SIZES[context.config.size].learning_rate)
    dice, entropy = DiceLoss(sigmoid=True), nn.BCEWithLogitsLoss()
    scaler = torch.amp.GradScaler(context.device.type, enabled=context.device.type == "cuda")
    batches = endless(loader)

    def step(_: int) -> None:
        batch = next(batches)
        image, label = (batch[name].to(context.device) for name in both)
        optimizer.zero_grad()
        with autocast(context.device, "fp16" if context.device.type == "cuda" else "fp32"):
            logits = network(image)
        loss = dice(logits, label) + entropy(logits, label)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return Recipe(step, network)


def nnunet(context: FitContext) -> Recipe:
    """nnU-Net v2's transforms, loss, optimiser and training step, as its trainer has them.

    Classes overlap, so a label is a set of classes (one bit each), and its regions are all sets
    with that class. Without deep supervision, which the network that all share has not; not
    compiled; transforms in the process itself instead of twelve others, for what counts is work.
    """
    from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    n_classes = len(context.config.classes)
    sets = range(1, 2**n_classes)
    regions = [tuple(s for s in sets if s >> c & 1) for c in range(n_classes)]
    turn = (
        (-np.pi, np.pi) if context.config.canvas[0] == context.config.canvas[1] else (-0.26, 0.26)
    )
    transform = nnUNetTrainer.get_training_transforms(
        context.config.canvas, turn, None, (0, 1), False, [False], regions=regions
    )
    frames, labels = cut_samples(context)
    bits = (2 ** torch.arange(n_classes))[:, None, None]
    encoded = (labels.to(torch.int16) * bits).sum(1, keepdim=True).to(torch.int16)
    images = (frames.float() - frames.float().mean()) / frames.float().std()
    network = start(context)
    network.mean.zero_()  # it normalises itself, before its transforms
    network.std.fill_(1)
    network.to(context.device)
    optimizer = torch.optim.SGD(
        network.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True
    )
    loss_of = DC_and_BCE_loss(
        {},
        {"batch_dice": True, "do_bg": True, "smooth": 1e-5, "ddp": False},
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    scaler = torch.amp.GradScaler(context.device.type, enabled=context.device.type == "cuda")
    generator = np.random.default_rng(context.config.seed)

    def step(i: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * max(0, 1 - i / context.config.steps) ** 0.9
        rows = generator.integers(0, len(images), context.config.batch)
        drawn = [transform(image=images[r], segmentation=encoded[r]) for r in rows]
        image = torch.stack([d["image"] for d in drawn]).to(context.device)
        target = torch.stack([d["segmentation"] for d in drawn]).to(context.device)
        optimizer.zero_grad(set_to_none=True)
        with autocast(context.device, "fp16" if context.device.type == "cuda" else "fp32"):
            loss = loss_of(network(image), target)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()

    return Recipe(step, Normalised(network, frames))


class Normalised(nn.Module):
    """A network that was taught on frames of mean 0 and spread 1, for frames in 0..1."""

    def __init__(self, network: nn.Module, frames: Tensor) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std = frames.float().mean() / 255, frames.float().std() / 255

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


def endless(loader: Any) -> Iterator[dict[str, Tensor]]:
    while True:
        yield from loader


@torch.inference_mode()
def dice(weights: nn.Module, context: FitContext) -> float:
    """Return the Dice from 50 % against held-out planes cut at 60 %, mean over their classes."""
    was = weights.training
    weights.eval()
    both = total = torch.zeros(len(context.config.classes), dtype=torch.float64)
    present = torch.zeros(len(context.config.classes), dtype=torch.bool)
    for rows in torch.split(context.validation, 16):
        frames, planes, _, _ = (t.to(context.device) for t in context.samples.batch(rows))
        known = planes != EXCLUDED
        predicted = (weights(frames.float() / 255) > 0) & known
        meant = (planes >= CUT) & known
        both = both + (predicted & meant).sum((0, 2, 3)).cpu()
        total = total + (predicted.sum((0, 2, 3)) + meant.sum((0, 2, 3))).cpu()
        present |= meant.any(0).any(-1).any(-1).cpu()
    weights.train(was)
    return float((2 * both / total.clamp_min(1))[present].mean())


def compare(
    recipes: dict[str, Recipe], context: FitContext, aim: float
) -> dict[str, dict[str, Any]]:
    """Let all learn, turn about; return pace, time to the Dice aimed at, and the last Dice."""
    taken: dict[str, list[float]] = {name: [] for name in recipes}
    reached: dict[str, float | None] = dict.fromkeys(recipes)
    last = dict.fromkeys(recipes, 0.0)
    every = max(1, context.config.steps // 20)
    for i in range(context.config.steps):
        for name, recipe in recipes.items():
            taken[name].append(seconds(lambda r=recipe: r.step(i), context.device))  # type: ignore[misc]  # noqa: B023
            if (i + 1) % every == 0:
                last[name] = dice(recipe.weights, context)
                if reached[name] is None and last[name] >= aim:
                    reached[name] = sum(taken[name])
    return {
        name: {
            "samples_per_second": context.config.batch / median(taken[name][1:]),
            "seconds_to_dice": reached[name],
            "last_dice": last[name],
            "seconds": sum(taken[name]),
        }
        for name in recipes
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="quick", choices=SIZES)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--dice", type=float, default=0.5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        make_cohort(f"{folder}/lung.zarr", patients=8, seed=0)
        request = FitRequest(
            cohort=f"{folder}/lung.zarr",
            rater="benchmark",
            classes=CLASSES,
            size=arguments.size,
            steps=arguments.steps,
            device=arguments.device,
            raters=("reader-a",),
        )
        if not torch.cuda.is_available():
            request = request.model_copy(update={"precision": "fp32"})
        run = RunFolder.create(Path(folder) / "run", request)
        context = prepare(run, request, Reporter(run))
    ways: dict[str, Callable[[FitContext], Recipe]] = {"ours": ours, "MONAI's recipe": monai}
    if find_spec("nnunetv2"):
        ways["nnU-Net v2's step"] = nnunet
    found = compare({name: way(context) for name, way in ways.items()}, context, arguments.dice)
    if arguments.json:
        print(json.dumps(found))
        return
    show(found, context, arguments.dice)


def show(found: dict[str, dict[str, Any]], context: FitContext, aim: float) -> None:
    config, console = context.config, Console()
    table = Table(
        "recipe",
        "samples/s",
        f"seconds to Dice {aim}",
        "Dice at the end",
        title=(
            f"{config.size}, batch {config.batch}, {config.canvas[1]} x {config.canvas[0]}, "
            f"{config.steps} steps, {config.precision} on {context.device}, one thread"
        ),
    )
    for name, row in found.items():
        time = row["seconds_to_dice"]
        table.add_row(
            name,
            f"{row['samples_per_second']:.1f}",
            "not reached" if time is None else f"{time:.1f}",
            f"{row['last_dice']:.2f}",
        )
    console.print(table)
    if not find_spec("nnunetv2"):
        console.print("nnU-Net v2 is not installed here (pip install nnunetv2): left out.")
    if context.device.type != "cuda":
        console.print("There is no GPU here: no figures for one.")


if __name__ == "__main__":
    main()
