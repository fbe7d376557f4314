"""Events of a run (``events.jsonl``) and its result (``result.json``)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_confseg.job.requests import Frozen
from napari_confseg.store.schema import Moment, Slug


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    time: Moment = Field(default_factory=lambda: datetime.now(UTC))


class Started(_Event):
    """The trainer has begun (or resumed); `facts` tell what with: device, network, counts."""

    event: Literal["started"] = "started"
    pid: int = Field(default_factory=os.getpid)
    facts: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Progress(_Event):
    """How far: `current` of `maximum`, what it is doing, and an honest guess of what is left."""

    event: Literal["progress"] = "progress"
    current: int = Field(ge=0)
    maximum: int = Field(ge=0)
    message: str = ""
    seconds_left: float | None = None


class Metrics(_Event):
    """Measured values after `step` steps, e.g. ``{"loss": 0.31, "val_dice/b-line": 0.7}``."""

    event: Literal["metrics"] = "metrics"
    step: int = Field(ge=0)
    values: dict[str, float | None]


class Preview(_Event):
    """The model's planes for `clip` stand in the cohort under `rater`, made after `step` steps."""

    event: Literal["preview"] = "preview"
    step: int = Field(ge=0)
    clip: Slug
    rater: Slug


class Finished(_Event):
    """Done; the result is in ``result.json``."""

    event: Literal["finished"] = "finished"


class Cancelled(_Event):
    """Stopped on request; the best checkpoint is kept and the run can be resumed."""

    event: Literal["cancelled"] = "cancelled"


class Failed(_Event):
    """Stopped by an error: what is wrong in one sentence, and what to do."""

    event: Literal["failed"] = "failed"
    error: str
    hint: str = ""


Event = Annotated[
    Started | Progress | Metrics | Preview | Finished | Cancelled | Failed,
    Field(discriminator="event"),
]


class Result(Frozen):
    """``result.json``: what a run came to.

    Attributes
    ----------
    stopped : bool
        Whether it was cancelled rather than run to its end.
    steps : int
        Optimiser steps done.
    best_step : int
        The step of the kept checkpoint.
    scores : dict
        Validation scores of the kept checkpoint; None where undefined.
    clips : tuple of str
        Clips that the model has marked.
    """

    stopped: bool = False
    steps: int = Field(default=0, ge=0)
    best_step: int = Field(default=0, ge=0)
    scores: dict[str, float | None] = Field(default_factory=dict)
    clips: tuple[Slug, ...] = ()
