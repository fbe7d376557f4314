"""A fit is reproducible, resumable and can be stopped; it learns."""

from __future__ import annotations

import csv
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors import safe_open

from napari_confseg.job import (
    Cancelled,
    Failed,
    Finished,
    FitRequest,
    Metrics,
    Preview,
    Progress,
    RunFolder,
    Started,
)
from napari_confseg.methods import METHODS, Method
from napari_confseg.store import Cohort, Status
from tests.trainer.conftest import B_LINE, PLEURA, add_toy_clip, run_folder
from trainer import data
from trainer import fit as fitting
from trainer.errors import TrainError
from trainer.fit import batch_rows, finite, learning_rate
from trainer.run_job import execute
from trainer.tensorboard import EVENT_FILES

if TYPE_CHECKING:
    from pathlib import Path

ARTEFACTS = {
    "job.json",
    "config.json",
    "checkpoint.safetensors",
    "state.pt",
    "metrics.csv",
    "events.out.tfevents.00000000.confseg",
    "events.jsonl",
    "result.json",
    "lock",
}


def names(path: Path) -> set[str]:
    return {p.name for p in path.iterdir()}


def lasting(path: Path) -> set[str]:
    """Names without the event files of sessions that resumed: there is one for each."""
    first = f"{EVENT_FILES}{0:08d}.confseg"
    return {n for n in names(path) if n == first or not n.startswith(EVENT_FILES)}


def kept(path: Path) -> tuple[bytes, ...]:
    """The bytes that must not depend on how often a fit was interrupted."""
    state = torch.load(path / "state.pt", weights_only=True)
    assert not any(t.isnan().any() for t in state["network"].values())
    parts = ("checkpoint.safetensors", "metrics.csv", "result.json")
    return tuple((path / name).read_bytes() for name in parts)


def same_state(a: Path, b: Path) -> bool:
    states = [torch.load(p / "state.pt", weights_only=True) for p in (a, b)]
    return all(
        torch.equal(states[0][part][name], states[1][part][name])
        for part in ("network", "average")
        for name in states[0][part]
    ) and all(
        torch.equal(moments[key], states[1]["optimizer"]["state"][i][key])
        for i, moments in states[0]["optimizer"]["state"].items()
        for key in moments
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, shared_toy) -> Path:
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert execute(run_folder(path, shared_toy)) is not None
    return path


@pytest.fixture(scope="module")
def two_readers(tmp_path_factory) -> Cohort:
    """Two patients with a clip each, marked by two readers who use the scale differently."""
    cohort = Cohort.create(tmp_path_factory.mktemp("two") / "toy.zarr", name="toy")
    for i in range(2):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}", n_frames=3)
        clip = cohort.clip(f"clip-{i}")
        first, second = clip.rater("reader-a"), clip.create_rater("reader-b", kind="human")
        for t in range(3):
            second.write_plane(t, B_LINE, (first.read_plane(t, B_LINE) * 0.6).astype(np.uint8))
            second.write_plane(t, PLEURA, first.read_plane(t, PLEURA))
        second.write_status(first.read_status())
    return cohort


def stop_at(folder: RunFolder, step: int):
    """A listener that asks to stop once `step` is reached."""

    def listen(event) -> None:
        if isinstance(event, Metrics) and event.step >= step:
            folder.cancel()

    return listen


