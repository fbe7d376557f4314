"""The panel's keys: which key does what, none of them napari's.

Keys work wherever the focus is in the window but in a text field, and show in tooltips, on the page
of keys and in ``docs/keys.md``. Painting tools keep napari's own keys.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final

from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QAction, QKeySequence, QShortcut

from napari_confseg.annotate.confidence_words import stepped
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.review.actions import GROUP as REVIEW
from napari_confseg.annotate.review.actions import review_actions
from napari_confseg.annotate.shortcuts import Binding, settled
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.view import Style, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QWidget

    from napari_confseg.annotate.review.model import Review
    from napari_confseg.annotate.session import Session


SAVING, _VIEW, _TOOLS = "Tools that save work", "View", "Tools"


def work_bindings(session: Session, ask: Callable[[str], object]) -> list[Binding]:
    """Return the actions of the tools that save work.

    Parameters
    ----------
    session : Session
        What they act on.
    ask : callable
        Is asked, by the action's id, for what takes long and runs beside the event loop.
    """
    toolkit = session.toolkit

    def taking(tool: Tool) -> Callable[[], object]:
        return lambda: toolkit.marker.take(tool)

    def asking(name: str) -> Callable[[], object]:
        return lambda: ask(name)

    return [
        Binding("tool.b-line", _TOOLS, "B-line tool", "Shift+B", taking(Tool.B_LINE)),
        Binding("tool.pleura", _TOOLS, "Pleura tool", "Shift+R", taking(Tool.PLEURA)),
        Binding("tool.smart-edge", _TOOLS, "Smart edge tool", "Shift+E", taking(Tool.SMART_EDGE)),
        Binding(
            "merge",
            _TOOLS,
            "Over marks: replace, raise only, lower only",
            "Shift+M",
            lambda: setattr(session, "merge", following(session.merge)),
        ),
        Binding(
            "carry.next",
            SAVING,
            "Carry marks to the next frame",
            "Shift+Right",
            asking("carry.next"),
        ),
        Binding(
            "carry.previous",
            SAVING,
            "Carry marks to the previous frame",
            "Shift+Left",
            asking("carry.previous"),
        ),
        Binding(
            "carry.on",
            SAVING,
            "Carry marks on through the clip",
            "Ctrl+Shift+Right",
            asking("carry.on"),
        ),
        Binding(
            "carry.back",
            SAVING,
            "Carry marks back through the clip",
            "Ctrl+Shift+Left",
            asking("carry.back"),
        ),
        Binding(
            "interpolate",
            SAVING,
            "Fill the gap between two painted frames",
            "Shift+I",
            asking("interpolate"),
        ),
        Binding("copy", SAVING, "Copy the marks of this frame", "Shift+C", toolkit.copy),
        Binding("paste", SAVING, "Paste them onto this frame", "Shift+D", toolkit.paste),
        Binding(
            "clip-to-sector",
            SAVING,
            "Take away what lies outside the sector",
            "Shift+O",
            toolkit.clip_to_sector,
        ),
        Binding(
            "lock",
            _VIEW,
            "Lock or unlock the class being marked",
            "Shift+F",
            lambda: setattr(session, "locked", session.locked ^ {session.class_name}),
        ),
        Binding(
            "solo",
            _VIEW,
            "Show only the class being marked, or all again",
            "Shift+Q",
            lambda: setattr(session, "solo", not session.solo),
        ),
    ]


_ORDER: Final = tuple(Merge)


def following(rule: Merge) -> Merge:
    """Return the merge rule after `rule`, round and round."""
    return _ORDER[(_ORDER.index(rule) + 1) % len(_ORDER)]


CLASS_KEYS: Final = (
    "G",
    "H",
    "J",
    "K",
    "N",
    "U",
    "Shift+G",
    "Shift+H",
    "Shift+J",
    "Shift+K",
    "Shift+N",
    "Shift+U",
)
ANCHOR_KEYS: Final = ("8", "9", "0", "Shift+8", "Shift+9", "Shift+0")
STEP: Final = 5
"""Percent that a key moves the confidence by."""

MARK, SURE, TOOLS, FRAMES, CLIPS, VIEW, HELP = (
    "What",
    "How sure",
    "Tools",
    "Frames",
    "Clips",
    "View",
    "Help",
)
"""Groups on the page of keys."""

TOOL_KEYS: Final = {"erase": "1", "brush": "2", "polygon": "3", "fill": "4", "pan": "6"}
"""napari's own keys of the tools; the panel answers them too when it has the focus."""

