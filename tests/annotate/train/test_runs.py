"""What the panel shows of a run follows from its folder alone."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.annotate.train import run_monitor
from napari_confseg.annotate.train.inventory import (
    LabelInventory,
    Reviewed,
    datasets_folder,
    frozen_versions,
    survey,
    survey_dataset,
)
from napari_confseg.annotate.train.model import Training
from napari_confseg.annotate.train.next_run import (
    SHIPPED,
    Context,
    RunSettings,
    StartFrom,
    next_run,
)
from napari_confseg.annotate.train.run_monitor import (
    RunMonitor,
    found_runs,
    log_tail,
    run_name,
)
from napari_confseg.annotate.train.runs import (
    FolderStatus,
    Phase,
    Record,
    fold,
    in_words,
    resolve,
    sent_for_again,
)
from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.job import (
    LOG,
    REQUEST,
    Cancelled,
    Event,
    Failed,
    Finished,
    FitRequest,
    Metrics,
    PredictRequest,
    Preview,
    Progress,
    Result,
    RunFolder,
    Started,
    runs_folder,
)
from napari_confseg.methods import METHODS, Method
from napari_confseg.store import Cohort, Status
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Callable

FIT = FitRequest(cohort="/data/c.zarr", rater="m1", classes=("b-line",))
T0 = datetime(2025, 11, 23, 14, 0, tzinfo=UTC)


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def score(step: int, value: float | None) -> Metrics:
    return Metrics(step=step, values={"val_dice": value}, time=at(step))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "m1", FIT)


def aged(run: RunFolder) -> RunFolder:
    """As if it had been asked for an hour ago."""
    os.utime(run.path / REQUEST, (time.time() - 3600,) * 2)
    return run


# ---- events -------------------------------------------------------------------------------


def test_folding_at_once_or_in_any_pieces_is_the_same() -> None:
    events: list[Event] = [
        Started(time=at(0)),
        Progress(current=1, maximum=9),
        score(1, 0.1),
        Metrics(step=1, values={"loss": 0.9}),
        Preview(step=1, clip="clip-1", rater="m1"),
        score(5, 0.4),
        Cancelled(time=at(6)),
        Started(time=at(7)),
        score(3, 0.3),
        Finished(time=at(9)),
    ]
    whole = fold(Record(), events)
    for cut in range(len(events)):
        assert fold(fold(Record(), events[:cut]), events[cut:]) == whole
    assert whole.curves == {"val_dice": ((1, 0.1), (3, 0.3)), "loss": ((1, 0.9),)}
    assert whole.previews == {"clip-1": 1}


def test_undefined_values_leave_a_gap_not_a_zero() -> None:
    record = fold(Record(), [score(1, None), score(2, math.nan), score(3, 0.2)])
    assert record.curves["val_dice"] == ((3, 0.2),)


AGAIN = None
"""Among events: a trainer is sent for again."""


def state_of(events: list[Event | None], **status: Any) -> Any:
    record = Record()
    for event in events:
        record = sent_for_again(record) if event is AGAIN else fold(record, [event])
    return resolve("m1", RunFolder(Path("m1")), FIT, record, FolderStatus(**status))


@pytest.mark.parametrize(
    ("events", "status", "phase"),
    [
        ([], {"alive": True}, Phase.STARTING),
        ([Started(time=at(0))], {"alive": True}, Phase.RUNNING),
        ([Started(time=at(0))], {"alive": True, "cancelled": True}, Phase.STOPPING),
        ([Started(time=at(0)), Cancelled(time=at(1))], {"cancelled": True}, Phase.STOPPED),
        ([Started(time=at(0)), Cancelled(time=at(1))], {"alive": True}, Phase.STOPPED),
        ([Started(time=at(0)), Finished(time=at(1))], {"result": Result()}, Phase.FINISHED),
        ([Started(time=at(0))], {"result": Result()}, Phase.FINISHED),
        ([Started(time=at(0))], {"result": Result(stopped=True)}, Phase.STOPPED),
        (
            [Started(time=at(0)), Finished(time=at(1))],
            {"result": Result(stopped=True)},
            Phase.STOPPED,
        ),
        ([Failed(error="No space.", hint="Free some.")], {}, Phase.FAILED),
        ([Started(time=at(0))], {}, Phase.ENDED),
        ([], {}, Phase.ENDED),
        # Resumed: what was said before it was sent for again no longer counts.
        ([Cancelled(time=at(0)), AGAIN], {"alive": True}, Phase.STARTING),
        ([Cancelled(time=at(0)), AGAIN], {}, Phase.ENDED),
        # By a machine whose clock is slow.
        ([Cancelled(time=at(9)), AGAIN, Started(time=at(6))], {"alive": True}, Phase.RUNNING),
        ([Failed(error="e", time=at(0)), AGAIN], {"result": Result(stopped=True)}, Phase.ENDED),
    ],
)
def test_where_a_run_stands(
    events: list[Event | None], status: dict[str, Any], phase: Phase
) -> None:
    assert state_of(events, **status).phase is phase


def test_a_failure_is_told_in_the_trainers_own_words() -> None:
    state = state_of([Failed(error="No space.", hint="Free some.")])
    assert (state.error, state.hint) == ("No space.", "Free some.")


def test_an_end_without_a_word_shows_the_last_words_of_the_log() -> None:
    state = state_of([Started()], log="Killed")
    assert state.error == "The trainer ended unexpectedly."
    assert "Resume" in state.hint
    assert state.hint.endswith("Killed")


def test_the_best_is_the_first_of_equals_until_the_result_says_it() -> None:
    events: list[Event | None] = [Started(), *map(score, (1, 2, 3, 4), (0.2, 0.5, 0.5, 0.1))]
    assert state_of(events).best == (2, 0.5)
    assert state_of([]).best is None
    result = Result(best_step=3, scores={"val_dice": 0.55})
    assert state_of(events, result=result).best == (3, 0.55)


def test_progress_and_time_left_belong_to_a_run_at_work() -> None:
    events: list[Event | None] = [Started(), Progress(current=3, maximum=4, seconds_left=100)]
    running = state_of(events, alive=True)
    assert running.done == 0.75
    assert running.time_left == "2 min"
    assert replace(running, phase=Phase.STOPPED).time_left == ""
    assert replace(running, phase=Phase.FINISHED).done == 1
    assert state_of([Started(), Progress(current=0, maximum=0)], alive=True).done == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds"),
        (12, "10 s"),
        (54, "50 s"),
        (55, "1 min"),
        (89, "1 min"),
        (91, "2 min"),
        (3569, "59 min"),
        (3600, "1 h 0 min"),
        (4000, "1 h 7 min"),
    ],
)
def test_durations_as_a_person_would_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


# ---- following a folder -------------------------------------------------------------------


def test_a_watch_begun_late_sees_what_one_begun_early_sees(run: RunFolder) -> None:
    early = RunMonitor(run)
    assert early.state.phase is Phase.STARTING
    with run.hold():
        for event in (Started(), score(1, 0.2), Progress(current=1, maximum=3), score(2, 0.3)):
            run.append(event)
            early.poll()
        assert early.state.phase is Phase.RUNNING
        assert RunMonitor(run).state == early.state
        run.cancel()
        assert early.poll().phase is Phase.STOPPING
        run.finish(Result(stopped=True, steps=2, best_step=2, scores={"val_dice": 0.3}))
        run.append(Cancelled())
        assert early.poll().phase is Phase.STOPPED
    assert RunMonitor(run).state == early.poll()


def test_a_run_that_dies_is_not_shown_as_running(run: RunFolder) -> None:
    with run.hold():
        run.append(Started())
        watch = RunMonitor(run)
        assert watch.state.phase is Phase.RUNNING
    (run.path / LOG).write_text(
        "step 3\nTraceback (most recent call last):\n  ...\nOSError: gone\n"
    )
    assert watch.poll().phase is Phase.ENDED
    assert watch.state.hint.endswith("The last it printed: OSError: gone")


def test_a_run_nobody_ever_began_is_not_awaited_for_ever(run: RunFolder) -> None:
    assert RunMonitor(run).state.phase is Phase.STARTING
    assert RunMonitor(aged(run)).state.phase is Phase.ENDED


def test_a_run_that_is_followed_lives_and_says_where_it_is(run: RunFolder) -> None:
    run.send_to("tcp://gpu-server:8786")
    with run.follow():
        state = RunMonitor(aged(run)).state
        assert (state.phase, state.where) == (Phase.STARTING, "tcp://gpu-server:8786")
        with run.follow():  # a second one may
            pass
        assert run.followed()
    state = RunMonitor(run).state
    assert state.phase is Phase.ENDED
    assert state.error == "Nobody works on it: it was sent to tcp://gpu-server:8786."
    run.send_to(None)
    assert RunMonitor(run).state.where == ""


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == ""
    log.write_text("a\n\nb\nc\n d \n")
    assert log_tail(log) == "b / c / d"
    log.write_bytes(b"\xff" * 9000 + b"\nend\n")
    assert log_tail(log).endswith("end")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let `launch` run a few lines of Python with the run's folder, instead of a fit.

    They speak the real protocol from a real process; what a real fit does is tested with the
    trainer itself.
    """
    script = tmp_path / "trainer.py"
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$5"\n')
    interpreter.chmod(0o755)

    def write(body: str) -> None:
        script.write_text(
            "import os, sys, time, pathlib\n"
            "from napari_confseg.job import *\n"
            "run = RunFolder(pathlib.Path(sys.argv[1]))\n" + body
        )
        monkeypatch.setattr(run_monitor.sys, "executable", str(interpreter))

    return write


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="stands in for Python by a shell script")
def test_a_run_is_a_process_of_its_own(run: RunFolder, stand_in: Callable[[str], None]) -> None:
    stand_in(
        "with run.hold():\n"
        "    nice, own = os.nice(0), os.getsid(0) == os.getpid()\n"
        "    run.append(Started(facts={'nice': nice, 'own session': own}))\n"
        "    print('hello', flush=True)\n"
        "    while not run.cancelled(): time.sleep(0.01)\n"
        "    run.finish(Result(stopped=True))\n"
        "    run.append(Cancelled())\n"
    )
    watch = RunMonitor(aged(run))
    assert watch.state.phase is Phase.ENDED
    for n in (1, 2):
        watch.launch()
        assert watch.state.phase.live
        until(lambda: watch.poll().phase is Phase.RUNNING)
        facts = watch.state.record.last.facts  # type: ignore[union-attr]
        assert RunMonitor(run).state.phase is Phase.RUNNING
        run.cancel()  # before anything can fail that would leave the process behind
        until(lambda: watch.poll().phase is Phase.STOPPED)
        assert facts == {"nice": max(os.nice(0), 10), "own session": True}
        assert (run.path / LOG).read_text() == "hello\n" * n


