"""ONNX: one file for ONNX Runtime and whatever else reads the format."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from napari_confseg.extras import needed_for
from trainer.errors import TrainError
from trainer.export.graph import INPUT, OUTPUT, torchs_own_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.export.graph import ExportedModel

MODEL = "model.onnx"


def write(model: ExportedModel) -> dict[str, bytes]:
    """Return the export's files.

    Raises
    ------
    TrainError
        If ``onnx`` or ``onnxscript`` is not installed.
    """
    with needed_for("Export as ONNX", lambda m: TrainError(m.sentence, m.install)):
        import onnx
        import onnxscript  # noqa: F401, torch's exporter needs it
    with torchs_own_warnings(), _quiet():
        program = torch.onnx.export(
            model.graph,
            (model.example(),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _forget_sources(proto)
    onnx.helper.set_model_props(proto, {"napari-confseg": json.dumps(model.facts())})
    onnx.checker.check_model(proto)
    return model.common_files() | {MODEL: proto.SerializeToString(deterministic=True)}


def _forget_sources(proto: Any) -> None:
    """Drop the exporter's notes: they hold source lines with the folders of this machine."""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for tensor in graph.initializer:
        tensor.ClearField("metadata_props")
        tensor.ClearField("doc_string")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from reporting that torchvision, which nothing here uses, is missing."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
