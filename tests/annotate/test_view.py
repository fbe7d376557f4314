"""From settings and context to what shows: pure, and never a view of the impossible."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.session import Session
from napari_confseg.annotate.view import (
    PAINTING_TOOLS,
    Context,
    Style,
    Tool,
    ViewState,
    differences,
    label_of,
    resolve,
)

CLASSES = ("pleura", "a-line", "b-line")
HERE = Context(CLASSES, n_frames=10, overlays=(("model", frozenset({"b-line"})),))

names = st.sampled_from([*CLASSES, "unknown"])
settings = st.fixed_dictionaries(
    {
        "class_name": names,
        "tool": st.sampled_from(Tool),
        "confidence": st.integers(1, 100),
        "brush_size": st.integers(1, 400),
        "frame": st.integers(0, 300),
        "threshold": st.integers(0, 100),
        "opacity": st.floats(0, 1),
        "hidden": st.frozensets(names),
        "marks_shown": st.booleans(),
        "overlays_hidden": st.frozensets(st.sampled_from(["model", "other"])),
        "locked": st.frozensets(names),
        "solo": st.booleans(),
        "style": st.sampled_from(Style),
    }
)
contexts = st.builds(
    Context,
    st.sampled_from([CLASSES, ()]),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from([(), HERE.overlays]),
)


def session(**changes: object) -> Session:
    return Session(**{"class_name": "b-line", "tool": Tool.BRUSH, **changes})


@given(settings, contexts)
def test_resolve_is_pure(wanted: dict[str, object], context: Context) -> None:
    first, again = Session(**wanted), Session(**wanted)
    state = resolve(first, context)
    assert resolve(first, context) == resolve(again, context) == state
    assert {name: getattr(first, name) for name in wanted} == wanted


@given(settings, contexts)
def test_no_setting_gives_an_impossible_view(wanted: dict[str, object], context: Context) -> None:
    made = Session(**wanted)
    state = resolve(made, context)
    assert 0 <= state.frame <= max(context.n_frames - 1, 0)
    assert state.label in range(101) or state.label == 255
    assert 1 <= state.threshold <= 100
    assert state.style is made.style
    assert state.editable <= (state.visible & {state.active}) - made.locked
    if state.tool in PAINTING_TOOLS:
        assert context.writable
        assert bool(state.editable) != bool(state.blocked)
        assert state.editable <= {state.active}
        assert state.tool is made.tool
    else:
        assert not state.blocked
    assert {c for _, c in state.overlays} <= state.visible


def test_settings_are_shown_where_they_can_be() -> None:
    state = resolve(session(confidence=90, frame=4, threshold=30), HERE)
    assert (state.active, state.tool, state.label) == ("b-line", Tool.BRUSH, 90)
    assert (state.frame, state.threshold) == (4, 30)
    assert state.editable == {"b-line"}
    assert state.overlays == {("model", "b-line")}


def test_hidden_foreign_and_missing_planes_cannot_be_painted() -> None:
    for why, settings in {
        "b-line is locked": {"locked": frozenset({"b-line"})},
        "b-line is hidden:": {"hidden": frozenset({"b-line"})},
        "b-line is hidden, as all": {"marks_shown": False},
    }.items():
        state = resolve(session(**settings), HERE)
        assert (state.tool, state.editable) == (Tool.BRUSH, frozenset())  # and nothing slides
        assert state.blocked.startswith(why)
    assert resolve(session(), replace(HERE, writable=False)).tool is Tool.PAN
    assert resolve(session(class_name="model"), HERE).editable == frozenset()


def test_each_tool_has_its_value() -> None:
    assert [label_of(t, 40) for t in Tool] == [255 if t is Tool.EXCLUDE else 40 for t in Tool]


def test_only_differences_are_pushed() -> None:
    state = resolve(session(), HERE)
    assert list(differences(state, state)) == []
    assert list(differences(state, replace(state, frame=3, label=3))) == ["frame", "label"]
    assert set(differences(None, state)) == set(ViewState.__dataclass_fields__)