@pytest.mark.skipif(sys.platform == "win32", reason="stands in for Python by a shell script")
def test_a_trainer_that_cannot_even_start_is_told(
    run: RunFolder, stand_in: Callable[[str], None]
) -> None:
    stand_in("import no_such_library\n")
    watch = RunMonitor(run)
    watch.launch()
    until(lambda: not watch.poll().phase.live)
    assert watch.state.phase is Phase.ENDED
    assert "No module named 'no_such_library'" in watch.state.hint


# ---- where runs live ----------------------------------------------------------------------


def test_runs_live_beside_a_local_cohort_and_never_in_it(cohort: Cohort, tmp_path: Path) -> None:
    assert runs_folder(cohort) == tmp_path / "cohort-runs"
    if hasattr(os, "symlink"):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "alias").symlink_to(tmp_path / "cohort.zarr")
        alias = Cohort.open(tmp_path / "elsewhere" / "alias")
        assert runs_folder(alias) == tmp_path / "cohort-runs"


def test_runs_of_a_cohort_elsewhere_live_in_the_state_folder(state_dir: Path) -> None:
    from zarr.storage import MemoryStore

    made = Cohort.create(MemoryStore(), name="m")
    assert runs_folder(made) == state_dir / "runs" / made.meta.cohort_id


