"""confseg zones: a picture, a page, JSON, and refusals in a sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests.cli.test_commands import run
from tests.readouts.chest import CLIPS, make, read

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort


@pytest.fixture
def study(tmp_path: Path, state_dir: Path) -> Cohort:
    return make(tmp_path / "study.zarr", CLIPS)


def test_a_picture_a_page_and_json(capsys, study, tmp_path) -> None:
    picture, page = tmp_path / "p1.svg", tmp_path / "all.html"
    code, out, _ = run(capsys, "zones", study.location, "--patient", "p1", "--out", picture)
    assert code == 0
    assert "75 %" in out
    assert "day 3" in picture.read_text("utf-8")
    ElementTree.parse(picture)
    code, _, _ = run(capsys, "zones", study.location, "--zones", "8", "--out", page)
    assert code == 0
    assert "p1" in page.read_text("utf-8")
    code, _, _ = run(capsys, "zones", study.location, "--day", "0", "--out", picture)
    assert code == 0
    assert "+63" not in picture.read_text("utf-8")
    code, out, _ = run(capsys, "zones", study.location, "--json")
    found = json.loads(out)
    assert (code, found["rater"], found["zones"], found["problems"]) == (0, "ada", 12, [])
    first, last = found["patients"]["p1"]
    assert (first["day"], last["day"]) == (0, 3)
    assert last["changes"] == {"L4": "+consolid.", "R1": "+63 %"}
    assert last["zones"]["R1"][0]["pleura"]["value"] == 75
    assert [r["clip"] for r in last["elsewhere"]] == ["nowhere"]


def test_what_cannot_be_drawn_is_refused_in_a_sentence(capsys, study, tmp_path) -> None:
    out = tmp_path / "x.svg"
    for words, sentence in (
        (["--patient", "p9"], "no such patient; there are p1"),
        (["--day", "4", "--out", out], "no such examination; days: 0, 3"),
        (["--out", tmp_path / "x.bmp"], ".svg or .html"),
    ):
        code, _, err = run(capsys, "zones", study.location, *words)
        assert (code, sentence in err) == (1, True), err
    read(study, {"r1-new": {}}, "bert")
    code, _, err = run(capsys, "zones", study.location)
    assert code == 1
    assert "several readers: ada, bert" in err
    assert not out.exists()
