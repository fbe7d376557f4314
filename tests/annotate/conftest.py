"""Fixtures of the session's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.annotate.edits import sit_down

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Cohort


@pytest.fixture
def session(cohort: Cohort) -> Iterator[Session]:
    """Dr. Ada on the cohort's first clip."""
    made = sit_down(cohort)
    yield made
    made.close_clip()