def test_names_of_runs_say_method_and_time_and_differ() -> None:
    now = datetime(2025, 11, 23, 14, 2)
    threshold = Method(name="threshold", params={"t": 60})
    assert run_name(threshold, now, set()) == "threshold60-1123-1402"
    assert run_name(threshold, now, {"threshold60-1123-1402"}) == "threshold60-1123-1402-2"
    assert run_name(Method(name="soft"), now, set()) == "soft-1123-1402"
    half = Method(name="threshold", params={"t": 62.5})
    assert run_name(half, now, set()) == "threshold62_5-1123-1402"


def test_runs_are_found_newest_first_and_rubbish_is_passed_over(tmp_path: Path) -> None:
    assert found_runs(tmp_path / "none", {}) == {}
    root = tmp_path / "runs"
    for i, name in enumerate(("old", "new")):
        folder = RunFolder.create(root / name, FIT)
        os.utime(folder.path / REQUEST, (1e9 + i,) * 2)
    (root / "empty").mkdir()
    (root / "broken").mkdir()
    (root / "broken" / REQUEST).write_text("{")
    (root / "file").write_text("")
    found = found_runs(root, {})
    assert list(found) == ["new", "old"]
    again = found_runs(root, found)
    assert again["old"] is found["old"]


# ---- what there is to learn ---------------------------------------------------------------


