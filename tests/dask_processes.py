"""A dask scheduler and whoever works for it, as processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Processes:
    """Processes that are killed at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, ExitStack()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run Python with some arguments."""
        home = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": home, "OMP_NUM_THREADS": "1"}
        with (self._folder / "output.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=environment, stdout=log, stderr=log
            )
        self._started.callback(process.wait)
        self._started.callback(process.kill)
        return process


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as found:
        yield found


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def scheduler(processes: Processes, port: int) -> subprocess.Popen[bytes]:
    command = ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard")
    process = processes.start(*command, "--port", str(port))
    until(lambda: answers(port))
    return process


def until(reached: Callable[[], bool]) -> None:
    """Wait; the suite's time limit ends it."""
    while not reached():
        time.sleep(0.1)
