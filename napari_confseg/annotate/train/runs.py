"""State of a run, from its folder.

Events (`Record`) and the folder's other files (`FolderStatus`) are folded by pure functions into a
frozen `RunState`, which is all that a panel needs to know. A run is its folder: a viewer that did
not start it can watch it, at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from napari_confseg.job import (
    Cancelled,
    Failed,
    Finished,
    Metrics,
    Preview,
    Progress,
    Started,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_confseg.job import Event, FitRequest, PredictRequest, Result, RunFolder

Points = tuple[tuple[int, float], ...]
"""A curve: (step, value), steps rising."""

SCORE: Final = "val_dice"
"""The metric that chooses the best checkpoint."""


class Phase(StrEnum):
    """Where a run stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    ENDED = "ended unexpectedly"

    @property
    def live(self) -> bool:
        """Whether a process is at work, or about to be."""
        return self in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)


@dataclass(frozen=True)
class Record:
    """Sum of the events of a run.

    Attributes
    ----------
    last : Started, Finished, Cancelled, Failed or None
        The last word on how it stands.
    progress : Progress or None
        The last one of the present session.
    curves : mapping of str to Points
        Metrics over steps.
    previews : mapping of str to int
        Clip -> the step after which the model marked it.
    """

    last: Started | Finished | Cancelled | Failed | None = None
    progress: Progress | None = None
    curves: Mapping[str, Points] = field(default_factory=dict)
    previews: Mapping[str, int] = field(default_factory=dict)


def fold(record: Record, events: Iterable[Event]) -> Record:
    """Return `record` with `events` added. Pure.

    A resumed run goes back to its last saved step: what the curves say beyond it is dropped,
    since those steps are done again.
    """
    last, progress = record.last, record.progress
    curves: dict[str, list[tuple[int, float]]] = {k: list(v) for k, v in record.curves.items()}
    previews = dict(record.previews)
    for event in events:
        match event:
            case Started():
                last, progress = event, None
            case Finished() | Cancelled() | Failed():
                last = event
            case Progress():
                progress = event
            case Preview():
                previews[event.clip] = event.step
            case Metrics():
                _extend(curves, event)
    return Record(last, progress, {k: tuple(v) for k, v in curves.items()}, previews)


def sent_for_again(record: Record) -> Record:
    """Return `record` for a trainer to come: how the run stood before counts no longer. Pure.

    By what was heard since, not by the time of it: another machine's clock may differ.
    """
    return replace(record, last=None, progress=None)


def _extend(curves: dict[str, list[tuple[int, float]]], event: Metrics) -> None:
    for name, value in event.values.items():
        points = curves.setdefault(name, [])
        while points and points[-1][0] >= event.step:
            points.pop()
        if value is not None and value == value:
            points.append((event.step, value))


@dataclass(frozen=True)
class FolderStatus:
    """State of a run's folder besides its events.

    Attributes
    ----------
    alive : bool
        Whether a trainer works in it.
    cancelled : bool
        Whether it has been asked to stop.
    checkpoint : bool
        Whether there is a model to predict with.
    result : Result or None
        What it came to.
    where : str
        Address of the scheduler it was sent to; empty for this machine.
    log : str
        The last lines that the trainer printed.
    damage : str
        What is wrong with the result, in one sentence; empty if nothing.
    """

    alive: bool = False
    cancelled: bool = False
    checkpoint: bool = False
    result: Result | None = None
    where: str = ""
    log: str = ""
    damage: str = ""


@dataclass(frozen=True)
class RunState:
    """All that a panel shows of a run.

    Attributes
    ----------
    name : str
        The run's slug, under which its planes appear as a rater too.
    folder : RunFolder
        Where it lives.
    request : FitRequest or PredictRequest
        What was asked.
    phase : Phase
        Where it stands.
    record : Record
        What its events add up to.
    result : Result or None
        What it came to.
    checkpoint : bool
        Whether it has a model to predict with.
    error, hint : str
        What went wrong in one sentence, and what to do; empty if nothing.
    where : str
        Address of the scheduler it was sent to; empty for this machine.
    """

    name: str
    folder: RunFolder
    request: FitRequest | PredictRequest
    phase: Phase
    record: Record = field(default_factory=Record)
    result: Result | None = None
    checkpoint: bool = False
    error: str = ""
    hint: str = ""
    where: str = ""

    @property
    def best(self) -> tuple[int, float] | None:
        """The step and score of the kept checkpoint; the first of equals, as the trainer keeps."""
        if self.result is not None and (score := self.result.scores.get(SCORE)) is not None:
            return self.result.best_step, score
        points = self.record.curves.get(SCORE, ())
        return max(points, key=lambda p: (p[1], -p[0])) if points else None

    @property
    def done(self) -> float:
        """How far it is, 0..1."""
        progress = self.record.progress
        if self.phase is Phase.FINISHED:
            return 1.0
        return min(progress.current / progress.maximum, 1.0) if progress and progress.maximum else 0

    @property
    def time_left(self) -> str:
        """The trainer's guess in words; empty if it has none or is not at work."""
        progress = self.record.progress
        if self.phase is not Phase.RUNNING or progress is None or progress.seconds_left is None:
            return ""
        return in_words(progress.seconds_left)


def resolve(
    name: str,
    folder: RunFolder,
    request: FitRequest | PredictRequest,
    record: Record,
    status: FolderStatus,
) -> RunState:
    """Return the state of a run from its events and the status of its folder. Pure."""
    last = record.last
    error = hint = ""
    if status.damage and not status.alive:
        phase, error = Phase.FAILED, status.damage
    elif isinstance(last, Failed):
        phase, error, hint = Phase.FAILED, last.error, last.hint
    elif isinstance(last, (Finished, Cancelled)):
        stopped = status.result.stopped if status.result else isinstance(last, Cancelled)
        phase = Phase.STOPPED if stopped else Phase.FINISHED
    elif status.alive:
        phase = Phase.STARTING if last is None else Phase.RUNNING
        phase = Phase.STOPPING if status.cancelled else phase
    elif (
        status.result is not None and last is not None
    ):  # killed between the result and the last event
        phase = Phase.STOPPED if status.result.stopped else Phase.FINISHED
    else:
        phase = Phase.ENDED
        error = "The trainer ended unexpectedly."
        hint = "Resume goes on from the last saved step."
        if status.where:
            error = f"Nobody works on it: it was sent to {status.where}."
        hint += f" The last it printed: {status.log}" if status.log else ""
    return RunState(
        name,
        folder,
        request,
        phase,
        record,
        status.result,
        status.checkpoint,
        error,
        hint,
        status.where,
    )


def in_words(seconds: float) -> str:
    """Return a duration as a person would say it.

    >>> in_words(3), in_words(48), in_words(100), in_words(4000)
    ('a few seconds', '50 s', '2 min', '1 h 7 min')
    """
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"{round(seconds, -1):.0f} s"
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