def review(
    cohort: Cohort,
    clip: str,
    rater: str,
    frames: list[int],
    classes: list[int],
    kind: Any = "human",
) -> None:
    made = cohort.clip(clip).create_rater(rater, kind=kind, label=rater.title())
    status = made.read_status()
    status[np.ix_(frames, classes)] = Status.REVIEWED
    made.write_status(status)


@pytest.fixture
def reviewed(cohort: Cohort) -> Cohort:
    review(cohort, "clip-1", "ann", [0, 1, 2], [0, 2])
    review(cohort, "clip-1", "bob", [2, 3], [2])
    review(cohort, "clip-2", "ann", [5], [2])
    review(cohort, "clip-1", "truth", [0, 1, 2, 3, 4, 5], [0, 1, 2, 3], kind="truth")
    review(cohort, "clip-1", "m0", [0, 1], [0], kind="model")
    review(cohort, "clip-2", "eve", [], [])
    return cohort


def test_the_survey_counts_each_frame_once(reviewed: Cohort) -> None:
    found = survey(reviewed)
    assert found.clips == ("clip-1", "clip-2")
    assert list(found.raters()) == ["ann", "bob", "truth"]  # no model, nobody idle
    assert found.frames_by_class(["ann", "bob"], 6).tolist() == [3, 0, 5, 0, 0, 0]
    assert found.frames_by_class([], 6).tolist() == [0] * 6
    assert found.frames_of("ann") == 4
    assert found.patients(["ann"], [2]) == {"p1", "p2"}
    assert found.patients(["ann"], [0]) == {"p1"}


def test_what_is_reviewed_now_replaces_what_was_known(reviewed: Cohort) -> None:
    frames = np.ones((6, 6), bool)
    entry = Reviewed("clip-2", "p2", "eve", "Eve", "human", True, frames)
    found = survey(reviewed).replaced(entry)
    assert found.frames_of("eve") == 6
    assert len(found.entries) == len(survey(reviewed).entries)


# ---- what the next run would be -----------------------------------------------------------


def context(there: Cohort, **changes: Any) -> Context:
    known = Context(there.meta, there.location, inventory=survey(there))
    return replace(known, **changes)


def test_without_a_choice_people_and_what_they_reviewed_are_learnt_from(reviewed: Cohort) -> None:
    made = next_run(RunSettings(), context(reviewed))
    assert made.reason == made.caution == ""
    assert made.request is not None
    assert made.request.classes == ("pleura", "b-line")
    assert made.request.raters == ("ann", "bob")
    assert made.request.method == Method(name="relative-threshold", params={"t": 50})
    assert made.request.cohort == reviewed.location
    assert [(c.name, c.frames) for c in made.classes if c.frames] == [("pleura", 3), ("b-line", 5)]


