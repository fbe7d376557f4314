"""Planes and edits of one clip, without a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.clip_editor import ClipEditor
from napari_confseg.annotate.patches import patch_between
from napari_confseg.store import Edit, RaterWriter, Status, edits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.store import Cohort


@pytest.fixture
def editor(cohort: Cohort) -> Iterator[ClipEditor]:
    made = ClipEditor()
    made.open(RaterWriter.open(cohort, "clip-1", "ada"), cohort.meta.classes)
    yield made
    made.close()


def box(editor: ClipEditor, frame: int = 1) -> Edit:
    before = editor.plane(2, frame)
    after = before.copy()
    after[2:5, 3:6] = 70
    patch = patch_between(2, frame, before, after)
    assert patch is not None
    return Edit((patch,), 70, "brush", 2, frame)


def heard(editor: ClipEditor) -> list[str]:
    names: list[str] = []
    for name in ("replayed", "planes_changed", "progress_changed", "edited", "refused"):
        getattr(editor, name).connect(lambda *_, n=name: names.append(n), check_nargs=False)
    return names


def test_a_closed_editor_has_no_planes_and_refuses(cohort: Cohort) -> None:
    editor = ClipEditor()
    names = heard(editor)
    assert not editor.is_open
    assert (editor.planes, editor.strokes, editor.save_state) == ({}, [], None)
    assert (editor.status.shape, editor.marked.shape) == ((0, 0), (0, 0))
    assert (editor.writable, editor.can_undo, editor.can_redo) == (False, False, False)
    assert editor.commit(Edit((), 0, "brush", 0, 0)) is None
    assert editor.mark_reviewed(0) is None
    assert editor.undo() is None
    assert editor.flush()
    editor.close()
    assert names == ["refused", "refused"]


def test_commit_undo_and_redo_change_planes_and_tell(editor: ClipEditor) -> None:
    names = heard(editor)
    stroke = editor.commit(box(editor))
    assert editor.strokes == [stroke]
    assert editor.status[1, 2] == Status.IN_PROGRESS
    assert editor.marked[1, 2]
    assert names == ["progress_changed", "edited", "planes_changed"]
    names.clear()
    assert editor.undo() is not None
    assert not editor.planes["b-line"].any()
    assert names == ["replayed", "planes_changed", "progress_changed", "edited"]
    assert editor.can_redo
    editor.redo()
    assert (editor.planes["b-line"][1, 2:5, 3:6] == 70).all()


def test_an_edit_painted_already_is_saved_or_taken_back(editor: ClipEditor) -> None:
    edit = box(editor)
    editor.planes["b-line"].apply(edit.patches[0])
    names = heard(editor)
    assert editor.commit(edit, painted=True, locked={"b-line"}) is None
    assert not editor.planes["b-line"].any()
    assert names == ["planes_changed", "refused"]
    editor.planes["b-line"].apply(edit.patches[0])
    assert editor.commit(edit, painted=True, locked={"pleura"}) is not None
    assert editor.planes["b-line"].any()
    assert "planes_changed" not in names[2:]  # the view has it already


def test_strokes_are_announced_together_and_in_order_but_saved_at_once(
    editor: ClipEditor,
) -> None:
    soon: list[str] = []
    editor.announce_with(lambda: soon.append("soon"))
    names, edits = heard(editor), []
    editor.edited.connect(edits.append)
    painted = [box(editor, 1), box(editor, 2), box(editor, 3)]
    for edit in painted[:2]:
        editor.planes["b-line"].apply(edit.patches[0])
        editor.commit(edit, painted=True)
    assert (names, len(editor.strokes), editor.marked[:, 2].sum()) == ([], 2, 2)
    assert editor.status[2, 2] == Status.IN_PROGRESS
    assert soon  # and the view is asked to call back
    editor.announce()
    assert names == ["progress_changed", "edited", "edited"]
    assert [e.frame for e in edits] == [1, 2]
    editor.planes["b-line"].apply(painted[2].patches[0])
    editor.commit(painted[2], painted=True)
    editor.undo()  # is not to be heard of before what it undoes
    assert names[3:] == [
        "progress_changed",
        "edited",
        "replayed",
        "planes_changed",
        "progress_changed",
        "edited",
    ]
    editor.planes["b-line"].apply(painted[2].patches[0])
    editor.commit(painted[2], painted=True)
    editor.close()
    assert [e.frame for e in edits] == [1, 2, 3, 3, 3]


def test_reopening_finds_planes_status_and_marks(editor: ClipEditor, cohort: Cohort) -> None:
    editor.commit(box(editor))
    editor.mark_reviewed(3, 5)
    before = editor.planes["b-line"][:], editor.status.copy(), editor.marked.copy()
    editor.close()
    assert not editor.is_open
    editor.open(RaterWriter.open(cohort, "clip-1", "ada"), cohort.meta.classes)
    after = editor.planes["b-line"], editor.status, editor.marked
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_more_than_an_edit_can_hold_is_refused_and_changes_nothing(
    editor: ClipEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the record could not give back is not taken."""
    reasons: list[str] = []
    editor.refused.connect(reasons.append)
    first, second = box(editor), box(editor, 2)
    monkeypatch.setattr(edits, "MAX_EDIT", 100)
    assert editor.commit(first) is None
    editor.planes["b-line"].apply(second.patches[0])
    assert editor.commit(second, painted=True) is None
    assert not editor.planes["b-line"].any()
    assert (editor.strokes, editor.can_undo, editor.marked.any()) == ([], False, False)
    assert len(reasons) == 2
    assert all("fewer frames or classes" in reason for reason in reasons)