ON_CANVAS: Final = (
    ("Left / Right", "Previous / next frame"),
    ("Space, held", "Move the picture"),
    ("X", "Change between painting and erasing"),
    ("- / =", "Confidence 1 % less / more"),
    ("5", "Take the confidence under the mouse"),
    ("Esc", "Drop a polygon that is not finished"),
)
"""What napari's own keys do on the canvas, for the page of keys."""


def napari_keys() -> dict[str, str]:
    """Return what napari does with its keys now, whatever layer or tool is active."""
    found: dict[str, list[str]] = {}
    for name, keys in get_settings().shortcuts.shortcuts.items():
        action = action_manager._actions.get(name)
        words = action.description.splitlines()[0] if action else name.removeprefix("napari:")
        for key in keys:
            found.setdefault(normal(str(key)), []).append(words)
    return {key: "; ".join(dict.fromkeys(words)) for key, words in found.items()}


def menu_keys(window: QWidget) -> dict[str, str]:
    """Return what the menus of napari's window do with their keys."""
    actions = [a for a in window.findChildren(QAction) if not a.shortcut().isEmpty()]
    return {a.shortcut().toString(): f"menu, {a.text().replace('&', '')}" for a in actions}


def normal(key: str) -> str:
    """Return `key` as Qt writes it, so that two spellings of one key are equal."""
    spelled = key.replace("PageDown", "PgDown").replace("PageUp", "PgUp").replace("Enter", "Return")
    return str(QKeySequence(spelled).toString())


def _of_cohort(session: Session) -> list[Binding]:
    def setting(name: str, value: object) -> Callable[[], object]:
        return lambda: setattr(session, name, value)

    anchors = session.cohort.meta.anchors if session.cohort else ()
    made = [
        Binding(
            f"confidence.{a.value}",
            SURE,
            f"Confidence {a.value} %: {a.word}",
            normal(a.key or ""),
            setting("confidence", a.value),
            ANCHOR_KEYS,
        )
        for a in anchors
    ]
    made += [
        Binding(
            f"class.{c.name}",
            MARK,
            f"Mark {c.label}",
            normal(c.key or ""),
            setting("class_name", c.name),
            CLASS_KEYS,
        )
        for c in session.classes
    ]
    return made


def _fixed(session: Session, show_keys: Callable[[], object]) -> list[Binding]:
    def step(by: int) -> Callable[[], object]:
        return lambda: setattr(session, "confidence", stepped(session.confidence, by))

    def flip(name: str) -> Callable[[], object]:
        return lambda: setattr(session, name, not getattr(session, name))

    def size(by: int) -> Callable[[], object]:
        return lambda: setattr(session, "brush_size", min(max(session.brush_size + by, 1), 400))

    def next_style() -> None:
        styles = list(Style)
        session.style = styles[(styles.index(session.style) + 1) % len(styles)]

    def tool(name: str) -> Callable[[], object]:
        return lambda: setattr(session, "tool", name)

    made = [
        Binding("surer", SURE, f"Surer by {STEP} %", "W", step(STEP)),
        Binding("less-sure", SURE, f"Less sure by {STEP} %", "Q", step(-STEP)),
        Binding(
            "reviewed",
            FRAMES,
            "This frame is reviewed in all classes; again: it is not",
            "Shift+Return",
            session.toggle_reviewed,
        ),
        Binding(
            "class-reviewed",
            FRAMES,
            "The same for the class being marked",
            "Ctrl+Return",
            lambda: session.toggle_reviewed(session.class_name),
        ),
        Binding(
            "next-open",
            FRAMES,
            "Next frame that is not reviewed",
            "PgDown",
            session.next_unreviewed,
        ),
        Binding(
            "previous-open",
            FRAMES,
            "Previous frame that is not reviewed",
            "PgUp",
            lambda: session.next_unreviewed(-1),
        ),
        Binding(
            "play", FRAMES, "Play or stop, at the clip's true rate", "Shift+Space", flip("playing")
        ),
        Binding("peek", VIEW, "Hide or show all marks", "Shift+W", flip("marks_shown")),
        Binding(
            "style", VIEW, "My marks as fill, contours, hatching, in turn", "Shift+S", next_style
        ),
        Binding("keys", HELP, "The page of keys", "F1", show_keys),
        Binding("keys-too", HELP, "The page of keys", "?", show_keys),
        Binding(
            "undo",
            TOOLS,
            "Undo, also what was done in an earlier sitting",
            "Ctrl+Z",
            session.undo,
            napari_too=True,
        ),
        Binding("redo", TOOLS, "Redo", "Ctrl+Shift+Z", session.redo, napari_too=True),
        Binding("smaller-brush", TOOLS, "Smaller brush", "[", size(-1), napari_too=True),
        Binding("larger-brush", TOOLS, "Larger brush", "]", size(1), napari_too=True),
    ]
    names = {"pan": "Move"}
    made += [
        Binding(
            f"tool.{name}",
            TOOLS,
            f"{names.get(name, name.capitalize())} tool",
            key,
            tool(name),
            napari_too=True,
        )
        for name, key in TOOL_KEYS.items()
    ]
    made += [Binding("tool.exclude", TOOLS, "Exclude tool", "Shift+X", tool("exclude"))]
    return made


