"""Fixtures of tests with windows: the Annotate panel at a bench, and a bench without a canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_confseg.widgets.annotate import suggest
from tests.widgets.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_confseg.store import Cohort


@pytest.fixture(autouse=True)
def no_model_in_advance(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that idles on a clip starts no model: it takes seconds of the suite."""
    monkeypatch.setattr(suggest, "WARM_AFTER_MS", 10**8)


@pytest.fixture
def unseen_bench(qapp: object, state_dir: Path) -> Iterator[Bench]:
    """The panel as a window of its own, nothing opened."""
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def bench(make_napari_viewer: Callable[..., Any], cohort: Cohort) -> Iterator[Bench]:
    """The panel in napari's real window, the cohort's first clip open."""
    made = Bench(make_napari_viewer(show=True))
    made.open(cohort, clip=cohort.clips()[0])
    yield made
    made.close()