def test_a_run_may_start_from_another_and_takes_its_size(reviewed: Cohort) -> None:
    """What the other does not know is said; what is not offered any more is not asked for."""
    first = StartFrom("/runs/first", "first", ("pleura",))
    known = context(reviewed, bases=(SHIPPED, first))
    made = next_run(RunSettings(base="/runs/first", size="normal"), known)
    assert made.request is not None
    assert (made.request.base, made.request.size) == ("/runs/first", None)
    assert made.begins == "Its weights are where learning begins; it does not know B-line yet."
    assert "know" not in next_run(RunSettings(base="starter"), known).begins
    scratch = next_run(RunSettings(size="normal"), known)
    assert scratch.request is not None
    assert (scratch.request.base, scratch.request.size, scratch.begins) == (None, "normal", "")


def test_choices_are_kept_to_what_is_possible(reviewed: Cohort) -> None:
    settings = RunSettings(
        classes=frozenset({"pleura", "b-line", "rib"}),
        raters=frozenset({"bob"}),
        method="soft",
        loss="semimetric",
        size="normal",
        device="cpu",
    )
    made = next_run(settings, context(reviewed))
    assert made.request is not None
    assert made.request.classes == ("b-line",)
    assert made.request.raters == ("bob",)
    assert (made.request.method, made.request.size) == (Method.parse("soft+semimetric"), "normal")
    assert "Only one patient" in made.caution


def freeze(there: Cohort, **changes: Any) -> str:
    fields = {
        "name": "frozen",
        "raters": ("ann", "bob", "truth"),
        "classes": ("pleura", "b-line"),
        "parts": {"train": 1.0},
    } | changes
    source = Cohort.open(there.location, read_only=True)
    return str(build(source, BuildRequest(**fields), datasets_folder(there)).folder)


def test_a_frozen_dataset_is_learnt_from_as_it_was_frozen(reviewed: Cohort) -> None:
    location = freeze(reviewed)
    review(reviewed, "clip-2", "zoe", [0, 1, 2], [3])  # since then
    assert frozen_versions(reviewed) == ((location, f"{reviewed.meta.name}-dataset v1"),)
    known = context(reviewed, frozen=survey_dataset(location))
    made = next_run(RunSettings(dataset=location), known)
    assert made.request is not None
    assert (made.request.cohort, made.request.dataset) == (reviewed.location, location)
    assert made.request.raters == ("ann", "bob")  # the truth is there to compare with
    assert [(c.name, c.frames) for c in made.classes] == [("pleura", 3), ("b-line", 5)]
    assert made.counts == "frozen/v1: 2 patients, clips by part: train 2"
    assert made.caution == ""
    named = next_run(RunSettings(dataset=location, raters=frozenset({"truth"})), known)
    assert named.request is not None
    assert named.request.raters == ("truth",)
    assert (
        next_run(RunSettings(dataset=location), context(reviewed)).reason
        == "Counting reviewed frames…"
    )
    assert "zoe" in [r.name for r in next_run(RunSettings(), known).raters]


def test_a_dataset_that_cannot_be_learnt_from_says_why(reviewed: Cohort, tmp_path: Path) -> None:
    def reason(location: str) -> str:
        chosen = RunSettings(dataset=location)
        return next_run(chosen, context(reviewed, frozen=survey_dataset(location))).reason

    assert "The folder has no manifest.json" in reason(str(tmp_path))
    said = "frozen/v1 has no part called train: build it with one."
    assert reason(freeze(reviewed, parts={"one": 0.5, "two": 0.5})) == said
    other = Cohort.create(tmp_path / "other.zarr", name="other", classes=reviewed.meta.classes[:1])
    known = context(other, frozen=survey_dataset(freeze(reviewed)))
    made = next_run(RunSettings(dataset=known.frozen.location), known)  # type: ignore[union-attr]
    assert "The open cohort has no class b-line" in made.reason
    made = next_run(replace(RunSettings(dataset="there"), classes=frozenset({"pleura"})), known)
    assert made.caution.startswith("frozen/v2 was built from another cohort than the open one.")


