"""The trainer of napari-confseg: reading, fitting, prediction and scores, all with torch.

Public are the names of ``__all__``; they are imported when they are asked for, since torch takes
seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.dataset import ConfidenceDataset, Sample
    from trainer.errors import TrainError
    from trainer.models import fit_model
    from trainer.predict import Predictor

__all__ = ["ConfidenceDataset", "Predictor", "Sample", "TrainError", "fit_model"]

_HOME = {
    "ConfidenceDataset": "trainer.dataset",
    "Predictor": "trainer.predict",
    "Sample": "trainer.dataset",
    "TrainError": "trainer.errors",
    "fit_model": "trainer.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
