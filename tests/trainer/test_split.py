"""Held-out patients are held out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.dataset.holdout import draw


@st.composite
def cohorts(draw):
    n = draw(st.integers(2, 12))
    patients = [f"p{draw(st.integers(0, 5))}" for _ in range(n)]
    frames = [list(range(draw(st.integers(1, 4)))) for _ in range(n)]
    pair = st.tuples(st.booleans(), st.booleans())
    marked = [np.array([draw(pair) for _ in f]) for f in frames]
    return [f"c{i}" for i in range(n)], patients, frames, marked


@given(cohort=cohorts(), seed=st.integers(0, 3))
def test_no_patient_is_in_two_parts(cohort, seed):
    clips, patients, frames, marked = cohort
    split = draw(clips, patients, frames, marked, seed=seed)
    assert sorted(split.train + split.validation) == sorted(clips)
    assert split.train
    assert split.validation
    if len(set(patients)) == 1:
        assert (split.level, bool(split.warning)) == ("clip", True)
        return
    of = dict(zip(clips, patients, strict=True))
    assert not {of[c] for c in split.train} & {of[c] for c in split.validation}
    assert set(split.validation_patients) == {of[c] for c in split.validation}
    assert (split.level, split.warning) == ("patient", "")


def test_same_seed_same_split():
    clips = [f"c{i}" for i in range(8)]
    parts = (clips, clips, [[0]] * 8, [np.ones((1, 2), bool)] * 8)
    assert draw(*parts, seed=5) == draw(*parts, seed=5)


def test_of_one_clip_the_end_is_held_out():
    split = draw(["a"], ["p"], [[2, 3, 5, 7, 11, 13, 17, 19]], [np.ones((8, 1), bool)], seed=0)
    assert split.level == "frame"
    assert "very optimistic" in split.warning
    assert [t for t in (2, 13, 17, 19) if split.is_validation("a", t)] == [17, 19]
    assert [t for t in (2, 13, 17, 19) if split.is_train("a", t)] == [2, 13]


def test_of_one_frame_nothing_is_held_out_and_that_is_said():
    split = draw(["a"], ["p"], [[4]], [np.ones((1, 1), bool)], seed=0)
    assert split.level == "none"
    assert "says nothing about other frames" in split.warning
    assert split.is_train("a", 4)
    assert split.is_validation("a", 4)
