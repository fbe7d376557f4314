"""The state of saving, described in a line and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from napari_confseg.store import SaveState


class SaveCondition(StrEnum):
    """How safe the strokes are; shown by colour, symbol and words, never by colour alone."""

    IDLE = "idle"
    SAVED = "saved"
    WAITING = "waiting"
    LOCKED = "locked"
    LOST = "lost"


@dataclass(frozen=True)
class SaveDescription:
    """A condition, a line of a few words, and a sentence that explains."""

    condition: SaveCondition
    line: str
    detail: str = ""


def _strokes(n: int) -> str:
    return "1 stroke" if n == 1 else f"{n} strokes"


def _clock(time: datetime, *, seconds: bool = True) -> str:
    return time.astimezone().strftime("%H:%M:%S" if seconds else "%H:%M")


def describe(state: SaveState | None) -> SaveDescription:
    """Return `state` in words. Worst things first; None means that no clip is open."""
    if state is None:
        return SaveDescription(SaveCondition.IDLE, "No clip open")
    if state.unsaved:
        return SaveDescription(
            SaveCondition.LOST,
            f"NOT SAVED: {_strokes(state.unsaved)}",
            f"This computer's disk takes no more: {state.problem or 'unknown reason'}. "
            "Keep this window open, free some space, and painting is saved at once.",
        )
    if state.read_only:
        return _describe_read_only(state)
    if state.problem:
        line = f"{_strokes(state.waiting)} waiting" if state.waiting else "Store out of reach"
        return SaveDescription(
            SaveCondition.WAITING,
            f"{line}: {state.problem}",
            "Your strokes are safe on this computer and reach the store as soon as it is back. "
            "You can go on painting.",
        )
    if state.saved_at is None:
        return SaveDescription(
            SaveCondition.SAVED, "Nothing to save yet", "Every stroke is saved as you make it."
        )
    behind = f" {_strokes(state.waiting)} on the way to the store." if state.waiting else ""
    return SaveDescription(
        SaveCondition.SAVED,
        f"Saved {_clock(state.saved_at)}",
        f"Every stroke is safe on disk before this line changes.{behind}",
    )


def _describe_read_only(state: SaveState) -> SaveDescription:
    holder = state.holder
    if holder is None:
        return SaveDescription(
            SaveCondition.LOCKED,
            f"Read-only: {state.problem}" if state.problem else "Read-only",
            "You can look, but not paint.",
        )
    return SaveDescription(
        SaveCondition.LOCKED,
        f"Read-only: {holder.name} holds it, since {_clock(holder.since, seconds=False)}",
        f"{holder.name} paints here on {holder.host} (process {holder.pid}). "
        "Close the clip there, then take over here.",
    )
