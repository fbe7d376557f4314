"""Which model suggests in a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from napari_confseg.store import Cohort

STARTER: Final = "starter"
"""The model that comes with the package."""


def active_model(cohort: Cohort) -> str:
    """Return the model that suggests in `cohort`: a run's folder, or :data:`STARTER`."""
    return STARTER
