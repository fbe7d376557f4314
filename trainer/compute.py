"""Choice of device, threads and precision."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal

import torch

from trainer.errors import TrainError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Precision = Literal["fp32", "bf16", "fp16"]


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


def choose_precision(device: torch.device, *, small: bool) -> Precision:
    """Return the fastest precision by the machine's instruction set.

    Measured in bf16 against fp32: with AMX or AVX512-BF16 0.43 of the
    time for size ``normal``, 0.67 for ``quick``, 0.88 for ``study``; with AVX2 alone 11 times it.

    Parameters
    ----------
    device : torch.device
        Where it will run.
    small : bool
        Whether the network is too small for bf16 to be worth anything on a CPU.
    """
    # Not by a stopwatch: where the two are close, noise would decide, and the same seed would no
    # longer give the same bits.
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type != "cpu" or small:
        return "fp32"
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # as of torch 2.10
    return "bf16" if able.get("amx_bf16") or able.get("avx512_bf16") else "fp32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which the network runs in `precision`."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)
