"""The job protocol: what one process writes, another reads, whatever happens in between."""

from __future__ import annotations

import multiprocessing as mp
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from napari_confseg.job import (
    EVENTS,
    REQUEST,
    Cancelled,
    Failed,
    Finished,
    FitRequest,
    JobError,
    Metrics,
    PredictRequest,
    Preview,
    Progress,
    Result,
    RunFolder,
    Started,
)
from napari_confseg.methods import Method

if TYPE_CHECKING:
    from pathlib import Path

FIT = FitRequest(cohort="/data/c.zarr", rater="m1", classes=("b-line",), preview_clip="clip-1")
PREDICT = PredictRequest(run="/data/c-runs/m1", cohort="/data/c.zarr", rater="m1")
EVERY_EVENT = [
    Started(facts={"device": "cpu", "clips": 3, "lr": 0.1, "compiled": False}),
    Progress(current=1, maximum=10, message="step", seconds_left=3.5),
    Metrics(step=1, values={"loss": 0.5, "val_dice/b-line": None}),
    Preview(step=1, clip="clip-1", rater="m1"),
    Finished(),
    Cancelled(),
    Failed(error="No space.", hint="Free some."),
]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "m1", FIT)


@pytest.mark.parametrize("request_", [FIT, PREDICT], ids=["fit", "predict"])
def test_what_is_asked_is_what_is_read(tmp_path: Path, request_: Any) -> None:
    assert RunFolder.create(tmp_path / "r", request_).request() == request_


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ()},
        {"classes": ("../b",)},
        {"rater": "A"},
        {"device": "gpu"},
        {"size": "huge"},
        {"steps": 0},
        {"surprise": 1},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_request_that_breaks_the_protocol_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FitRequest.model_validate(FIT.model_dump() | change)


def test_a_method_reads_like_a_call() -> None:
    assert str(Method(name="threshold", params={"t": 60.0})) == "threshold(t=60)"
    assert str(Method(name="soft")) == "soft"


def test_a_folder_holds_one_request_only(run: RunFolder) -> None:
    with pytest.raises(JobError, match="holds a run already"):
        RunFolder.create(run.path, FIT)


def test_a_folder_without_or_with_a_broken_request_says_so(tmp_path: Path, run: RunFolder) -> None:
    with pytest.raises(JobError, match=r"no run folder: it holds no job\.json"):
        RunFolder(tmp_path).request()
    (run.path / REQUEST).write_text('{"kind": "fit", "cohort": 3}')
    with pytest.raises(JobError, match="breaks the job protocol"):
        run.request()


def test_every_event_comes_back_equal_and_once(run: RunFolder) -> None:
    seen, offset = [], 0
    for event in EVERY_EVENT:
        run.append(event)
        new, offset = run.events(offset)
        seen += new
    assert seen == EVERY_EVENT
    assert run.events(offset) == ([], offset)
    assert run.events()[0] == EVERY_EVENT


def test_following_byte_by_byte_gives_what_reading_whole_gives(run: RunFolder) -> None:
    for event in EVERY_EVENT:
        run.append(event)
    data = (run.path / EVENTS).read_bytes()
    (run.path / EVENTS).write_bytes(b"")
    seen, offset = [], 0
    with (run.path / EVENTS).open("ab", buffering=0) as f:
        for i in range(0, len(data), 7):
            f.write(data[i : i + 7])
            new, offset = run.events(offset)
            seen += new
    assert seen == EVERY_EVENT
    assert offset == len(data)


def test_no_events_yet_is_not_an_error(run: RunFolder) -> None:
    assert run.events() == ([], 0)


def test_a_line_cut_short_costs_that_line_alone(run: RunFolder) -> None:
    run.append(EVERY_EVENT[0])
    with (run.path / EVENTS).open("a") as f:
        f.write('{"event": "progr')  # killed while writing
    assert run.events()[0] == EVERY_EVENT[:1]
    for event in EVERY_EVENT[1:]:  # resumed
        run.append(event)
    assert run.events()[0] == EVERY_EVENT


def test_an_event_of_a_newer_trainer_is_passed_over(run: RunFolder) -> None:
    with (run.path / EVENTS).open("a") as f:
        f.write('{"event": "telepathy"}\n')
    run.append(EVERY_EVENT[0])
    assert run.events()[0] == EVERY_EVENT[:1]


def test_a_request_to_stop_can_be_withdrawn(run: RunFolder) -> None:
    assert not run.cancelled()
    run.cancel()
    run.cancel()
    assert run.cancelled()
    run.clear_cancel()
    run.clear_cancel()
    assert not run.cancelled()


def test_the_preview_follows_the_clip_on_screen(run: RunFolder, tmp_path: Path) -> None:
    assert run.preview_clip() == "clip-1"
    run.show("clip-2")
    assert run.preview_clip() == "clip-2"
    with pytest.raises(ValueError, match="not a legal name"):
        run.show("../clip-3")
    assert run.preview_clip() == "clip-2"
    assert RunFolder.create(tmp_path / "p", PREDICT).preview_clip() is None


def test_the_result_is_the_proof_of_completion(run: RunFolder) -> None:
    assert run.result() is None
    result = Result(steps=10, best_step=8, scores={"val_dice": 0.7, "val_dice/rib": None})
    run.finish(result)
    assert run.result() == result
    assert not list(run.path.glob("*.partial"))


def _work(path: Path, ready: Any) -> None:
    with RunFolder(path).hold():
        ready.set()
        mp.Event().wait()  # until killed


def test_a_run_lives_exactly_as_long_as_its_process(run: RunFolder) -> None:
    context = mp.get_context("fork")
    ready = context.Event()
    assert not run.alive()
    process = context.Process(target=_work, args=(run.path, ready))
    process.start()
    try:
        assert ready.wait(10)
        assert run.alive()
        with pytest.raises(JobError, match="already working"), run.hold(timeout=0.1):
            pass
    finally:
        process.kill()
        process.join()
    assert not run.alive()
    with run.hold():
        assert run.alive()
    assert not run.alive()
