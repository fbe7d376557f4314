"""Classes and words as typed: problems named, warnings given, colours checked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_confseg.annotate.cohort_draft import (
    EXCLUDED_GREY,
    PALETTES,
    TOO_CLOSE,
    AnchorRow,
    ClassRow,
    Palette,
    confusable,
    drafted,
    next_color,
    rows_of,
    seen,
)
from napari_confseg.store import DEFAULT_CLASSES, CohortMeta

META = CohortMeta(name="toy")


def test_unchanged_is_unchanged() -> None:
    draft = drafted(META, *rows_of(META))
    assert (draft.meta, draft.problems, draft.warnings) == (META, (), ())


def test_labels_colours_words_and_a_new_class() -> None:
    classes, anchors = rows_of(META)
    classes[0] = replace(classes[0], label=" Pleura ", color="#E69F00", key="F7")
    classes += [ClassRow("B-line", "#bbbbbb"), ClassRow("Sub-pleural cyst", "#332288")]
    classes[-2] = replace(classes[-2], label="B line")
    anchors.insert(0, AnchorRow("75", "likely", "", " A line that breaks up but goes on. "))
    new = drafted(META, classes, anchors).meta
    assert new is not None
    assert [c.name for c in new.classes[6:]] == ["b-line-2", "sub-pleural-cyst"]
    assert [c.index for c in new.classes] == list(range(8))
    assert (new.classes[0].label, new.classes[0].color) == ("Pleura", "#e69f00")
    assert [a.value for a in new.anchors] == [30, 60, 75, 90]
    assert new.anchors[2].example == "A line that breaks up but goes on."
    assert new.cohort_id == META.cohort_id


@pytest.mark.parametrize(
    ("which", "row", "words"),
    [
        (0, ClassRow("", "#ffffff"), "1 to 80"),
        (0, ClassRow("B-line", "#ffffff"), "Two classes are called B-line"),
        (0, ClassRow("—", "#ffffff"), "a letter or a digit"),
        (0, ClassRow("Cyst", "red"), "six hexadecimal"),
        (0, ClassRow("Cyst", "#ffffff", "a b"), "no space"),
        (0, ClassRow("Cyst", "#ffffff", "9"), "both want the key 9"),
        (1, AnchorRow("0", "no"), "1 to 100"),
        (1, AnchorRow("x", "no"), "1 to 100"),
        (1, AnchorRow("60", "so"), "Two words stand for 60"),
        (1, AnchorRow("75", " "), "1 to 40"),
        (1, AnchorRow("75", "so", "", "x" * 201), "at most 200"),
    ],
)
def test_problems_are_named(which: int, row: object, words: str) -> None:
    rows = rows_of(META)
    rows[which].append(row)  # type: ignore[arg-type]
    draft = drafted(META, *rows)
    assert draft.meta is None
    assert any(words in p for p in draft.problems), draft.problems


def test_no_class_goes_and_some_word_stays() -> None:
    classes, anchors = rows_of(META)
    assert "stay in place" in drafted(META, classes[1:], anchors).problems[0]
    assert "At least one word" in drafted(META, classes, []).problems[0]


def test_warnings_may_stay() -> None:
    classes, anchors = rows_of(META)
    classes[0] = replace(classes[0], color="#2ca02c", key="P")
    classes[2] = replace(classes[2], color="#d62728")
    draft = drafted(META, classes, anchors, {"P": "Activate the paint brush"})
    assert draft.meta is not None
    assert any("Pleural line and B-line look alike with deuteranopia" in w for w in draft.warnings)
    assert any("paint brush" in w for w in draft.warnings)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
def test_the_palettes_are_what_they_promise(palette) -> None:  # type: ignore[no-untyped-def]
    assert confusable(palette.colors) == []
    assert len(set(palette.colors)) == len(palette.colors)


def test_colours_that_are_known_to_be_confused() -> None:
    tab10 = ["#ff7f0e", "#2ca02c", "#1f77b4"]
    assert confusable(tab10) == [(0, 1, "protanopia")]
    assert confusable(["#101010", "#121212"]) == [(0, 1, "any sight")]
    assert confusable([]) == confusable(["#000000"]) == []
    # Greys stay grey: the rows of the matrices add up to one.
    assert abs(seen(["#808080"], "deuteranopia") - seen(["#808080"], "any sight")).max() < 0.01
    assert {c.color for c in DEFAULT_CLASSES} <= set(PALETTES[0].colors)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
def test_twelve_classes_have_colours_of_their_own(palette: Palette) -> None:
    colors: list[str] = []
    for _ in range(12):
        colors.append(next_color(colors, palette))
    assert colors[: len(palette.colors)] == list(palette.colors)
    grey = rgb2lab(seen([EXCLUDED_GREY], "any sight"))
    lab = rgb2lab(seen(colors, "any sight"))
    assert deltaE_ciede2000(lab, grey).min() > TOO_CLOSE
    assert not [pair for pair in confusable(colors) if pair[2] == "any sight"]


def test_a_label_in_any_script_becomes_a_class() -> None:
    meta = CohortMeta(name="toy", classes=DEFAULT_CLASSES[:1])
    classes, anchors = rows_of(meta)
    made = drafted(
        meta, [*classes, ClassRow("胸膜线", "#332288"), ClassRow("B线", "#56b4e9")], anchors
    )
    assert not made.problems
    assert made.meta is not None
    assert [c.label for c in made.meta.classes[1:]] == ["胸膜线", "B线"]
    assert len({c.name for c in made.meta.classes}) == 3
