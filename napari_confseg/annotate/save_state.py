"""The state of saving, described in a line and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from napari_confseg.store import SaveState


READ_ONLY: Final = "This clip is read-only here."


class SaveCondition(StrEnum):
    """How safe the strokes are; shown by colour, symbol and words, never by colour alone."""

    IDLE = "idle"
    SAVED = "saved"
    WAITING = "waiting"
    LOCKED = "locked"
    CONTESTED = "contested"
    LOST = "lost"


@dataclass(frozen=True)
class SaveDescription:
    """A condition, a line of a few words, and a sentence that explains.

    `held` says whether somebody else writes the clip.
    """

    condition: SaveCondition
    line: str
    detail: str = ""
    held: bool = False


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
    holder, conflict = state.holder, state.conflict
    if holder is None and conflict is not None:
        return SaveDescription(
            SaveCondition.CONTESTED,
            f"Decide first: {_strokes(conflict.strokes)} not applied",
            f"{state.problem}." if state.problem else "",
        )
    if holder is None:
        return SaveDescription(
            SaveCondition.LOCKED,
            f"Read-only: {state.problem}" if state.problem else "Read-only",
            "You can look, but not paint."
            + (" This is tried again every few seconds." if state.may_pass else ""),
        )
    left = state.waiting if conflict is None else conflict.strokes
    safe = f"{_strokes(left)} of yours {_waits(left)} safely on this computer. " if left else ""
    since = _clock(holder.since, seconds=False)
    if state.taken_over:
        return SaveDescription(
            SaveCondition.LOCKED,
            f"{holder.name} on {holder.host} has taken over, since {since}",
            f"{safe}Close the clip there, then take over here. "
            "What meets newer strokes then is shown to you, and you decide.",
            held=True,
        )
    return SaveDescription(
        SaveCondition.LOCKED,
        f"Read-only: {holder.name} holds it, since {since}",
        f"{holder.name} paints here on {holder.host} (process {holder.pid}). {safe}"
        "Close the clip there, then take over here.",
        held=True,
    )


def _waits(n: int) -> str:
    return "waits" if n == 1 else "wait"


def why_read_only(state: SaveState | None) -> str:
    """Return in a sentence why nothing can be painted; empty if it can."""
    if state is None:
        return "Open a clip first."
    if not state.read_only:
        return ""
    holder = state.holder
    if holder is not None:
        who = f"{holder.name} on {holder.host}"
        since = _clock(holder.since, seconds=False)
        return f"This clip is read-only here: {who} has been painting it since {since}."
    if state.conflict is not None:
        return "Decide first which strokes to keep, at the foot of the Annotate panel."
    return f"This clip is read-only here: {state.problem}." if state.problem else READ_ONLY


def closing_words(state: SaveState | None) -> str:
    """Return what becomes of the person's marks if the window is closed now."""
    if state is not None and state.unsaved:
        return (
            f"NOT SAVED: {_strokes(state.unsaved)} would be lost. This computer's disk takes no "
            "more: free some space before you close."
        )
    if state is not None and state.waiting:
        saved = (
            f"{_strokes(state.waiting)} of yours {_waits(state.waiting)} safely on this computer, "
            "to go into the cohort when it is opened here again."
        )
    else:
        saved = "All that you marked is saved."
    return f"{saved} A training that is running goes on by itself."
