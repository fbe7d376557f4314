"""``confseg open``: the window as the command opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari

from napari_confseg.widgets.shared import session_for
from napari_confseg.widgets.window import open_window

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from napari_confseg.store import Cohort


def test_open_a_cohort_at_a_clip(
    make_napari_viewer: Callable[..., Any], cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(napari, "Viewer", lambda **_: make_napari_viewer())  # which it closes
    session = session_for(open_window(cohort.location, "clip-2", "Dr. Bo"))
    assert session.clip is not None
    assert (session.clip.name, session.rater) == ("clip-2", "dr-bo")
    session.close_cohort()