def test_choosing_a_dataset_starts_the_choice_of_classes_anew(reviewed: Cohort) -> None:
    training = Training()
    location = freeze(reviewed)
    training.open(reviewed)

    def settle() -> None:
        end = time.monotonic() + 60
        while training.counting:
            assert time.monotonic() < end
            training.poll()
            time.sleep(0.01)

    settle()
    assert [place for place, _ in training.state.datasets] == [location]
    training.change_settings(raters=frozenset({"bob"}), dataset=None)
    assert training.state.settings.raters == {"bob"}
    training.change_settings(dataset=location)
    assert training.state.settings.raters is None
    assert training.state.next_run.request is None
    settle()
    assert training.state.next_run.request is not None
    assert training.state.next_run.request.dataset == location
    newer = freeze(reviewed, seed=1, folds=2)
    training.look_for_datasets()
    assert [place for place, _ in training.state.datasets] == [newer, location]
    training.open(reviewed)
    assert training.state.settings.dataset is None
    training.close()


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({"cohort": None}, RunSettings(), "Open a study folder"),
        ({"inventory": None}, RunSettings(), "Counting"),
        ({"inventory": LabelInventory()}, RunSettings(), "Mark frames as reviewed first"),
        ({"trainer_problem": "Training needs PyTorch"}, RunSettings(), "Training needs PyTorch."),
        ({"read_only": True}, RunSettings(), "only be read"),
        ({"busy": "m1"}, RunSettings(), "m1 is at work"),
        ({}, RunSettings(raters=frozenset()), "at least one rater"),
        ({}, RunSettings(classes=frozenset()), "at least one class"),
        (
            {},
            RunSettings(method="ignore-band", params={"low": 80}),
            "low above its high: 80 and 70",
        ),
        (
            {},
            RunSettings(raters=frozenset({"bob"}), classes=frozenset({"pleura"})),
            "at least one class",
        ),
    ],
)
def test_a_run_that_cannot_start_says_what_is_missing(
    reviewed: Cohort, changes: dict[str, Any], settings: RunSettings, words: str
) -> None:
    made = next_run(settings, context(reviewed, **changes))
    assert made.request is None
    assert words in made.reason


def test_an_address_is_checked_before_anything_is_sent_there(reviewed: Cohort) -> None:
    there = context(reviewed)
    for where in ("", "tcp://gpu-server:8786", "tls://10.0.0.7:9000", "tcp://[::1]:8786"):
        assert next_run(RunSettings(where=where), there).request is not None
    for where in ("gpu-server", "tcp://gpu server:8786", "tcp://gpu-server", "tcp://:8786"):
        made = next_run(RunSettings(where=where), there)
        assert made.request is None
        assert f"{where} is no address" in made.reason
    far = replace(there, runs_at="/home/ann/state/runs/3f")
    assert "/home/ann/state/runs/3f" in next_run(RunSettings(where="tcp://a:1"), far).caution
    assert "/home" not in next_run(RunSettings(), far).caution


def test_planning_is_pure(reviewed: Cohort) -> None:
    there = context(reviewed)
    assert next_run(RunSettings(), there) == next_run(RunSettings(), there)
    texts = [about.purpose for about in METHODS.values()]
    assert all(len(text) < 90 and text.endswith(".") for text in texts)


# ---- the model of the panel ---------------------------------------------------------------


@pytest.fixture
def training() -> Any:
    model = Training()
    yield model
    model.close()


def settled(training: Training) -> None:
    until(lambda: training.poll() is None and not training.counting)


