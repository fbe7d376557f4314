"""The folder of a run: what panel and trainer write into it and read from it."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout
from pydantic import BaseModel, TypeAdapter, ValidationError

from napari_confseg.job.events import Event, Result
from napari_confseg.job.requests import FitRequest, PredictRequest, Request
from napari_confseg.store.durable import write_durably
from napari_confseg.store.schema import check_slug

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST, EVENTS, CANCEL, RESULT = "job.json", "events.jsonl", "cancel", "result.json"
PREVIEW, LOCK, LOG = "preview", "lock", "trainer.log"
CHECKPOINT, CONFIG = "checkpoint.safetensors", "config.json"

_REQUEST: Final[TypeAdapter[FitRequest | PredictRequest]] = TypeAdapter(Request)
_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Event)


class JobError(Exception):
    """A run folder that cannot be used; says which and why."""


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

    @classmethod
    def begin(cls, path: Path, request: FitRequest | PredictRequest) -> RunFolder:
        """Make the folder and write the request, or find that the same was asked for before.

        Raises
        ------
        JobError
            If there is another request already; says in what it differs.
        """
        if not (path / REQUEST).exists():
            return cls.create(path, request)
        there = cls(path).request()
        differs = [
            name
            for name in type(request).model_fields
            if getattr(there, name, None) != getattr(request, name)
        ]
        if differs:
            raise JobError(
                f"{path} holds another run, which differs in {', '.join(differs)}: choose another "
                f"name, or resume that one with 'confseg-train run {path}'"
            )
        return cls(path)

    def withdraw(self) -> None:
        """Remove request and events of a run that came to nothing, and the folder if it is empty.

        Only for whoever has made the request and holds the folder no longer.
        """
        for name in (REQUEST, EVENTS, CANCEL, PREVIEW, LOCK):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else
            self.path.rmdir()

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
        """Withdraw the request to stop, so that the run can be resumed."""
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
    write_durably(path, text.encode())