def test_a_fit_leaves_exactly_these_files_and_events(uninterrupted):
    folder = RunFolder(uninterrupted)
    assert names(uninterrupted) == ARTEFACTS
    result = folder.result()
    assert result is not None
    assert (result.stopped, result.steps, result.clips) == (False, 24, ())
    assert set(result.scores) >= {"val_loss", "val_dice", "val_dice/pleura", "val_dice/b-line"}
    events, _ = folder.events()
    kinds = [type(e) for e in events if not isinstance(e, Progress)]
    assert kinds == [Started] + [Metrics] * 24 + [Finished]
    started = next(e for e in events if isinstance(e, Started))
    assert started.facts["method"] == "threshold(t=60)"
    assert started.facts["train"] == "15 samples of 3 clips"
    assert "warning" not in started.facts
    learning = [e for e in events if isinstance(e, Progress) and e.message == "Learning"]
    assert learning[-1].current == learning[-1].maximum == 24
    assert learning[-1].seconds_left == 0
    with (uninterrupted / "metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [int(r["step"]) for r in rows] == list(range(1, 25))
    scores = {int(r["step"]): float(r["val_dice"]) for r in rows if r["val_dice"]}
    assert list(scores) == list(range(2, 25, 2))
    assert max(scores, key=lambda s: scores[s]) == result.best_step
    assert result.scores["val_dice"] == pytest.approx(max(scores.values()))
    assert max(scores.values()) > scores[2] + 0.1


def test_same_seed_same_bits_and_another_seed_others(uninterrupted, tmp_path, shared_toy):
    again, other = tmp_path / "again", tmp_path / "other"
    execute(run_folder(again, shared_toy))
    execute(run_folder(other, shared_toy, seed=1))
    assert kept(again) == kept(uninterrupted)
    assert same_state(again, uninterrupted)
    assert kept(other) != kept(uninterrupted)


@pytest.mark.parametrize("step", [1, 9, 14])
def test_stopped_keeps_the_best_and_resumed_equals_uninterrupted(
    uninterrupted, tmp_path, shared_toy, step
):
    folder = run_folder(tmp_path / "run", shared_toy)
    stopped = execute(folder, stop_at(folder, step))
    assert stopped is not None
    assert (stopped.stopped, stopped.steps) == (True, step)
    assert stopped.best_step == (step if step == 1 else max(2, stopped.best_step))
    assert names(folder.path) == ARTEFACTS | {"cancel"}
    assert isinstance(folder.events()[0][-1], Cancelled)
    assert execute(folder) is not None
    assert lasting(folder.path) == ARTEFACTS
    assert names(folder.path) - ARTEFACTS == {f"{EVENT_FILES}{step:08d}.confseg"}
    assert kept(folder.path) == kept(uninterrupted)
    assert same_state(folder.path, uninterrupted)
    starts = [e.facts["begins at step"] for e in folder.events()[0] if isinstance(e, Started)]
    assert starts == [0, step]


BY_METHOD = [name for name in METHODS if name != "threshold"]  # the one that all others test


@pytest.mark.parametrize("name", BY_METHOD)
def test_every_method_resumes_to_the_bits_of_the_uninterrupted(name, tmp_path, two_readers):
    changes = {"method": Method(name=name), "steps": 4, "size": "study", "dropout": 0.1}
    whole, halves = (run_folder(tmp_path / n, two_readers, **changes) for n in ("a", "b"))
    assert execute(whole) is not None
    stopped = execute(halves, stop_at(halves, 2))
    assert stopped is not None
    assert stopped.steps == 2
    assert execute(halves) is not None
    assert kept(halves.path) == kept(whole.path)
    assert same_state(halves.path, whole.path)


def learnt(folder: Path, cohort: Cohort, method: Method) -> tuple[bytes, ...]:
    """What one step comes to, but for how it is written."""
    assert execute(run_folder(folder, cohort, method=method, steps=1, size="study")) is not None
    with safe_open(folder / "checkpoint.safetensors", framework="np") as f:
        outputs = {
            f"{output}_{of}" for output in ("probability", "contour") for of in ("slope", "shift")
        }
        names = sorted(set(f.keys()) - outputs)
        return tuple(f.get_tensor(name).tobytes() for name in names)


def test_methods_learn_different_things(tmp_path, two_readers):
    weights = {m: learnt(tmp_path / m, two_readers, Method(name=m)) for m in METHODS}
    assert len(set(weights.values())) == len(weights)
    # One's own scale is the scale itself for those who use it to its end.
    half = Method(name="threshold", params={"t": 50})
    assert weights["relative-threshold"] == learnt(tmp_path / "half", two_readers, half)


def killed(folder: RunFolder, step: int) -> None:
    """Carry out the run in a process that is killed as soon as it has told of `step`."""
    pid = os.fork()
    if pid == 0:

        def listen(event) -> None:
            if isinstance(event, Metrics) and event.step >= step:
                os.kill(os.getpid(), signal.SIGKILL)

        execute(folder, listen)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_three_times_and_resumed_equals_uninterrupted(uninterrupted, tmp_path, shared_toy):
    folder = run_folder(tmp_path / "run", shared_toy)
    for step in (1, 7, 18):  # before the first state is saved, between two, and on one
        killed(folder, step)
        assert folder.result() is None
        assert not folder.alive()
    assert execute(folder) is not None
    assert kept(folder.path) == kept(uninterrupted)
    assert same_state(folder.path, uninterrupted)
    assert lasting(folder.path) == ARTEFACTS


@pytest.mark.parametrize("name", ["threshold", "calibrated"])
def test_a_fit_through_a_file_is_the_fit_in_memory(name, tmp_path, two_readers, monkeypatch):
    changes = {"method": Method(name=name), "steps": 6, "size": "study"}
    held, filed = (run_folder(tmp_path / n, two_readers, **changes) for n in ("a", "b"))
    assert execute(held) is not None
    monkeypatch.setattr(
        data.read_samples, "__kwdefaults__", data.read_samples.__kwdefaults__ | {"memory": 1000}
    )
    assert execute(filed, stop_at(filed, 3)) is not None
    assert execute(filed) is not None
    assert kept(filed.path) == kept(held.path)
    assert same_state(filed.path, held.path)
    assert lasting(filed.path) == ARTEFACTS


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_fit_goes_on_from_between_two_evaluations(
    uninterrupted, tmp_path, shared_toy, monkeypatch
):
    monkeypatch.setattr(fitting, "_SAVE_SECONDS", 0.0)
    folder = run_folder(tmp_path / "run", shared_toy)
    killed(folder, 13)
    assert execute(folder) is not None
    starts = [e.facts["begins at step"] for e in folder.events()[0] if isinstance(e, Started)]
    assert starts[1] == 12  # evaluated at 12; told of 13 before it was saved
    killed_later = run_folder(tmp_path / "later", shared_toy)
    killed(killed_later, 14)
    assert execute(killed_later) is not None
    starts = [e.facts["begins at step"] for e in killed_later.events()[0] if isinstance(e, Started)]
    assert starts[1] == 13
    for run in (folder, killed_later):
        assert kept(run.path) == kept(uninterrupted)
        assert same_state(run.path, uninterrupted)


def test_a_finished_run_stays_as_it_is(uninterrupted):
    before = {p: p.read_bytes() for p in uninterrupted.iterdir()}
    assert execute(RunFolder(uninterrupted)) == RunFolder(uninterrupted).result()
    assert {p: p.read_bytes() for p in uninterrupted.iterdir()} == before


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_fit_with_its_step(loss):
    with pytest.raises(TrainError, match=r"^Loss became NaN at step 12; training stopped\. Begin"):
        finite(torch.tensor(loss), 12)


def test_a_cancel_request_from_before_the_start_is_obeyed(tmp_path, shared_toy):
    folder = run_folder(tmp_path / "run", shared_toy)
    folder.cancel()
    result = execute(folder)
    assert result is not None
    assert (result.stopped, result.steps) == (True, 0)


def test_it_learns_and_the_clip_on_screen_is_marked_by_the_best(tmp_path, toy):
    folder = run_folder(tmp_path / "run", toy, steps=70, preview_clip="clip-0")
    result = execute(folder)
    assert result is not None
    assert result.scores["val_dice"] > 0.6
    assert result.clips == ("clip-0",)
    previews = [e for e in folder.events()[0] if isinstance(e, Preview)]
    assert previews[-1].step == result.best_step
    clip = Cohort.open(toy.location).clip("clip-0")
    model, reader = clip.rater("model-a"), clip.rater("reader-a")
    assert (model.meta.kind, model.meta.run) == ("model", "run")
    status = model.read_status()
    assert (status[:, [PLEURA, B_LINE]] == Status.REVIEWED).all()
    assert status.sum() == Status.REVIEWED * 2 * len(status)
    found = model.read_plane(2, B_LINE) >= 50
    meant = reader.read_plane(2, B_LINE) >= 60
    assert 2 * (found & meant).sum() / (found.sum() + meant.sum()) > 0.8


def test_another_clip_put_on_screen_is_marked_too(tmp_path, toy):
    folder = run_folder(tmp_path / "run", toy, preview_clip="clip-0")

    def listen(event) -> None:
        if isinstance(event, Preview):
            folder.show("clip-3")

    result = execute(folder, listen)
    assert result is not None
    assert result.clips == ("clip-0", "clip-3")


def test_one_patient_is_said_loudly(tmp_path):
    cohort = Cohort.create(tmp_path / "toy.zarr", name="toy")
    add_toy_clip(cohort, "only", "p1")
    folder = run_folder(tmp_path / "run", cohort, steps=2)
    assert execute(folder) is not None
    started = next(e for e in folder.events()[0] if isinstance(e, Started))
    assert "very optimistic" in str(started.facts["warning"])
    assert started.facts["train"] == "4 samples of 1 clips"


def test_a_class_that_nobody_holds_out_has_no_score(tmp_path, toy):
    folder = run_folder(tmp_path / "run", toy, classes=("b-line", "effusion"), steps=2)
    for name in toy.clips():
        rater = toy.clip(name).rater("reader-a")
        rater.write_status(np.full_like(rater.read_status(), Status.REVIEWED))
    result = execute(folder)
    assert result is not None
    assert result.scores["val_dice/effusion"] is None
    assert result.scores["val_dice"] == result.scores["val_dice/b-line"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rater": "reader-a"}, "'reader-a' is of kind 'reader'"),
        ({"classes": ("rib",)}, "Nobody has reviewed any frame of toy for rib"),
        ({"classes": ("ribs",)}, "no class 'ribs'"),
        ({"device": "cuda:7"}, "There is no device cuda:7"),
        ({"preview_clip": "nowhere"}, "no clip 'nowhere' to preview"),
    ],
)
def test_what_cannot_be_done_fails_in_words(tmp_path, shared_toy, changes, words):
    folder = run_folder(tmp_path / "run", shared_toy, **changes)
    assert execute(folder) is None
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert words in last.error
    assert not (folder.path / "result.json").exists()


