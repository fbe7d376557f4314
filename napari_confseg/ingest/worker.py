"""Our side of the decoder process: start it, ask it, watch it, end it."""

from __future__ import annotations

import json
import mmap
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from napari_confseg.ingest.decoded import Frame, Head, IngestError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from napari_confseg.ingest.decoded import Source

PATIENCE = 60.0
"""Seconds without a sign of life after which the decoder is ended; a frame takes milliseconds."""
MEMORY = 4 * 2**30
"""Bytes of memory in use at which the decoder is ended, on Linux; it needs far less.

Memory in use and not address space: allocators, threads and newer interpreters reserve many times
what they use, and a limit on that breaks decoders that work.
"""
_LOOK_EVERY = 0.1  # seconds, in which a bomb takes a few hundred megabytes more
LAST_BREATH = 5.0
"""Seconds that a decoder which closed its pipe is given to end by itself, so that its own exit
code is told and not that of our kill."""


class Decoder:
    """Decodes sources in a process of its own; use as a context manager.

    One process serves many sources, as starting one takes half a second; after a crash, or when a
    source is left half-read, the next source gets a new one.

    Parameters
    ----------
    patience : float
        Seconds to wait for the next frame.
    memory : int
        Bytes that the process may use.
    """

    def __init__(self, *, patience: float = PATIENCE, memory: int = MEMORY) -> None:
        self._patience = patience
        self._memory = memory
        self._killed_for = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._waiting_since: float | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        """Begin to watch; the process starts with the first source."""
        threading.Thread(target=self._watch, name="decoder-watch", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._closed.set()
        self._end()

    def read(self, source: Source) -> Generator[Head | Frame, None, None]:
        """Decode `source`: a head, then its frames.

        Raises
        ------
        IngestError
            If it cannot become a clip, or decoding it crashed or hung.
        """
        process = self._process or self._start()
        complete = False
        try:
            yield from self._answers(process, source)
            complete = True
        except _RefusedError as error:
            complete = True
            raise IngestError(str(error)) from None
        finally:
            if not complete:
                self._end()

    def _answers(self, process: subprocess.Popen[bytes], source: Source) -> Iterator[Head | Frame]:
        assert process.stdin is not None  # both are pipes
        try:
            process.stdin.write(json.dumps(asdict(source)).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise IngestError(self._obituary(process)) from None
        while True:
            message, pixels = self._receive(process)
            match message.pop("kind"):
                case "head":
                    yield _head(message)
                case "frame":
                    yield Frame(pixels, message["seconds"])
                case "refused":
                    raise _RefusedError(message["reason"])
                case _:
                    return

    def _receive(self, process: subprocess.Popen[bytes]) -> tuple[dict[str, Any], Any]:
        assert process.stdout is not None
        self._waiting_since = time.monotonic()
        line = process.stdout.readline()
        try:
            message: dict[str, Any] = json.loads(line)
            pixels = None
            if message["kind"] == "frame":
                y, x = message["y"], message["x"]
                pixels = np.frombuffer(process.stdout.read(y * x), np.uint8).reshape(y, x)
        except ValueError:  # the pipe ended: before a message, or within one
            raise IngestError(self._obituary(process)) from None
        finally:
            self._waiting_since = None
        return message, pixels

    def _start(self) -> subprocess.Popen[bytes]:
        self._killed_for = ""
        # A file: a pipe that nobody reads would stall it. It is closed with the process.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "napari_confseg.ingest.decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=2**20,  # as much as Linux grants: a frame ahead, and few switches
            stderr=self._errors,
        )
        return self._process

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_EVERY):
            since, process = self._waiting_since, self._process
            if process is None or since is None or self._killed_for:
                continue
            if time.monotonic() - since > self._patience:
                self._killed_for = f"decoding it hung: nothing came for {self._patience:g} seconds"
            elif _resident(process.pid) > self._memory:
                self._killed_for = (
                    f"it takes more than {self._memory / 2**30:.2g} GB of memory to decode"
                )
            else:
                continue
            process.kill()

    def _obituary(self, process: subprocess.Popen[bytes]) -> str:
        """Say how the decoder ended, with the last line it printed."""
        try:
            code = process.wait(LAST_BREATH)
        except subprocess.TimeoutExpired:
            return f"its decoder stopped answering{_last_line(self._errors)}"
        printed = _last_line(self._errors)
        if self._killed_for:
            return f"{self._killed_for}{printed}"
        if code < 0:
            how = signal.strsignal(-code) or f"signal {-code}"
            # Nobody but the system kills it, when memory runs out.
            why = (
                "the system may be out of memory" if -code == _KILLED else "the file may be damaged"
            )
            return f"decoding it crashed the decoder ({how}){printed}; {why}"
        return f"its decoder ended with exit code {code}{printed}"

    def _end(self) -> None:
        process, self._process = self._process, None
        errors, self._errors = self._errors, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, errors):
                if pipe is not None:
                    pipe.close()


_KILLED = 9


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process uses; 0 where Linux's /proc is not there."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * mmap.PAGESIZE


def _last_line(errors: IO[bytes] | None) -> str:
    """Return ": " and the last line of a decoder's standard error; nothing if it is empty."""
    if errors is None:
        return ""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    return next((f": {line.strip()[:130]}" for line in reversed(lines) if line.strip()), "")


def _head(message: dict[str, Any]) -> Head:
    """Undo what JSON does to tuples."""
    for name in ("shape", "tags", "spacing"):
        if message[name] is not None:
            message[name] = tuple(message[name])
    return Head(**message)


class _RefusedError(Exception):
    """The decoder lives and has said no."""
