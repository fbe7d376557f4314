"""Where and how precisely to compute, found by looking at this very machine."""

from __future__ import annotations

import time
from contextlib import nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING, Literal

import torch

from trainer.problems import TrainError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from trainer.network import Segmenter

Precision = Literal["fp32", "bf16", "fp16"]
_WORTH = 0.8  # bf16 must save a fifth: ratios seen are 0.4 or 11, so noise never decides


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; ``"auto"`` is the first GPU, or the CPU.

    Raises
    ------
    TrainError
        If a GPU is asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainError(
            f"There is no device {name}: torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} GPU(s)",
            "Choose 'auto' or 'cpu', or install a CUDA build of torch.",
        )
    return device


def set_threads(threads: int) -> None:
    """Use `threads` CPU threads; 0 leaves it to torch."""
    if threads:
        torch.set_num_threads(threads)


def choose_precision(model: Segmenter, shape: tuple[int, int], device: torch.device) -> Precision:
    """Return what is fastest here.

    A GPU's abilities are known. A CPU's are not: with AMX or AVX512-BF16 bf16 is 2.4 times as
    fast as fp32, with AVX2 alone 11 times slower. So a CPU is timed on a small batch.
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type != "cpu":
        return "fp32"
    model = deepcopy(model)  # batch norm would remember the noise
    images = torch.rand(2, 1, *shape).to(memory_format=torch.channels_last)
    plain = min(_seconds(model, images, "fp32") for _ in range(3))
    if _seconds(model, images, "bf16") > 4 * plain:  # even a first pass is not that slow
        return "fp32"
    half = min(_seconds(model, images, "bf16") for _ in range(2))
    return "bf16" if half < _WORTH * plain else "fp32"


def _seconds(model: Segmenter, images: torch.Tensor, precision: Precision) -> float:
    begin = time.perf_counter()
    with autocast(images.device, precision):
        logits = model(images)
    logits.float().mean().backward()
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - begin


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which the network runs in `precision`."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)
