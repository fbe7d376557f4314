"""Which confidences are used: the histogram, and a reminder that is no nuisance."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.usage import WINDOW, Reminder, histogram, stated
from napari_confseg.store import Stroke


def stroke(seq: int, confidence: int = 60, tool: str = "brush", **more: object) -> Stroke:
    return Stroke(
        seq=seq,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        class_index=2,
        frame=0,
        confidence=confidence,
        tool=tool,
    ).model_copy(update=more)


def test_what_counts_as_stated() -> None:
    strokes = [
        stroke(1, 30),
        stroke(2, 60),
        stroke(3, 90, class_index=1),
        stroke(4, 0, "erase"),
        stroke(5, 255, "exclude"),
        stroke(6, 60, "accept"),
        stroke(7, 60, undone=True),
        stroke(8, 0, "status"),
        stroke(9, 70, "propagate"),
        stroke(10, 80, "b-line"),
    ]
    assert stated(strokes) == [30, 60, 90, 80]
    assert stated(strokes, 2) == [30, 60, 80]
    assert stated([]) == []


@given(st.lists(st.integers(1, 100)))
def test_the_histogram_holds_every_stroke(values: list[int]) -> None:
    counts = histogram(values)
    assert (len(counts), sum(counts)) == (20, len(values))
    assert all(sum(5 * i < v <= 5 * i + 5 for v in values) == n for i, n in enumerate(counts))


def reminded(reminder: Reminder, confidences: list[int], place: object = "clip-1") -> list[int]:
    """After which strokes it speaks, one by one."""
    strokes: list[Stroke] = []
    reminder.update(place, strokes)
    found = []
    for i, confidence in enumerate(confidences, 1):
        strokes.append(stroke(i, confidence))
        if reminder.update(place, strokes) is not None:
            found.append(i)
    return found


def test_one_value_only_is_said_once_in_a_while() -> None:
    assert reminded(Reminder(), [60] * 65) == [WINDOW, 2 * WINDOW, 3 * WINDOW]
    assert reminded(Reminder(), [60, 65] * 40) == []
    assert reminded(Reminder(), [60] * 10 + [61] + [60] * 19) == []
    assert reminded(Reminder(), [60] * 10 + [61] + [60] * 20) == [31]


def test_undo_other_clips_and_earlier_sittings() -> None:
    reminder = Reminder()
    old = [stroke(i) for i in range(1, 50)]
    assert reminder.update("a", old) is None  # what was there when the clip was opened
    assert reminder.update("a", [*old[:-1], stroke(49, undone=True)]) is None  # undo is no stroke
    assert reminded(reminder, [60] * 12, "b") == []
    assert reminded(reminder, [60] * 12, "c") == [8]  # one sitting, whatever clip
    erasing = Reminder()
    erasing.update("a", [])
    assert all(
        erasing.update("a", [stroke(j, 0, "erase") for j in range(1, i)]) is None
        for i in range(2, 60)
    )
