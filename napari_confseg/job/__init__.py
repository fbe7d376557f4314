"""The job protocol: a run is a folder that panel and trainer share.

==========================  =====================================================================
``job.json``                the request, written before the trainer starts
``events.jsonl``            what happens, one event a line, appended by the trainer
``cancel``                  touched by whoever wants the run to stop
``result.json``             written last: its presence is the proof of completion
``where``                   address of the dask scheduler that has it carried out; none: no file
==========================  =====================================================================

The trainer adds ``checkpoint.safetensors``, ``config.json``, ``state.pt`` and ``metrics.csv``.
Nothing here needs the viewer and the trainer to live on one machine, or at one time.
"""

from napari_confseg.job.active_model import (
    ActiveModel,
    active_model,
    go_back,
    set_active,
    weights_sha256,
)
from napari_confseg.job.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Metrics,
    Preview,
    Progress,
    Result,
    Started,
)
from napari_confseg.job.folder import (
    CHECKPOINT,
    CONFIG,
    EVENTS,
    LOCK,
    LOG,
    REQUEST,
    RESULT,
    JobError,
    RunFolder,
    runs_folder,
)
from napari_confseg.job.learning_order import FrameToLearn, LearningOrder, read_order
from napari_confseg.job.requests import (
    EPISTEMIC,
    PROBABILITY,
    STARTER,
    FitRequest,
    PredictRequest,
)

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "EPISTEMIC",
    "EVENTS",
    "LOCK",
    "LOG",
    "PROBABILITY",
    "REQUEST",
    "RESULT",
    "STARTER",
    "ActiveModel",
    "Cancelled",
    "Event",
    "Failed",
    "Finished",
    "FitRequest",
    "FrameToLearn",
    "JobError",
    "LearningOrder",
    "Metrics",
    "PredictRequest",
    "Preview",
    "Progress",
    "Result",
    "RunFolder",
    "Started",
    "active_model",
    "go_back",
    "read_order",
    "runs_folder",
    "set_active",
    "weights_sha256",
]
