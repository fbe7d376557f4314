"""Whole commands in this process, and what they leave."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from napari_confseg.__main__ import COMMANDS, main
from napari_confseg.store import Cohort, Edit, Patch, RaterWriter, StatusChange
from tests.ingest.films import SHIPPED, film, moving


def run(capsys, *argv):
    """Return exit code, standard output and standard error."""
    try:
        code = main([str(a) for a in argv])
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def location(tmp_path, state_dir):
    return tmp_path / "study.zarr"


def test_import_makes_the_cohort_and_says_what_is_in_it(capsys, location):
    code, out, _ = run(
        capsys,
        "import",
        SHIPPED[1],
        "--cohort",
        location,
        "--create",
        "--patient",
        "anna",
        "--crop",
        "sector",
        "--json",
    )
    report = json.loads(out)
    decoder = report["imported"][0].pop("decoder")
    assert code == 0
    assert decoder.startswith("PyAV ")
    assert report.pop("passed_over") == []
    assert report == {
        "cohort": str(location),
        "imported": [
            {
                "clip": "clip-10a2924a",
                "patient": "anna",
                "frames": 137,
                "height": 240,
                "width": 204,
                "seconds": 7.105,
                "sector": "linear",
                "trust": 1.0,
                "crop": [2, 0, 242, 204],
                "tags": [],
            }
        ],
        "refused": [],
        "waiting": {},
        "warning": "",
    }
    cohort = Cohort.open(location)
    assert cohort.meta.name == "study"
    assert cohort.clips() == ["clip-10a2924a"]


def test_import_refuses_what_is_no_clip_and_takes_the_rest(capsys, location, tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    code, out, err = run(
        capsys, "import", tmp_path / "notes.txt", SHIPPED[1], "--cohort", location, "--create"
    )
    assert code == 1
    assert "clip-10a2924a" in out
    assert "no video that can be read" in out
    assert "Traceback" not in out + err


def test_import_without_cohort_says_what_to_do(capsys, location):
    code, _, err = run(capsys, "import", SHIPPED[1], "--cohort", location)
    assert code == 1
    assert "There is no such folder" in err
    assert not location.exists()


def test_import_of_a_folder_warns_that_it_comes_to_one_patient(capsys, location, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(2):
        film(tmp_path / "in" / f"A{i}_x.mp4", moving(3 + i))
    words = ("import", tmp_path / "in", "--cohort", location, "--create")
    code, out, _ = run(capsys, *words, "--dry-run", "--patient-pattern", r"(A\d)_")
    assert code == 0
    assert out.startswith("2 files of 2 patients, told by the pattern.")
    assert "come to one patient" not in out
    code, out, _ = run(capsys, *words, "--dry-run", "--json")
    told = json.loads(out)
    assert (told["files"], told["patients"], told["told"]) == (2, 1, {"folder": 2})
    assert not location.exists()
    _, out, _ = run(capsys, *words)
    assert "All 2 files come to one patient" in out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["import"],
        ["import", "x.mp4"],
        ["import", "x.mp4", "--cohort", "c", "--patient", "Not A Slug"],
        ["import", "x.mp4", "--cohort", "c", "--fps", "0"],
        ["import", "x.mp4", "--cohort", "c", "--patient-pattern", "x"],
        ["import", "x.mp4", "--cohort", "c", "--crop", "sometimes"],
        ["status"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_2(capsys, argv):
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert "usage: confseg" in err
    assert out == ""


@pytest.mark.parametrize("command", [c.__name__ for c in COMMANDS])
def test_every_command_has_help_with_an_example_and_json(capsys, command):
    name = sys.modules[command]
    names = _declared(name)
    for declared in names:
        code, out, _ = run(capsys, declared, "--help")
        assert code == 0
        assert f"example:\n  confseg {declared} " in out
        assert "--json" in out


def _declared(module):
    import argparse

    commands = argparse.ArgumentParser().add_subparsers()
    module.add(commands)
    return list(commands.choices)


def test_help_needs_nothing_heavy():
    script = (
        "import sys\n"
        "from napari_confseg.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'zarr', 'pydantic', 'av', 'rich', 'scipy', 'napari', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


# -- open


def test_open_tells_what_is_wrong_before_there_is_a_window(capsys, cohort, tmp_path):
    code, _, err = run(capsys, "open", tmp_path / "nothing.zarr")
    assert code == 1
    assert "nothing.zarr" in err
    code, _, err = run(capsys, "open", cohort.location, "clip-9")
    assert code == 1
    assert "clip-9" in err


# -- status


def test_import_draws_a_contact_sheet(capsys, location, tmp_path):
    from PIL import Image

    sheet = tmp_path / "looks" / "sheet.png"
    run(capsys, "import", *SHIPPED, "--cohort", location, "--create", "--sheet", sheet)
    with Image.open(sheet) as image:
        assert image.size == (640, 368)
        colors = image.convert("RGB").getcolors(2**24)
    assert sum(n for n, color in colors if color == (255, 200, 0)) > 500  # outlines of sectors


@pytest.fixture
def marked(cohort):
    """The small cohort with one reader, who reviewed 3 of 6 frames for one class."""
    with RaterWriter.open(cohort, "clip-1", "anna") as writer:
        before = np.zeros((4, 4), np.uint8)
        for frame in range(3):
            patch = Patch(1, frame, 0, 0, before, before + 60)
            writer.commit(Edit((patch,), 60, "brush", 1, frame, (StatusChange(frame, 1, 0, 2),)))
        writer.undo()
        writer.redo()
    return cohort


def test_status_counts_reviewed_frames_and_strokes(capsys, marked):
    code, out, _ = run(capsys, "status", marked.location, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["cohort"], found["patients"], found["frames"]) == ("toy", 2, 12)
    first, second = found["clips"]
    reviewed = dict.fromkeys(found["classes"], 0.0) | {"a-line": 0.5}
    (anna,) = first["raters"]
    wanted = {"rater": "anna", "kind": "human", "reviewed": reviewed, "strokes": 3, "waiting": 0}
    assert anna | wanted == anna
    assert (anna["minutes"], anna["zone"], anna["note"], anna["unblinded"]) == (0, None, "", None)
    assert second["raters"] == []


def test_status_tells_what_waits_in_the_journal(capsys, cohort, monkeypatch):
    from napari_confseg.store.write_behind import WriteBehind

    monkeypatch.setattr(WriteBehind, "_write", _never, raising=True)
    writer = RaterWriter.open(cohort, "clip-1", "anna")
    before = np.zeros((4, 4), np.uint8)
    writer.commit(Edit((Patch(1, 0, 0, 0, before, before + 60),), 60, "brush", 1, 0))
    _, out, _ = run(capsys, "status", cohort.location, "--json")
    assert json.loads(out)["clips"][0]["raters"][0]["waiting"] == 1
    _, out, _ = run(capsys, "status", cohort.location)
    assert "clip-1, anna: 1 strokes wait in this machine's journal" in out
    writer.abandon()


def _never(*_):
    raise OSError("the store is away")


def test_status_for_people(capsys, marked):
    code, out, _ = run(capsys, "status", marked.location)
    assert code == 0
    assert "toy: 2 clips of 2 patients, 12 frames" in out
    assert "50 %" in out
    assert "nobody yet" in out


def test_status_tells_what_readers_say_and_how_long_they_took(capsys, marked):
    with RaterWriter.open(marked, "clip-1", "anna") as writer:
        writer.change_notes(
            zone="R3",
            quality=4,
            pathology=("effusion",),
            tags=("film",),
            note="rib",
            seconds={0: 60.0, 2: 36.0},
        )
    _, out, _ = run(capsys, "status", marked.location, "--json")
    anna = json.loads(out)["clips"][0]["raters"][0]
    assert (anna["minutes"], anna["seconds"]) == (1.6, {"0": 60.0, "2": 36.0})
    said = [anna[key] for key in ("zone", "quality", "pathology", "tags", "note")]
    assert said == ["R3", 4, ["effusion"], ["film"], "rib"]
    _, out, _ = run(capsys, "status", marked.location)
    assert "1.6" in out
    assert all(word in out for word in ("R3", "quality 4", "effusion", "film"))


def test_blinding_is_shown_and_set(capsys, cohort):
    assert run(capsys, "blinding", cohort.location)[1] == "toy: none\n"
    code, out, _ = run(
        capsys, "blinding", cohort.location, "until-reviewed", "--by", "Prof. Dee", "--json"
    )
    said = json.loads(out)
    assert (code, said["cohort"], said["blinding"]) == (0, "toy", "until-reviewed")
    assert [(c["by"], c["rule"]) for c in said["changes"]] == [("Prof. Dee", "until-reviewed")]
    assert "Prof. Dee: until-reviewed" in run(capsys, "blinding", cohort.location)[1]
    _, out, _ = run(capsys, "status", cohort.location, "--json")
    assert json.loads(out)["blinding"] == "until-reviewed"
    assert run(capsys, "blinding", cohort.location, "perhaps")[0] == 2
    assert Cohort.open(cohort.location).meta.blinding == "until-reviewed"


def test_status_of_nothing_and_of_an_empty_cohort(capsys, location):
    assert run(capsys, "status", location)[0] == 1
    Cohort.create(location, name="study")
    code, out, _ = run(capsys, "status", location)
    assert code == 0
    assert "Empty: confseg import" in out


# -- validate


def test_validate_a_sound_cohort(capsys, marked):
    code, out, _ = run(capsys, "validate", marked.location)
    assert code == 0
    assert "is sound" in out
    assert json.loads(run(capsys, "validate", marked.location, "--json")[1]) == {"problems": []}


def test_validate_lists_problems_for_people_and_machines(capsys, marked, tmp_path):
    (tmp_path / "cohort.zarr" / "clip-1" / "surprise.txt").write_text("unlisted")
    code, out, _ = run(capsys, "validate", marked.location)
    assert code == 1
    assert "1 problem" in out
    assert "surprise.txt" in out
    code, out, _ = run(capsys, "validate", marked.location, "--json")
    assert code == 1
    problem = json.loads(out)["problems"][0]
    assert set(problem) == {"code", "path", "message", "hint"}
    assert "surprise.txt" in problem["path"]


def test_validate_what_is_no_cohort(capsys, tmp_path):
    (tmp_path / "folder").mkdir()
    code, out, _ = run(capsys, "validate", tmp_path / "folder", "--json")
    assert code == 1
    assert json.loads(out)["problems"]


def test_python_m_runs_it():
    done = subprocess.run(
        [sys.executable, "-m", "napari_confseg", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("confseg ")


def test_an_empty_cohort_says_what_comes_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Cohort.create(tmp_path / "empty.zarr", name="empty")
    for command in ("sectors", "status"):
        assert main([command, "empty.zarr"]) == 0
        assert "Empty: confseg import SOURCE..." in capsys.readouterr().out


def test_suggestions_are_withheld_on_a_share_of_frames(capsys, cohort):
    assert "on 0 % of the frames" in run(capsys, "withhold", cohort.location)[1]
    code, out, _ = run(capsys, "withhold", cohort.location, "20", "--by", "Prof. Dee", "--json")
    said = json.loads(out)
    assert (code, said["withheld"]) == (0, 20)
    assert [(c["by"], c["percent"]) for c in said["changes"]] == [("Prof. Dee", 20)]
    assert "Prof. Dee: 20 %" in run(capsys, "withhold", cohort.location)[1]
    code, _, err = run(capsys, "withhold", cohort.location, "120")
    assert code == 2
    assert "no percentage" in err
