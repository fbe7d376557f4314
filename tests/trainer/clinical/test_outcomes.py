"""Prediction of outcomes: signals are found, noise is not, and nobody is in both parts."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, roc_auc_score
from sklearn.model_selection import GroupKFold

from sample_data.ward import plan
from trainer.clinical import outcomes
from trainer.clinical.features import (
    common_zones,
    covariates,
    feature_sets,
    patient_findings,
    repeated,
)
from trainer.clinical.outcomes import (
    OUTCOMES,
    Prediction,
    best_cut,
    f1_interval,
    f1_name,
    f1_of_all,
    f1_replicates,
    gain,
    interval,
    predict,
    predictable,
    replicates,
    sf_change,
)
from trainer.clinical.table import Row
from trainer.findings import FINDINGS
from trainer.study.pooled import draw

SF, SINCE, CHANGE, READMISSION = OUTCOMES


def row(patient: str, day: int = 0, **changes: object) -> Row:
    return replace(
        Row(
            patient,
            day,
            60,
            "f",
            (f"{patient}-{day}",),
            ("R1",),
            92,
            0.4,
            "mask",
            230,
            230,
            readmitted_30d=False,
        ),
        **changes,
    )


@pytest.fixture(scope="module")
def ward() -> tuple[list[Row], np.ndarray]:
    """Sixty patients whose S/F follows the one finding that there is, with noise."""
    rng = np.random.default_rng(4)
    sick = rng.random(60)
    sf = 470 - 330 * sick + rng.normal(0, 15, 60)
    later = sf * np.where(sick > 0.6, 0.8, np.where(sick < 0.3, 1.2, 1.0))
    back = rng.random(60) < 1 / (1 + np.exp(-8 * (sick - 0.5)))
    rows = [
        row(f"p{i:02d}", sf=float(sf[i]), sf_followup=float(later[i]), readmitted_30d=bool(back[i]))
        for i in range(60)
    ]
    return rows, sick[:, None]


@pytest.fixture(scope="module")
def fewer_fits():
    """A third of the fits for each prediction: still nested, several strengths, and repeated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcomes, "INNER", 3)
        patch.setattr(outcomes, "REPEATS", 2)
        patch.setattr(outcomes, "STRENGTHS", np.array([0.1, 10.0, 1000.0]))
        yield


@pytest.fixture(scope="module")
def found(ward, fewer_fits) -> dict[str, Prediction]:
    rows, sick = ward
    by_name = {o.name: predict(o, rows, sick) for o in predictable(rows)}
    assert list(by_name) == ["sf", "sf-change", "readmission"]
    assert all(by_name.values())
    return by_name


def test_a_signal_is_found_in_each_outcome_and_noise_in_none(ward, found):
    rows, _ = ward
    noise = np.random.default_rng(0).random((60, 1))
    for outcome in (SF, READMISSION):
        guessed = predict(outcome, rows, noise)
        assert guessed is not None
        assert gain(outcome, found[outcome.name], guessed).low > 0
    assert interval(READMISSION, guessed).low < 0.5
    for outcome in (CHANGE, READMISSION):
        assert interval(outcome, found[outcome.name]).low > 0.5


def test_scores_equal_scikit_learn(found):
    value = {o.name: interval(o, found[o.name]).value for o in OUTCOMES if o is not SINCE}
    assert value["sf"] == pytest.approx(mean_absolute_error(found["sf"].y, found["sf"].predicted))
    r, c = found["readmission"], found["sf-change"]
    assert value["readmission"] == pytest.approx(roc_auc_score(r.y, r.predicted[:, 1]))
    assert c.predicted.sum(1) == pytest.approx(np.ones(60))
    assert value["sf-change"] == pytest.approx(
        roc_auc_score(c.y, c.predicted / c.predicted.sum(1, keepdims=True), multi_class="ovr")
    )


