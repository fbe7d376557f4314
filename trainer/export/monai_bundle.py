"""A MONAI bundle: a folder with network, configuration and what is to be known, for MONAI's tools.

``configs/inference.json`` marks every ``.npy`` file of a folder, one grey frame ``uint8 (Y, X)``
each, and writes percents ``uint8 (C, Y, X)``. Its network is the TorchScript graph, so the bundle
needs MONAI and torch, and nothing of this package.
"""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import torch

from trainer.export.graph import PERCENT, as_json, source
from trainer.export.torchscript import traced

if TYPE_CHECKING:
    from trainer.export.graph import ExportedModel

MODEL = "models/model.ts"
_STEPS = "bundle_steps.py"
MONAI: Final = "1.5.0"
"""The oldest MONAI that the bundle is written for."""

_LICENSE = """\
No licence is granted by this file.

The scripts and configuration come from napari-confseg (BSD-3-Clause). The weights were learnt from
data of others: who may use them, and for what, is decided by those who hold these data.
"""


def write(model: ExportedModel) -> dict[str, bytes]:
    """Return the export's files."""
    metadata = metadata_of(model)
    weights = io.BytesIO()
    torch.save(model.graph.state_dict(), weights)
    return {
        "LICENSE": _LICENSE.encode(),
        "configs/metadata.json": as_json(metadata),
        "configs/inference.json": as_json(inference_of(model)),
        "models/model.pt": weights.getvalue(),
        MODEL: traced(model, metadata),
        "scripts/__init__.py": b"",
        f"scripts/{PERCENT}": source(PERCENT),
        f"scripts/{_STEPS}": source(_STEPS),
    }


def metadata_of(model: ExportedModel) -> dict[str, Any]:
    """Return ``metadata.json``: what the network takes and gives, and where it comes from."""
    canvas, classes = list(model.config.canvas), model.config.classes
    tensor = {"type": "image", "spatial_shape": canvas, "dtype": "float32", "is_patch_data": False}
    return {
        "name": model.name,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"Exported after step {model.step}"},
        "monai_version": MONAI,
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"pytorch-ignite": "0.4.11"},
        "task": "Confidence of findings in frames of lung ultrasound",
        "description": f"U-Net of napari-confseg for {', '.join(classes)}; method "
        f"{model.config.method}. Each class has its own probability: classes may overlap.",
        "authors": f"Whoever fitted run {model.name}",
        "copyright": "See LICENSE",
        "data_source": str(model.config.origin),
        "intended_use": "Research and the preparation of labels. Not for diagnosis.",
        "checkpoint_sha256": model.sha256,
        "network_data_format": {
            "inputs": {
                "image": tensor
                | {
                    "format": "magnitude",
                    "modality": "US",
                    "num_channels": 1,
                    "value_range": [0, 255],
                    "channel_def": {"0": "grey value"},
                }
            },
            "outputs": {
                "pred": tensor
                | {
                    "format": "classes",
                    "modality": "n/a",
                    "num_channels": len(classes),
                    "value_range": [0, 1],
                    "channel_def": {str(c): name for c, name in enumerate(classes)},
                }
            },
        },
    }


def inference_of(model: ExportedModel) -> dict[str, Any]:
    """Return ``inference.json``: from ``.npy`` files of frames to such of percents."""
    return {
        "imports": [
            "$import functools",
            "$import glob",
            "$import os",
            "$import torch",
            "$import scripts.bundle_steps as steps",
        ],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/percent'",
        "canvas": list(model.config.canvas),
        "output_scaling": model.output_scaling(),
        "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device)",
        "preprocessing": {
            "_target_": "Lambda",
            "func": "$functools.partial(steps.read, canvas=@canvas)",
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': f} for f in sorted(glob.glob(@dataset_dir + '/*.npy'))]",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "num_workers": 0,
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {
            "_target_": "Lambda",
            "func": "$functools.partial(steps.save, folder=@output_dir, scaling=@output_scaling)",
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "initialize": ["$os.makedirs(@output_dir, exist_ok=True)"],
        "run": ["$@evaluator.run()"],
    }
