"""Cyclic garbage that holds objects of Qt."""

from __future__ import annotations

import gc
import threading

import pytest
from qtpy.QtCore import QObject, Qt, QTimer

from tests.widgets.bench import Bench


class Cycle(QTimer):
    """Only the garbage collector can find it."""

    def __init__(self) -> None:
        super().__init__()
        self.me = self


@pytest.mark.usefixtures("state_dir", "qapp")
def test_a_thread_that_allocates_destroys_no_object_of_qt() -> None:
    gc.enable()  # as it is where no panel was ever opened
    bench = Bench()
    assert not gc.isenabled()
    where: list[threading.Thread] = []
    for _ in range(20):
        lost: QObject = Cycle()
        lost.destroyed.connect(
            lambda: where.append(threading.current_thread()), Qt.ConnectionType.DirectConnection
        )
    del lost

    def allocate() -> None:
        for _ in range(20 * gc.get_threshold()[0]):
            found: list[object] = []
            found.append(found)

    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()
    assert where == []
    bench.until(lambda: len(where) == 20)
    assert set(where) == {threading.main_thread()}
    bench.close()
