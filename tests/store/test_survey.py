"""One question to every clip: side by side, remembered, and past those that can't be read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.__main__ import main
from napari_confseg.agreement.agreement import Agreement, agree, compare_clip
from napari_confseg.agreement.answers import pack
from napari_confseg.agreement.overview import overview
from napari_confseg.agreement.rater_view import rater_views
from napari_confseg.agreement.summary import Summary, summarise
from napari_confseg.store import Cohort, Edit, Patch, RaterWriter, Status, StatusChange, validate
from napari_confseg.store.answers import Answers
from napari_confseg.store.survey import Question, survey
from tests.conftest import add_clip

if TYPE_CHECKING:
    from napari_confseg.store import Clip

asked: list[str] = []


def marks(clip: Clip) -> dict[str, Any]:
    """Count each rater's marked pixels; note that it was asked."""
    asked.append(clip.name)
    return {r: int((clip.rater(r).read_classes(range(6)) > 0).sum()) for r in clip.raters()}


QUESTION = Question(marks, "marks 1")


def paint(cohort: Cohort, clip: str, rater: str, confidence: int = 60, frame: int = 1) -> None:
    with RaterWriter.open(cohort, clip, rater) as writer:
        before = writer.load_planes(2)[frame, 4:9, 4:9].copy()
        patch = Patch(2, frame, 4, 4, before, np.full((5, 5), confidence, np.uint8))
        reviewed = (StatusChange(frame, 2, Status.UNTOUCHED, Status.REVIEWED),)
        writer.commit(Edit((patch,), confidence, "brush", 2, frame, reviewed))


@pytest.fixture
def read(cohort: Cohort) -> Cohort:
    """Two clips that two people have read."""
    for clip in ("clip-1", "clip-2"):
        paint(cohort, clip, "ann", 30)
        paint(cohort, clip, "bea", 90)
    asked.clear()
    return cohort


def test_an_answer_is_remembered_until_the_clip_changes(read: Cohort, cache_dir: Path) -> None:
    first = [(a.clip, a.data) for a in survey(read, QUESTION)]
    assert first == [("clip-1", {"ann": 25, "bea": 25}), ("clip-2", {"ann": 25, "bea": 25})]
    assert sorted(asked) == ["clip-1", "clip-2"]
    assert [(a.clip, a.data) for a in survey(read, QUESTION)] == first
    assert len(asked) == 2
    paint(read, "clip-2", "ann", frame=3)
    assert [a.data["ann"] for a in survey(read, QUESTION)] == [25, 50]
    assert asked[2:] == ["clip-2"]
    # By hand, past the store: nothing tells but the file itself.
    plane = Path(read.location) / "clip-1/raters/bea/0/c/1/2/0/0"
    plane.unlink()
    assert [a.data["bea"] for a in survey(read, QUESTION)] == [25, 25]  # from the record
    assert asked[3:] == ["clip-1"]
    database = cache_dir / "answers.sqlite"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert not list(Path(read.location).rglob("*.sqlite"))


def test_answers_of_others_questions_and_cohorts_are_not_mixed(read: Cohort) -> None:
    list(survey(read, QUESTION))
    other = Cohort.open(read.location)
    other.update_meta(blinding="always", by="Prof. Dee")
    assert list(survey(read, Question(marks, "marks 2")))
    assert list(survey(other, QUESTION))
    assert len(asked) == 6
    assert list(survey(read, Question(marks)))
    assert len(asked) == 8


@pytest.mark.parametrize("damage", [b"", b"no database", None])
def test_a_damaged_cache_costs_time_alone(
    read: Cohort, cache_dir: Path, damage: bytes | None
) -> None:
    first = [a.data for a in survey(read, QUESTION)]
    database = cache_dir / "answers.sqlite"
    if damage is None:
        whole = bytearray(database.read_bytes())
        whole[3000:] = os.urandom(len(whole) - 3000)
        database.write_bytes(whole)
    else:
        database.write_bytes(damage)
    for _ in range(3):
        assert [a.data for a in survey(read, QUESTION)] == first
    assert len(asked) <= 8


def test_a_cache_that_cannot_be_written(read: Cohort, cache_dir: Path) -> None:
    cache_dir.write_text("a file where the folder belongs")
    assert len(list(survey(read, QUESTION))) == 2


