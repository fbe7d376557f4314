"""Runs of the Train panel that a worker of a dask scheduler carries out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_confseg.annotate.train.model import Training
from napari_confseg.annotate.train.runs import Phase
from napari_confseg.job import CHECKPOINT
from tests.dask_processes import free_port, processes, scheduler, until
from tests.widgets import trainable_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_confseg.store import Cohort
    from tests.dask_processes import Processes

__all__ = ["processes"]


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return trainable_cohort.make(tmp_path / "toy.zarr", patients=2, shape=(48, 64))


@pytest.fixture
def viewer() -> Iterator[Callable[[Cohort], Training]]:
    """Opens a cohort in a viewer of its own."""
    opened = []

    def made(cohort: Cohort) -> Training:
        training = Training()
        opened.append(training)
        training.open(cohort)
        until(lambda: training.poll() is None and not training.counting)
        return training

    yield made
    for training in opened:
        training.close()


def reach(training: Training, phase: Phase) -> None:
    def there() -> bool:
        training.poll()
        assert training.state.watched is not None
        assert training.state.watched.phase is not Phase.FAILED, training.state.watched.error
        return training.state.watched.phase is phase

    until(there)


def test_a_run_elsewhere_is_seen_and_stopped_by_a_viewer_that_comes_back(
    cohort: Cohort, processes: Processes, viewer: Callable[[Cohort], Training]
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler(processes, port)
    first = viewer(cohort)
    first.change_settings(where=address, size="study", steps=2000, device="cpu")
    first.show_clip("clip-1")
    name = first.start()
    assert name is not None

    def waits() -> bool:
        first.poll()
        watched = first.state.watched
        progress = watched.record.progress if watched else None
        return progress is not None and progress.message == "Waiting for a worker"

    until(waits)
    first.stop()  # no worker has it: it is stopped all the same
    reach(first, Phase.STOPPED)
    first.resume()
    until(waits)
    processes.start("-m", "trainer", "worker", address)
    reach(first, Phase.RUNNING)
    first.close()

    second = viewer(cohort)
    reach(second, Phase.RUNNING)
    assert second.state.settings.where == address  # what is asked of this run is asked there
    marked: list[tuple[str, str]] = []
    second.marked.connect(lambda *a: marked.append(a))
    second.show_clip("clip-2")
    until(lambda: second.poll() is None and (name, "clip-2") in marked)
    second.stop()
    reach(second, Phase.STOPPED)
    assert second.state.watched is not None
    assert (second.state.watched.folder.path / CHECKPOINT).exists()
    marked.clear()
    second.predict(("clip-1",))
    until(lambda: second.poll() is None and not second.live)
    assert marked == [(name, "clip-1")]


def test_a_scheduler_that_is_not_there_is_told(
    cohort: Cohort, viewer: Callable[[Cohort], Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    training = viewer(cohort)
    address = f"tcp://127.0.0.1:{free_port()}"
    training.change_settings(where=address)
    training.start()

    def failed() -> bool:
        training.poll()
        return training.state.watched is not None and not training.state.watched.phase.live

    until(failed)
    assert training.state.watched is not None
    assert training.state.watched.phase is Phase.FAILED
    assert f"There is no dask scheduler at {address}" in training.state.watched.error
    assert "confseg-train worker" in training.state.watched.hint