def _of_list(ask: Callable[[str], object]) -> list[Binding]:
    return [
        Binding(
            "next-clip", CLIPS, "Next clip of the list", "Ctrl+PgDown", lambda: ask("next-clip")
        ),
        Binding(
            "previous-clip",
            CLIPS,
            "Previous clip of the list",
            "Ctrl+PgUp",
            lambda: ask("previous-clip"),
        ),
    ]


def bindings(
    session: Session,
    own: Mapping[str, str] | None = None,
    show_keys: Callable[[], object] = lambda: None,
    ask: Callable[[str], object] = lambda _name: None,
    review: Review | None = None,
) -> list[Binding]:
    """Return every action of this panel and of Review with its key, for the cohort that is open.

    One settling for both, so that no key does two things where both panels are open.

    Parameters
    ----------
    session : Session
        What they act on.
    own : mapping of str to str, optional
        Keys that the person chose, by id.
    show_keys : callable
        Shows the page of keys.
    ask : callable
        Is asked, by id, for actions that take long.
    review : Review, optional
        What the actions of the group "Review" act on.
    """
    made = [
        *_of_cohort(session),
        *_fixed(session, show_keys),
        *work_bindings(session, ask),
        *_of_list(ask),
        *review_actions(review),
    ]
    return settled(made, own or {}, napari_keys())


class ShortcutManager(QObject):  # type: ignore[misc]
    """Binds the keys to a window and a panel in it.

    Parameters
    ----------
    session : Session
        What they act on.
    panel : QWidget
        Keys that are napari's too work while this has the focus; it owns this object.

    Attributes
    ----------
    page_wanted : Signal
        The page of keys is asked for.
    work_wanted : Signal of str
        An action that takes long is asked for, by its id.
    changed : Signal of dict of str to str
        The key of every action, by id, when they were bound anew.
    """

    page_wanted = Signal()
    work_wanted = Signal(str)
    changed = Signal(object)

    def __init__(self, session: Session, panel: QWidget) -> None:
        super().__init__(panel)
        # Weakly: a key must not keep a closed window alive.
        self._window: weakref.ref[QWidget] | None = None
        self._session = session
        self._panel = panel
        self._shortcuts: list[QShortcut] = []

    def bindings(self) -> list[Binding]:
        """Return every action with the key it has for this person and cohort."""
        weak = weakref.ref(self)  # shortcuts keep their tool_actions

        def show_page() -> None:
            alive = weak()
            if alive is not None:
                alive.page_wanted.emit()

        def ask(name: str) -> None:
            alive = weak()
            if alive is not None:
                alive.work_wanted.emit(name)

        return bindings(self._session, Preferences.load().keys, show_page, ask)

    def taken(self) -> dict[str, str]:
        """Return the keys that no class or word of a cohort can have, and what they do."""
        fixed = {b.key: b.words for b in self.bindings() if not b.pool and b.key}
        return {**fixed, **napari_keys()}

    def keep(self, own: Mapping[str, str]) -> None:
        """Remember the person's own keys, by id, and bind them."""
        Preferences.load().model_copy(update={"keys": dict(own)}).save()
        window = self._window() if self._window else None
        if window is not None:
            self.bind(window)
        self._session.keys_changed.emit()

    def bind(self, window: QWidget) -> None:
        """Bind the keys of the open cohort, in place of those bound before."""
        self.release()
        self._window = weakref.ref(window)
        made = self.bindings()
        for binding in made:
            if not binding.key or binding.group == REVIEW:  # which that panel binds
                continue
            home = self._panel if binding.napari_too else window
            shortcut = QShortcut(QKeySequence(binding.key), home)
            shortcut.setContext(
                Qt.ShortcutContext.WidgetWithChildrenShortcut
                if binding.napari_too
                else Qt.ShortcutContext.WindowShortcut
            )
            shortcut.activated.connect(binding.do)
            self._shortcuts.append(shortcut)
        self.changed.emit({b.id: b.key for b in made})

    def release(self) -> None:
        """Bind nothing any more."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []
