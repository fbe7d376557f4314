"""Raters of every kind in every command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest

from napari_confseg.__main__ import main
from napari_confseg.store import RATER_KINDS, RaterKind
from tests.every_rater import READERS, add_every_kind, add_rater, name_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort

KINDS = get_args(RaterKind)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    """Call a command, and return what it says to machines; `fails` expects it to be refused."""

    def run(*arguments: object, fails: bool = False) -> Any:
        assert main([str(a) for a in arguments] + ["--json"]) == int(fails)
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
@pytest.mark.parametrize("kind", KINDS)
def test_every_command_takes_a_rater_of_every_kind(
    cohort: Cohort, tmp_path: Path, call: Any, kind: RaterKind
) -> None:
    add_every_kind(cohort, kind)
    name, place = name_of(kind), cohort.location
    assert call("validate", place)["problems"] == []
    told = call("status", place)["clips"][0]["raters"]
    assert {"rater": name, "kind": kind}.items() <= next(
        r for r in told if r["rater"] == name
    ).items()

    # Unasked, people are compared and learnt from; whoever is named, is.
    assert call("agree", place)["raters"] == list(READERS)
    assert call("agree", place, "--raters", name, "bert")["raters"] == [name, "bert"]
    assert call("consensus", place, "--method", "mean")["raters"] == list(READERS)
    refused = call("consensus", place, "--name", name, fails=kind != "consensus")
    if kind != "consensus":
        assert "rater-kind" in {p["code"] for p in refused["problems"]}
    split = ("--split", "train=0.5", "test=0.5")
    assert call("build", place, "--out", tmp_path / "all", *split)["raters"] == list(READERS)
    built = call("build", place, "--out", tmp_path / "one", "--raters", name, *split)
    assert built["raters"] == [name]

    # What goes out says what it is, and comes back as that; but is not learnt from unasked.
    exported = call("export", tmp_path / "one", "--format", "coco", "--out", tmp_path / "coco")
    assert exported["rater"] == name
    came = call("import-labels", tmp_path / "coco", "--cohort", place, "--rater", "back")
    assert (came["kind"], came["made_by"]) == (kind, name)
    back = cohort.clip("clip-1").rater("back").meta
    assert (back.kind, back.learnt, back.imported.made_by) == (kind, False, name)
    again = call("consensus", place, "--method", "mean")
    assert again["raters"] == list(READERS)
    also = ["back"] if RATER_KINDS[kind].compared else []
    assert call("agree", place)["raters"] == sorted([*READERS, *also])
    assert call("validate", place)["problems"] == []


def test_a_program_takes_no_name_of_a_person_nor_the_reverse(cohort: Cohort, call: Any) -> None:
    add_every_kind(cohort, "model")
    add_rater(cohort, "clip-2", "human", "carl")
    # Carl has not marked clip-1; his name is his all the same.
    refused = call(
        "consensus",
        cohort.location,
        "--name",
        "carl",
        "--raters",
        "anna",
        "bert",
        "--clips",
        "clip-1",
        fails=True,
    )
    (problem,) = refused["problems"]
    assert problem["path"] == "clip-2/raters/carl"
    assert "'reader'" in problem["message"]
    assert "carl" not in cohort.clip("clip-1").raters()


def test_tables_name_rater_and_kind(cohort: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    add_every_kind(cohort)
    assert main(["agree", cohort.location, "--raters", "anna", "the-model"]) == 0
    assert "Compared: anna (reader), the-model" in capsys.readouterr().out
    assert main(["status", cohort.location]) == 0
    out = capsys.readouterr().out
    for kind in KINDS:
        assert kind in out
