"""Cyclic garbage that holds objects of Qt."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, QTimer

if TYPE_CHECKING:
    from tests.widgets.bench import Bench


class Cycle(QTimer):
    """Only the garbage collector can find it."""

    def __init__(self) -> None:
        super().__init__()
        self.me = self


def test_a_thread_that_allocates_destroys_no_object_of_qt(bench: Bench) -> None:
    assert not gc.isenabled()  # the panel is open
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
