"""Who gets which key: the person, the defaults, the cohort, the pools; never one key twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.session import Session
from napari_confseg.annotate.shortcuts import (
    DEFAULT_KEYS,
    NAPARI_KEYS,
    Binding,
    assign_keys,
    bindings,
    clash,
)
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.view import Style, Tool

NAPARI = {"P": "Activate the paint brush", "Ctrl+Z": "Undo"}
POOL = ("G", "H")


def nothing() -> None:
    """An action."""


MADE = [
    Binding("class.a", "Class", "Mark A", "F9", nothing, POOL),
    Binding("class.b", "Class", "Mark B", "", nothing, POOL),
    Binding("surer", "Confidence", "Surer", "W", nothing),
    Binding("peek", "View", "Hide", "Shift+W", nothing),
    Binding("undo", "Tools", "Undo", "Ctrl+Z", nothing, napari_too=True),
]


def keys(own: dict[str, str]) -> dict[str, str]:
    return {b.id: b.key for b in assign_keys(MADE, own, NAPARI)}


def test_defaults_preferences_and_pools() -> None:
    assert keys({}) == {
        "class.a": "F9",
        "class.b": "G",
        "surer": "W",
        "peek": "Shift+W",
        "undo": "Ctrl+Z",
    }


def test_the_person_goes_first() -> None:
    # A key that the cohort wishes for a class: the class takes the next free one.
    assert keys({"surer": "F9"})["class.a"] == "G"
    assert keys({"surer": "Shift+W", "peek": "W"}) | keys({}) != keys({"surer": "Shift+W"})
    swapped = keys({"surer": "Shift+W", "peek": "W"})
    assert (swapped["surer"], swapped["peek"]) == ("Shift+W", "W")
    assert keys({"peek": ""})["peek"] == ""
    assert keys({"surer": "P"})["surer"] == "W"  # napari has it by now: the default again
    moved = next(b for b in assign_keys(MADE, {"undo": "F5"}, NAPARI) if b.id == "undo")
    assert (moved.key, moved.napari_too) == ("F5", False)  # ours now: bound in the whole window


IDS = st.sampled_from([b.id for b in MADE] + ["gone"])
KEYS = st.sampled_from(["", "W", "F9", "G", "H", "P", "Ctrl+Z", "Shift+W"])


@given(st.dictionaries(IDS, KEYS))
def test_no_key_twice_and_none_of_napari_s(own: dict[str, str]) -> None:
    made = assign_keys(MADE, own, NAPARI)
    assert [b.id for b in made] == [b.id for b in MADE]
    given_keys = [b.key for b in made if b.key]
    assert len(given_keys) == len(set(given_keys))
    assert not {b.key for b in made if not b.napari_too} & set(NAPARI)


def test_a_clash_says_with_whom() -> None:
    made = assign_keys(MADE, {}, NAPARI)
    found = clash(made, "surer", "P", NAPARI)
    assert found is not None
    assert "Activate the paint brush" in found.words
    assert found.other is None
    found = clash(made, "surer", "F9", NAPARI)
    assert found is not None
    assert (found.other, "Mark A" in found.words) == ("class.a", True)
    assert clash(made, "surer", "F5", NAPARI) is None
    assert clash(made, "surer", "W", NAPARI) is None  # its own
    assert clash(made, "undo", "Ctrl+Z", NAPARI) is None


def test_keys_are_remembered_and_rubbish_is_not(state_dir: object) -> None:
    Preferences.load().model_copy(update={"keys": {"surer": "F5"}}).save()
    assert Preferences.load().keys == {"surer": "F5"}
    Preferences.load().with_recent("x").save()
    assert Preferences.load().keys == {"surer": "F5"}


def test_every_action_has_a_default_key_and_something_to_do() -> None:
    rows = [*DEFAULT_KEYS, *NAPARI_KEYS]
    made = bindings(Session())
    assert [(b.id, b.group, b.words, b.key) for b in made] == rows
    assert len({row[0] for row in rows}) == len(rows)
    assert len({row[3] for row in rows}) == len(rows)
    assert all(callable(b.do) for b in made)


def test_actions_change_the_session_and_ask_for_what_a_window_does() -> None:
    session, asked = Session(), []
    do = {b.id: b.do for b in bindings(session, asked.append)}
    for name in ("surer", "tool.pleura", "merge", "style", "solo", "larger-brush", "keys-too"):
        do[name]()
    found = session.confidence, session.tool, session.merge, session.style, session.solo
    assert found == (65, Tool.PLEURA, Merge.RAISE, Style.CONTOURS, True)
    assert session.brush_size == 13
    do["carry.on"]()
    assert asked == ["keys", "carry.on"]
