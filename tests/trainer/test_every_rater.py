"""Raters of every kind, learnt from and scored against."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from napari_confseg.store import Imported, RaterKind
from tests.every_rater import READERS, add_every_kind, add_rater, name_of
from tests.trainer.conftest import run_folder
from trainer.data import find_sources
from trainer.evaluate import evaluate
from trainer.run_job import execute

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort

KINDS = get_args(RaterKind)


@pytest.fixture(scope="module")
def model(tmp_path_factory, shared_toy) -> Path:
    path = tmp_path_factory.mktemp("runs") / "fitted"
    assert execute(run_folder(path, shared_toy, steps=2)) is not None
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_scored_against_a_rater_of_every_kind(
    model: Path, cohort: Cohort, kind: RaterKind
) -> None:
    add_every_kind(cohort, kind)
    name = name_of(kind)
    learnt = find_sources(cohort, ["b-line"], ())
    assert {r.name for s in learnt for r in s.raters} == set(READERS)
    named = find_sources(cohort, ["b-line"], [name])
    assert {r.name for s in named for r in s.raters} == {name}
    scores = evaluate(model, cohort, against=[name], device="cpu")
    assert {c.against for c in scores.cases} == {name}
    assert {c.clip for c in scores.cases} == set(cohort.clips())


def test_what_was_imported_is_learnt_from_by_name_alone(cohort: Cohort) -> None:
    add_rater(cohort, "clip-1", "human", "anna")
    theirs = add_rater(cohort, "clip-1", "human", "zoe")
    theirs.update_meta(imported=Imported(format="coco", made_by="Zoe, elsewhere"))
    assert [r.name for r in find_sources(cohort, ["b-line"], ())[0].raters] == ["anna"]
    assert [r.name for r in find_sources(cohort, ["b-line"], ["zoe"])[0].raters] == ["zoe"]