def test_a_patient_tells_nothing_of_themselves():
    """Two days of a patient are alike to the digit: split apart, they would give S/F away."""
    rng = np.random.default_rng(1)
    names = rng.random(40)
    rows = [
        row(f"p{i:02d}", day, sf=float(rng.normal(300, 50)) if not day else 0)
        for i in range(40)
        for day in (0, 3)
    ]
    rows = [replace(r, sf=rows[2 * (i // 2)].sf) for i, r in enumerate(rows)]
    known = np.repeat(np.stack([names, names**2, np.sin(40 * names)], 1), 2, 0)
    found = predict(SF, rows, known)
    nothing = Prediction(found.y, np.full(80, found.y.mean()), found.patients)
    assert replicates(SF, found)[0] > 0.95 * replicates(SF, nothing)[0]


def test_change_is_three_way_and_counts_only_where_s_f_does():
    assert [sf_change(row("p", sf_followup=v)) for v in (200, 230, 260)] == [0, 1, 2]
    assert sf_change(row("p", spo2=98)) is None
    assert SF.of(row("p", spo2=97), None) == 230
    assert SF.of(row("p", spo2=98), None) is None
    before, sated = row("p"), row("p", spo2=98)
    found = [SINCE.of(row("p", 3, sf=v), before) for v in (200, 230, 260)]
    assert found == [0, 1, 2]
    assert SINCE.of(row("p", 3), None) is SINCE.of(row("p", 3), sated) is None
    assert SINCE.of(sated, before) is None


@pytest.mark.usefixtures("fewer_fits")
def test_the_change_of_findings_tells_the_change_of_s_f_where_the_day_alone_does_not():
    """A ward of three days as sample data plans it; findings are the lung's severity, noisy."""
    plans, table = plan(patients=120, clips_per_patient=2, seed=5, days=3)
    rng = np.random.default_rng(0)
    seen = {p.name: dict.fromkeys(FINDINGS, p.severity + rng.normal(0, 0.03)) for p in plans}
    rows = [
        row(
            r["patient"],
            int(r["day"]),
            clips=tuple(r["clips"].split()),
            zones=tuple(r["zones"].split()),
            spo2=float(r["spo2"]),
            sf=float(r["sf"]),
            sf_followup=float(r["sf_followup"]),
        )
        for r in csv.DictReader(table.splitlines())
    ]
    assert SINCE in predictable(rows)
    one = [0, 2 * len(FINDINGS)]  # a finding's mean, and its change: all findings are the same here
    found = predict(SINCE, rows, patient_findings(rows, seen)[:, one])
    alone = predict(SINCE, rows, patient_findings(rows, seen, over_time=False)[:, :1])
    assert found is not None
    assert alone is not None
    assert gain(SINCE, found, alone).low > 0.05
    assert interval(SINCE, found).low > 0.75


def test_too_few_patients_are_not_predicted():
    rows = [row(f"p{i}") for i in range(12)]
    assert predict(SF, rows, np.zeros((12, 1))) is None
    rows = [row(f"p{i}", readmitted_30d=i < 3) for i in range(40)]
    assert predict(READMISSION, rows, np.zeros((40, 1))) is None


def test_nothing_of_a_later_day_reaches_an_earlier_one():
    """Whatever is found later, the features of the days before are the same to the bit."""
    rng = np.random.default_rng(0)
    rows = [row(f"p{i}", day) for i in range(5) for day in (6, 0, 3)]
    found = {r.clips[0]: dict(zip(FINDINGS, rng.random(len(FINDINGS)), strict=True)) for r in rows}
    other = {c: dict.fromkeys(FINDINGS, 99.0) if c.endswith("-6") else f for c, f in found.items()}
    early = [i for i, r in enumerate(rows) if r.day < 6]
    known, changed = patient_findings(rows, found), patient_findings(rows, other)
    np.testing.assert_array_equal(known[early], changed[early])
    late = [i for i, r in enumerate(rows) if r.day == 6]
    assert not np.array_equal(known[late], changed[late])


def test_a_patients_findings_are_mean_largest_and_change():
    rows = [
        row("a", clips=("x", "y"), zones=("R1", "R1")),
        row("a", 3, clips=("z",)),
        row("b", clips=("w",)),
    ]
    clips = {
        c: dict.fromkeys(FINDINGS, v)
        for c, v in {"x": 1.0, "y": 3.0, "z": 5.0, "w": np.nan}.items()
    }
    table = patient_findings(rows, clips)
    n = len(FINDINGS)
    assert table.shape == (3, 4 * n)
    assert table[0, :n].tolist() == [2.0] * n
    assert table[0, n : 2 * n].tolist() == [3.0] * n
    assert table[1, 2 * n : 3 * n].tolist() == [3.0] * n
    assert np.isnan(table[2]).all()
    assert patient_findings(rows[::2], clips).shape == (2, 2 * n)
    assert patient_findings(rows, clips, over_time=False).shape == (3, 2 * n)
    assert covariates(rows, ("age", "sex")).tolist() == [[60, 0]] * 3


def test_change_is_that_of_the_same_zone_since_it_was_last_examined():
    """R1 is seen on all days, R2 on the first and last, R3 once: nothing is compared across."""
    rows = [
        row("a", 6, clips=("e", "f"), zones=("R1", "R2")),
        row("a", 0, clips=("a", "b"), zones=("R1", "R2")),
        row("a", 3, clips=("c", "d"), zones=("R1", "R3")),
    ]
    found = {"a": 1.0, "b": 10.0, "c": 4.0, "d": 50.0, "e": 5.0, "f": 30.0}
    clips = {c: dict.fromkeys(FINDINGS, v) for c, v in found.items()}
    n = len(FINDINGS)
    assert repeated(rows)
    assert common_zones(rows) == ("R1", "R2", "R3")
    whole = patient_findings(rows, clips)
    np.testing.assert_array_equal(whole[:, 2 * n], [(1 + 20) / 2, np.nan, 3])  # mean change
    np.testing.assert_array_equal(whole[:, 3 * n], [20, np.nan, 3])  # largest
    each = patient_findings(rows, clips, by_zone=True)
    np.testing.assert_array_equal(each[:, : 4 * n], whole)
    columns = each[:, 4 * n :: n].T  # of one finding: each zone, and its change
    np.testing.assert_array_equal(
        columns,
        [
            *([5, 1, 4], [1, np.nan, 3]),
            *([30, 10, np.nan], [20, np.nan, np.nan]),
            *([np.nan, np.nan, 50], [np.nan, np.nan, np.nan]),
        ],
    )
    assert feature_sets(rows, ("age",), {"truth": clips}, by_zone=True)["truth"].shape == (
        3,
        1 + 10 * n,
    )


def test_zones_that_are_seldom_examined_have_no_features_of_their_own():
    rows = [row(f"p{i}", zones=("R1" if i else "R2",)) for i in range(20)]
    assert common_zones(rows) == ("R1",)
    assert not repeated(rows)


def test_f1_equals_scikit_learn_over_all_patients_and_in_each_resampling(found):
    for outcome in (READMISSION, CHANGE):
        prediction = found[outcome.name]
        classes = np.unique(prediction.y)
        which = [1] if len(classes) == 2 else range(len(classes))
        names = sorted(set(prediction.patients))
        weights = draw(len(names))[:, [names.index(p) for p in prediction.patients]]
        got = f1_replicates(prediction)
        for b in (0, 1, 77):
            expected = [
                f1_score(prediction.y == classes[i], said[:, i], sample_weight=weights[b])
                for said in prediction.decided
                for i in which
            ]
            assert got[b] == pytest.approx(np.mean(expected))
        i = f1_interval(prediction)
        assert i.low < i.value < i.high
        assert i.low > f1_of_all(prediction)
    assert f1_name(READMISSION) == "F1"
    assert f1_name(CHANGE) == "F1, one against rest"
    y = found["readmission"].y
    assert f1_of_all(found["readmission"]) == pytest.approx(f1_score(y, np.ones_like(y)))


def test_the_best_cut_is_the_best_of_all_cuts():
    rng = np.random.default_rng(2)
    probability = rng.random(40).round(1)  # with ties
    there = rng.random(40) < probability
    scores = {c: f1_score(there, probability >= c) for c in np.unique(probability)}
    assert scores[best_cut(there, probability)] == pytest.approx(max(scores.values()))


def test_no_patient_is_decided_on_by_a_threshold_that_they_helped_to_choose(ward, monkeypatch):
    """With folds that do not look at outcomes, flipping those of a fold changes nothing in it."""
    monkeypatch.setattr(outcomes, "REPEATS", 1)  # for time, as is one strength
    monkeypatch.setattr(outcomes, "STRENGTHS", np.array([1.0]))
    monkeypatch.setattr(outcomes, "_folds", lambda _, parts, __: GroupKFold(parts))
    rows, sick = ward
    known = sick + np.random.default_rng(0).normal(0, 0.2, sick.shape)
    names = np.array([r.patient for r in rows])
    _, held = next(GroupKFold(outcomes.OUTER).split(known, groups=names))
    flipped = [
        replace(r, readmitted_30d=not r.readmitted_30d) if i in held else r
        for i, r in enumerate(rows)
    ]
    before, after = (predict(READMISSION, r, known) for r in (rows, flipped))
    np.testing.assert_array_equal(before.decided[:, held], after.decided[:, held])
    np.testing.assert_array_equal(before.predicted[held], after.predicted[held])
    others = np.setdiff1d(np.arange(60), held)
    assert not np.array_equal(before.predicted[others], after.predicted[others])


def test_a_feature_that_hardly_varied_in_training_throws_no_prediction_off(ward, monkeypatch):
    """One patient alone has it, and the others noise of the last digits."""
    monkeypatch.setattr(outcomes, "REPEATS", 1)  # for time
    rows, sick = ward
    odd = np.random.default_rng(0).normal(0, 1e-12, 60)
    odd[7] = 1.0
    found = predict(SF, rows, np.column_stack([sick, odd]))
    assert found is not None
    assert np.abs(found.predicted - found.y).max() < 200
