"""Live read-outs follow what is painted, undone, reviewed and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.live_readouts import BATCH, LiveReadouts
from napari_confseg.annotate.sector_editor import SectorEditor
from napari_confseg.annotate.session import Session
from napari_confseg.readouts import Beams, clip_readouts, frame_readouts
from tests.annotate.edits import paint
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.store import Cohort

PLEURA, B_LINE = (10, 5, 13, 55), (13, 20, 48, 26)


@pytest.fixture
def session(cohort: Cohort) -> Iterator[Session]:
    add_clip(cohort, "long", n_frames=2 * BATCH + 3)
    made = Session()
    made.open_cohort(cohort.location)
    made.reader.choose("Dr. Ada")
    made.open_clip("long")
    yield made
    made.close_clip()


def work_off(live: LiveReadouts) -> int:
    """Compute until nothing is left; return the number of tasks."""
    n = 0
    while (task := live.task()) is not None:
        live.take(task, task.run(lambda: False))
        n += 1
    return n


def expected(session: Session, frame: int) -> object:
    assert session.clip is not None
    beams = Beams.of(session.clip.meta, session.clip.shape)
    return frame_readouts({n: p[frame] for n, p in session.planes.items()}, beams)


def test_the_frame_on_show_is_what_its_planes_say(session: Session) -> None:
    live = LiveReadouts(session)
    assert live.frame is None
    paint(session, PLEURA, class_name="pleura", confidence=90)
    paint(session, B_LINE, class_name="b-line", confidence=60)
    work_off(live)
    assert live.frame == expected(session, 0)
    assert live.frame is not None
    assert live.frame.b_line_count.value == 1
    session.undo()
    assert live.frame is None  # forgotten at once, not shown until it is wrong
    work_off(live)
    assert live.frame == expected(session, 0)
    assert live.frame.b_line_count.value == 0


def test_only_reviewed_frames_make_the_clip(session: Session) -> None:
    live = LiveReadouts(session)
    for frame in range(2 * BATCH):
        paint(session, PLEURA, class_name="pleura", confidence=100, frame=frame)
        paint(session, B_LINE, class_name="b-line", confidence=100, frame=frame)
        if frame % 2 == 0:
            session.progress.mark_reviewed(frame)
    assert live.missing == BATCH
    work_off(live)
    assert session.clip is not None
    beams = Beams.of(session.clip.meta, session.clip.shape)
    reviewed = list(range(0, 2 * BATCH, 2))
    assert live.reviewed == tuple(reviewed)
    assert live.clip == clip_readouts(session.planes, beams, reviewed)
    session.progress.mark_reviewed(1)
    assert live.clip is None
    work_off(live)
    assert live.clip is not None
    assert live.clip.frames == BATCH + 1


def test_an_edit_recomputes_its_own_frames_alone(session: Session) -> None:
    live = LiveReadouts(session)
    for frame in range(4):
        session.progress.mark_reviewed(frame)
    work_off(live)
    paint(session, PLEURA, class_name="pleura", frame=2)
    task = live.task()
    assert task is not None
    assert list(task.versions) == [2]


def test_what_is_painted_meanwhile_is_not_lost(session: Session) -> None:
    live = LiveReadouts(session)
    task = live.task()
    assert task is not None
    computed = task.run(lambda: False)
    paint(session, PLEURA, class_name="pleura", confidence=100)
    live.take(task, computed)  # it saw the planes before
    assert live.frame is None
    work_off(live)
    assert live.frame == expected(session, 0)


def test_a_cancelled_task_says_nothing(session: Session) -> None:
    live = LiveReadouts(session)
    task = live.task()
    assert task is not None
    live.take(task, task.run(lambda: True))
    assert live.frame is None


def test_a_rater_on_show_can_be_read_out(session: Session) -> None:
    assert session.clip is not None
    rater = session.clip.create_rater("run-1", kind="model", label="Run 1")
    plane = np.zeros(rater.shape[2:], np.uint8)
    plane[10:13, 5:55] = 80
    rater.write_plane(0, session.class_index("pleura"), plane)
    rater.write_status(np.full(rater.shape[:2], 2, np.uint8))
    live = LiveReadouts(session)
    live.choose("run-1")
    assert live.source == ""  # not on show
    session.others.show("run-1")
    assert ("run-1", "Run 1 (model)") in live.sources()
    live.choose("run-1")
    work_off(live)
    assert live.frame is not None
    assert live.frame.pleura_percentage.defined == pytest.approx(0.8)
    assert live.frame.b_line_count.value == 0  # a class it never marked is absent
    assert live.clip is not None
    assert live.clip.frames == session.clip.shape[0]
    session.others.hide("run-1")
    assert live.source == ""


def test_a_corrected_sector_is_read_anew(session: Session) -> None:
    live = LiveReadouts(session)
    paint(session, PLEURA, class_name="pleura", confidence=100)
    paint(session, B_LINE, class_name="b-line", confidence=100)
    work_off(live)
    before, told = live.frame, []
    live.wanted.connect(lambda: told.append(1))
    editor = SectorEditor(session)
    editor.begin()
    editor.drag(0, 5, 30)
    assert live.frame == before  # nothing before it is confirmed
    assert editor.confirm()
    assert live.frame is None
    assert told
    work_off(live)
    # As text: the line is too short now for its irregularity, and NaN equals nothing.
    assert repr(live.frame) == repr(expected(session, 0))
    assert live.frame != before
    editor.close()


def test_closing_lets_go(session: Session) -> None:
    live = LiveReadouts(session)
    work_off(live)
    live.close()
    paint(session, PLEURA, class_name="pleura", confidence=100)
    assert live.frame is not None
