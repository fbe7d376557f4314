"""The panel's keys: which key does what, none of them napari's.

Keys work wherever the focus is in the window but in a text field, and show in tooltips and in
``docs/keys.md``. Painting tools keep napari's own keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari.settings import get_settings
from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence, QShortcut

from napari_confseg.annotate.words import stepped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qtpy.QtWidgets import QWidget

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Anchor, ClassSpec

CLASS_KEYS: Final = ("G", "H", "J", "K", "N", "U", "Shift+G", "Shift+H", "Shift+J", "Shift+K",
                     "Shift+N", "Shift+U")  # fmt: skip
ANCHOR_KEYS: Final = ("8", "9", "0", "Shift+8", "Shift+9", "Shift+0")
SURER, LESS_SURE = "W", "Q"
REVIEWED, CLASS_REVIEWED = "Shift+Return", "Ctrl+Return"
NEXT_OPEN, PREVIOUS_OPEN = "PgDown", "PgUp"
PLAY, PEEK = "Shift+Space", "Shift+W"
UNDO, REDO = "Ctrl+Z", "Ctrl+Shift+Z"
STEP: Final = 5
"""Percent that a key moves the confidence by."""

TOOL_KEYS: Final = {"erase": "1", "brush": "2", "polygon": "3", "fill": "4", "pan": "6"}
"""napari's own keys of the tools; the panel answers them too when it has the focus."""


@dataclass(frozen=True)
class Binding:
    """A key, what it does in words, and the deed.

    `napari_too` marks keys that are napari's and do the same here: they are bound in the panel
    alone, and napari's own binding serves the canvas.
    """

    key: str
    words: str
    do: Callable[[], object]
    napari_too: bool = False


def reserved() -> set[str]:
    """Return the keys that napari binds now, whatever layer or tool is active."""
    shortcuts = get_settings().shortcuts.shortcuts.values()
    return {normal(str(key)) for keys in shortcuts for key in keys}


def normal(key: str) -> str:
    """Return `key` as Qt writes it, so that two spellings of one key are equal."""
    spelled = key.replace("PageDown", "PgDown").replace("PageUp", "PgUp").replace("Enter", "Return")
    return str(QKeySequence(spelled).toString())


def assign(wished: Iterable[str | None], free: Sequence[str], taken: set[str]) -> list[str]:
    """Return a key for each of `wished`: its own if free, else the next of `free`, else none.

    Parameters
    ----------
    wished : iterable of str or None
        Keys that the cohort asks for.
    free : sequence of str
        Keys to give to those that ask for none, or for one that is taken.
    taken : set of str
        Keys given already; the new ones are added.
    """
    wishes = list(wished)
    keys = [""] * len(wishes)
    for i, wish in enumerate(wishes):
        if wish and normal(wish) and normal(wish) not in taken:
            keys[i] = normal(wish)
            taken.add(keys[i])
    for i, key in enumerate(keys):
        if not key:
            keys[i] = next((k for k in free if normal(k) not in taken), "")
            taken.add(normal(keys[i]))
    return keys


def cohort_keys(
    classes: Sequence[ClassSpec], anchors: Sequence[Anchor]
) -> tuple[dict[str, str], dict[int, str]]:
    """Return the key of each class (by name) and of each anchor (by value)."""
    fixed = (SURER, LESS_SURE, REVIEWED, CLASS_REVIEWED, NEXT_OPEN, PREVIOUS_OPEN, PLAY, PEEK)
    taken = reserved() | {normal(k) for k in (*fixed, UNDO, REDO)}
    levels = assign((a.key for a in anchors), ANCHOR_KEYS, taken)
    names = assign((c.key for c in classes), CLASS_KEYS, taken)
    return (
        {c.name: k for c, k in zip(classes, names, strict=True) if k},
        {a.value: k for a, k in zip(anchors, levels, strict=True) if k},
    )


def bindings(session: Session) -> list[Binding]:
    """Return every key of the panel for the cohort that is open."""
    anchors = session.cohort.meta.anchors if session.cohort else ()
    class_keys, anchor_keys = cohort_keys(session.classes, anchors)

    def setting(name: str, value: object) -> Callable[[], object]:
        return lambda: setattr(session, name, value)

    def step(by: int) -> Callable[[], object]:
        return lambda: setattr(session, "confidence", stepped(session.confidence, by))

    made = [Binding(class_keys[c.name], f"Mark {c.label}", setting("class_name", c.name))
            for c in session.classes if c.name in class_keys]  # fmt: skip
    made += [Binding(anchor_keys[a.value], f"Confidence {a.value} %: {a.word}",
                     setting("confidence", a.value))
             for a in anchors if a.value in anchor_keys]  # fmt: skip
    made += [
        Binding(SURER, f"Surer by {STEP} %", step(STEP)),
        Binding(LESS_SURE, f"Less sure by {STEP} %", step(-STEP)),
        Binding(REVIEWED, "Frame reviewed in all classes", session.toggle_reviewed),
        Binding(CLASS_REVIEWED, "Frame reviewed in this class",
                lambda: session.toggle_reviewed(session.class_name)),
        Binding(NEXT_OPEN, "Next unreviewed frame", session.next_unreviewed),
        Binding(PREVIOUS_OPEN, "Previous unreviewed frame", lambda: session.next_unreviewed(-1)),
        Binding(PLAY, "Play or stop", lambda: setattr(session, "playing", not session.playing)),
        Binding(PEEK, "Hide or show all marks",
                lambda: setattr(session, "marks_shown", not session.marks_shown)),
        Binding(UNDO, "Undo, also what was done in an earlier sitting", session.undo, True),
        Binding(REDO, "Redo", session.redo, True),
        Binding("[", "Smaller brush",
                lambda: setattr(session, "brush_size", max(session.brush_size - 1, 1)), True),
        Binding("]", "Larger brush",
                lambda: setattr(session, "brush_size", min(session.brush_size + 1, 400)), True),
    ]  # fmt: skip
    made += [Binding(key, f"{tool.capitalize()} tool", setting("tool", tool), True)
             for tool, key in TOOL_KEYS.items()]  # fmt: skip
    return made


class Keys(QObject):  # type: ignore[misc]
    """Binds the keys to a window and a panel in it.

    Parameters
    ----------
    session : Session
        What they act on.
    panel : QWidget
        Keys that are napari's too work while this has the focus; it owns this object.
    """

    def __init__(self, session: Session, panel: QWidget) -> None:
        super().__init__(panel)
        self._session = session
        self._panel = panel
        self._shortcuts: list[QShortcut] = []

    def bind(self, window: QWidget) -> None:
        """Bind the keys of the open cohort, in place of those bound before."""
        self.release()
        for binding in bindings(self._session):
            home = self._panel if binding.napari_too else window
            shortcut = QShortcut(QKeySequence(binding.key), home)
            shortcut.setContext(
                Qt.ShortcutContext.WidgetWithChildrenShortcut
                if binding.napari_too
                else Qt.ShortcutContext.WindowShortcut
            )
            shortcut.activated.connect(binding.do)
            self._shortcuts.append(shortcut)

    def release(self) -> None:
        """Bind nothing any more."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []
