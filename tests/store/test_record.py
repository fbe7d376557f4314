"""The record is the truth: whatever happens to the files beside it, it says what was painted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_confseg.__main__ import main
from napari_confseg.store import (
    Cohort,
    Identity,
    ProgramWriter,
    RaterWriter,
    StoreError,
    validate,
    write_behind,
)
from napari_confseg.store import record as records
from napari_confseg.store.repair import repair
from tests.store.painting import Painter


def paint(cohort: Cohort, n: int, seed: int = 0) -> Painter:
    rng = np.random.default_rng(seed)
    with RaterWriter.open(cohort, "clip-1", "reader-a") as writer:
        painter = Painter(writer)
        for i in range(n):
            writer.commit(painter.random(rng))
            if i % 5 == 4:
                painter.apply(writer.undo())
            if i % 10 == 9:
                painter.apply(writer.redo())
            if i % 3 == 2:
                assert writer.flush(10)  # a segment of its own
    return painter


def folder(cohort: Cohort) -> Path:
    return Path(cohort.location) / "clip-1/raters/reader-a"


def chunks(rater: Path) -> list[Path]:
    return sorted(p for p in (rater / "0/c").rglob("*") if p.is_file())


DAMAGE = {
    "a plane is lost": lambda f: chunks(f)[0].unlink(),
    "all planes are lost": lambda f: shutil.rmtree(f / "0/c"),
    "the status is lost": lambda f: (f / "status/c/0/0").unlink(),
    "the view is lost": lambda f: next(f.glob("record/*.view")).unlink(),
    "the view is cut": lambda f: next(f.glob("record/*.view")).write_bytes(b"{"),
    "a plane is another one's": lambda f: shutil.copy(*chunks(f)[:2]),
    "a plane is cut": lambda f: chunks(f)[0].write_bytes(b"\x28\xb5\x2f\xfd"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_read_right_and_mended(cohort: Cohort, damage: str) -> None:
    painter = paint(cohort, 20)
    DAMAGE[damage](folder(cohort))
    painter.assert_stored(Cohort.open(cohort.location), "clip-1", "reader-a")
    problems = {p.code for p in validate(cohort.location)}
    assert problems <= {"view", "chunk-corrupt"}
    assert problems
    with RaterWriter.open(cohort, "clip-1", "reader-a") as writer:
        assert writer.flush(10)
    assert validate(cohort.location) == []
    painter.assert_stored(cohort, "clip-1", "reader-a")


def test_snapshots_and_packs_come_to_the_same(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one every few entries, and whatever is deleted beside them."""
    monkeypatch.setattr(write_behind, "SNAPSHOT_AFTER", 7)
    monkeypatch.setattr(write_behind, "PACK_AFTER", 5)
    monkeypatch.setattr(records, "PACK_AFTER", 5)
    painter = paint(cohort, 40)
    rater = cohort.clip("clip-1").rater("reader-a")
    names = rater.record.names()
    assert len(names.snapshots) > 3
    assert len(names.packs) < 10
    shutil.rmtree(folder(cohort) / "0/c")
    painter.assert_stored(cohort, "clip-1", "reader-a")
    for snapshot in names.snapshots:  # the record alone will do as well
        (folder(cohort) / "record" / records.snapshot_name(snapshot)).unlink()
        painter.assert_stored(cohort, "clip-1", "reader-a")


