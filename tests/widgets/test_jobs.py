"""Background jobs: results, progress, failure, cancellation, dropping, the latest only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject

from napari_confseg.widgets.common.jobs import BackgroundJob, LatestJob, ProgressRow, stop_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytestqt.qtbot import QtBot


@pytest.fixture
def owner(qtbot: QtBot) -> Iterator[QObject]:
    made = QObject()
    yield made
    assert stop_jobs()


def until_cancelled(job: BackgroundJob) -> str:
    assert job._cancelled.wait(20)
    return "so far"


def test_a_result_with_its_parts_and_progress(owner: QObject, qtbot: QtBot) -> None:
    def work(job: BackgroundJob) -> int:
        for i in range(3):
            job.report(i, 3, f"step {i}")
            job.send(i)
        return 42

    heard: list[Any] = []
    job = BackgroundJob(work, owner)
    job.progressed.connect(lambda *now: heard.append(now))
    job.parted.connect(heard.append)
    job.done.connect(heard.append)
    here = threading.current_thread()
    job.done.connect(lambda _: heard.append(threading.current_thread() is here))
    with qtbot.waitSignal(job.ended):
        job.start()
    assert heard == [(0, 3, "step 0"), 0, (1, 3, "step 1"), 1, (2, 3, "step 2"), 2, 42, True]


def test_what_was_cancelled_delivers_what_it_has(owner: QObject, qtbot: QtBot) -> None:
    heard: list[Any] = []
    job = BackgroundJob(until_cancelled, owner).start()
    job.done.connect(heard.append)
    assert not job.wait(0)
    with qtbot.waitSignal(job.ended):
        job.cancel()
    assert heard == ["so far"]


def fail(_job: BackgroundJob) -> None:
    raise OSError("the drive is gone")


def test_an_error_is_delivered_or_shown(owner: QObject, qtbot: QtBot) -> None:
    heard: list[Any] = []
    job = BackgroundJob(fail, owner)
    job.failed.connect(heard.append)
    with qtbot.waitSignal(job.ended):
        job.start()
    assert [str(e) for e in heard] == ["the drive is gone"]
    shown: list[str] = []

    def show(notification: Any) -> None:
        shown.append(notification.message)

    notification_manager.notification_ready.connect(show)
    job = BackgroundJob(fail, owner)  # nobody listens
    with qtbot.waitSignal(job.ended):
        job.start()
    notification_manager.notification_ready.disconnect(show)
    assert shown == ["the drive is gone"]


def test_what_is_dropped_delivers_nothing(owner: QObject, qtbot: QtBot) -> None:
    heard: list[Any] = []
    job = BackgroundJob(until_cancelled, owner).start()
    job.done.connect(heard.append)
    with qtbot.waitSignal(job.ended):
        job.drop()
    with qtbot.waitSignal(job.destroyed):
        assert job.wait(20)
    assert heard == []


def test_a_job_outlives_its_owner_in_silence(
    qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()

    def work(_job: BackgroundJob) -> None:
        assert go.wait(20)
        raise OSError("too late")

    owner = QObject()
    job = BackgroundJob(work, owner).start()
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    go.set()
    assert job.wait(20)
    assert "nobody waits for" in caplog.text


def test_only_the_latest_counts(owner: QObject, qtbot: QtBot) -> None:
    row = ProgressRow()
    qtbot.addWidget(row)
    latest, heard = LatestJob(owner, row=row), []
    latest.run(until_cancelled, heard.append, words="first")
    assert (latest.busy, row.busy, row.words.text()) == (True, True, "first")
    latest.run(lambda _: "second", heard.append, words="second")
    qtbot.waitUntil(lambda: not latest.busy)
    assert heard == ["second"]
    assert not row.busy
    latest.run(fail, heard.append, failed=lambda error: heard.append(str(error)))
    qtbot.waitUntil(lambda: not latest.busy)
    assert heard == ["second", "the drive is gone"]


def test_a_result_may_begin_the_next(owner: QObject, qtbot: QtBot) -> None:
    latest, heard = LatestJob(owner), []

    def on_done(value: int) -> None:
        heard.append(value)
        if value < 3:
            latest.run(lambda _: value + 1, on_done)

    latest.run(lambda _: 1, on_done)
    qtbot.waitUntil(lambda: not latest.busy)
    assert heard == [1, 2, 3]


def test_a_delayed_job_begins_only_if_it_stays_the_latest(owner: QObject, qtbot: QtBot) -> None:
    latest, heard = LatestJob(owner, delay=30), []
    began: list[int] = []

    def work(number: int) -> Any:
        return lambda _: began.append(number)

    latest.run(work(1), heard.append)
    latest.run(work(2), heard.append)
    assert latest.busy
    qtbot.waitUntil(lambda: not latest.busy)
    assert began == [2]
    latest.run(work(3), heard.append)
    latest.drop()
    assert not latest.busy
    latest.run(work(4), heard.append, at_once=True)
    qtbot.waitUntil(lambda: not latest.busy)
    assert began == [2, 4]


def test_stop_in_the_row_cancels(owner: QObject, qtbot: QtBot) -> None:
    row = ProgressRow()
    qtbot.addWidget(row)
    heard: list[Any] = []
    job = BackgroundJob(until_cancelled, owner)
    job.done.connect(heard.append)
    row.follow(job, "Working …")
    with qtbot.waitSignal(job.ended):
        job.start()
        row.stop.click()
        assert not row.stop.isEnabled()
    assert heard == ["so far"]
    assert row.isHidden()


def test_quitting_waits(owner: QObject) -> None:
    job = BackgroundJob(until_cancelled, owner).start()
    assert stop_jobs(20)
    assert job.cancelled()
    assert job.wait(0)
