"""One fit by several processes: the same global batch, the same loss, the same weights.

Every process draws the very same batch, runs its own share through the network, and gets the
others' logits; so the loss, whatever it divides by what, is that of the whole batch. Batch norm
takes its statistics over all shares, and gradients are added. That leaves rounding as the only
difference from one process.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from napari_confseg.job import CONFIG, RESULT, FitRequest, RunFolder
from trainer.checkpoint import STATE
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIXELS = (0, 2, 3)


class SingleProcess:
    """The one process of an ordinary fit: nobody to share with."""

    def join(self, network: nn.Module, batch: int) -> None:
        """Make `network` one that learns together with those of the other processes."""

    def share(self, images: Tensor, rater: Tensor) -> tuple[Tensor, Tensor]:
        """Return what of the batch goes through this process's network."""
        return images, rater

    def gather(self, logits: Tensor) -> Tensor:
        """Return the logits of the whole batch."""
        return logits

    def add_gradients(self, network: nn.Module) -> None:
        """Add up what each process's share says about the weights."""

    def any(self, wish: bool) -> bool:
        """Whether any process wishes so; the same answer in each."""
        return wish


ALONE = SingleProcess()


@dataclass(frozen=True)
class ProcessGroup(SingleProcess):
    """One of several processes, equal but for their share of the batch.

    Attributes
    ----------
    rank : int
        Which process this is; the first alone works in the run's folder.
    size : int
        How many there are.
    """

    rank: int
    size: int

    def join(self, network: nn.Module, batch: int) -> None:  # noqa: D102
        if batch % self.size:
            raise TrainError(
                f"{self.size} processes can't share a batch of {batch} evenly",
                f"Start a number that divides {batch}.",
            )
        for parent in list(network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, _synchronised(child))

    def share(self, images: Tensor, rater: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        # Dropout must not hit the same units in every share.
        torch.manual_seed((torch.initial_seed() + self.rank) % 2**63)
        return images.chunk(self.size)[self.rank], rater.chunk(self.size)[self.rank]

    def gather(self, logits: Tensor) -> Tensor:  # noqa: D102
        parts = [
            torch.empty_like(logits, memory_format=torch.contiguous_format)
            for _ in range(self.size)
        ]
        dist.all_gather(parts, logits.detach().contiguous())
        parts[self.rank] = logits  # gradients flow to one's own share; others see to theirs
        return torch.cat(parts)

    def add_gradients(self, network: nn.Module) -> None:  # noqa: D102
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [g.numel() for g in gradients])
        for mine, total in zip(gradients, parts, strict=True):
            mine.copy_(total.view_as(mine))

    def any(self, wish: bool) -> bool:  # noqa: D102
        flag = torch.tensor(int(wish), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def part(self) -> None:
        """Take leave after a fit that went well.

        Who failed just exits: the others wait at another place, and ``torchrun`` ends them.
        """
        dist.barrier()  # without it gloo aborts a process now and then
        dist.destroy_process_group()

    @contextmanager
    def folder(self, path: Path, request: FitRequest | None) -> Iterator[RunFolder]:
        """Give the first process the run's folder, and each other one a copy to throw away.

        So none but the first writes what is kept, and all go on from the same place.

        Parameters
        ----------
        path : Path
            The run's folder.
        request : FitRequest or None
            What to begin it with; None if it is there.
        """
        with TemporaryDirectory() as scratch:
            folder = RunFolder(path if self.rank == 0 else Path(scratch))
            if self.rank == 0 and request:
                folder = RunFolder.begin(path, request)
            dist.barrier()
            wanted = RunFolder(path).request()
            if not isinstance(wanted, FitRequest):
                raise TrainError(
                    "Only a fit can be shared by several processes", "Start this without torchrun."
                )
            if wanted.compile:
                raise TrainError(
                    "A fit by several processes can't be compiled", "Leave out --compile."
                )
            if self.rank:
                RunFolder.create(folder.path, wanted.model_copy(update={"preview_clip": None}))
                for name in (CONFIG, STATE, RESULT):
                    if (path / name).exists():
                        shutil.copy(path / name, scratch)
            dist.barrier()
            yield folder


class _SynchronisedNorm(nn.BatchNorm2d):
    """Batch norm over the shares of all processes; torch has one for GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        values = x.float()
        n = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _total(values.sum(_PIXELS)) / n
        apart = values - mean[:, None, None]
        variance = _total(apart.square().sum(_PIXELS)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (apart * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _synchronised(norm: nn.BatchNorm2d) -> nn.Module:
    """Return `norm` over all processes, with the very same parameters and statistics."""
    if norm.weight.device.type == "cuda":
        on_gpu: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return on_gpu
    norm.__class__ = _SynchronisedNorm
    return norm


class _Total(torch.autograd.Function):
    """Sum over processes; what flows back is summed as well, for each has used the sum."""

    @staticmethod
    def forward(_: object, mine: Tensor) -> Tensor:
        total = mine.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _total(mine: Tensor) -> Tensor:
    total: Tensor = _Total.apply(mine)  # type: ignore[no-untyped-call]
    return total


def is_lost(error: BaseException) -> bool:
    """Whether `error` says that another process can no longer be reached."""
    if not isinstance(error, RuntimeError) or not dist.is_available():
        return False
    # Gloo's own errors are plain RuntimeErrors, told apart by where they come from.
    named = any(word in str(error) for word in ("gloo/", "NCCL", "Connection closed by peer"))
    return isinstance(error, dist.DistError) or named


LOST = TrainError(
    "Another process of this fit has ended, or can't be reached",
    "Its own message says why. Start all of them again: they go on where the fit stood.",
)


def meet() -> ProcessGroup:
    """Meet the other processes, by what ``torchrun`` has put into the environment."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        dist.init_process_group("gloo")
    return ProcessGroup(dist.get_rank(), dist.get_world_size())


def team() -> SingleProcess:
    """Return the processes that this one learns with."""
    return (
        ProcessGroup(dist.get_rank(), dist.get_world_size())
        if dist.is_available() and dist.is_initialized()
        else ALONE
    )