def test_a_cohort_that_is_gone_fails_in_words(tmp_path):
    gone = FitRequest(cohort=str(tmp_path / "gone.zarr"), rater="m", classes=("rib",))
    folder = RunFolder.create(tmp_path / "run", gone)
    assert execute(folder) is None
    assert "There is no such folder" in folder.events()[0][-1].error


def test_frames_unreviewed_since_are_said_on_resuming(tmp_path, toy):
    folder = run_folder(tmp_path / "run", toy)
    execute(folder, stop_at(folder, 3))
    for name in toy.clips():
        rater = toy.clip(name).rater("reader-a")
        if name != "clip-1":
            rater.write_status(np.zeros_like(rater.read_status()))
    assert execute(folder) is None
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    assert "no longer marked as reviewed" in last.error


def test_each_pass_takes_every_sample_once():
    for n, batch in ((5, 8), (16, 8), (23, 4)):
        drawn = torch.cat([batch_rows(n, step, batch, 3) for step in range(n)])
        for epoch in range(len(drawn) // n):
            assert sorted(drawn[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))
        assert not torch.equal(drawn[:n], drawn[n : 2 * n])


def test_the_learning_rate_rises_then_falls():
    rates = [learning_rate(s, 100, 2.0) for s in range(101)]
    assert max(rates) == rates[5] == 2.0
    assert rates[:6] == sorted(rates[:6])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)
