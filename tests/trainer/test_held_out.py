"""Patients kept for a test take no part in a fit."""

from __future__ import annotations

import pytest

from napari_confseg.job import Failed
from tests.trainer.conftest import run_folder
from trainer.checkpoint import load_config
from trainer.run_job import execute


def test_who_is_held_out_is_neither_learnt_from_nor_validated_on(tmp_path, shared_toy):
    folder = run_folder(tmp_path / "run", shared_toy, steps=1, held_out=("p1",), precision="bf16")
    assert execute(folder) is not None
    config = load_config(folder.path)
    assert sorted(config.split.train + config.split.validation) == ["clip-0", "clip-2", "clip-3"]
    assert config.precision == "bf16"


@pytest.mark.parametrize(
    ("held_out", "error"),
    [
        (("p1", "p9"), "toy has no patient called p9 to hold out"),
        (("p0", "p1", "p2", "p3"), "Every patient with reviewed frames is held out"),
    ],
)
def test_an_impossible_test_set_is_refused(tmp_path, shared_toy, held_out, error):
    events: list[object] = []
    folder = run_folder(tmp_path / "run", shared_toy, steps=1, held_out=held_out)
    assert execute(folder, events.append) is None
    (failed,) = [e for e in events if isinstance(e, Failed)]
    assert failed.error == error
