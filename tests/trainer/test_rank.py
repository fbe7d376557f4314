"""What to annotate next: laws of the order, its parts against known values, and the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.agreement.rater_view import rater_views
from napari_confseg.job import read_order, set_active
from napari_confseg.job.learning_order import order_path
from napari_confseg.store import Cohort, Status, StoreError
from tests.trainer.conftest import B_LINE, PLEURA, SHAPE, add_toy_clip, run_folder
from trainer.__main__ import main
from trainer.predict import Predictor
from trainer.rank import Look, differ_on, epistemic_share, features_of, ordered
from trainer.run_job import execute

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = [PLEURA, B_LINE]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, shared_toy) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        run = run_folder(folder / f"run-{seed}", shared_toy, size="study", steps=4, seed=seed)
        assert execute(run) is not None
    return [folder / "run-0", folder / "run-1"]


def look(clip: str, *features: float, unseen: float = 0.5, **more) -> Look:
    known = {"reviewed": False, "differ": float("nan")} | more
    return Look(clip, 0, unseen=unseen, features=np.array(features, float), **known)


def names(looks: list[Look], number: int = 99, **options) -> list[str]:
    return [f.clip for f in ordered(looks, number, **options)]


def test_of_five_alike_one_comes_early():
    alike = [look(f"alike-{i}", 0, 0.001 * i, unseen=0.9) for i in range(5)]
    others = [look(f"other-{i}", 5 + i, -3 * i, unseen=0.5) for i in range(4)]
    first = names(alike + others)[:5]
    assert sum(name.startswith("alike") for name in first) == 1
    assert sorted(names(alike + others)) == sorted(f.clip for f in alike + others)
    assert names(alike + others, 3) == first[:3]


def test_what_is_like_a_reviewed_frame_comes_last_and_reviewed_ones_not_at_all():
    looks = [
        look("done", 1, 1, reviewed=True),
        look("copy", 1, 1, unseen=0.99),
        look("near", 1.5, 1),
        look("far", 9, 9),
    ]
    assert names(looks) == ["far", "near", "copy"]
    assert ordered(looks, 9)[-1].apart == 0


def test_at_equal_distance_the_less_seen_comes_first_and_then_where_readers_differ():
    corners = [(0, 0), (0, 2), (2, 0), (2, 2)]
    unseen, differ = (0.1, 0.4, 0.2, 0.3), (0.1, 0.2, 0.9, 0.3)
    looks = [look(f"c{i}", *corners[i], unseen=unseen[i]) for i in range(4)]
    assert names(looks)[0] == "c1"
    differing = [look(f"c{i}", *corners[i], differ=differ[i]) for i in range(4)]
    assert names(differing)[0] == "c2"
    blinded = ordered(differing, 9, compare=False)
    assert all(f.differ is None and "readers" not in f.why for f in blinded)


def test_how_readers_of_a_clip_differ_speaks_for_its_other_frames():
    looks = [
        look("a", 0, 0, reviewed=True, differ=0.75),
        look("b", 0, 4, reviewed=True, differ=0.1),
        look("a", 4, 0),
        look("b", 4, 4),
        look("c", 8, 4),
    ]
    found = {f.clip: f.differ for f in ordered(looks, 9)}
    assert found == {"a": 0.75, "b": 0.1, "c": None}


def test_models_that_agree_have_seen_it_all(runs, shared_toy):
    first, second = (Predictor.load(run, "cpu") for run in runs)
    frames = np.asarray(shared_toy.clip("clip-0").frames[:3])
    assert epistemic_share([first, first], frames, [0, 1]).max() < 1e-6
    assert (epistemic_share([first, second], frames, [0, 1]) > 1e-4).all()
    alone = epistemic_share([first], frames, [0, 1])  # by changed views
    assert ((alone > 1e-6) & (alone < 1)).all()


def test_the_same_frame_has_the_same_features_and_another_has_not(runs, shared_toy):
    frames = np.asarray(shared_toy.clip("clip-0").frames[:2])
    found = features_of(Predictor.load(runs[0], "cpu"), np.stack([frames[0], frames[0], frames[1]]))
    assert found.shape[1] % 2 == 0
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert np.abs(found[0] - found[2]).max() > 1e-4


def test_readers_differ_by_what_they_do_not_share(tmp_path):
    cohort = Cohort.create(tmp_path / "toy.zarr", name="toy")
    add_toy_clip(cohort, "clip-0", "p0", n_frames=3)
    clip = cohort.clip("clip-0")
    first = clip.rater("reader-a")
    assert np.isnan(differ_on(rater_views(clip, ["reader-a"]), 0, CLASSES, SHAPE))
    second = clip.create_rater("reader-b", kind="human")
    for c in CLASSES:  # frame 0: the same; 1: half as sure; 2: nothing at all
        second.write_plane(0, c, first.read_plane(0, c))
        second.write_plane(1, c, (first.read_plane(1, c) // 2).astype(np.uint8))
    second.write_status(first.read_status())
    views = rater_views(clip, ["reader-a", "reader-b"])
    found = [differ_on(views, t, CLASSES, SHAPE) for t in range(3)]
    assert found == [0, pytest.approx(0.5), 1]


def test_the_command_writes_the_order_and_says_why(runs, tmp_path, capsys):
    cohort = Cohort.create(tmp_path / "ward.zarr", name="ward")
    for i in range(3):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}")
    location = cohort.location
    command = ["rank", location, "--frames", "3", "--device", "cpu", "--threads", "1"]
    assert main([*command, "--model", str(runs[0])]) == 1
    assert "Every frame of ward that was looked at is reviewed already" in capsys.readouterr().err
    assert read_order(cohort) is None
    for name in ("clip-1", "clip-2"):
        rater = cohort.clip(name).rater("reader-a")
        rater.write_status(np.full_like(rater.read_status(), Status.UNTOUCHED))
    set_active(cohort, runs[0], by="Ann", why="the first")
    assert main([*command, "--members", str(runs[1])]) == 0
    assert "by run-0" in capsys.readouterr().out
    order = read_order(cohort)
    assert order is not None
    assert (order.model, order.looked_at, len(order.frames)) == ("run-0", 9, 6)
    assert set(order.clips()) == {"clip-1", "clip-2"}
    assert "newer to the model than" in order.frames[0].why
    assert main([*command, "--model", str(runs[1]), "--number", "2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [f["clip"] for f in shown["frames"]] == [f.clip for f in read_order(cohort).frames]  # type: ignore[union-attr]
    assert len(shown["frames"]) == 2

    path = order_path(cohort)
    text = path.read_text()
    path.write_text(text.replace(cohort.meta.cohort_id, "0" * 32))
    assert read_order(cohort) is None  # of another cohort that stood here
    path.write_text(text.replace('"clip-1"', '"No Clip"').replace('"clip-2"', '"No Clip"'))
    with pytest.raises(StoreError, match="run confseg-train rank again"):
        read_order(cohort)
