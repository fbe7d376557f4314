"""Fixtures of tests with windows: the Annotate panel at a desk, and a desk without a canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.widgets.desk_work import Desk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_confseg.store import Cohort


@pytest.fixture
def unseen_desk(qapp: object, state_dir: Path) -> Iterator[Desk]:
    """The panel as a window of its own, nothing opened."""
    made = Desk()
    yield made
    made.close()


@pytest.fixture
def desk(make_napari_viewer: Callable[..., Any], cohort: Cohort) -> Iterator[Desk]:
    """The panel in napari's real window, the cohort's first clip open."""
    made = Desk(make_napari_viewer(show=True))
    made.open(cohort, clip=cohort.clips()[0])
    yield made
    made.close()
