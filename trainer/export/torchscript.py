"""TorchScript: one file that torch, libtorch and others run without this package."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import torch

from trainer.export.graph import as_json, torchs_own_warnings

if TYPE_CHECKING:
    from trainer.export.graph import ExportedModel

MODEL = "model.ts"
_METADATA = "metadata.json"  # the name that MONAI looks for in such a file
_SOURCE_LINES = ".debug_pkl"


def write(model: ExportedModel) -> dict[str, bytes]:
    """Return the export's files."""
    return model.common_files() | {MODEL: traced(model, model.facts())}


def traced(model: ExportedModel, metadata: object) -> bytes:
    """Return the traced graph, with `metadata` as JSON in it."""
    packed = io.BytesIO()
    with torchs_own_warnings(), torch.no_grad():
        graph = torch.jit.trace(model.graph, model.example())  # type: ignore[no-untyped-call]
        extra = {_METADATA: as_json(metadata)}
        torch.jit.save(graph, packed, _extra_files=extra)
    return _without_source_lines(packed)


def _without_source_lines(packed: io.BytesIO) -> bytes:
    """Return the file without the paths of the source lines, which name folders of this machine."""
    out = io.BytesIO()
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(_SOURCE_LINES):
                kept = zipfile.ZipInfo(entry.filename)  # of 1980, so that bytes repeat
                new.writestr(kept, old.read(entry))
    return out.getvalue()
