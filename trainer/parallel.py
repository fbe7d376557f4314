"""Data-parallel fitting: several processes share each batch of one fit.

Every process draws the same global batch, runs its share through the network and gathers the
other shares' logits, so the loss is that of the whole batch. Batch norm takes its statistics over
all shares, and gradients are added. The result equals that of one process but for rounding.
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
    """The one process of an ordinary fit."""

    def prepare(self, network: nn.Module, batch: int) -> None:
        """Synchronise the batch norms of `network` over all processes."""

    def share(self, images: Tensor, rater: Tensor) -> tuple[Tensor, Tensor]:
        """Return this process's share of the batch."""
        return images, rater

    def gather(self, logits: Tensor) -> Tensor:
        """Return the logits of the whole batch."""
        return logits

    def add_gradients(self, network: nn.Module) -> None:
        """Sum the gradients over all processes."""

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process; the same answer in each."""
        return flag


SINGLE = SingleProcess()


@dataclass(frozen=True)
class ProcessGroup(SingleProcess):
    """One of several processes that share each batch.

    Attributes
    ----------
    rank : int
        Number of this process; 0 is the one that works in the run's folder.
    size : int
        Number of processes.
    """

    rank: int
    size: int

    def prepare(self, network: nn.Module, batch: int) -> None:  # noqa: D102
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
        parts[self.rank] = logits  # gradients flow to the own share only; the others compute theirs
        return torch.cat(parts)

    def add_gradients(self, network: nn.Module) -> None:  # noqa: D102
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [g.numel() for g in gradients])
        for own, total in zip(gradients, parts, strict=True):
            own.copy_(total.view_as(own))

    def any(self, flag: bool) -> bool:  # noqa: D102
        total = torch.tensor(int(flag), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(total, dist.ReduceOp.MAX)
        return bool(total)

    def leave(self) -> None:
        """Leave the group after a successful fit."""
        # A process that failed just exits: the others wait elsewhere, and torchrun ends them.
        dist.barrier()  # without it gloo aborts a process now and then
        dist.destroy_process_group()

    @contextmanager
    def folder(self, path: Path, request: FitRequest | None) -> Iterator[RunFolder]:
        """Yield the run's folder in the first process, a temporary copy in the others.

        So only the first writes what is kept, and all resume from the same state.

        Parameters
        ----------
        path : Path
            The run's folder.
        request : FitRequest or None
            The request of a new run; None if the folder exists.
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
    """Batch norm over the shares of all processes; torch's own runs on GPUs only."""

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
        centred = values - mean[:, None, None]
        variance = _total(centred.square().sum(_PIXELS)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _synchronised(norm: nn.BatchNorm2d) -> nn.Module:
    """Return `norm` over all processes, with the very same parameters and statistics."""
    if norm.weight.device.type == "cuda":
        on_gpu: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return on_gpu
    norm.__class__ = _SynchronisedNorm
    return norm


class _Total(torch.autograd.Function):
    """Sum over processes; gradients are summed too, since every process used the sum."""

    @staticmethod
    def forward(_: object, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _total(own: Tensor) -> Tensor:
    total: Tensor = _Total.apply(own)  # type: ignore[no-untyped-call]
    return total


def is_lost(error: BaseException) -> bool:
    """Whether `error` means that another process can no longer be reached."""
    if not isinstance(error, RuntimeError) or not dist.is_available():
        return False
    # Gloo's own errors are plain RuntimeErrors, recognised by where they come from.
    named = any(word in str(error) for word in ("gloo/", "NCCL", "Connection closed by peer"))
    return isinstance(error, dist.DistError) or named


LOST = TrainError(
    "Another process of this fit has ended, or can't be reached",
    "Its own message gives the reason. Start all of them again: they resume the fit.",
)


def join() -> ProcessGroup:
    """Join the process group that ``torchrun`` describes in the environment."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        dist.init_process_group("gloo")
    return ProcessGroup(dist.get_rank(), dist.get_world_size())


def current_group() -> SingleProcess:
    """Return the process group of this fit, or the single process."""
    return (
        ProcessGroup(dist.get_rank(), dist.get_world_size())
        if dist.is_available() and dist.is_initialized()
        else SINGLE
    )
