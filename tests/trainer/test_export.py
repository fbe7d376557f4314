"""Exported networks give what the network gives, run by their own runtimes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from monai.bundle import ConfigWorkflow, load, verify_net_in_out

from napari_confseg.methods import Method
from tests.trainer.conftest import run_folder
from trainer import heads
from trainer.__main__ import main
from trainer.errors import TrainError
from trainer.export.folder import FORMATS, TOLERANCE, export, largest_difference
from trainer.export.graph import CARD, FACTS, ExportedModel, Graph, source
from trainer.export.percent import at_frame_size, load_network, on_canvas, percent
from trainer.export.torchscript import traced
from trainer.full_size import to_frame_size
from trainer.network import Segmenter
from trainer.predict import Predictor
from trainer.run_job import execute
from trainer.shipped import STARTER

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = [(32, 48), (70, 50), (20, 30), (31, 97), (5, 200), (90, 135)]
"""As the canvas; higher, smaller, wider, much wider; and the canvas's shape, scaled."""


@pytest.fixture(scope="module")
def model(tmp_path_factory, shared_toy) -> Path:
    """With learnt falls between thresholds and with output scaling: the largest graph there is."""
    path = tmp_path_factory.mktemp("runs") / "fitted"
    method = Method(name="ordinal", levels="overlap")
    folder = run_folder(path, shared_toy, steps=6, size="study", method=method)
    assert execute(folder) is not None
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory, model) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("exports")
    for name in FORMATS:
        assert export(model, name, root / name).difference <= TOLERANCE
    return {name: root / name for name in FORMATS}


def canvases(model: Path, n: int = 3) -> NDArray[np.uint8]:
    height, width = Predictor.load(model, "cpu").config.canvas
    return np.random.default_rng(0).integers(0, 256, (n, 1, height, width), dtype=np.uint8)


