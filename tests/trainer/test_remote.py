"""A run elsewhere: scheduler, workers and whoever watches are processes of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import boto3
import pytest

from napari_confseg.job import CHECKPOINT, Finished, Metrics, RunFolder, Started
from napari_confseg.store import Cohort
from tests.dask_processes import free_port, processes, scheduler, until
from tests.store.conftest import s3, server
from tests.trainer.conftest import run_folder
from trainer import remote
from trainer.errors import TrainError
from trainer.remote import execute_at
from trainer.run_job import execute

__all__ = ["processes", "s3", "server"]

STEPS = 120


def uploaded(cohort: Path, location: str) -> Cohort:
    """Copy a cohort into a bucket."""
    bucket, _, stem = location.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    for file in filter(Path.is_file, cohort.rglob("*")):
        key = f"{stem}/{file.relative_to(cohort).as_posix()}"
        client.upload_file(str(file), bucket, key)
    return Cohort.open(location)


def steps_done(folder: RunFolder) -> int:
    return max((e.step for e in folder.events()[0] if isinstance(e, Metrics)), default=0)


def test_a_fit_survives_whoever_watches_its_worker_and_its_scheduler(
    tmp_path, shared_toy, processes, s3
):
    here = run_folder(tmp_path / "here", shared_toy, steps=STEPS)
    assert execute(here) is not None
    in_bucket = uploaded(Path(shared_toy.location), s3)  # the run's folder is on a shared disk
    there = run_folder(tmp_path / "there", in_bucket, steps=STEPS)
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
