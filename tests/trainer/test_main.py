"""The command line, whole; and what the processes behind it import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from napari_confseg import __version__
from napari_confseg.__main__ import main as confseg
from napari_confseg.job import RunFolder
from napari_confseg.store import Cohort, rater_label
from tests.dask_processes import free_port
from tests.trainer.conftest import request, run_folder
from trainer.__main__ import main
from trainer.run_job import execute


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
    assert main(fit) == 0  # all is there
    assert [e["event"] for e in lines(capsys.readouterr().out)] == ["finished"]
    assert main([*fit, "--steps", "5", "--seed", "3"]) == 1
    assert "differs in seed, steps: choose another name" in capsys.readouterr().err


def test_a_refused_fit_leaves_nothing_and_a_stopped_one_is_resumed(tmp_path, toy, capsys):
    run = tmp_path / "runs" / "first"
    fit = [
        "fit",
        toy.location,
        "--out",
        str(run),
        "--classes",
        "b-line",
        "--steps",
        "8",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--size",
        "study",
        "--json",
    ]
    assert main([*fit, "--raters", "nobody"]) == 1
    assert not run.exists()
    run.mkdir()
    (run / "cancel").touch()
    (run / "notes.txt").touch()  # somebody else's
    assert main(fit) == 0
    assert lines(capsys.readouterr().out)[-1]["event"] == "cancelled"
    assert main(fit) == 0
    events = lines(capsys.readouterr().out)
    assert events[-1]["event"] == "finished"
    assert (run / "notes.txt").exists()
    assert main([*fit, "--held-out", "p9"]) == 1
    assert "differs in held_out" in capsys.readouterr().err


def test_a_fit_for_a_scheduler_that_is_not_there_leaves_nothing(tmp_path, toy, capsys, monkeypatch):
    monkeypatch.setattr("trainer.remote._CONNECT", 1)
    run = tmp_path / "run"
    command = ["fit", toy.location, "--out", str(run), "--where"]
    with pytest.raises(SystemExit):
        main([*command, "http://x y"])
    assert "'http://x y' is no address of a dask scheduler" in capsys.readouterr().err
    assert main([*command, f"127.0.0.1:{free_port()}"]) == 1
    assert "There is no dask scheduler at tcp://127.0.0.1:" in capsys.readouterr().err
    assert not run.exists()


def test_a_dataset_from_end_to_end(tmp_path, toy, capsys):
    """Built, fitted fold by fold and by parts, scored; prediction into it is refused."""
    frozen, run = tmp_path / "toy-ds", tmp_path / "run"
    build = [
        "build",
        toy.location,
        "--out",
        str(frozen),
        "--size",
        "study",
        "--folds",
        "2",
        "--split",
        "train=0.5",
        "val=0.25",
        "test=0.25",
        "--json",
    ]
    assert confseg(build) == 0
    facts = json.loads(capsys.readouterr().out)
    short = [
        "--classes",
        "b-line",
        "--steps",
        "2",
        "--size",
        "study",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--json",
    ]
    assert main(["fit", str(frozen), "--out", str(run), *short]) == 0
    capsys.readouterr()
    config = json.loads((run / "config.json").read_text())
    assert config["origin"]["sha256"] == facts["content_sha256"]
    assert json.loads((run / "job.json").read_text())["dataset"] == str(frozen / "v1")
    assert main(["evaluate", str(run), str(frozen), "--json"]) == 0
    (evaluation,) = lines(capsys.readouterr().out)
    assert (evaluation["data"], evaluation["part"]) == ("dataset toy-ds/v1", "part test")
    assert main(["fit", str(frozen), "--out", str(tmp_path / "f1"), "--fold", "1", *short]) == 0
    assert json.loads((tmp_path / "f1" / "config.json").read_text())["origin"]["fold"] == 1
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "f1"), str(frozen)]) == 0
    assert "fold 1" in capsys.readouterr().out
    assert main(["predict", str(run), str(frozen), "--json"]) == 1
    (failed,) = [e for e in lines(capsys.readouterr().out) if e["event"] == "failed"]
    assert "is a frozen dataset: a model's marks can't be written into it" in failed["error"]
    assert not list((run / "predictions").iterdir())


@pytest.mark.parametrize(
    "command", ["fit x.zarr --out", "study x.zarr --out", "run", "predict s3://bucket/run"]
)
def test_an_address_where_a_folder_is_meant_is_refused(command, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([*command.split(), "s3://bucket/run"])
    assert exit_info.value.code == 2
    said = "s3://bucket/run is an address, and this has to be a file or folder on this machine"
    assert said in capsys.readouterr().err


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
    with pytest.raises(SystemExit, match="2"):
        main(["fit", shared_toy.location, *out, "--steps", "0"])
    said = capsys.readouterr().err
    assert "argument --steps: '0': Input should be greater than or equal to 1" in said
    assert main(["fit", "/nonexistent.zarr", *out]) == 1
    assert main(["run", str(tmp_path / "nowhere")]) == 1
    assert "no run folder" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), shared_toy.location]) == 1
    assert "holds no fitted model" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"confseg-train {__version__}\n"


def test_scores_name_each_rater_and_its_kind_in_80_columns(tmp_path, toy, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for i in range(4):
        clip = toy.clip(f"clip-{i}")
        for name, kind, label in (
            ("reader-over-inclusive", "human", "Reader who marks too much"),
            ("truth", "truth", "truth"),
        ):
            other = clip.create_rater(name, kind=kind, label=label)
            other.write_status(clip.rater("reader-a").read_status())
    assert execute(run_folder(tmp_path / "run", toy, steps=1, size="study"))
    assert (
        main(
            [
                "evaluate",
                str(tmp_path / "run"),
                toy.location,
                "--against",
                "reader-a",
                "reader-over-inclusive",
                "truth",
            ]
        )
        == 0
    )
    shown = capsys.readouterr().out
    for name, label, kind in (
        ("reader-a", toy.clip("clip-0").rater("reader-a").meta.label, "human"),
        ("reader-over-inclusive", "Reader who marks too much", "human"),
        ("truth", "truth", "truth"),
    ):
        assert f"Against {rater_label(name, label, kind)}" in shown
    assert shown.count("b-line") == 3
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert max(map(len, shown.splitlines()[1:])) <= 80


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
