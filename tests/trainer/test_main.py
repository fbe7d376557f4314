"""The command line, whole; and what the processes behind it import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from napari_confseg.job import RunFolder
from napari_confseg.store import Cohort
from tests.trainer.conftest import request
from trainer.__main__ import main


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_fit_predict_evaluate(tmp_path, toy, capsys):
    run = tmp_path / "first"
    fit = [
        "fit",
        toy.location,
        "--out",
        str(run),
        "--classes",
        "b-line",
        "--method",
        "soft",
        "--steps",
        "4",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--precision",
        "bf16",
        "--json",
    ]
    assert main(fit) == 0
    events = lines(capsys.readouterr().out)
    assert events[-1]["event"] == "finished"
    assert RunFolder(run).request().rater == "first"
    assert json.loads((run / "config.json").read_text())["precision"] == "bf16"
    assert main(["predict", str(run), toy.location, "--clips", "clip-1", "--json"]) == 0
    assert lines(capsys.readouterr().out)[-1]["event"] == "finished"
    assert "first" in Cohort.open(toy.location).clip("clip-1").raters()
    assert (run / "predictions" / "001" / "result.json").exists()
    table = ["evaluate", str(run), toy.location, "--thresholds", "50", "60"]
    assert main([*table, "--json", "--csv", str(tmp_path / "cases.csv")]) == 0
    (evaluation,) = lines(capsys.readouterr().out)
    assert [m["threshold"] for m in evaluation["means"]] == [50, 60]
    assert len((tmp_path / "cases.csv").read_text().splitlines()) == 3
    assert main(table) == 0
    shown = capsys.readouterr().out
    assert "b-line" in shown
    assert "Held-out patients" in shown
    assert main(["fit", *fit[1:]]) == 1
    assert "holds a run already" in capsys.readouterr().err


def test_run_tells_people_how_it_goes(tmp_path, shared_toy, capsys):
    RunFolder.create(tmp_path / "run", request(shared_toy, steps=2))
    assert main(["run", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().err
    for words in ("threshold(t=60)", "15 samples of 3 clips", "val_dice", "Finished."):
        assert words in shown
    RunFolder.create(tmp_path / "bad", request(shared_toy, classes=("rib",)))
    assert main(["run", str(tmp_path / "bad")]) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "Nobody has reviewed any frame of toy for rib" in shown
    assert "press 'Reviewed'" in shown


def test_wrong_usage_and_refusals(tmp_path, shared_toy, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", "--size", "huge"])
    assert exit_info.value.code == 2
    out = ["--out", str(tmp_path / "x")]
    assert main(["fit", shared_toy.location, *out, "--steps", "0"]) == 2
    assert "steps: Input should be greater than or equal to 1" in capsys.readouterr().err
    assert main(["fit", "/nonexistent.zarr", *out]) == 1
    assert main(["run", str(tmp_path / "nowhere")]) == 1
    assert "no run folder" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), shared_toy.location]) == 1
    assert "holds no fitted model" in capsys.readouterr().err


def imported_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_help_does_not_wait_for_torch():
    code = (
        "from trainer.__main__ import main\ntry: main(['fit', '--help'])\nexcept SystemExit: pass"
    )
    assert not imported_by(code) & {"torch", "monai", "matplotlib", "rich"}


def test_a_trainer_process_never_imports_the_viewer(tmp_path, shared_toy):
    RunFolder.create(tmp_path / "run", request(shared_toy, steps=1))
    code = (
        f"from trainer.__main__ import main\nassert main(['run', {str(tmp_path / 'run')!r}]) == 0\n"
        "assert 'torch._dynamo' not in sys.modules"  # it takes longer than torch itself
    )
    modules = imported_by(code)
    assert "torch" in modules
    assert not modules & {"napari", "qtpy", "PySide6", "superqt", "magicgui", "pyqtgraph", "vispy"}
    assert not modules & {"torchvision", "monai", "matplotlib"}
