"""A fit shared by two processes comes to what one process comes to, and leaves the same files."""

from __future__ import annotations

import csv
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
import torch

from napari_confseg.job import Failed, Metrics, PredictRequest, RunFolder, Started
from tests.trainer.conftest import run_folder
from tests.trainer.test_fit import ARTEFACTS, lasting, names, stop_at
from trainer import parallel
from trainer.__main__ import main
from trainer.run_job import execute

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.job import Event

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to spare two imports of torch"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
SHORT = {"steps": 6, "size": "study", "precision": "fp32"}


def together(n: int, work: Callable[[], int]) -> list[int]:
    """Do `work` in `n` processes that know of each other as `torchrun`'s do; their exit codes."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    children = []
    for rank in map(str, range(n)):
        pid = os.fork()
        if pid == 0:
            code = 9
            try:
                os.environ |= {
                    "RANK": rank,
                    "LOCAL_RANK": rank,
                    "WORLD_SIZE": str(n),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": port,
                }
                code = work()
            finally:
                os._exit(code)
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def losses(path: Path) -> list[float]:
    with (path / "metrics.csv").open() as f:
        return [float(row["loss"]) for row in csv.DictReader(f)]


def assert_equal_but_for_rounding(a: Path, b: Path) -> None:
    """Compare all weights that have a say.

    The bias of a convolution is taken away again by the batch norm behind it: its gradient is
    rounding alone, of which Adam makes whole steps. The norm's running mean follows it.
    """
    first, second = (torch.load(p / "state.pt", weights_only=True) for p in (a, b))
    compared = 0
    for part in ("network", "average"):
        for name, value in first[part].items():
            if value.is_floating_point() and not name.endswith(("conv.bias", "running_mean")):
                apart = (value - second[part][name]).norm() / value.norm().clamp_min(1e-6)
                assert apart < 2e-5, name
                compared += 1
    assert compared > 40
    assert losses(a) == pytest.approx(losses(b), rel=1e-5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, shared_toy) -> Path:
    path = tmp_path_factory.mktemp("runs") / "alone"
    assert execute(run_folder(path, shared_toy, **SHORT)) is not None
    return path


def test_two_processes_equal_one(alone, tmp_path, shared_toy):
    folder = run_folder(tmp_path / "run", shared_toy, **SHORT)
    assert together(2, lambda: main(["run", str(folder.path), "--json"])) == [0, 0]
    assert_equal_but_for_rounding(folder.path, alone)
    assert lasting(folder.path) == ARTEFACTS
    kinds = [type(e) for e in folder.events()[0]]
    assert kinds.count(Started) == 1
    assert [type(e) for e in RunFolder(alone).events()[0]][-1] is kinds[-1]
    # Once complete, it stays so for all of them.
    assert together(2, lambda: main(["run", str(folder.path), "--json"])) == [0, 0]


def test_all_stop_at_the_same_step_and_go_on_from_it(alone, tmp_path, shared_toy):
    folder = run_folder(tmp_path / "run", shared_toy, **SHORT)

    def until_told() -> int:
        group = parallel.join()
        with group.folder(folder.path, None) as own:
            listen = stop_at(folder, 3) if group.rank == 0 else (lambda _: None)
            result = execute(own, listen)
        group.leave()
        return result.steps if result and result.stopped else 99

    assert together(2, until_told) == [3, 3]
    # What was kept does not say how many there were.
    one = execute(folder, stop_at(folder, 4))
    assert one is not None
    assert one.steps == 4
    assert together(2, lambda: main(["run", str(folder.path), "--json"])) == [0, 0]
    starts = [e.facts["begins at step"] for e in folder.events()[0] if isinstance(e, Started)]
    assert starts == [0, 3, 4]
    assert_equal_but_for_rounding(folder.path, alone)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(tmp_path, shared_toy):
    folder = run_folder(tmp_path / "run", shared_toy, **SHORT)
    assert together(3, lambda: main(["run", str(folder.path), "--json"])) == [1, 1, 1]
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert last.error == "3 processes can't share a batch of 8 evenly"


def test_a_process_that_dies_is_said_by_the_others(alone, tmp_path, shared_toy):
    folder = run_folder(tmp_path / "run", shared_toy, **SHORT)

    def until_one_dies() -> int:
        group = parallel.join()
        with group.folder(folder.path, None) as own:

            def listen(event: Event) -> None:
                if group.rank == 1 and isinstance(event, Metrics) and event.step == 3:
                    os.kill(os.getpid(), signal.SIGKILL)

            return 1 if execute(own, listen) is None else 0

    assert together(2, until_one_dies) == [1, -signal.SIGKILL]
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert last.error == "Another process of this fit has ended, or can't be reached"
    assert "gloo" not in last.error + last.hint
    assert together(2, lambda: main(["run", str(folder.path), "--json"])) == [0, 0]
    assert_equal_but_for_rounding(folder.path, alone)


def test_only_a_fit_is_shared(tmp_path, shared_toy, capfd):
    request = PredictRequest(run=str(tmp_path), cohort=shared_toy.location, rater="model-a")
    folder = RunFolder.create(tmp_path / "job", request)
    assert together(2, lambda: main(["run", str(folder.path)])) == [1, 1]
    assert "Only a fit can be shared by several processes" in capfd.readouterr().err
    assert names(folder.path) == {"job.json"}
