"""A fit that begins with another run's weights: what it takes over, records, refuses, resumes."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_confseg.job import CHECKPOINT, CONFIG, Failed, RunFolder, Started, weights_sha256
from napari_confseg.methods import Method
from tests.trainer.conftest import FRAMES, PLEURA, request, run_folder
from tests.trainer.test_fit import kept, same_state, stop_at
from trainer.__main__ import main
from trainer.checkpoint import load_checkpoint, load_config
from trainer.evaluate import evaluate
from trainer.fine_tuning import read_start, take_over
from trainer.network import SIZES
from trainer.run_job import execute

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort

UNITS = {"channels": (4, 8, 16), "units": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory, shared_toy) -> Path:
    """A run of both classes that has learnt from three of four patients."""
    path = tmp_path_factory.mktemp("base") / "first"
    assert execute(run_folder(path, shared_toy, size="study", steps=12)) is not None
    return path


def failure(folder: RunFolder) -> str:
    last = folder.events()[0][-1]
    assert isinstance(last, Failed)
    return f"{last.error}. {last.hint}"


def configured(base: Path, classes: tuple[str, ...], **changes):
    """The other run, and the configuration of one that begins from it."""
    start = read_start(str(base))
    config = start.config.model_copy(update={"classes": classes, "seed": 5, **changes})
    return start, config.model_copy(update={"base": start.base(classes, config.method)})


@pytest.mark.parametrize("network", [{}, UNITS], ids=["no units", "residual units"])
def test_known_classes_are_marked_as_before_whatever_their_place(base, network):
    """Before the first step, with a class more and the order reversed."""
    start, config = configured(base, ("rib", "b-line", "pleura"), **network)
    theirs = start.config.model_copy(update=network).network()
    if network:  # as if it had been learnt so
        start = replace(start, weights=theirs.state_dict())
    theirs.load_state_dict(start.weights)
    ours = config.network()
    ours.set_statistics(torch.full((2, 8, 8), 99, dtype=torch.uint8), torch.tensor([0.2, 0.3, 0.4]))
    take_over(ours, start, config)
    images = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    before, after = theirs.eval()(images), ours.eval()(images)
    torch.testing.assert_close(after[:, [2, 1]], before, rtol=1e-5, atol=1e-5)
    assert float(ours.prior[0]) == pytest.approx(np.log(0.2 / 0.8))  # rib's own prevalence
    assert config.base is not None
    assert (config.base.taken, config.base.fresh) == (("b-line", "pleura"), ("rib",))


def test_outputs_that_mean_something_else_begin_anew_and_the_rest_is_taken(base):
    start = read_start(str(base))
    method = Method.parse("ordinal")
    found = start.base(start.config.classes, method)
    assert (found.taken, found.fresh) == ((), start.config.classes)
    config = start.config.model_copy(update={"method": method, "base": found, "seed": 9})
    network = config.network()
    last = network.net.model[2].conv.weight.clone()
    take_over(network, start, config)
    name = "net.model.0.conv.weight"
    assert torch.equal(network.state_dict()[name], start.weights[name])
    assert torch.equal(network.net.model[2].conv.weight, last)


def test_it_takes_the_base_s_canvas_records_its_hash_and_says_what_it_took(
    base, tmp_path, shared_toy, capsys
):
    run = tmp_path / "second"
    fit = ["fit", shared_toy.location, "--out", str(run), "--from", str(base), "--classes"]
    fit += ["pleura", "b-line", "--method", "threshold:t=60", "--device", "cpu", "--threads", "1"]
    assert main([*fit, "--json"]) == 0
    first, second = load_config(base), load_config(run)
    assert second.base is not None
    assert second.base.sha256 == weights_sha256(base)
    assert (second.canvas, second.channels, second.size) == (first.canvas, first.channels, "study")
    assert second.steps == SIZES["study"].steps
    started = next(e for e in RunFolder(run).events()[0] if isinstance(e, Started))
    assert str(started.facts["starts from"]).startswith(f"first ({second.base.sha256[:12]}): knows")
    assert "warning" not in started.facts
    # The same command again finds it done; another base is another run.
    assert main([*fit, "--json"]) == 0
    fit[fit.index(str(base))] = str(run)
    capsys.readouterr()
    assert main([*fit, "--json"]) == 1
    assert "differs in base" in capsys.readouterr().err


def test_who_taught_the_base_does_not_validate_its_successor(base, tmp_path, shared_toy):
    """Whatever the seed; and scores of clips that only the base has learnt from say so."""
    before = load_config(base)
    for seed in range(3):
        run = run_folder(
            tmp_path / f"s{seed}", shared_toy, base=str(base), size=None, seed=seed, steps=1
        )
        assert execute(run) is not None
        assert load_config(run.path).split.validation == before.split.validation
    held = shared_toy.clip(before.split.train[0]).meta.patient
    run = run_folder(
        tmp_path / "held", shared_toy, base=str(base), size=None, held_out=(held,), steps=1
    )
    assert execute(run) is not None
    note = evaluate(run.path, shared_toy, device="cpu").note
    assert note == "The model has learnt from 1 of these 1 clips."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": "quick"}, "size study, so a run that starts from it can't be of size quick"),
        ({"base": "nowhere"}, "nowhere holds no fitted model"),
    ],
)
def test_a_refusal_leaves_nothing(base, tmp_path, shared_toy, capsys, changes, said):
    asked = request(shared_toy, **({"base": str(base), "size": None} | changes))
    run = tmp_path / "run"
    options = ["--out", str(run), "--from", str(asked.base), "--device", "cpu", "--json"]
    if asked.size:
        options += ["--size", asked.size]
    assert main(["fit", shared_toy.location, *options]) == 1
    assert said in capsys.readouterr().out
    assert not run.exists()


def test_damaged_weights_are_refused_before_anything_is_decided(base, tmp_path, shared_toy):
    copy = tmp_path / "damaged"
    copy.mkdir()
    (copy / CONFIG).write_bytes((base / CONFIG).read_bytes())
    (copy / CHECKPOINT).write_bytes((base / CHECKPOINT).read_bytes()[:-100])
    run = run_folder(tmp_path / "run", shared_toy, base=str(copy), size=None)
    assert execute(run) is None
    assert "can't be read" in failure(run)
    assert not (run.path / CONFIG).exists()


def test_stopped_and_resumed_equals_uninterrupted_and_needs_the_base_no_more(
    base, tmp_path, shared_toy
):
    copy = tmp_path / "first"
    copy.mkdir()
    for name in (CONFIG, CHECKPOINT):
        (copy / name).write_bytes((base / name).read_bytes())
    asked = {"base": str(copy), "size": None, "steps": 10}
    whole = run_folder(tmp_path / "whole", shared_toy, **asked)
    assert execute(whole) is not None
    halves = run_folder(tmp_path / "halves", shared_toy, **asked)
    assert execute(halves, stop_at(halves, 5)) is not None
    (copy / CHECKPOINT).unlink()
    assert execute(halves) is not None
    assert kept(whole.path) == kept(halves.path)
    assert same_state(whole.path, halves.path)


def test_before_there_is_a_state_another_base_is_not_taken_for_the_first(
    base, tmp_path, shared_toy
):
    asked = {"base": str(base), "size": None, "steps": 2}
    run = run_folder(tmp_path / "run", shared_toy, **asked)
    assert execute(run) is not None
    (run.path / "state.pt").unlink()
    (run.path / "result.json").unlink()
    config = json.loads((run.path / CONFIG).read_text())
    config["base"]["sha256"] = "0" * 64
    (run.path / CONFIG).write_text(json.dumps(config))
    assert execute(run) is None
    assert "first has other weights than when this run began" in failure(run)


def test_it_begins_where_the_base_ended(base, tmp_path, shared_toy: Cohort):
    """One step from it is nearer to its marks than one step from scratch."""
    network, _ = load_checkpoint(base, load_config(base))
    images = torch.from_numpy(np.asarray(shared_toy.clip("clip-0").frames[:FRAMES]))
    canvas = images[:, None].float() / 255
    canvas = torch.nn.functional.interpolate(canvas, load_config(base).canvas)
    expected = network.learnt(canvas)[:, PLEURA]
    apart = []
    for asked in ({"base": str(base), "size": None}, {"size": "study"}):
        run = run_folder(tmp_path / f"run-{len(apart)}", shared_toy, steps=1, **asked)
        assert execute(run) is not None
        made, _ = load_checkpoint(run.path, load_config(run.path))
        apart.append(float((made.learnt(canvas)[:, PLEURA] - expected).abs().mean().detach()))
    assert apart[0] < apart[1] / 2


def test_what_it_begins_with_is_kept_unless_a_step_does_better(base, tmp_path, shared_toy):
    """The base is a candidate: its validation stands at step 0, before anything is learnt."""
    run = run_folder(tmp_path / "run", shared_toy, base=str(base), size=None, steps=2)
    assert execute(run) is not None
    with (run.path / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["loss"] == ""
    result = run.result()
    assert result is not None
    scores = {int(row["step"]): float(row["val_dice"]) for row in rows if row["val_dice"]}
    assert result.best_step == max(scores, key=lambda step: (scores[step], -step))
    assert result.scores["val_dice"] == pytest.approx(max(scores.values()))
