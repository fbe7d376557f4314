"""Keys of the tools that save work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_confseg.annotate.keymap import Binding
from napari_confseg.annotate.toolkit import Toolkit
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.view import Tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.session import Session

SAVING, VIEW, TOOLS = "Tools that save work", "View", "Tools"


def work_bindings(session: Session, ask: Callable[[str], object]) -> list[Binding]:
    """Return the actions of the tools that save work.

    Parameters
    ----------
    session : Session
        What they act on.
    ask : callable
        Is asked, by the action's id, for what takes long and runs beside the event loop.
    """
    kit = Toolkit(session)

    def taking(tool: Tool) -> Callable[[], object]:
        return lambda: kit.take(tool)

    def asking(name: str) -> Callable[[], object]:
        return lambda: ask(name)

    return [
        Binding("tool.b-line", TOOLS, "B-line tool", "Shift+B", taking(Tool.B_LINE)),
        Binding("tool.pleura", TOOLS, "Pleura tool", "Shift+R", taking(Tool.PLEURA)),
        Binding("tool.smart-edge", TOOLS, "Smart edge tool", "Shift+E", taking(Tool.SMART_EDGE)),
        Binding("merge", TOOLS, "Over marks: replace, raise only, lower only", "Shift+M",
                lambda: setattr(session, "merge", following(session.merge))),
        Binding("carry.next", SAVING, "Carry marks to the next frame", "Shift+Right",
                asking("carry.next")),
        Binding("carry.previous", SAVING, "Carry marks to the previous frame", "Shift+Left",
                asking("carry.previous")),
        Binding("carry.on", SAVING, "Carry marks on through the clip", "Ctrl+Shift+Right",
                asking("carry.on")),
        Binding("carry.back", SAVING, "Carry marks back through the clip", "Ctrl+Shift+Left",
                asking("carry.back")),
        Binding("interpolate", SAVING, "Fill the gap between two painted frames", "Shift+I",
                asking("interpolate")),
        Binding("copy", SAVING, "Copy the marks of this frame", "Shift+C", kit.copy),
        Binding("paste", SAVING, "Paste them onto this frame", "Shift+D", kit.paste),
        Binding("clip-to-sector", SAVING, "Take away what lies outside the sector", "Shift+O",
                kit.clip_to_sector),
        Binding("lock", VIEW, "Lock or unlock the class being marked", "Shift+F",
                lambda: setattr(session, "locked", session.locked ^ {session.class_name})),
        Binding("solo", VIEW, "Show only the class being marked, or all again", "Shift+Q",
                lambda: setattr(session, "solo", not session.solo)),
    ]  # fmt: skip


_ORDER: Final = tuple(Merge)


def following(rule: Merge) -> Merge:
    """Return the merge rule after `rule`, round and round."""
    return _ORDER[(_ORDER.index(rule) + 1) % len(_ORDER)]