@pytest.mark.skipif(sys.platform == "win32", reason="stands in for Python by a shell script")
def test_a_run_from_start_to_finish(
    reviewed: Cohort, training: Training, stand_in: Callable[[str], None], tmp_path: Path
) -> None:
    stand_in(
        "request = run.request()\n"
        "with run.hold():\n"
        "    run.append(Started())\n"
        "    if request.kind == 'predict':\n"
        "        for clip in request.clips or ('clip-1', 'clip-2'):\n"
        "            run.append(Preview(step=0, clip=clip, rater=request.rater))\n"
        "    else:\n"
        "        clip = run.preview_clip()\n"
        "        for i in range(10**6):\n"
        "            if i in (1, 3) or run.preview_clip() != clip:\n"
        "                clip = run.preview_clip()\n"
        "                run.append(Preview(step=i, clip=clip, rater=request.rater))\n"
        "            if run.cancelled(): break\n"
        "            time.sleep(0.01)\n"
        "    run.finish(Result(stopped=run.cancelled()))\n"
        "    run.append(Cancelled() if run.cancelled() else Finished())\n"
    )
    marked: list[tuple[str, str]] = []
    training.marked.connect(lambda *a: marked.append(a))
    training.open(reviewed)
    settled(training)
    training.show_clip("clip-1")
    name = training.start()
    assert name is not None
    state = training.state
    assert state.watched is not None
    assert state.watched.folder.path == tmp_path / "cohort-runs" / name
    assert state.next_run.request is None  # one run at a time
    assert name in state.next_run.reason

    def poll(phase: Phase) -> bool:
        training.poll()
        return training.state.watched is not None and training.state.watched.phase is phase

    until(lambda: poll(Phase.RUNNING) and marked[-1:] == [(name, "clip-1")])
    training.show_clip("clip-2")
    until(lambda: poll(Phase.RUNNING) and marked[-1] == (name, "clip-2"))
    training.stop()
    until(lambda: poll(Phase.STOPPED))
    assert training.state.next_run.reason == ""

    # Another viewer finds it, resumes it and stops it again; this one sees that.
    other = Training()
    other.open(reviewed)
    assert [r.name for r in other.state.runs] == [name]
    other.resume()
    until(lambda: other.poll() is None and other.state.runs[0].phase is Phase.RUNNING)
    until(lambda: poll(Phase.RUNNING))
    other.stop()
    until(lambda: poll(Phase.STOPPED))
    other.close()

    marked.clear()
    training.predict(())
    assert training.state.predicting is not None
    assert isinstance(training.state.predicting.request, PredictRequest)
    until(lambda: training.poll() is None and not training.live)
    assert marked == [(name, "clip-1"), (name, "clip-2")]
    assert list(training.state.runs) == [training.state.watched]  # a prediction is no run


def test_a_folder_that_takes_nothing_is_told(
    reviewed: Cohort, training: Training, tmp_path: Path
) -> None:
    (tmp_path / "cohort-runs").write_text("in the way")
    training.open(reviewed)
    settled(training)
    assert training.start() is None
    assert "cannot start" in training.state.problem


def test_only_what_differs_is_told(reviewed: Cohort, training: Training) -> None:
    told: list[object] = []
    training.open(reviewed)
    settled(training)
    training.changed.connect(told.append)
    for _ in range(50):
        training.poll()
    assert told == []
    training.change_settings(params={"t": 70})
    assert len(told) == 1


def test_a_new_reading_counts_at_once(cohort: Cohort, training: Training) -> None:
    training.open(cohort)
    settled(training)
    assert "Mark frames as reviewed" in training.state.next_run.reason
    training.note_reviewed(
        Reviewed("clip-1", "p1", "ann", "Ann", "human", True, np.ones((6, 6), bool))
    )
    assert training.state.next_run.request is not None


def test_a_cohort_replaced_leaves_nothing_behind(
    reviewed: Cohort, training: Training, tmp_path: Path
) -> None:
    RunFolder.create(tmp_path / "cohort-runs" / "m1", FIT)
    training.open(reviewed)
    settled(training)
    training.change_settings(classes=frozenset({"pleura"}))
    assert training.state.watched is not None
    second = Cohort.create(tmp_path / "second.zarr", name="second")
    add_clip(second)
    training.open(second)
    settled(training)
    assert training.state.runs == ()
    assert training.state.watched is None
    assert training.state.settings.classes is None
    training.open(None)
    assert "Open a study folder" in training.state.next_run.reason
