"""The starter model: made by one command, bit by bit the same, and a run like any other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_confseg.dataset.resample import Resampler
from napari_confseg.job import CHECKPOINT, CONFIG, Metrics, Progress, RunFolder
from napari_confseg.store import EXCLUDED
from trainer import shipped
from trainer.__main__ import main
from trainer.checkpoint import load_config
from trainer.errors import TrainError
from trainer.features import see
from trainer.network import SIZES
from trainer.predict import Predictor
from trainer.shipped import STARTER, is_shipped, run_folder
from trainer.starter.learn import learn_starter, parts_of
from trainer.starter.phantoms import CLASSES, VIEWS, PhantomSet, as_samples
from trainer.starter.randomise import randomise
from trainer.starter.request import StarterRequest
from trainer.starter.ship import ship

if TYPE_CHECKING:
    from pathlib import Path

TINY = StarterRequest(seed=3, phantoms=2, steps=4, side=48, device="cpu", threads=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run, by the command, which ships it: beside it, not into this package."""
    path = tmp_path_factory.mktemp("starter") / "run"
    options = "--seed 3 --phantoms 2 --steps 4 --side 48 --threads 1 --json --ship"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "_HERE", path.parent / "package")
        assert main(["starter", "--out", str(path), *options.split()]) == 0
    return path


def test_the_command_leaves_a_run(made):
    names = {p.name for p in made.iterdir()}
    assert {CONFIG, CHECKPOINT, "state.pt", "metrics.csv", "result.json", "events.jsonl"} <= names
    assert {p.name for p in (made / "phantoms").iterdir()} == {
        "training-3-48x48-000.npz",
        "validation-3-48x48-000.npz",
    }
    config = load_config(made)
    assert config.classes == CLASSES
    assert config.canvas == (48, 48)
    assert str(config.method) == "soft"
    assert config.origin.kind == "phantoms"
    assert config.origin.name == "2 phantoms of seed 3"
    result = json.loads((made / "result.json").read_text())
    assert (result["steps"], result["stopped"]) == (4, False)
    columns = (made / "metrics.csv").read_text().splitlines()[0]
    assert columns.endswith(",".join(f"val_dice/{c}" for c in CLASSES))


def test_the_same_seed_gives_the_same_weights_also_when_it_was_stopped(made, tmp_path):
    path = tmp_path / "run"

    def stop_half_way(event) -> None:
        # Every measurement is reported; progress is not, where it follows too fast.
        if isinstance(event, Metrics) and event.step == 2:
            RunFolder(path).cancel()

    first = learn_starter(path, TINY, stop_half_way)
    assert first.stopped
    assert 2 <= first.steps < 4
    assert learn_starter(path, TINY).steps == 4
    expected, found = load_file(made / CHECKPOINT), load_file(path / CHECKPOINT)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert load_config(path) == load_config(made)


def test_stopped_while_making_phantoms_it_resumes(tmp_path):
    path = tmp_path / "run"
    path.mkdir()

    def stop(event) -> None:
        if isinstance(event, Progress) and event.message == "Making phantoms for validation":
            RunFolder(path).cancel()

    result = learn_starter(path, TINY.model_copy(update={"steps": 1}), stop)
    assert result.stopped
    kept = {p.name: p.stat().st_mtime_ns for p in (path / "phantoms").iterdir()}
    assert list(kept) == ["training-3-48x48-000.npz"]
    assert learn_starter(path, TINY.model_copy(update={"steps": 1})).steps == 1
    assert (path / "phantoms" / "training-3-48x48-000.npz").stat().st_mtime_ns in kept.values()


def test_other_options_are_refused(made, capsys):
    for change in ("--seed 4", "--phantoms 3", "--steps 5", "--side 64"):
        # Of an option that is given twice the last counts.
        options = f"--seed 3 --phantoms 2 --steps 4 --side 48 --threads 1 --json {change}".split()
        assert main(["starter", "--out", str(made), *options]) == 1
        assert "holds another run, of 2 phantoms of seed 3" in capsys.readouterr().err


def test_a_damaged_file_of_phantoms_is_named(made, tmp_path):
    (tmp_path / "phantoms").mkdir()
    whole = (made / "phantoms" / "training-3-48x48-000.npz").read_bytes()
    broken = tmp_path / "phantoms" / "training-3-48x48-000.npz"
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainError, match=r"training-3-48x48-000.npz can't be read"):
        parts_of(TINY)[0].load(tmp_path)
    broken.write_bytes(whole)
    with pytest.raises(TrainError, match="holds 2 phantoms for training, and 3 were asked for"):
        PhantomSet(3, 3, (48, 48)).load(tmp_path)


def test_parts_share_no_phantom_and_samples_are_what_was_made(made):
    train, validation = (part.load(made) for part in parts_of(TINY))
    frames = {f.tobytes() for f in train[0]}
    assert len(frames) == 2 * VIEWS
    assert not frames & {f.tobytes() for f in validation[0]}
    samples = as_samples([train, validation])
    assert np.array_equal(samples.frames[:].numpy(), np.concatenate([train[0], validation[0]]))
    assert np.array_equal(samples.planes[:].numpy(), np.concatenate([train[1], validation[1]]))
    assert samples.clips == ("phantom-0",) * 2 + ("phantom-1",) * 2 + ("phantom-2",) * 2


