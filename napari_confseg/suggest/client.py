"""The model's process as the viewer sees it: started when asked, warm, restarted if it dies."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from napari_confseg.launcher import trainer_problem
from napari_confseg.suggest.protocol import (
    Load,
    Loaded,
    Message,
    ProtocolError,
    Refused,
    receive,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.suggest.protocol import Arrays

# -P: a folder called "trainer" where the viewer happens to stand must not be run.
COMMAND: Final = (sys.executable, "-P", "-m", "napari_confseg.launcher", "serve")
"""Starts the process."""

PATIENCE: Final = 120.0
"""Seconds for one answer, after which the process is given up: starting it is in them."""


class SuggestError(Exception):
    """No answer; the text says in a sentence or two why, and what to do."""


class Answer(NamedTuple):
    """What came back for a request."""

    message: Message
    arrays: Arrays
    restarted: bool
    """Whether the process had died and was started again for this."""
    caution: str = ""
    """Why it is not the model that was to be asked, in one sentence; empty if it is."""


class ModelProcess:
    """One process that holds a model; any thread may ask, one at a time.

    It ends with :meth:`close`, and by itself when this program is gone: its stdin ends then.

    Parameters
    ----------
    command : sequence of str
        Starts the process.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = tuple(command)
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._closed = False
        self._restarted = False  # and nobody knows yet

    @property
    def pid(self) -> int | None:
        """Of the process that runs; None if none does."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    @property
    def busy(self) -> bool:
        """Whether it is asked something now, or being started for it."""
        return self._asking.locked()

    def warm(self, model: str) -> Loaded:
        """Get `model` ready, as :meth:`ask` does.

        Raises
        ------
        SuggestError
            If it can't be.
        """
        answer = self.ask(Load(model=model))
        if answer is None or not isinstance(answer.message, Loaded):
            raise SuggestError("The model's process gave another answer than was asked for.")
        return answer.message

    def ask(
        self,
        request: Message,
        arrays: Mapping[str, NDArray[Any]] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Answer | None:
        """Return the answer to a request; None if cancelled before its turn came.

        Raises
        ------
        SuggestError
            If there is none: nothing to start, the request refused, or the process died twice.
        """
        with self._asking:
            if cancelled() or self._closed:
                return None
            self._restarted |= self._process is not None and self._process.poll() is not None
            for _ in range(2):
                got = self._try(request, arrays or {})
                if got is not None:
                    message, found = got
                    if isinstance(message, Refused):
                        raise SuggestError(f"{message.message} {message.hint}".strip())
                    restarted = self._restarted
                    # An answer that nobody waits for tells nobody: the next one does.
                    self._restarted = restarted and cancelled()
                    return Answer(message, found, restarted)
                if self._closed:
                    return None
                self._restarted = True
            raise SuggestError(f"The model's process ends before it answers{self._last_words()}.")

    def _try(
        self, request: Message, arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Message, Arrays] | None:
        """Return the answer of the process, started if need be; None if it dies over it."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        # It may hang, as any program may; whoever waits behind this request must not.
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            send(process.stdin, request, arrays)
            got = receive(process.stdout)
        except (OSError, ValueError, ProtocolError):  # a pipe that was closed is a ValueError
            got = None
        finally:
            watchdog.cancel()
        if got is None:
            _end(process)
        return got

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        if self._process is not None:
            _end(self._process)
        problem = trainer_problem()
        if problem:
            raise SuggestError(problem)
        if self._log is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as we live
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                creationflags=flags,
            )
        except OSError as error:
            raise SuggestError(f"The model's process can't be started: {error}.") from error
        if self._closed:  # meanwhile, in another thread
            _end(self._process)
        return self._process

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = self._log.read()[-4096:].decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {last[:300].rstrip('.')}" if last else ""

    def close(self) -> None:
        """End the process, also in the midst of a request; further requests are answered None."""
        self._closed = True
        if self._process is not None:
            _end(self._process)
        if self._log is not None:
            self._log.close()
            self._log = None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that has nothing to lose, and close its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError, ValueError):  # what it was sent last may be unread
                pipe.close()