def expected(model: Path, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    predictor = Predictor.load(model, "cpu")
    with torch.inference_mode():
        images = torch.from_numpy(frames).float() / 255
        network = predictor.network
        return predictor.contour(network.probability(network.learnt(images))).numpy()


def test_onnx_runtime_gives_the_same(exported, model):
    path = exported["onnx"] / "model.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    frames = canvases(model)
    (found,) = session.run(["probability"], {"frames": frames})
    assert np.abs(found - expected(model, frames)).max() <= 1e-4
    facts = json.loads(session.get_modelmeta().custom_metadata_map["napari-confseg"])
    assert facts["classes"] == ["pleura", "b-line"]


def test_torchscript_gives_the_same(exported, model):
    frames = canvases(model)
    with torch.no_grad():
        found = torch.jit.load(exported["torchscript"] / "model.ts")(torch.from_numpy(frames))
    assert np.abs(found.numpy() - expected(model, frames)).max() <= 1e-4


def test_a_monai_bundle_gives_the_same(exported, model):
    folder = exported["monai-bundle"]
    frames = canvases(model)
    wanted = expected(model, frames)
    network, metadata, _ = load(
        folder.name, bundle_dir=folder.parent, load_ts_module=True, device="cpu"
    )
    with torch.no_grad():
        assert np.abs(network(torch.from_numpy(frames)).numpy() - wanted).max() <= 1e-4
    assert metadata == json.loads((folder / "configs/metadata.json").read_text())
    verify_net_in_out(
        "network_def",
        meta_file=str(folder / "configs/metadata.json"),
        config_file=str(folder / "configs/inference.json"),
        bundle_root=str(folder),
        device="cpu",
    )
    weights = torch.load(folder / "models/model.pt", weights_only=True)
    network.load_state_dict(weights)  # every weight by its name


# Of MONAI's specification; of two names for the packages, MONAI warns of the older.
REQUIRED = {"version", "monai_version", "pytorch_version", "numpy_version", "authors", "copyright"}
REQUIRED |= {"required_packages_version", "task", "description", "network_data_format"}
OF_A_TENSOR = {"type", "format", "modality", "num_channels", "spatial_shape", "dtype"}
OF_A_TENSOR |= {"value_range", "is_patch_data", "channel_def"}


def test_the_bundle_has_what_monai_requires(exported):
    folder = exported["monai-bundle"]
    metadata = json.loads((folder / "configs/metadata.json").read_text())
    assert set(metadata) >= REQUIRED
    for tensors in metadata["network_data_format"].values():
        for tensor in tensors.values():
            assert set(tensor) >= OF_A_TENSOR
    for name in ("LICENSE", "models/model.pt", "models/model.ts", "docs/README.md"):
        assert (folder / name).stat().st_size


def run_python(folder: Path, *command: str, **environment: str) -> None:
    """Run Python in `folder`."""
    rest = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONWARNINGS")}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=rest | environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def close(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> None:
    """Fail unless percents are equal but for the rounding of a few."""
    assert found.shape == wanted.shape
    apart = np.abs(found.astype(int) - wanted)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_monai_marks_a_folder_of_frames(tmp_path, exported, model, monkeypatch):
    frames = np.random.default_rng(1).integers(0, 256, (2, 70, 50), dtype=np.uint8)
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    for t, frame in enumerate(frames):
        np.save(tmp_path / "in" / f"{t}.npy", frame)
    monkeypatch.chdir(exported["monai-bundle"])
    monkeypatch.syspath_prepend(str(exported["monai-bundle"]))
    workflow = ConfigWorkflow(
        "configs/inference.json",
        "configs/metadata.json",
        logging_file=False,
        workflow_type="inference",
        device="cpu",
        dataset_dir=str(tmp_path / "in"),
        output_dir=str(tmp_path / "out"),
    )
    workflow.initialize()
    assert not workflow.check_properties()  # nothing that MONAI requires is missing
    workflow.run()
    found = np.stack([np.load(tmp_path / "out" / f"{t}.npy") for t in range(2)])
    close(found, Predictor.load(model, "cpu").percent(frames))


def test_the_example_goes_from_an_array_to_percents(tmp_path, exported, model):
    frames = np.random.default_rng(2).integers(0, 256, (9, 70, 50), dtype=np.uint8)
    wanted = Predictor.load(model, "cpu").percent(frames)
    np.save(tmp_path / "frames.npy", frames)
    files = (str(tmp_path / "frames.npy"), str(tmp_path / "percent.npy"))
    run_python(exported["onnx"], "percent.py", *files)  # without this package on the path
    close(np.load(files[1]), wanted)
    assert (exported["torchscript"] / "percent.py").read_bytes() == source("percent.py")
    facts = json.loads((exported["torchscript"] / "model.json").read_text())
    close(percent(frames, load_network(exported["torchscript"]), facts), wanted)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("canvas", [(32, 48), (64, 64)])
def test_the_example_fits_frames_as_the_trainer_does(shape, canvas):
    from napari_confseg.dataset.resample import Resampler

    rng = np.random.default_rng(sum(shape))
    frame = rng.integers(0, 256, shape, dtype=np.uint8)
    wanted = Resampler.into(shape, canvas).frame(frame)
    assert np.array_equal(on_canvas(frame, canvas), wanted)
    images = rng.random((2, 3, *canvas), dtype=np.float32)
    back = to_frame_size(torch.from_numpy(images), shape).numpy()
    assert np.abs(at_frame_size(images, shape) - back).max() < 1e-5


@pytest.mark.parametrize(
    ("head", "outputs"), [(heads.PLAIN, 1), (heads.NOISY, 2), (heads.ORDINAL, 3)]
)
def test_every_head_is_traced_for_any_number_of_frames(head, outputs):
    torch.manual_seed(0)
    graph = Graph(Segmenter((4, 8), 0, 2, head, outputs).eval(), scaled=False)
    frames = torch.randint(0, 256, (5, 1, 16, 32), dtype=torch.uint8)
    with torch.no_grad():
        same = torch.jit.trace(graph, frames[:2])
        assert torch.equal(same(frames), graph(frames))
        assert torch.equal(same(frames[:1]), graph(frames[:1]))


def test_the_same_run_gives_the_same_bytes_and_no_folder_of_this_machine(tmp_path, exported, model):
    home = str(Path(__file__).parents[2])
    command = ("-m", "trainer", "export", str(model), "--to", "torchscript", "--out")
    # In new processes: torch numbers the classes that it has traced.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda n: run_python(tmp_path, *command, n, PYTHONPATH=home), ("one", "two")))
    export(model, "onnx", tmp_path / "three")
    for first, second in (("one", "two"), (exported["onnx"], "three")):
        files = [p for p in (tmp_path / first).rglob("*") if p.is_file()]
        for file in files:
            data = file.read_bytes()
            assert data == (tmp_path / second / file.relative_to(tmp_path / first)).read_bytes()
            content = [data]
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as packed:
                    content = [packed.read(entry) for entry in packed.namelist()]
            assert not any(home.encode() in part for part in content), file


def test_the_card_says_what_it_is_and_names_nobody(exported, model):
    config = ExportedModel.load(model).config
    for name, form in FORMATS.items():
        card = (exported[name] / form.card).read_text(encoding="utf-8")
        for word in (
            "`pleura`, `b-line`",
            "ordinal",
            "(32, 48)",
            "val_dice",
            config.origin.sha256[:12],
        ):
            assert word in card
        for somebody in (*config.raters, *config.split.validation_patients):
            assert somebody not in card


def test_a_folder_that_exists_is_left_alone(tmp_path, model, capsys):
    (tmp_path / "there").mkdir()
    arguments = ["export", str(model), "--to", "torchscript", "--out", str(tmp_path / "there")]
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]
    assert main([*arguments[:-1], str(tmp_path / "new"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["files"]) == {"README.md", "model.json", "model.ts", "percent.py"}
    assert {p.name for p in (tmp_path / "new").iterdir()} == set(facts["files"])


def test_the_model_that_comes_with_the_package_goes_out_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", STARTER, "--to", "torchscript"]) == 0
    out = tmp_path / f"{STARTER}-torchscript"
    card = (out / CARD).read_text(encoding="utf-8")
    assert "no picture of a person" in card
    assert "clips learnt from" not in card
    frames = np.random.default_rng(0).integers(0, 256, (2, 160, 160), dtype=np.uint8)
    facts = json.loads((out / FACTS).read_text())
    close(percent(frames, load_network(out), facts), Predictor.load(STARTER, "cpu").percent(frames))


def test_an_export_that_differs_is_refused(model):
    right = ExportedModel.load(model)
    wrong = replace(right, graph=Graph(right.graph.network, scaled=False).eval())
    with pytest.raises(TrainError, match="differs from the network's"):
        largest_difference(right, "model.ts", traced(wrong, {}))
