"""The studies of real people: what is counted, and what a map is worth."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from benchmarks import study_worth
from benchmarks.bars import verdicts
from benchmarks.people import DEVELOP, HABITS, TEST, WAYS, blurred, own_doubt, state, statements
from benchmarks.worth import LEVELS, SQUARED, Tally, worth
from tests.trainer.study.test_compare import pooled


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def outlines(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {f"person{p}-{way}": rng.random((12, 14)) < 0.5 for p in range(1, 6) for way in WAYS}


def test_nobody_is_both_read_and_compared_with_and_the_test_has_other_people():
    for panel in (DEVELOP, TEST):
        assert not set(panel.readers) & set(panel.reference)
    assert "set3" not in DEVELOP.sets
    assert set(DEVELOP.reference) <= set(TEST.readers)


def test_a_statement_is_of_the_other_readers_of_the_panel_alone(rng):
    drawn = outlines(rng)
    made = statements(drawn, (1, 2, 3))
    own = drawn | {f"person1-{way}": ~drawn[f"person1-{way}"] for way in WAYS}
    reference = drawn | {f"person4-{way}": ~drawn[f"person4-{way}"] for way in WAYS}
    for habit in HABITS:
        for changed in (own, reference):
            assert np.array_equal(
                statements(changed, (1, 2, 3))[f"p1-{habit}"], made[f"p1-{habit}"]
            )
    share = np.mean([drawn[f"person{p}-{way}"] for p in (2, 3) for way in WAYS], 0)
    assert np.array_equal(made["p1-exact"], np.rint(100 * share))
    assert set(np.unique(made["p1-honest"])) == {0, 30, 60, 90}
    assert set(np.unique(made["p1-twice"])) == {0, 50, 100}
    two = (drawn[f"person1-{way}"] for way in WAYS)
    assert np.array_equal(made["p1-own"], np.rint(own_doubt(*two)))


@pytest.mark.parametrize("habit", HABITS)
def test_who_sees_more_agreement_never_states_less(habit):
    stated = state(np.linspace(0, 1, 101), habit)
    assert stated[0] == 0
    assert (np.diff(stated.astype(int)) >= 0).all()


def test_k_readers_are_worth_k_readers_whoever_they_are(rng):
    """In the mean over all choices the squared error is exactly a + b / k."""
    tally = Tally(["one", "two"], 1)
    for unit in tally.units:
        read = 100.0 * (rng.random((6, 20, 20)) < rng.random((20, 20)) * rng.random((6, 1, 1)))
        for chosen in combinations(range(6), 4):
            rest = np.rint(read[[i for i in range(6) if i not in chosen]].mean(0)).astype(np.uint8)
            for k in (1, 2, 3):
                for some in map(list, combinations(chosen, k)):
                    tally.add(f"{k}", unit, 0, read[some].mean(0), rest)
    weights = np.array([[1.0, 1.0], [2.0, 0.0]])
    for k in (1, 2, 3):
        # Percents are whole: a third is 33.
        assert worth(tally, f"{k}", weights, SQUARED) == pytest.approx(k, rel=0.01)


def test_a_contour_doubtful_by_distance_is_at_50_on_it_and_sure_far_away():
    inside = np.zeros((40, 40), bool)
    inside[10:30, 10:30] = True
    percent = blurred(inside, 3)
    assert np.array_equal(percent > 50, inside)
    assert percent[10, 20] + percent[9, 20] == pytest.approx(100)
    assert percent[20, 20] > 99
    assert percent[0, 0] < 1


def test_studies_of_the_same_patients_are_judged_together(rng):
    """A baseline counts where it was run; a bar is missed only beyond the interval."""
    behind = pooled({"soft": 0.05}, noise=0.001, groups=("p",))
    level = pooled({}, noise=0.01, groups=("q",))
    cells = tuple(c for c in level.cells if c.method != "threshold-60")
    found = verdicts([behind, replace(level, cells=cells)], "threshold-50")
    holds = {(v.group, v.baseline): v.holds for v in found if v.score == "threshold_dice"}
    assert not holds["p", "soft"]
    assert holds["q", "soft"]
    assert ("q", "threshold-60") not in holds
    assert not holds["all groups", "threshold-60"]  # it has to lead
    ahead = verdicts(pooled({"soft": 0.05}, noise=0.001), "soft")
    assert all(v.holds for v in ahead)


def test_two_readings_are_as_doubtful_as_they_are_apart():
    def disc(radius: float) -> np.ndarray:
        return np.hypot(*np.indices((60, 60)) - 30) < radius

    same = own_doubt(disc(15), disc(15))
    assert np.array_equal(same, 100.0 * disc(15))
    for apart in (2, 6):
        percent = own_doubt(disc(15 - apart / 2), disc(15 + apart / 2))
        # Where the outline runs along a ray has the cumulative distribution 1 - percent: a mixture
        # of the two outlines, apart / 2 from their mean, each as wide as apart / sqrt(2).
        left = percent[30, 30:] / 100
        where = np.arange(len(left)) + 0.5
        density = -np.diff(np.append(left, 0))
        mean = np.sum(density * where)
        spread = np.sum(density * (where - mean) ** 2)
        assert mean == pytest.approx(15, abs=0.5)
        assert spread == pytest.approx(apart**2 * (1 / 4 + 1 / 2), rel=0.2)


def test_nobody_in_a_trial_of_k_readers_is_in_its_reference():
    for groups in (DEVELOP.without, DEVELOP.confident):
        assert not {r for g in groups.values() for r in g} & set(DEVELOP.against)
    assert [len(g) for g in DEVELOP.without.values()] == [1, 1, 1, 2, 2, 2, 3]


def test_one_who_learns_as_well_as_k_readers_is_worth_k():
    each = {"1": 0.014, "2": 0.010, "3": 0.009}
    rows = {
        name: {SQUARED: np.array([e, e + 0.001]), LEVELS: 1 - np.array([e, e + 0.001])}
        for name, e in {**each, "between": 0.012, "worse": 0.02, "better": 0.005}.items()
    }
    for score in (SQUARED, LEVELS):
        found = {n: study_worth.worth(rows, n, score) for n in rows}
        for k in each:
            assert found[k] == pytest.approx(int(k))
        assert found["between"] == pytest.approx(1.5)
        assert found["worse"] == pytest.approx(1)
        assert found["better"] == pytest.approx(3)


def test_no_number_of_readers_where_three_are_no_better_than_one():
    flat = {k: {s: np.array([0.02, 0.021, 0.019]) for s in (SQUARED, LEVELS)} for k in "123"}
    assert not any("worth" in name for name in study_worth.table(flat)["2"])
    falling = {k: {SQUARED: v[SQUARED] / int(k), LEVELS: v[LEVELS]} for k, v in flat.items()}
    assert [n for n in study_worth.table(falling)["2"] if "worth" in n] == [f"worth by {SQUARED}"]
