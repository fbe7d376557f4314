"""A run elsewhere: scheduler, workers and whoever watches are processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_confseg.job import CHECKPOINT, Finished, Metrics, RunFolder, Started
from tests.trainer.conftest import run_folder
from trainer import remote
from trainer.errors import TrainError
from trainer.remote import execute_at
from trainer.run_job import execute

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 120


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
        home = str(Path(__file__).parents[2])
        environment = os.environ | {"PYTHONPATH": home, "OMP_NUM_THREADS": "1"}
        with (self._folder / "output.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=environment, stdout=log, stderr=log
            )
        self._started.callback(process.wait)
        self._started.callback(process.kill)
        return process


@pytest.fixture
def processes(tmp_path):
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


def steps_done(folder: RunFolder) -> int:
    return max((e.step for e in folder.events()[0] if isinstance(e, Metrics)), default=0)


def test_a_fit_survives_whoever_watches_its_worker_and_its_scheduler(
    tmp_path, shared_toy, processes
):
    here = run_folder(tmp_path / "here", shared_toy, steps=STEPS)
    assert execute(here) is not None
    there = run_folder(tmp_path / "there", shared_toy, steps=STEPS)
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    first_scheduler = scheduler(processes, port)
    first = processes.start("-m", "trainer", "worker", address)
    watch = ("-m", "trainer", "run", str(there.path), "--where", address)
    watching = processes.start(*watch)
    until(lambda: steps_done(there) > 0)
    watching.send_signal(signal.SIGKILL)
    first.send_signal(signal.SIGKILL)
    at = steps_done(there)
    processes.start("-m", "trainer", "worker", address)
    watching = processes.start(*watch)
    until(lambda: steps_done(there) > at)
    first_scheduler.send_signal(signal.SIGKILL)
    first_scheduler.wait()
    scheduler(processes, port)
    assert watching.wait() == 0
    events = there.events()[0]
    assert len([e for e in events if isinstance(e, Started)]) >= 2  # resumed by the second worker
    assert isinstance(events[-1], Finished)
    assert there.result() == here.result()
    assert (there.path / CHECKPOINT).read_bytes() == (here.path / CHECKPOINT).read_bytes()


def test_where_nobody_is_it_says_so(tmp_path, shared_toy, monkeypatch):
    monkeypatch.setattr(remote, "_CONNECT", 1)
    folder = run_folder(tmp_path / "run", shared_toy)
    with pytest.raises(TrainError, match=r"no dask scheduler at tcp://127\.0\.0\.1"):
        execute_at(f"tcp://127.0.0.1:{free_port()}", folder)
