"""What is let go: cyclic garbage that holds objects of Qt, and the planes of a closed clip."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import QObject, Qt, QTimer

from napari_confseg.widgets.demo.hand import wait
from tests.annotate.edits import paint
from tests.widgets.bench import Bench, make_cohort

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.usefixtures("state_dir", "qapp")
def test_planes_and_frames_are_given_back_when_the_clip_is_closed(tmp_path: Path) -> None:
    bench = Bench()
    bench.open(make_cohort(tmp_path / "c.zarr", "clip-1"))
    session = bench.session
    paint(session, (20, 20, 60, 90), class_name="b-line")
    for session.frame in range(6):
        pass
    held = [weakref.ref(p) for p in (*session.planes.values(), bench.viewer.layers[0].data)]
    session.close_clip()
    wait(50)
    gc.collect()
    assert [r() for r in held] == [None] * 4
    bench.close()
