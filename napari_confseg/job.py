"""The job protocol: a run is a folder that panel and trainer share.

==========================  =====================================================================
``job.json``                the request, written before the trainer starts
``events.jsonl``            what happens, one event a line, appended by the trainer
``cancel``                  touched by whoever wants the run to stop
``result.json``             written last: its presence is the proof of completion
==========================  =====================================================================

The trainer adds ``checkpoint.safetensors``, ``config.json``, ``state.pt`` and ``metrics.csv``.
Nothing here needs the viewer and the trainer to live on one machine, or at one time.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from napari_confseg.methods import Method
from napari_confseg.store.schema import Slug, check_slug

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST, EVENTS, CANCEL, RESULT = "job.json", "events.jsonl", "cancel", "result.json"
PREVIEW, LOCK, LOG = "preview", "lock", "trainer.log"
CHECKPOINT = "checkpoint.safetensors"
DOUBT, UNSEEN = "-doubt", "-unseen"
"""Ends of the names of the raters that hold what several models together don't know."""


class JobError(Exception):
    """A run folder that cannot be used; says which and why."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FitRequest(_Frozen):
    """Fit a model to a cohort.

    Attributes
    ----------
    cohort : str
        Location of the cohort.
    rater : str
        Slug under which the model's planes appear in the cohort.
    classes : tuple of str
        Classes to learn.
    raters : tuple of str
        Whose planes to learn from; empty means every human.
    method : Method
        How confidence reaches the model, e.g. ``threshold`` with ``{"t": 60}``, or ``soft``.
    size : {"study", "quick", "normal"}
        How large a network and how long a fit; ``"study"`` is for many short ones.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    steps : int or None
        Optimiser steps; the size's own number if None.
    preview_clip : str or None
        The clip on screen at the start: on each improvement the model's planes for it are
        written. :meth:`RunFolder.preview_clip` says which it is later on.
    held_out : tuple of str
        Patients kept for a test: neither learnt from nor validated on.
    precision : {"auto", "fp32", "bf16"}
        ``"auto"`` takes what is fastest here; name one where runs must equal each other.
    """

    kind: Literal["fit"] = "fit"
    cohort: str
    rater: Slug
    classes: tuple[Slug, ...] = Field(min_length=1)
    raters: tuple[Slug, ...] = ()
    method: Method = Method(name="own-scale")
    size: Literal["study", "quick", "normal"] = "quick"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    seed: int = Field(default=0, ge=0)
    steps: int | None = Field(default=None, ge=1)
    threads: int = Field(default=1, ge=0, description="torch CPU threads; 0 leaves it to torch")
    compile: bool = False
    preview_clip: Slug | None = None
    held_out: tuple[str, ...] = ()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    dropout: float = Field(default=0, ge=0, lt=1, description="share of units dropped in training")


class PredictRequest(_Frozen):
    """Let a fitted model mark clips of a cohort.

    Attributes
    ----------
    run, cohort : str
        The model, and where to mark.
    rater : str
        Slug to write as.
    clips : tuple of str
        Which clips; empty means all.
    members : tuple of str
        More runs: the mean over all is written, and as ``<rater>-doubt`` and ``<rater>-unseen``
        what readers disagree about and what the models have not seen.
    draws : int
        Passes of each model with units dropped at random, which serve as members do.
    """

    kind: Literal["predict"] = "predict"
    run: str
    cohort: str
    rater: Slug
    clips: tuple[Slug, ...] = ()
    members: tuple[str, ...] = ()
    draws: int = Field(default=0, ge=0, le=100)
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    threads: int = Field(default=1, ge=0)

    @property
    def maps(self) -> tuple[str, ...]:
        """Ends of the names of the raters that are written beside `rater`."""
        return (DOUBT, UNSEEN) if self.members or self.draws else ()

    @model_validator(mode="after")
    def _room_for_the_maps(self) -> Self:
        for end in self.maps:
            check_slug(self.rater + end)
        return self


Request = Annotated[FitRequest | PredictRequest, Field(discriminator="kind")]


class _Event(_Frozen):
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Started(_Event):
    """The trainer has begun (or resumed); `facts` tell what with: device, network, counts."""

    event: Literal["started"] = "started"
    pid: int = Field(default_factory=os.getpid)
    facts: dict[str, str | int | float | bool] = {}


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
_REQUEST: TypeAdapter[FitRequest | PredictRequest] = TypeAdapter(Request)
_EVENT: TypeAdapter[Started | Progress | Metrics | Preview | Finished | Cancelled | Failed] = (
    TypeAdapter(Event)
)


class Result(_Frozen):
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
    scores: dict[str, float | None] = {}
    clips: tuple[Slug, ...] = ()


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @classmethod
    def create(cls, path: Path, request: FitRequest | PredictRequest) -> RunFolder:
        """Make the folder and write the request.

        Raises
        ------
        JobError
            If there is a request already.
        """
        path.mkdir(parents=True, exist_ok=True)
        if (path / REQUEST).exists():
            raise JobError(f"{path} holds a run already; choose another name or resume it")
        _replace(path / REQUEST, request.model_dump_json(indent=2))
        return cls(path)

    def request(self) -> FitRequest | PredictRequest:
        """Return the validated request.

        Raises
        ------
        JobError
            If it is missing or breaks the protocol; says which field.
        """
        try:
            return _REQUEST.validate_json((self.path / REQUEST).read_bytes())
        except FileNotFoundError as error:
            raise JobError(f"{self.path} is no run folder: it holds no {REQUEST}") from error
        except ValidationError as error:
            raise JobError(f"{self.path / REQUEST} breaks the job protocol: {error}") from error

    def append(self, event: BaseModel) -> None:
        """Append one event as one line, on a line of its own even after a half-written one."""
        line = event.model_dump_json().encode() + b"\n"
        with (self.path / EVENTS).open("a+b") as f:
            if f.seek(0, os.SEEK_END) and f.seek(-1, os.SEEK_END) >= 0 and f.read(1) != b"\n":
                line = b"\n" + line
            f.write(line)

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Return the events after byte `offset`, and the offset to go on from.

        A line that is still being written is left for the next call; one that a crash cut short,
        or that a newer trainer wrote, is passed over.
        """
        try:
            with (self.path / EVENTS).open("rb") as f:
                f.seek(offset)
                data = f.read()
        except FileNotFoundError:
            return [], offset
        complete = data[: data.rfind(b"\n") + 1]
        events: list[Event] = []
        for line in complete.splitlines():
            with suppress(ValidationError):
                events.append(_EVENT.validate_json(line))
        return events, offset + len(complete)

    @contextmanager
    def hold(self, timeout: float = 5.0) -> Iterator[None]:
        """Be the one process that works in this folder; a kill lets go of it.

        Parameters
        ----------
        timeout : float
            Seconds to wait: someone may just be looking whether the run lives.

        Raises
        ------
        JobError
            If another process works here.
        """
        try:
            with FileLock(self.path / LOCK, timeout=timeout):
                yield
        except Timeout as error:
            raise JobError(f"another process is already working on the run {self.path}") from error

    def alive(self) -> bool:
        """Whether a trainer works in this folder now, on this or another machine."""
        if not (self.path / LOCK).exists():
            return False
        try:
            with FileLock(self.path / LOCK, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a share that we may only read: nobody here can know
            return False

    def show(self, clip: str) -> None:
        """Tell a running trainer that `clip` is the one on screen now."""
        _replace(self.path / PREVIEW, check_slug(clip))

    def preview_clip(self) -> str | None:
        """Return the clip to preview: the last one shown, else the request's. Cheap to ask."""
        try:
            return check_slug((self.path / PREVIEW).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            request = self.request()
            return request.preview_clip if isinstance(request, FitRequest) else None

    def cancel(self) -> None:
        """Ask the run to stop after the step it is in."""
        (self.path / CANCEL).touch()

    def cancelled(self) -> bool:
        """Whether the run has been asked to stop."""
        return (self.path / CANCEL).exists()

    def clear_cancel(self) -> None:
        """Withdraw the wish to stop, so that the run can be resumed."""
        (self.path / CANCEL).unlink(missing_ok=True)

    def has_checkpoint(self) -> bool:
        """Whether there is a best model so far, for predicting with."""
        return (self.path / CHECKPOINT).exists()

    def finish(self, result: Result) -> None:
        """Write the result; the last thing a trainer does with the folder but for one event."""
        _replace(self.path / RESULT, result.model_dump_json(indent=2))

    def result(self) -> Result | None:
        """Return the result, or None while there is none."""
        try:
            return Result.model_validate_json((self.path / RESULT).read_bytes())
        except FileNotFoundError:
            return None


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    partial.replace(path)
