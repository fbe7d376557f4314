"""From wish and reality to what shows: pure, and never a view of the impossible."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.view import (
    PAINTING_TOOLS,
    Reality,
    Style,
    Tool,
    ViewState,
    Wish,
    differences,
    label_of,
    resolve,
)

CLASSES = ("pleura", "a-line", "b-line")
HERE = Reality(CLASSES, n_frames=10, overlays=(("model", frozenset({"b-line"})),))
WISH = Wish("b-line", tool=Tool.BRUSH)

names = st.sampled_from([*CLASSES, "unknown"])
wishes = st.builds(
    Wish,
    names,
    st.sampled_from(Tool),
    st.integers(-5, 300),
    st.integers(-5, 300),
    st.integers(-5, 300),
    st.integers(-5, 300),
    st.floats(-1, 2),
    st.frozensets(names),
    st.booleans(),
    st.frozensets(st.sampled_from(["model", "other"])),
    style=st.sampled_from(Style),
)
realities = st.builds(
    Reality,
    st.sampled_from([CLASSES, ()]),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from([(), HERE.overlays]),
)


@given(wishes, realities)
def test_no_wish_gives_an_impossible_view(wish: Wish, reality: Reality) -> None:
    state = resolve(wish, reality)
    assert resolve(wish, reality) == state  # pure
    assert 0 <= state.frame <= max(reality.n_frames - 1, 0)
    assert state.label in range(101) or state.label == 255
    assert 1 <= state.threshold <= 100
    assert 0 <= state.opacity <= 1
    assert state.style is wish.style
    assert state.editable <= state.visible & {state.active}
    if state.tool in PAINTING_TOOLS:
        assert reality.writable
        assert state.editable == {state.active}
    assert {c for _, c in state.overlays} <= state.visible


def test_the_wish_is_granted_where_it_can_be() -> None:
    state = resolve(replace(WISH, confidence=90, frame=4, threshold=30), HERE)
    assert (state.active, state.tool, state.label) == ("b-line", Tool.BRUSH, 90)
    assert (state.frame, state.threshold) == (4, 30)
    assert state.editable == {"b-line"}
    assert state.overlays == {("model", "b-line")}


def test_hidden_foreign_and_missing_planes_cannot_be_painted() -> None:
    assert resolve(replace(WISH, hidden=frozenset({"b-line"})), HERE).tool is Tool.PAN
    assert resolve(replace(WISH, marks_shown=False), HERE).tool is Tool.PAN
    assert resolve(WISH, replace(HERE, writable=False)).tool is Tool.PAN
    assert resolve(replace(WISH, class_name="model"), HERE).editable == frozenset()


def test_each_tool_has_its_value() -> None:
    assert [label_of(t, 40) for t in Tool] == [255 if t is Tool.EXCLUDE else 40 for t in Tool]


def test_only_differences_are_told() -> None:
    state = resolve(WISH, HERE)
    assert list(differences(state, state)) == []
    assert list(differences(state, replace(state, frame=3, label=3))) == ["frame", "label"]
    assert set(differences(None, state)) == set(ViewState.__dataclass_fields__)
