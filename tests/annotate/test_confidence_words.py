"""Small pure functions: words, steps, playback, reviewing, saving, slugs, hatching."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.confidence_words import stepped, word_for
from napari_confseg.annotate.frames import duration, frame_at, rate
from napari_confseg.annotate.hatch import HatchedPlanes, hatching, outline
from napari_confseg.annotate.patches import patch_between
from napari_confseg.annotate.preferences import Preferences, slug_of
from napari_confseg.annotate.review_progress import next_unreviewed
from napari_confseg.annotate.save_state import SaveCondition, describe
from napari_confseg.store import DEFAULT_ANCHORS, Holder, SaveState
from napari_confseg.store.schema import is_slug


@pytest.mark.parametrize(
    ("confidence", "word"),
    [
        (1, "less than possible"),
        (29, "less than possible"),
        (30, "possible"),
        (59, "possible"),
        (60, "probable"),
        (89, "probable"),
        (90, "certain"),
        (100, "certain"),
    ],
)
def test_confidence_in_words(confidence: int, word: str) -> None:
    assert word_for(confidence, DEFAULT_ANCHORS) == word


@given(st.integers(1, 100), st.sampled_from([-10, -5, -1, 1, 5, 10]))
def test_a_step_moves_to_the_next_round_value(confidence: int, step: int) -> None:
    new = stepped(confidence, step)
    assert 1 <= new <= 100
    assert new in (1, 100) or new % abs(step) == 0
    assert 0 <= (new - confidence) * np.sign(step) <= abs(step)
    assert new != confidence or confidence in (1, 100)


@given(
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30),
    st.data(),
    st.floats(0, 100),
)
def test_playing_follows_the_clock(gaps: list[float], data: st.DataObject, elapsed: float) -> None:
    times = [0.0, *np.cumsum(gaps).tolist()]
    start = data.draw(st.integers(0, len(times) - 1))
    assert frame_at(times, start, 0.0) == start
    frame = frame_at(times, start, elapsed)
    assert 0 <= frame < len(times)
    again = frame_at(times, start, elapsed + duration(times))
    assert again == frame or abs(again - frame) in (1, len(times) - 1)  # rounding at an edge


def test_every_frame_comes_at_its_own_time() -> None:
    times = [i / 20 for i in range(60)]
    assert [frame_at(times, 0, t) for t in times] == list(range(60))
    assert frame_at(times, 30, 1.0) == 50
    assert frame_at(times, 50, 1.0) == 10
    assert rate(times) == pytest.approx(20.0)
    assert frame_at([0.0], 0, 5.0) == 0


def test_an_irregular_clip_keeps_its_times() -> None:
    assert [frame_at([0.0, 0.1, 1.0], 0, t) for t in (0.05, 0.1, 0.99, 1.0)] == [0, 1, 1, 2]


def test_next_unreviewed_goes_round() -> None:
    status = np.full((5, 2), 2, np.uint8)
    assert next_unreviewed(status, 0) is None
    status[3, 1] = 1
    assert next_unreviewed(status, 0) == next_unreviewed(status, 4) == 3
    assert next_unreviewed(status, 3) == 3
    status[1] = 0
    assert next_unreviewed(status, 3) == 1
    assert next_unreviewed(status, 1, -1) == 3


NOON = datetime(2026, 3, 4, 14, 2, 7).astimezone()
HOLDER = Holder("another reader", "ward-3", 4711, datetime(2026, 3, 4, 13, 40).astimezone())


@pytest.mark.parametrize(
    ("state", "condition", "line"),
    [
        (None, SaveCondition.IDLE, "No clip open"),
        (SaveState(), SaveCondition.SAVED, "Nothing to save yet"),
        (SaveState(saved_at=NOON), SaveCondition.SAVED, "Saved 14:02:07"),
        (SaveState(saved_at=NOON, waiting=2), SaveCondition.SAVED, "Saved 14:02:07"),
        (
            SaveState(saved_at=NOON, waiting=3, problem="disk full"),
            SaveCondition.WAITING,
            "3 strokes waiting: disk full",
        ),
        (
            SaveState(waiting=1, problem="disk full"),
            SaveCondition.WAITING,
            "1 stroke waiting: disk full",
        ),
        (
            SaveState(problem="bucket down"),
            SaveCondition.WAITING,
            "Study folder out of reach: bucket down",
        ),
        (SaveState(unsaved=2, problem="disk full"), SaveCondition.LOST, "NOT SAVED: 2 strokes"),
        (
            SaveState(read_only=True, holder=HOLDER),
            SaveCondition.LOCKED,
            "Read-only: another reader holds it, since 13:40",
        ),
        (SaveState(read_only=True, problem="zip"), SaveCondition.LOCKED, "Read-only: zip"),
    ],
)
def test_saving_in_words(state: SaveState | None, condition: SaveCondition, line: str) -> None:
    found = describe(state)
    assert (found.condition, found.line) == (condition, line)


def test_what_is_not_saved_is_said_before_all_else() -> None:
    worst = SaveState(saved_at=NOON, waiting=3, unsaved=1, problem="full", read_only=True)
    assert describe(worst).condition is SaveCondition.LOST
    assert "full" in describe(worst).detail


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Dr. Zoë Adams", "dr-zoe-adams"), ("  A  ", "a"), ("x" * 80, "x" * 64), ("R2-D2", "r2-d2")],
)
def test_slug_of_a_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize("name", ["", "   ", "—", "¿?"])
def test_a_name_without_letters_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least one letter"):
        slug_of(name)


def test_names_in_any_script_have_a_slug_of_their_own() -> None:
    names = ["王伟", "李伟", "Dr. 王", "Dr. 李", "Dr.", "Søren", "Sren", "Александр", "محمد"]
    slugs = [slug_of(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(is_slug(slug) for slug in slugs)
    assert slugs[2].startswith("dr-n")
    assert slug_of(" 王伟 ") == slug_of("王伟")
    assert len(slug_of("北京" * 60)) <= 64


@pytest.mark.usefixtures("state_dir")
def test_memory_survives_and_forgets_the_oldest() -> None:
    memory = Preferences(reader="Ada")
    for i in range(12):
        memory = memory.with_recent(f"c{i % 10}")
    memory.save()
    assert Preferences.load() == memory
    assert memory.recent[:3] == ("c1", "c0", "c9")
    assert len(memory.recent) == 8


def test_memory_that_cannot_be_read_is_empty(state_dir) -> None:
    state_dir.mkdir()
    (state_dir / "preferences.json").write_text("{ not json")
    assert Preferences.load() == Preferences()


def test_hatching_differs_by_direction_and_leaves_gaps() -> None:
    patterns = [hatching((40, 40), d) for d in range(4)]
    assert all(0.1 < p.mean() < 0.5 for p in patterns)
    assert len({p.tobytes() for p in patterns}) == 4


def test_an_outline_is_the_edge_within() -> None:
    region = np.zeros((9, 9), bool)
    region[2:7, 2:7] = True
    edge = outline(region)
    assert edge.sum() == 16
    assert not edge[3:6, 3:6].any()


def test_hatched_planes_look_like_an_array() -> None:
    rng = np.random.default_rng(0)
    planes = np.zeros((4, 30, 40), np.uint8)
    planes[1, 5:20, 6:30] = rng.integers(1, 101, (15, 24))
    planes[1, 7, 8] = 255
    hatched = HatchedPlanes(planes, 1)
    whole = np.asarray(hatched)
    assert whole.shape == planes.shape
    assert np.array_equal(whole[1, 3:9], hatched[1, 3:9])
    assert np.array_equal(whole[1:3], hatched[1:3])
    lines = hatching((30, 40), 1)
    changed = whole[1] != planes[1] * lines
    assert (whole[1][changed] == 100).all()  # the outline alone differs from the hatching
    assert not whole[1][planes[1] == 0].any()
    assert not whole[0].any()


def test_a_patch_is_the_smallest_box() -> None:
    before = np.zeros((10, 12), np.uint8)
    after = before.copy()
    after[3, 4] = after[5, 9] = 60
    patch = patch_between(2, 7, before, after, y=100, x=200)
    assert patch is not None
    assert (patch.class_index, patch.frame, patch.y, patch.x) == (2, 7, 103, 204)
    assert patch.after.shape == (3, 6)
    assert patch_between(2, 7, before, before) is None