def test_randomising_moves_frames_and_planes_together():
    y, x = np.indices((64, 64))
    shape = ((y - 24) ** 2 + (x - 40) ** 2 < 15**2) & (x > 36)
    frames = torch.from_numpy((shape * 200).astype(np.uint8)).expand(40, 1, 64, 64)
    planes = torch.from_numpy((shape * 90).astype(np.uint8)).expand(40, 2, 64, 64).clone()
    planes[:, :, :, :3] = EXCLUDED
    images, moved = randomise(frames, planes, torch.Generator().manual_seed(0))
    again = randomise(frames, planes, torch.Generator().manual_seed(0))
    assert torch.equal(images, again[0])
    assert torch.equal(moved, again[1])
    assert set(moved.unique().tolist()) <= {0, 90, EXCLUDED}
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert images.min() >= 0
    assert images.max() <= 1
    for image, plane in zip(images[:, 0], moved[:, 0], strict=True):
        inside, outside = plane == 90, plane == 0
        if inside.sum() > 20:
            assert image[inside].mean() > image[outside].mean() + 0.1
    assert len({int((m[0] == 90).sum()) for m in moved}) > 20  # zoomed, each its own way


def test_black_frames_stay_black_but_for_noise():
    frames = torch.zeros(16, 1, 32, 32, dtype=torch.uint8)
    planes = torch.zeros(16, 1, 32, 32, dtype=torch.uint8)
    images, _ = randomise(frames, planes, torch.Generator().manual_seed(1))
    assert images.mean() < 0.02


def test_what_is_turned_dark_shows_nothing():
    frames = torch.full((400, 1, 16, 16), 150, dtype=torch.uint8)
    planes = torch.full((400, 1, 16, 16), 80, dtype=torch.uint8)
    images, moved = randomise(frames, planes, torch.Generator().manual_seed(2))
    dark = images.amax((1, 2, 3)) < 0.07
    assert 2 <= dark.sum() <= 30
    assert not (moved[dark] == 80).any()
    assert (moved[~dark] == 80).any((1, 2, 3)).all()


def test_features_are_those_that_the_percents_are_made_of(made):
    predictor = Predictor.load(made, "cpu")
    frame = np.random.default_rng(0).integers(0, 255, (70, 90), dtype=np.uint8)
    seen = see(predictor, frame)
    assert np.array_equal(seen.percent, predictor.percent(frame))
    assert seen.maps.shape == (2 * 16 + 1 + len(CLASSES), 48, 48)
    canvas = Resampler.into(frame.shape, (48, 48)).frame(frame)
    assert torch.equal(seen.maps[32], torch.from_numpy(canvas).float() / 255)
    odds = seen.maps[-len(CLASSES) :]
    from_odds = seen.to_frame(odds.sigmoid())
    assert np.abs(from_odds.numpy() * 100 - seen.percent).max() <= 0.51


def test_features_are_looked_up_at_the_frames_pixels(made):
    y, x = np.indices((96, 96))
    frame = (y + x // 2).astype(np.uint8)
    seen = see(Predictor.load(made, "cpu"), frame)  # exactly half the size
    assert seen.shape == (96, 96)
    rows, columns = np.array([20, 21, 50]), np.array([30, 31, 60])
    grey = seen.at(rows, columns)[:, 32].numpy() * 255
    assert np.abs(grey - frame[rows, columns]).max() < 1
    with pytest.raises(TrainError, match="One frame"):
        see(Predictor.load(made, "cpu"), frame[None])


def test_the_shipped_model_has_a_name_and_folders_have_paths(tmp_path):
    assert run_folder(STARTER).parent.name == "starter"
    assert is_shipped(STARTER)
    assert run_folder(tmp_path / "starter") == tmp_path / "starter"
    assert not is_shipped(tmp_path / "starter")


def test_a_run_of_the_shipped_models_name_is_told_from_it(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / STARTER).mkdir()
    (tmp_path / STARTER / CONFIG).write_bytes((made / CONFIG).read_bytes())
    with pytest.raises(SystemExit):
        main(["predict", STARTER, "cohort.zarr"])
    assert "write ./starter for the run" in capsys.readouterr().err


def test_one_command_ships_in_half_precision_what_it_learnt(made, monkeypatch):
    package = made.parent / "package"
    out = package / f"starter-{shipped.VERSION}"
    assert {p.name for p in out.iterdir()} == {CONFIG, CHECKPOINT}
    assert (out / CHECKPOINT).stat().st_size < 0.52 * (made / CHECKPOINT).stat().st_size
    frames = np.random.default_rng(1).integers(0, 255, (2, 60, 80), dtype=np.uint8)
    monkeypatch.setattr(shipped, "_HERE", package)
    whole, half = (Predictor.load(run, "cpu").percent(frames) for run in (made, STARTER))
    assert np.abs(whole.astype(int) - half).max() <= 1
    with pytest.raises(TrainError, match="Raise VERSION"):
        ship(made, out)


def test_what_was_shipped_is_refused_before_the_work_begins(tmp_path, capsys):
    assert main(["starter", "--out", str(tmp_path / "run"), "--ship"]) == 1
    assert "what was shipped is never changed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_defaults_are_those_of_the_size():
    size = SIZES["starter"]
    asked = StarterRequest()
    assert (asked.steps, asked.side) == (size.steps, size.longest)