def test_no_file_grows_beyond_what_is_read(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much waits at once: entries go on to another segment, segments to another file."""
    largest = 6000
    monkeypatch.setattr(write_behind, "MAX_EDIT", largest // 3)
    monkeypatch.setattr(records, "MAX_FILE", largest)
    monkeypatch.setattr(write_behind, "PACK_AFTER", 5)
    monkeypatch.setattr(records, "PACK_AFTER", 50)
    rng = np.random.default_rng(0)
    with RaterWriter.open(cohort, "clip-1", "reader-a") as writer:
        painter = Painter(writer)
        for _ in range(40):
            writer.commit(painter.random(rng))
        assert writer.flush(20), writer.state
    sizes = [p.stat().st_size for p in folder(cohort).glob("record/*.edits")]
    assert 3 < len(sizes) < 40
    assert max(sizes) <= largest
    painter.assert_stored(Cohort.open(cohort.location), "clip-1", "reader-a")
    assert len(cohort.clip("clip-1").rater("reader-a").read_strokes()) == 40
    assert validate(cohort.location) == []


def test_a_stroke_costs_the_same_however_many_there_are(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes and files that are written for one stroke, after 5 and after 600 of them."""
    written: list[tuple[str, int]] = []
    inner = records.Record.append

    def spy(self: records.Record, segment: records.Segment) -> bool:
        written.append((segment.position.__str__(), len(segment.data)))
        return inner(self, segment)

    monkeypatch.setattr(records.Record, "append", spy)
    with RaterWriter.open(cohort, "clip-1", "reader-a") as writer:
        painter = Painter(writer)
        for i in range(600):
            writer.commit(painter.rectangle(i % 4, 0, 2, 2, 6, 6, 30 + i % 60))
            if i in (5, 599):
                assert writer.flush(30)
                written.clear()
                writer.commit(painter.rectangle(0, 0, 0, 0, 6, 6, 95 + (i == 599)))
                assert writer.flush(30)
                size = sum(n for _, n in written)
                assert len(written) == 1
                assert size < 1200
        view = folder(cohort) / "record/000001.view"
        assert view.stat().st_size < 1000
    assert len(list((folder(cohort) / "record").iterdir())) < 12
    painter.assert_stored(cohort, "clip-1", "reader-a")


def test_a_lost_segment_is_named_and_changes_no_plane(cohort: Cohort) -> None:
    for seed in range(3):
        painter = paint(cohort, 4, seed)
    middle = sorted(folder(cohort).glob("record/*.edits"))[1]
    middle.unlink()
    (problem,) = validate(cohort.location)
    assert problem.code == "record-missing"
    rater = cohort.clip("clip-1").rater("reader-a")
    planes = rater.read_classes(range(rater.shape[1])).swapaxes(0, 1)
    np.testing.assert_array_equal(planes, painter.planes)


@pytest.mark.parametrize("damage", DAMAGE)
def test_repair_makes_it_again(cohort: Cohort, damage: str) -> None:
    painter = paint(cohort, 10)
    DAMAGE[damage](folder(cohort))
    assert repair(cohort.location)
    assert validate(cohort.location) == []
    painter.assert_stored(cohort, "clip-1", "reader-a")
    assert repair(cohort.location) == []


def test_a_program_s_planes_that_were_changed_are_taken_only_if_asked(
    cohort: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = cohort.clip("clip-1")
    with ProgramWriter(clip, "model", Identity("model", run="r")) as writer:
        for value, frame in ((30, 0), (60, 1)):
            writer.write_plane(frame, 0, np.full(clip.shape[1:], value, np.uint8))
    first, second = chunks(Path(cohort.location) / "clip-1/raters/model")
    shutil.copy(first, second)
    with pytest.raises(StoreError, match="plane-changed"):
        clip.rater("model").read_plane(1, 0)
    assert [p.code for p in validate(cohort.location)] == ["view"]
    assert main(["validate", cohort.location, "--accept-changed"]) == 1
    assert main(["validate", cohort.location, "--repair"]) == 1
    assert "left as it is" in capsys.readouterr().out
    assert main(["validate", cohort.location, "--repair", "--accept-changed"]) == 0
    assert (clip.rater("model").read_plane(1, 0) == 30).all()


def test_a_damaged_view_of_nothing_keeps_nobody_out(cohort: Cohort) -> None:
    with RaterWriter.open(cohort, "clip-1", "reader-a") as writer:
        assert writer.flush(10)
    view = folder(cohort) / "record/000001.view"
    view.write_bytes(b"{")
    assert [p.code for p in validate(cohort.location)] == ["view"]
    painter = paint(cohort, 2)
    painter.assert_stored(cohort, "clip-1", "reader-a")
    assert validate(cohort.location) == []
