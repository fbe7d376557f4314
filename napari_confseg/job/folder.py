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
from napari_confseg.store.backend import local_root
from napari_confseg.store.durable import write_durably
from napari_confseg.store.errors import StoreError, field_problems, sentence
from napari_confseg.store.files import MIB, check_file, open_file, read_file
from napari_confseg.store.journal import journal_folder
from napari_confseg.store.schema import check_slug

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_confseg.store import Cohort

REQUEST, EVENTS, CANCEL, RESULT = "job.json", "events.jsonl", "cancel", "result.json"
PREVIEW, LOCK, LOG = "preview", "lock", "trainer.log"
WHERE, FOLLOWED = "where", "followed.lock"
CHECKPOINT, CONFIG = "checkpoint.safetensors", "config.json"

_OF_TRAINER = ("state.pt", "metrics.csv", "findings.csv")
_MOST_JSON = 4 * MIB  # of a request or result
_MOST_EVENTS = 2**30
_MOST_ADDRESS = 1000
_MOST_AT_ONCE = 16 * MIB  # of events: a year of them is less

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
        for name in (REQUEST, EVENTS, CANCEL, PREVIEW, LOCK, WHERE, FOLLOWED):
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
        self._refuse_links()
        path = self.path / REQUEST
        try:
            return _REQUEST.validate_json(read_file(path, _MOST_JSON))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise JobError(f"{self.path} is no run folder: it holds no {REQUEST}") from error
        except ValidationError as error:
            raise JobError(f"{path} breaks the job protocol: {_first(error)}") from error
        except (StoreError, OSError) as error:
            raise _unreadable(path, error) from error

    def _refuse_links(self) -> None:
        """Refuse a folder whose files lead elsewhere: who wrote into it would write there.

        Raises
        ------
        JobError
            Names the link.
        """
        names = (REQUEST, EVENTS, CANCEL, RESULT, PREVIEW, LOCK, LOG, WHERE, FOLLOWED)
        for name in (*names, CHECKPOINT, CONFIG, *_OF_TRAINER):
            if (self.path / name).is_symlink():
                raise JobError(
                    f"{self.path / name} is a link: remove it, nothing was read or written there"
                )

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
            with open_file(self.path / EVENTS, _MOST_EVENTS) as f:
                f.seek(offset)
                data = f.read(_MOST_AT_ONCE)
        except (StoreError, OSError):  # nothing yet, or what is no log of events
            return [], offset
        complete = data[: data.rfind(b"\n") + 1]
        if not complete and len(data) == _MOST_AT_ONCE:
            complete = data  # one endless line
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
        return _is_held(self.path / LOCK)

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Be known to follow the run on a scheduler; one of several who do is enough."""
        lock = FileLock(self.path / FOLLOWED, timeout=0)
        with suppress(Timeout):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def followed(self) -> bool:
        """Whether a process sees to it that the run is carried out on its scheduler."""
        return (self.path / FOLLOWED).exists() and _is_held(self.path / FOLLOWED)

    def send_to(self, address: str | None) -> None:
        """Note the scheduler that is to have the run carried out; None for this machine."""
        if address is None:
            (self.path / WHERE).unlink(missing_ok=True)
        else:
            _replace(self.path / WHERE, address)

    def where(self) -> str | None:
        """Return the scheduler that the run was sent to last; None for the machine it began on."""
        try:
            return read_file(self.path / WHERE, _MOST_ADDRESS).decode() or None
        except (StoreError, OSError, ValueError):
            return None

    def show(self, clip: str) -> None:
        """Tell a running trainer that `clip` is the one on screen now."""
        _replace(self.path / PREVIEW, check_slug(clip))

    def preview_clip(self) -> str | None:
        """Return the clip to preview: the last one shown, else the request's. Cheap to ask."""
        try:
            return check_slug(read_file(self.path / PREVIEW, 100).decode())
        except (StoreError, OSError, ValueError):
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
        """Return the result, or None while there is none.

        Raises
        ------
        JobError
            If it is damaged; says how.
        """
        path = self.path / RESULT
        try:
            return Result.model_validate_json(read_file(path, _MOST_JSON))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise JobError(f"{path} is damaged: {_first(error)}; {_REMOVE}") from error
        except (StoreError, OSError) as error:
            raise JobError(f"{_unreadable(path, error)}; {_REMOVE}") from error


def runs_folder(cohort: Cohort) -> Path:
    """Return where the runs of `cohort` live: beside it, or in the state folder.

    Never inside it, where nothing unlisted may lie. Cohorts in a bucket, a zip or a folder whose
    parent takes nothing new have their runs in the state folder.
    """
    root = local_root(cohort.store)
    if root is not None and os.access(root.parent, os.W_OK):
        root = root.resolve()
        return root.with_name(root.name.removesuffix(".zarr") + "-runs")
    return journal_folder() / "runs" / cohort.meta.cohort_id


_REMOVE = "remove it, and resume the run"


def _is_held(lock: Path) -> bool:
    """Whether a process, on this or another machine, holds a lock."""
    try:
        check_file(lock, MIB)
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except (StoreError, OSError):  # none, or a share that we may only read: nobody can know
        return False


def _first(error: ValidationError) -> str:
    return next(field_problems(error, "", "")).message


def _unreadable(path: Path, error: Exception) -> JobError:
    found = error.problems[0].message if isinstance(error, StoreError) else sentence(error)
    return JobError(f"{path} can't be read: {found}")


def _replace(path: Path, text: str) -> None:
    write_durably(path, text.encode())
