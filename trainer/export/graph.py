"""The network as one graph: grey values of canvases in, probabilities out."""

from __future__ import annotations

import hashlib
import json
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_confseg.job import CHECKPOINT, JobError, RunFolder
from trainer.checkpoint import RunConfig, load_checkpoint, load_config
from trainer.shipped import is_shipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from napari_confseg.job import Result
    from trainer.network import Segmenter
    from trainer.output_scaling import OutputScaling

INPUT, OUTPUT = "frames", "probability"
"""Names of the graph's input and output."""

FACTS, PERCENT, CARD = "model.json", "percent.py", "README.md"
"""Files of every export: facts for programs, the way from an array to percents, and the card."""


class Graph(nn.Module):
    """Scaling of grey values, normalisation, network, head and output scaling.

    Parameters
    ----------
    network : Segmenter
        In evaluation mode.
    scaled : bool
        Whether the contour output differs from the probability.
    """

    def __init__(self, network: Segmenter, scaled: bool) -> None:
        super().__init__()
        self.network, self.scaled = network, scaled

    def forward(self, frames: Tensor) -> Tensor:
        """Return the contour output (N, C, H, W), 0..1, of grey values (N, 1, H, W) in 0..255."""
        learnt = self.network.learnt(frames.float() / 255)
        return self.network.contour(self.network.probability(learnt)) if self.scaled else learnt


@dataclass(frozen=True)
class ExportedModel:
    """A run's best network on its way out.

    Attributes
    ----------
    name : str
        Of the run.
    config : RunConfig
        Of the run.
    graph : Graph
        On the CPU, in single precision whatever the fit's precision was.
    step : int
        The checkpoint's step.
    sha256 : str
        Of the checkpoint's file.
    result : Result or None
        What the run came to, if it has ended.
    told : str
        The card of the model that comes with the package; empty for a run, whose card is made.
    """

    name: str
    config: RunConfig
    graph: Graph
    step: int
    sha256: str
    result: Result | None
    told: str = ""

    @classmethod
    def load(cls, run: Path) -> ExportedModel:
        """Return the best network of the run in the folder `run`; else a :class:`TrainError`."""
        config = load_config(run)
        network, step = load_checkpoint(run, config)
        graph = Graph(network, config.method.written_as == "overlap").eval().requires_grad_(False)
        digest = hashlib.sha256((run / CHECKPOINT).read_bytes()).hexdigest()
        try:
            result = RunFolder(run).result()
        except JobError:  # damaged: the card then has no scores, and the network is whole
            result = None
        told = (run / CARD).read_text(encoding="utf-8") if is_shipped(run) else ""
        return cls(run.resolve().name, config, graph, step, digest, result, told)

    def example(self) -> Tensor:
        """Return an input, uint8 (2, 1, H, W), for tracing."""
        generator = torch.Generator().manual_seed(0)
        shape = (2, 1, *self.config.canvas)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    def facts(self) -> dict[str, Any]:
        """Return what a program must know to use the graph."""
        return {
            "name": self.name,
            "classes": list(self.config.classes),
            "canvas": list(self.config.canvas),
            "input": {"name": INPUT, "shape": ["n", 1, *self.config.canvas], "dtype": "uint8"},
            "output": {
                "name": OUTPUT,
                "shape": ["n", len(self.config.classes), *self.config.canvas],
                "dtype": "float32",
            },
            "output_scaling": self.output_scaling(),
            "probability_scaling": self.probability_scaling(),
            "checkpoint_sha256": self.sha256,
            "versions": self.config.versions,
        }

    def output_scaling(self) -> dict[str, list[float]] | None:
        """Return slope and shift from the log odds that were learnt to the output's, by class.

        None if the graph's output is what was learnt. Else ``sigmoid((logit(output) - shift) /
        slope)`` is.
        """
        return _by_class(self.graph.network.outputs[1]) if self.graph.scaled else None

    def probability_scaling(self) -> dict[str, list[float]] | None:
        """Return slope and shift from the log odds that were learnt to the probability's.

        None if the probability is what was learnt.
        """
        return _by_class(self.graph.network.outputs[0]) if self.graph.scaled else None

    def common_files(self) -> dict[str, bytes]:
        """Return the files that every export has beside its own, but for the card."""
        return {FACTS: as_json(self.facts()), PERCENT: source(PERCENT)}


def _by_class(scaling: OutputScaling) -> dict[str, list[float]]:
    return {"slope": scaling.slope.tolist(), "shift": scaling.shift.tolist()}


def source(name: str) -> bytes:
    """Return the source of a module of this folder that goes out as it stands."""
    return (files("trainer.export") / name).read_bytes().replace(b"\r\n", b"\n")


def as_json(content: object) -> bytes:
    """Return `content` as JSON, the same bytes for the same content."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


@contextmanager
def torchs_own_warnings() -> Iterator[None]:
    """Keep quiet about what torch warns of in its own exporters; nobody here can change it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        yield
