"""A worker of the suite that crashes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import pytest_xdist_make_scheduler

pytest.importorskip("xdist")
TESTS = [f"test_{name}.py::test_{i}" for name in "abcd" for i in range(3)]


class Worker:
    """What the scheduler sees of a worker."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.waiting: list[str] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        assert indices, "a file without tests: nobody ever reports that it is done"
        self.waiting += [TESTS[i] for i in indices]

    def shutdown(self) -> None:
        self.shutting_down = True


def test_who_replaces_it_gets_what_was_not_finished() -> None:
    config: Any = SimpleNamespace(
        getvalue=lambda name: ["popen", "popen"], option=SimpleNamespace(loadscopereorder=False)
    )
    log: Any = SimpleNamespace(loadscopesched=print, loadfilesched=print)
    scheduler: Any = pytest_xdist_make_scheduler(config, log)
    workers = [Worker("gw0"), Worker("gw1")]
    for worker in workers:
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, TESTS)
    scheduler.schedule()
    done = []

    def work(worker: Worker, n: int) -> None:
        for _ in range(n):
            done.append(worker.waiting.pop(0))
            scheduler.mark_test_complete(worker, TESTS.index(done[-1]))

    work(workers[0], 4)  # one file is finished, the next one begun
    crashed = workers[0].waiting[0]
    assert scheduler.remove_node(workers[0]) == crashed
    third = Worker("gw2")
    scheduler.add_node(third)
    scheduler.add_node_collection(third, TESTS)
    scheduler.schedule()
    while workers[1].waiting or third.waiting:
        for worker in (workers[1], third):
            work(worker, len(worker.waiting))
    assert sorted(done) == TESTS
    assert scheduler.tests_finished
