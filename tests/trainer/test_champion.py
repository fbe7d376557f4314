"""Runs side by side on one part, and which of them becomes the active model."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.agreement.overlap import dice
from napari_confseg.job import CHECKPOINT, STARTER, active_model, go_back
from napari_confseg.store import Cohort, Status, StoreError
from tests.trainer.conftest import B_LINE, PLEURA, add_toy_clip, run_folder
from trainer.__main__ import main
from trainer.champion import activate, compare, judge, part_of
from trainer.checkpoint import load_checkpoint, load_config, save_checkpoint
from trainer.errors import TrainError
from trainer.predict import Predictor
from trainer.run_job import execute

if TYPE_CHECKING:
    from pathlib import Path

PATIENTS = 6
CLASSES = ("pleura", "b-line")


@pytest.fixture(scope="module")
def studied(tmp_path_factory) -> Path:
    """A cohort of six patients, and three runs beside it that left three of them out.

    The first two are a good one and another that differs little; of the third the weights of the
    outputs are turned round, so that it marks what is not there: the planted worse run.
    """
    folder = tmp_path_factory.mktemp("studied")
    cohort = Cohort.create(folder / "toy.zarr", name="toy")
    for i in range(PATIENTS):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}", n_frames=3)
    held_out = tuple(f"p{i}" for i in range(3, PATIENTS))
    for name, seed in (("good", 0), ("other", 1)):
        run = run_folder(
            folder / name, cohort, size="study", steps=60, seed=seed, held_out=held_out
        )
        assert execute(run) is not None
    shutil.copytree(folder / "good", folder / "worse")
    network, step = load_checkpoint(folder / "good", load_config(folder / "good"))
    network.net.model[2].conv.weight.data.neg_()
    save_checkpoint(folder / "worse", network, step)
    return folder


@pytest.fixture
def place(studied: Path, tmp_path: Path) -> Path:
    """As `studied`, one's own."""
    shutil.copytree(studied, tmp_path / "study")
    return tmp_path / "study"


def cohort_at(place: Path) -> Cohort:
    return Cohort.open(place / "toy.zarr")


def test_dice_is_that_of_the_pixels_and_the_difference_is_paired(studied):
    cohort = cohort_at(studied)
    runs = [studied / "good", studied / "worse"]
    part = part_of(cohort, runs)
    learnt = load_config(runs[0]).split.train
    assert set(part.clips) == set(cohort.clips()) - set(learnt)
    found = compare(runs, part, device="cpu")
    overlap = mine = theirs = 0
    for name in part.clips:
        clip = cohort.clip(name)
        marked = Predictor.load(runs[0], "cpu").percent(np.asarray(clip.frames[:]))[:, 0] >= 50
        meant = clip.rater("reader-a").read_planes(PLEURA) >= 50
        overlap += int((marked & meant).sum())
        mine, theirs = mine + int(marked.sum()), theirs + int(meant.sum())
    good, worse = found.runs
    assert good.dice["pleura"].value == pytest.approx(dice(overlap, mine, theirs))
    assert (good.gain, good.learnt, worse.learnt) == (None, 0, 0)
    assert worse.gain is not None
    assert worse.gain.value == pytest.approx(worse.mean_dice.value - good.mean_dice.value)
    same = compare([runs[0], runs[0]], part, device="cpu").runs[1].gain
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_false_mark_where_there_is_nothing_counts(place):
    """A clip whose reader marked nothing has no Dice of its own; its patient is not left out."""
    cohort = cohort_at(place)
    rater = cohort.clip("clip-5").rater("reader-a")
    for t in range(3):
        for c in (PLEURA, B_LINE):
            rater.write_plane(t, c, np.zeros(rater.shape[2:], np.uint8))
    runs = [place / "good", place / "worse"]
    part = part_of(cohort, runs)
    without = tuple(c for c in part.clips if c != "clip-5")
    whole, less = (
        compare(runs, p, device="cpu").runs[1].mean_dice.value
        for p in (part, type(part)(cohort, "fewer", without))
    )
    assert whole < less


