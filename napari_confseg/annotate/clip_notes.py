"""The reader's notes on the open clip."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal
from pydantic import ValidationError

from napari_confseg.annotate.save_state import why_read_only
from napari_confseg.store import ClipNotes, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.store import RaterWriter


class NotesEditor:
    """Changes what the reader notes on a clip as a whole; saved as it changes."""

    changed: ClassVar[Signal] = Signal(ClipNotes)
    refused: ClassVar[Signal] = Signal(str)
    """A change was refused; emitted with the reason."""

    def __init__(self) -> None:
        self._writer: RaterWriter | None = None

    def open(self, writer: RaterWriter) -> None:
        """Take the notes of `writer`, which is the caller's to close."""
        self._writer = writer

    def close(self) -> None:
        """Let go of the notes."""
        self._writer = None

    @property
    def current(self) -> ClipNotes:
        """The notes, with what is on its way to the store; empty ones if no clip is open."""
        return ClipNotes() if self._writer is None else self._writer.clip_notes

    def update(self, **changes: object) -> bool:
        """Change fields of :class:`~napari_confseg.store.ClipNotes`; safe when this returns.

        Returns
        -------
        bool
            False if it is refused.
        """
        why = why_read_only(None if self._writer is None else self._writer.state)
        if self._writer is None or why:
            return self._refuse(why)
        try:
            notes = self._writer.change_notes(**changes)
        except ValidationError as error:
            e = error.errors()[0]
            return self._refuse(f"Not kept: {'.'.join(map(str, e['loc']))}: {e['msg']}")
        except StoreError as error:
            return self._refuse(str(error.problems[0]))
        self.changed.emit(notes)
        return True

    def _refuse(self, reason: str) -> bool:
        self.refused.emit(reason)
        return False

    def keep_seconds(self, seconds: Mapping[int, float]) -> None:
        """Keep the active seconds of each frame; nothing where the clip is read-only."""
        if self._writer is not None and not self._writer.state.read_only:
            # Somebody who took over meanwhile keeps a time of their own.
            with suppress(StoreError):
                self.changed.emit(self._writer.change_notes(seconds=dict(seconds)))
