"""The state of saving in words: one short line that is always in sight."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from napari_confseg.store import SaveState


class Light(StrEnum):
    """How well things stand; shown by colour, symbol and words, never by colour alone."""

    IDLE = "idle"
    SAVED = "saved"
    WAITING = "waiting"
    LOCKED = "locked"
    LOST = "lost"


@dataclass(frozen=True)
class Saying:
    """What to show: the light, a line of a few words, and a sentence that explains."""

    light: Light
    line: str
    detail: str = ""


def _strokes(n: int) -> str:
    return "1 stroke" if n == 1 else f"{n} strokes"


def _clock(time: datetime, *, seconds: bool = True) -> str:
    return time.astimezone().strftime("%H:%M:%S" if seconds else "%H:%M")


def say(state: SaveState | None) -> Saying:
    """Return `state` in words. Worst things first; None means that no clip is open."""
    if state is None:
        return Saying(Light.IDLE, "No clip open")
    if state.unsaved:
        return Saying(
            Light.LOST,
            f"NOT SAVED: {_strokes(state.unsaved)}",
            f"This computer's disk takes no more: {state.problem or 'unknown reason'}. "
            "Keep this window open, free some space, and painting is saved at once.",
        )
    if state.read_only:
        return _say_read_only(state)
    if state.problem:
        line = f"{_strokes(state.waiting)} waiting" if state.waiting else "Store out of reach"
        return Saying(
            Light.WAITING,
            f"{line}: {state.problem}",
            "Your strokes are safe on this computer and reach the store as soon as it is back. "
            "You can go on painting.",
        )
    if state.saved_at is None:
        return Saying(Light.SAVED, "Nothing to save yet", "Every stroke is saved as you make it.")
    behind = f" {_strokes(state.waiting)} on the way to the store." if state.waiting else ""
    return Saying(
        Light.SAVED,
        f"Saved {_clock(state.saved_at)}",
        f"Every stroke is safe on disk before this line says so.{behind}",
    )


def _say_read_only(state: SaveState) -> Saying:
    holder = state.holder
    if holder is None:
        return Saying(
            Light.LOCKED,
            f"Read-only: {state.problem}" if state.problem else "Read-only",
            "You can look, but not paint.",
        )
    return Saying(
        Light.LOCKED,
        f"Read-only: {holder.name} holds it, since {_clock(holder.since, seconds=False)}",
        f"{holder.name} paints here on {holder.host} (process {holder.pid}). "
        "Close the clip there, then take over here.",
    )