def test_the_worse_run_is_refused_and_a_person_may_insist(place, capsys):
    cohort, location = cohort_at(place), str(place / "toy.zarr")
    assert active_model(cohort).location == STARTER
    first = ["activate", str(place / "good"), location, "--by", "Ann", "--device", "cpu", "--json"]
    assert main(first) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["active"] == {"location": str(place / "good"), "name": "good", "problem": ""}
    (entry,) = shown["history"]
    assert (entry["by"], entry["location"], entry["insisted"]) == ("Ann", "../good", False)

    worse = ["activate", str(place / "worse"), location, "--by", "Ben", "--device", "cpu", "--json"]
    assert main(worse) == 1
    assert "worse is worse than good on cohort toy, clips that no run" in capsys.readouterr().err
    assert active_model(cohort).name == "good"

    assert main([*worse, "--insist", "for the class on pitfalls"]) == 0
    entry = json.loads(capsys.readouterr().out)["history"][-1]
    assert (entry["why"], entry["insisted"]) == ("for the class on pitfalls", True)
    assert active_model(cohort).name == "worse"

    # The way up again needs nobody to insist; and back, and back, and back.
    better = ["activate", str(place / "good"), location, "--device", "cpu", "--json"]
    assert main(better) == 0
    assert (
        "better than worse on cohort toy"
        in json.loads(capsys.readouterr().out)["history"][-1]["why"]
    )
    for name in ("worse", "good", STARTER):
        assert main(["activate", location, "--back", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["active"]["name"] == name
    assert main(["activate", location, "--back"]) == 1
    assert "nothing to go back to" in capsys.readouterr().err
    assert main(["activate", location]) == 0
    assert "Ben, insisted: worse, for the class on pitfalls" in capsys.readouterr().out


def test_a_run_that_is_not_worse_beyond_the_interval_takes_over(studied, place):
    found = compare(
        [place / "good", place / "other"],
        part_of(cohort_at(place), [place / "good", place / "other"]),
        device="cpu",
    )
    verdict = judge(found)
    gain = found.runs[1].gain
    assert gain is not None
    assert verdict.replaces is (gain.high >= 0)
    # Equal but in name: the interval is a point at 0.
    shutil.copytree(place / "good", place / "twin")
    network, step = load_checkpoint(place / "good", load_config(place / "good"))
    save_checkpoint(place / "twin", network, step + 1)
    cohort = cohort_at(place)
    activate(cohort, place / "good", by="Ann", device="cpu")
    change = activate(cohort, place / "twin", by="Ann", device="cpu")
    assert change.why.startswith("not worse than good on cohort toy")
    assert change.why.endswith("mean Dice +0.000 (+0.000 to +0.000)")


def test_the_first_one_is_compared_with_the_starter_where_that_can_be_told(place):
    cohort = cohort_at(place)
    # "worse" marks what is not there: also the model that comes with the package does better.
    with pytest.raises(TrainError, match=r"worse is worse than starter-\d+ on cohort toy"):
        activate(cohort, place / "worse", by="Ann", device="cpu")
    assert active_model(cohort).chosen is None
    change = activate(cohort, place / "good", by="Ann", device="cpu")
    assert change.why.startswith("the first model that was made active in this cohort; better than")
    assert "mean Dice +" in change.why
    second = cohort_at(place)
    go_back(second, by="Ann")
    assert active_model(second).location == STARTER


def test_the_first_one_needs_no_comparison_where_nothing_is_reviewed(place):
    cohort = cohort_at(place)
    learnt = load_config(place / "worse").split
    for name in set(cohort.clips()) - set(learnt.train):
        rater = cohort.clip(name).rater("reader-a")
        rater.write_status(np.full_like(rater.read_status(), Status.UNTOUCHED))
    change = activate(cohort, place / "worse", by="Ann", device="cpu")
    assert "; with starter it is not to be compared: " in change.why
    assert active_model(cohort).name == "worse"


def test_what_cannot_be_told_is_refused(place):
    cohort = cohort_at(place)
    activate(cohort, place / "good", by="Ann", device="cpu")
    with pytest.raises(TrainError, match="good is the active model already"):
        activate(cohort, place / "good", by="Ann", device="cpu")
    # One patient is left to compare on.
    for name in ("clip-4", "clip-5", *load_config(place / "good").split.validation):
        rater = cohort.clip(name).rater("reader-a")
        rater.write_status(np.full_like(rater.read_status(), Status.UNTOUCHED))
    with pytest.raises(TrainError, match="too few patients for an interval"):
        activate(cohort, place / "other", by="Ann", device="cpu")


def test_clips_that_one_has_learnt_from_are_no_test(place, tmp_path):
    location = str(place / "toy.zarr")
    frozen = str(tmp_path / "frozen")
    build = ["build", location, "--out", frozen, "--size", "study", "--raters", "reader-a"]
    from napari_confseg.__main__ import main as confseg

    assert confseg([*build, "--split", "train=0.4", "test=0.6", "--seed", "1"]) == 0
    from trainer.sources import open_source

    source = open_source(frozen)
    runs = [place / "good", place / "worse"]
    part = part_of(source, runs, "test")
    found = compare(runs, part, device="cpu")
    learnt = len(set(part.clips) & set(load_config(runs[0]).split.train))
    assert learnt
    assert [r.learnt for r in found.runs] == [learnt, learnt]
    verdict = judge(found)
    assert not verdict.replaces
    assert f"worse has learnt from {learnt} of the clips" in verdict.why
    with pytest.raises(TrainError, match="has no part called exam"):
        part_of(source, runs, "exam")


def test_a_model_that_is_gone_or_changed_is_told(place):
    cohort = cohort_at(place)
    activate(cohort, place / "good", by="Ann", device="cpu")
    weights = place / "good" / CHECKPOINT
    kept = weights.read_bytes()
    weights.write_bytes(kept + b"\0")
    active = active_model(cohort)
    assert (active.location, active.chosen.name) == (STARTER, "good")  # type: ignore[union-attr]
    assert "good, has changed since it was made active" in active.problem
    with pytest.raises(TrainError, match="so other can't be compared with it"):
        activate(cohort, place / "other", by="Ann", device="cpu")
    weights.unlink()
    assert "good, is missing: there are no weights in" in active_model(cohort).problem
    # Moved together they are found again: the location is from the cohort.
    weights.write_bytes(kept)
    moved = place.with_name("moved")
    place.rename(moved)
    assert active_model(cohort_at(moved)).location == str(moved / "good")


def test_of_two_who_change_it_at_once_the_second_is_told(place):
    first, second = cohort_at(place), cohort_at(place)
    activate(first, place / "good", by="Ann", device="cpu")
    with pytest.raises(StoreError, match="active model has been changed by somebody else"):
        activate(second, place / "other", by="Ben", device="cpu", insist="mine")
    assert [c.by for c in cohort_at(place).meta.active_models] == ["Ann"]
    go_back(first, by="Ann")
    assert active_model(first).location == STARTER


def test_the_table_of_a_comparison(studied, capsys):
    runs = [str(studied / name) for name in ("good", "worse")]
    command = ["compare", *runs, "--on", str(studied / "toy.zarr"), "--device", "cpu"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    for text in ("Dice pleura", "gain over the first", "good", "worse", "was chosen on"):
        assert text in shown
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["run"] for r in found["runs"]] == ["good", "worse"]
    assert main([*command, "--part", "test"]) == 1
    assert "A cohort has no parts" in capsys.readouterr().err
