"""What others change in a cohort arrives in a window that has it open, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.access import BlindedError
from napari_confseg.store import Cohort, Sector, validate
from tests.annotate.edits import paint
from tests.conftest import add_clip
from tests.small_disk import disk_of, fill, needs_mount
from tests.widgets.bench import make_cohort

if TYPE_CHECKING:
    from pathlib import Path

    from tests.widgets.bench import Bench


@pytest.fixture
def elsewhere(unseen_bench: Bench, cohort: Cohort) -> Cohort:
    """The cohort as another program has it open, beside our window."""
    rater = cohort.clip("clip-1").create_rater("bo", kind="human", label="Bo")
    plane = np.zeros((48, 64), np.uint8)
    plane[10:20, 10:20] = 80
    rater.write_plane(0, 0, plane)
    unseen_bench.open(cohort)
    return Cohort.open(cohort.location)


def add_class(cohort: Cohort, name: str) -> None:
    """Add a class at the end."""
    last = cohort.meta.classes[-1]
    new = last.model_copy(
        update={"index": last.index + 1, "name": name, "label": name.title(), "color": "#123456"}
    )
    cohort.update_meta(classes=[*cohort.meta.classes, new])


def test_a_class_added_elsewhere(unseen_bench: Bench, elsewhere: Cohort) -> None:
    bench, session = unseen_bench, unseen_bench.session
    session.frame = 3
    paint(session, (5, 5, 15, 15))
    add_class(elsewhere, "cyst")
    bench.until(lambda: "cyst" in session.planes)
    assert (session.clip is not None and session.clip.name, session.frame) == ("clip-1", 3)
    assert "cyst" in bench.panel.form.palette_.rows
    assert "Cyst" in bench.viewer.layers
    session.class_name = "cyst"
    paint(session, (5, 5, 15, 15))
    assert session.undo() is not None
    assert session.undo() is not None  # what was painted before is in the record still

    # The next clip, opened before anybody has looked: not an empty canvas.
    add_class(elsewhere, "scar")
    session.open_clip("clip-2")
    assert "scar" in session.planes
    assert "scar" in bench.panel.form.palette_.rows
    assert session.status.shape[1] == len(elsewhere.meta.classes)
    session.class_name = "scar"
    paint(session, (5, 5, 15, 15))
    session.close_cohort()
    assert validate(elsewhere.location) == []


def test_blinding_set_elsewhere(unseen_bench: Bench, elsewhere: Cohort) -> None:
    bench, session = unseen_bench, unseen_bench.session
    others = bench.panel.form.others
    others.boxes["bo"].setChecked(True)
    assert [o.name for o in session.overlays] == ["bo"]
    elsewhere.update_meta(blinding="always", by="A lead")
    bench.until(lambda: not session.overlays)
    assert "read blinded" in others.why_hidden
    assert not others.boxes

    elsewhere.update_meta(blinding="none", by="A lead")
    bench.until(lambda: "bo" in others.boxes)
    elsewhere.update_meta(blinding="always", by="A lead")
    with pytest.raises(BlindedError):  # at once: the rule is read before the marks are
        session.others.show("bo")


def test_what_is_changed_here_meanwhile_stays(unseen_bench: Bench, elsewhere: Cohort) -> None:
    session, follower = unseen_bench.session, unseen_bench.panel.follower
    ask = follower.question()
    assert ask is not None
    seen = ask()
    session.access.set_rule("always")  # after the look, before what it saw is taken over
    follower.take(seen)
    assert session.access.rule == "always"


def test_raters_clips_and_sectors(unseen_bench: Bench, elsewhere: Cohort) -> None:
    bench, session, form = unseen_bench, unseen_bench.session, unseen_bench.panel.form
    bench.until(lambda: bench.panel.follower._last is not None)
    elsewhere.clip("clip-1").create_rater("cy", kind="model", label="Cy")
    add_clip(elsewhere, "clip-3")
    polygon = ((1.0, 1.0), (1.0, 60.0), (40.0, 60.0), (40.0, 1.0))
    elsewhere.clip("clip-1").update_meta(sector=Sector(kind="linear", polygon=polygon))
    bench.until(lambda: "cy" in form.others.boxes and "clip-3" in session.worklist.facts)
    bench.until(lambda: session.clip is not None and session.clip.meta.sector is not None)
    assert "Linear" in form.sector.state.text()
    assert "(model)" in form.others.boxes["cy"].text()


def test_out_of_reach_and_back(unseen_bench: Bench, elsewhere: Cohort, tmp_path: Path) -> None:
    bench, session = unseen_bench, unseen_bench.session
    there = tmp_path / "cohort.zarr"
    there.rename(tmp_path / "away")
    bench.until(lambda: not bench.panel.form.out_of_reach.isHidden())
    session.frame = 4  # read as black
    (tmp_path / "away").rename(there)
    bench.until(bench.panel.form.out_of_reach.isHidden)
    assert session.clip is not None
    np.testing.assert_array_equal(bench.layer("clip-1").data[4], session.clip.frames[4])
    assert session.clip.frames[4].any()


@needs_mount
def test_a_disk_that_was_full_at_opening(unseen_bench: Bench, tmp_path: Path) -> None:
    bench, session = unseen_bench, unseen_bench.session
    with disk_of(tmp_path / "disk", 4096) as disk:
        cohort = make_cohort(disk / "cohort.zarr", "clip-1", "clip-2")
        filler = fill(disk)
        bench.open(cohort)
        row = bench.panel.form.save_state
        assert not session.editor.writable
        assert "no space left" in row.line.text().replace("\u200b", "").lower()
        assert row.take_over.text() == "Try again"
        row.take_over.click()
        assert "no space left" in session.message.lower()
        filler.unlink()
        bench.until(lambda: session.editor.writable)  # by itself
        paint(session, (5, 5, 15, 15))
        assert row.take_over.isHidden()
        session.close_clip()
        assert validate(cohort.store) == []
