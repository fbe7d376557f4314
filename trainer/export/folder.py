"""Export of a run into a new folder: checked against the network, whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from napari_confseg.dataset.disk_errors import room_in
from napari_confseg.store.durable import fsync_folder, make_folders, partial_name, write_durably
from trainer.errors import TrainError
from trainer.export.card import card
from trainer.export.graph import CARD, INPUT, OUTPUT, PERCENT, ExportedModel

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TOLERANCE: Final = 1e-4
"""Largest difference between an export's probabilities and the network's own."""

_RUN_PERCENT = (
    "```\npython percent.py frames.npy percent.npy    # uint8 (T, Y, X) -> (T, C, Y, X)\n```"
)
_RUN_BUNDLE = """\
In the bundle's folder:

```
python -m monai.bundle run --config_file configs/inference.json \\
    --dataset_dir frames --output_dir percent
```

Each `.npy` file of `frames` is one frame, `uint8 (Y, X)`; `percent` gets `uint8 (C, Y, X)` under
the same name. It needs `monai`, `pytorch-ignite` and `fire`."""


@dataclass(frozen=True)
class Format:
    """How a network is written.

    Attributes
    ----------
    title : str
        What people read.
    module : str
        Has ``write(model)`` and ``MODEL``, the file of the graph.
    card, percent : str
        Where the card and ``percent.py`` lie.
    use : str
        For the card: how it is run.
    """

    title: str
    module: str
    card: str = CARD
    percent: str = PERCENT
    use: str = _RUN_PERCENT


FORMATS: Final = {
    "onnx": Format("ONNX, for ONNX Runtime", "onnx_file"),
    "torchscript": Format("TorchScript, for torch and libtorch", "torchscript"),
    "monai-bundle": Format(
        "a MONAI bundle", "monai_bundle", f"docs/{CARD}", f"scripts/{PERCENT}", _RUN_BUNDLE
    ),
}
"""Name on the command line -> format."""


@dataclass(frozen=True)
class Exported:
    """What was written: the folder, its files and the largest difference found."""

    folder: Path
    files: tuple[str, ...]
    difference: float


def export(run: Path, name: str, out: Path) -> Exported:
    """Write the best network of a run in the format `name` into the new folder `out`.

    Parameters
    ----------
    run : Path
        Folder of a fit.
    name : str
        Key of :data:`FORMATS`.
    out : Path
        The folder; must not exist.

    Raises
    ------
    TrainError
        If the model can't be used, the folder exists, a package is missing, or the export's output
        differs from the network's by more than :data:`TOLERANCE`. Nothing is left.
    StoreError
        If the disk is full. Nothing is left.
    """
    _refuse_existing(out)
    model = ExportedModel.load(run)
    form = FORMATS[name]
    module: Any = import_module(f"trainer.export.{form.module}")
    files: dict[str, bytes] = module.write(model)
    difference = largest_difference(model, module.MODEL, files[module.MODEL])
    files[form.card] = card(model, form.use, form.percent, difference)
    _put(files, out)
    return Exported(out, tuple(sorted(files)), difference)


def _refuse_existing(out: Path) -> None:
    if os.path.lexists(out):
        raise TrainError(f"{out} exists already", "Choose another folder with --out.")


def largest_difference(model: ExportedModel, name: str, data: bytes) -> float:
    """Return the largest difference between the export's output and the network's own.

    Raises
    ------
    TrainError
        If it is more than :data:`TOLERANCE`.
    """
    frames = model.example()
    frames = torch.cat([frames, frames.flip(2)])[1:]  # another number of them than was traced
    with torch.no_grad():
        expected = model.graph(frames).numpy()
    found = _run_onnx(data, frames.numpy()) if name.endswith(".onnx") else _run_script(data, frames)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:  # NaN is not either
        raise TrainError(
            f"The exported network's output differs from the network's by {difference:.1g}, and "
            f"at most {TOLERANCE:g} is allowed",
            "Update torch and the format's packages, or export in another format.",
        )
    return difference


def _run_onnx(data: bytes, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run([OUTPUT], {INPUT: frames})[0]
    return found


def _run_script(data: bytes, frames: torch.Tensor) -> NDArray[np.float32]:
    from trainer.export.graph import torchs_own_warnings

    with torchs_own_warnings(), torch.no_grad():
        graph: Any = torch.jit.load(io.BytesIO(data))  # type: ignore[no-untyped-call]
        found: NDArray[np.float32] = graph(frames).numpy()
    return found


def _put(files: dict[str, bytes], out: Path) -> None:
    partial = out.with_name(partial_name(out.name))
    try:
        with room_in(out, lambda: "Free some space, or export to a larger disk. Nothing is left."):
            make_folders(out.parent)
            for name, data in files.items():
                write_durably(partial / name, data)
            _refuse_existing(out)  # a rename would replace an empty folder made since
            partial.rename(out)
            fsync_folder(out.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