def test_the_cache_is_bounded(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_confseg.store.answers.MOST_BYTES", 30_000)
    rng = np.random.default_rng(0)
    for n in range(6):
        Answers(f"question {n}").keep([("clip", "s", rng.bytes(10_000))])
    kept = [n for n in range(6) if Answers(f"question {n}").find("clip", "s")]
    assert kept == [4, 5]


def test_one_bad_clip_stops_nothing(read: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(read.location)
    for name in ("clip-3", "clip-4", "clip-5"):
        add_clip(read, name)
    (root / "clip-3").rename(root / "Left 3")
    (root / "clip-4/zarr.json").write_bytes(b'{"confseg"')
    node = json.loads((root / "clip-5/0/zarr.json").read_text())
    (root / "clip-5/0/zarr.json").write_text(json.dumps(node | {"shape": "large"}))
    assert main(["status", str(root), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [c["clip"] for c in found["clips"]] == ["clip-1", "clip-2"]
    bad = {p["path"].split("/")[0]: p["code"] for p in found["problems"]}
    assert bad == {"Left 3": "name", "clip-4": "metadata-json", "clip-5": "shape-limit"}
    assert main(["agree", str(root), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["clips"] == ["clip-1", "clip-2"]
    assert told["problems"] == found["problems"]
    codes = {p.path.split("/")[0]: p.code for p in validate(root)}
    assert codes.keys() == bad.keys()


def test_agreement_is_the_same_from_memory_and_from_processes(
    read: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = agree(read)
    warm = agree(read)
    monkeypatch.setenv("CONFSEG_CACHE_DIR", os.environ["CONFSEG_CACHE_DIR"] + "-other")
    monkeypatch.setattr("napari_confseg.store.survey.PROCESSES_FROM", 1)
    apart = agree(read, processes=True)
    assert len(cold.clips) == 2
    clips = [read.clip(name) for name in ("clip-1", "clip-2")]
    more = cold.raters, cold.classes, cold.thresholds
    raw = [compare_clip(c, rater_views(c, cold.raters), *more) for c in clips]
    told = [json.dumps(pack(clip)) for clip in raw]  # NaN equals itself as text
    for found in (cold, warm, apart):
        assert [json.dumps(pack(clip)) for clip in found.clips] == told
    for a, b in zip(raw[0].stated.values(), warm.clips[0].stated.values(), strict=True):
        assert [v.dtype for v in vars(a).values()] == [v.dtype for v in vars(b).values()]
    np.testing.assert_equal(summarise(warm).as_dict(), summarise(cold).as_dict())


def test_a_summary_is_remembered_until_a_clip_changes(
    read: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = overview(read)
    counted: list[int] = []

    def count(agreement: Agreement) -> Summary:
        counted.append(len(agreement.clips))
        return summarise(agreement)

    monkeypatch.setattr("napari_confseg.agreement.overview.summarise", count)
    again = overview(read)
    assert counted == []
    assert (again.raters, again.clips, again.problems) == (("ann", "bea"), first.clips, ())
    np.testing.assert_equal(again.summary.as_dict(), first.summary.as_dict())
    np.testing.assert_equal(first.summary.as_dict(), summarise(agree(read)).as_dict())
    paint(read, "clip-2", "ann", frame=3)
    overview(read)
    assert counted == [2]


def test_totals_and_a_summary_of_many_clips(
    read: Cohort, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    location = read.location
    main(["status", location, "--json"])
    ann, bea = json.loads(capsys.readouterr().out)["raters"]
    assert (ann["rater"], ann["clips"], ann["frames"], ann["strokes"]) == ("ann", 2, 12, 2)
    assert ann["reviewed"]["b-line"] == pytest.approx(1 / 6, abs=1e-4)
    assert bea["kind"] == "human"
    main(["status", location])
    every = capsys.readouterr().out
    assert "clip-2" in every
    assert "2 of 2" in every
    monkeypatch.setattr("napari_confseg.cli.status.MOST_ROWS", 3)
    main(["status", location])
    few = capsys.readouterr().out
    assert "clip-2" not in few
    assert "2 clips of 2 patients, 12 frames" in few
    assert "--clips lists every clip" in few
    main(["status", location, "--clips"])
    assert "clip-2" in capsys.readouterr().out


def test_many_unknown_files_are_told_in_a_few_lines(read: Cohort) -> None:
    folder = Path(read.location) / "clip-1/odd"
    folder.mkdir()
    for n in range(500):
        (folder / str(n)).touch()
    problems = validate(read.location)
    assert {p.code for p in problems} == {"unlisted"}
    assert len(problems) == 51
    assert any("450 more files" in p.message for p in problems)


def test_a_bucket_is_asked_few_times(s3: str) -> None:
    cohort = Cohort.create(s3, name="toy")
    add_clip(cohort, n_frames=3)
    paint(cohort, "clip-1", "ann")
    asked.clear()
    assert [a.data for a in survey(cohort, QUESTION)] == [{"ann": 25}]
    assert [a.data for a in survey(cohort, QUESTION)] == [{"ann": 25}]
    assert len(asked) == 1
    paint(cohort, "clip-1", "ann", frame=2)
    assert [a.data for a in survey(cohort, QUESTION)] == [{"ann": 50}]
    assert validate(s3) == []
