"""Carried marks in a suggestion: they hold where the picture could be followed, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from napari_confseg.annotate.tools.propagation import carried
from napari_confseg.motion import KEPT_PER_STEP, Track, small
from napari_confseg.store import EXCLUDED
from napari_confseg.suggest.path import REACH, path_between
from napari_confseg.suggest.protocol import Suggest, Suggested
from trainer.carrying import STEPS, Source, Tracker, joined
from trainer.serve import Server, _nearest, _painted

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (96, 144)


def still(quality: float = 1.0) -> Track:
    """The way along a picture that stands still, and matches so well."""
    rng = np.random.default_rng(0)
    track = Track.begin(rng.integers(0, 256, SHAPE).astype(np.uint8))
    shift, match = np.zeros_like(track.shift), np.full_like(track.quality, quality)
    return Track(track.origin, track.latest, track.factor, shift, match)


def plane(value: int, *, rows: slice = slice(20, 40)) -> NDArray[np.uint8]:
    made = np.zeros(SHAPE, np.uint8)
    made[rows, 30:60] = value
    return made


def moving(n: int) -> NDArray[np.uint8]:
    """Smooth texture that goes down by two pixels from frame to frame."""
    rng = np.random.default_rng(3)
    field = torch.nn.functional.interpolate(
        torch.from_numpy(rng.random((1, 1, 40, 40))), (240, 240), mode="bicubic"
    )[0, 0].numpy()
    grey = (255 * np.clip(field, 0, 1)).astype(np.uint8)
    return np.stack([grey[60 - 2 * t : 60 - 2 * t + SHAPE[0], : SHAPE[1]] for t in range(n)])


def test_where_the_picture_was_followed_what_was_painted_holds() -> None:
    nothing, everywhere = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 80, np.uint8)
    source = Source(still(), 1, plane(60), nothing, 0.0)
    found = joined(everywhere, [source])
    held = KEPT_PER_STEP
    inside = plane(1) > 0
    assert np.all(found[inside] == round(100 * (held * 0.6 + (1 - held) * 0.8)))
    assert np.all(found[~inside] == round(100 * (1 - held) * 0.8))  # left unmarked: not there


def test_where_it_was_not_what_the_model_says_holds() -> None:
    model = plane(70, rows=slice(50, 80))
    found = joined(model, [Source(still(0.0), 1, plane(100), model, 0.0)])
    assert np.array_equal(found, model)
    assert np.array_equal(joined(model, []), model)


def test_what_the_model_expects_beside_the_first_marks_is_not_taken_for_absent() -> None:
    """Of two regions one was painted so far; a reviewed frame says that the other is not there."""
    other = plane(90, rows=slice(60, 80))
    both = plane(90) + other
    begun, reviewed = (joined(both, [Source(still(), 1, plane(100), both, b)]) for b in (1.0, 0.0))
    assert begun[other > 0].min() > 75
    assert reviewed[other > 0].max() < 5
    assert begun[25, 40] == reviewed[25, 40] >= 99


def test_frames_on_both_sides_have_their_say_by_how_likely_they_hold() -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    before, after = plane(100), plane(50)
    before[:, 45:] = EXCLUDED  # nobody knows
    sources = [Source(still(w), 0, m, nothing, 0.0) for w, m in ((0.9, before), (0.6, after))]
    for given in (sources, sources[::-1]):
        found = joined(nothing, given)
        odds = 0.9 / 0.12, 0.6 / 0.42
        both = (odds[0] * 1.0 + odds[1] * 0.5) / sum(odds)
        assert found[30, 40] == round(100 * (1 - 0.1 * 0.4) * both)
        assert found[30, 50] == 30


def test_marks_move_as_the_tool_moves_them() -> None:
    frames = moving(6)
    marks = plane(100)
    path = {t: small(frame)[0] for t, frame in enumerate(frames)}
    tracker = Tracker()
    tracker.steps_left = 5
    track = tracker.track(path, small(frames[0])[1], 0, 5)
    assert track is not None
    nothing = np.zeros(SHAPE, np.uint8)
    found = joined(nothing, [Source(track, 5, marks, nothing, 0.0)])
    *_, last = carried(frames, {0: marks}, 0, steps=5)
    tool = last.proposals[0]
    assert (tool >= 50).any()
    assert np.abs(found.astype(int) - tool)[found > 0].max() <= 5  # the tool takes one a step
    assert not found[tool == 0].any(where=found[tool == 0] >= 15)
    rows = np.flatnonzero((found >= 50).any(1))
    assert rows[0] == pytest.approx(30, abs=2)


@pytest.mark.parametrize(("start", "end"), [(0, 5), (5, 0)])
def test_the_way_is_gone_in_parts_and_remembered(start: int, end: int) -> None:
    frames = moving(6)
    path = {t: small(frame)[0] for t, frame in enumerate(frames)}
    whole, parts = Tracker(), Tracker()
    whole.steps_left = 9
    at_once = whole.track(path, 2, start, end)
    assert whole.steps_left == 4
    answers = []
    for _ in range(3):
        parts.steps_left = 2
        answers.append(parts.track(path, 2, start, end))
    assert answers[0] is answers[1] is None
    assert at_once is not None
    assert answers[2] is not None
    assert np.array_equal(answers[2].shift, at_once.shift)
    assert np.array_equal(answers[2].quality, at_once.quality)
    whole.steps_left = 0
    assert whole.track(path, 2, start, end) is not None
    del path[3]
    assert Tracker().track(path, 2, start, end) is None  # a frame of the way is not there yet


def test_one_painted_frame_on_each_side_is_carried_from() -> None:
    at = [0, 30, 33, 35, 40, 80]
    assert [at[i] for i in _nearest(at, range(6), 36)] == [35, 40]
    assert [at[i] for i in _nearest(at, [0, 2, 3, 5], 35)] == [33]  # not itself, not out of reach
    assert _nearest(at, [0, 5], 40) == []


def test_the_more_pieces_were_painted_the_less_is_still_to_come() -> None:
    two = plane(90) + plane(90, rows=slice(60, 80))
    two[50] = EXCLUDED  # no piece
    request = Suggest(
        model="starter",
        marks=((0, "b-line"), (1, "b-line"), (1, "unknown")),
        reviewed=((1, "b-line"), (2, "b-line"), (2, "unknown")),
    )
    arrays = {"taught": np.zeros((3, *SHAPE), np.uint8), "marks": np.stack([two, plane(60), two])}
    found = _painted(("pleura", "b-line"), request, arrays)
    assert found.keys() == {1}
    assert {i: begun for i, (_, begun) in found[1].items()} == {0: pytest.approx(1 / 3), 1: 0, 2: 0}
    assert np.array_equal(found[1][0][0], two)
    assert not found[1][2][0].any()


def test_the_path_leads_to_the_painted_frames_in_reach() -> None:
    assert set(path_between([10], [7, 12, 10 + REACH + 1])) == {7, 8, 9, 10, 11, 12}
    assert path_between([10], [7])[0] == 10  # the nearest first
    assert path_between([10], [10]) == path_between([10], [10 + REACH + 1]) == ()


def test_a_process_goes_on_until_every_way_is_known() -> None:
    frames = moving(STEPS + 4)
    last = len(frames) - 1
    reduced = [small(frame) for frame in frames]
    path = path_between([last], [0])
    request = Suggest(
        model="starter",
        marks=((0, "b-line"),),
        reviewed=((0, "b-line"),),
        strokes=1,
        frames_at=(last,),
        taught_at=(0,),
        path_at=path,
        factor=reduced[0][1],
    )
    arrays: dict[str, NDArray[Any]] = {
        "frames": frames[[last]],
        "taught": frames[[0]],
        "marks": plane(100)[None],
        "path": np.stack([reduced[t][0] for t in path]),
    }
    server = Server()
    answers = [server.answer(request, arrays) for _ in range(3)]
    messages = [m for m, _ in answers]
    assert all(isinstance(m, Suggested) for m in messages)
    assert [m.partial for m in messages if isinstance(m, Suggested)] == [True, False, False]
    first, second, third = (a["percent"] for _, a in answers)
    where = next(m for m in messages if isinstance(m, Suggested)).classes.index("b-line")
    moved = (slice(20 + 2 * last + 4, 40 + 2 * last - 4), slice(34, 56))
    assert second[0, where][moved].mean() > 60
    assert np.array_equal(second, third)
    others = [c for c in range(second.shape[1]) if c != where]
    assert np.array_equal(first[:, others], second[:, others])  # classes that nobody marked
