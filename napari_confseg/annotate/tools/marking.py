"""Mouse tools beyond the brush: bands and smart edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.annotate.tools.bands import b_line_band, pleura_band
from napari_confseg.annotate.tools.merging import Change, edit_from, merged
from napari_confseg.annotate.tools.snapping import region_of, snapped
from napari_confseg.annotate.view import BAND_TOOLS, Tool
from napari_confseg.readouts import Beams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.tools.bands import Point
    from napari_confseg.store import Clip, ClipMeta, Stroke

SNAP_REACH = 0.03
"""How far a smart edge may move, as a share of the frame's shorter side."""


NOTHING_BY_RULE = "Nothing changed: by the merge rule what is there stays."


class Marker:
    """Marks the frame on show; each mark is one edit, under the session's merge rule.

    Parameters
    ----------
    session : Session
        What is annotated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: tuple[Clip, ClipMeta] | None = None
        self._beams: Beams | None = None
        self._picture: tuple[int, NDArray[np.uint8]] | None = None

    @property
    def beams(self) -> Beams:
        """The beams of the clip that is open."""
        clip = self.clip
        if self._beams is None:
            self._beams = Beams.of(clip.meta, clip.shape)
        return self._beams

    @property
    def picture(self) -> NDArray[np.uint8]:
        """The frame on show, ``uint8 (Y, X)``."""
        clip, frame = self.clip, self._session.view().frame
        if self._picture is None or self._picture[0] != frame:
            self._picture = frame, np.asarray(clip.frames[frame])
        return self._picture[1]

    @property
    def clip(self) -> Clip:
        """The open clip; ``ValueError`` if there is none."""
        clip = self._session.clip
        if clip is None:
            raise ValueError("open a clip before using a tool on it")
        if self._seen is None or self._seen[0] is not clip or self._seen[1] is not clip.meta:
            self._seen, self._beams, self._picture = (clip, clip.meta), None, None
        return clip

    def take(self, tool: Tool) -> None:
        """Take `tool` in hand; a tool named like a class is for that class at first."""
        session = self._session
        if tool in BAND_TOOLS and any(c.name == tool for c in session.classes):
            session.class_name = tool.value
        session.tool = tool

    def band(self, tool: Tool, first: Point, second: Point, *, straight: bool) -> NDArray[np.uint8]:
        """Return the proposal ``uint8 (Y, X)`` of the B-line or the pleura tool for two clicks.

        Parameters
        ----------
        tool : Tool
            ``Tool.B_LINE`` or ``Tool.PLEURA``.
        first, second : tuple of float
            Pixels (y, x).
        straight : bool
            The pleura tool shall not follow the brightest line but go evenly.
        """
        session, beams = self._session, self.beams
        width = session.band_widths.of(tool.value, beams.unit)
        if tool is Tool.B_LINE:
            return b_line_band(beams, first, second, width=width, confidence=session.confidence)
        return pleura_band(
            beams,
            first,
            second,
            width=width,
            confidence=session.confidence,
            frame=None if straight else self.picture,
        )

    def b_line(self, first: Point, second: Point) -> Stroke | None:
        """Paint a B-line: its edges, or two points of its middle, or twice the same point."""
        band = self.band(Tool.B_LINE, first, second, straight=True)
        return self._paint_here(band, Tool.B_LINE)

    def pleura(self, first: Point, second: Point, *, straight: bool | None = None) -> Stroke | None:
        """Paint the pleural line between two points; `straight` as the session has it, if None."""
        straight = not self._session.follow_bright if straight is None else straight
        return self._paint_here(
            self.band(Tool.PLEURA, first, second, straight=straight), Tool.PLEURA
        )

    def snap(self, corners: Sequence[Point]) -> Stroke | None:
        """Paint the region of a rough polygon after its edge has settled on the picture's."""
        session = self._session
        shape = self.clip.shape[1:]
        if len(corners) < 3:
            session.message = "A smart edge needs at least 3 corners."
            return None
        proposal = snapped(
            self.picture,
            region_of(corners, shape),
            band=max(SNAP_REACH * min(shape), 3.0),
            confidence=session.confidence,
            inside=self.beams.inside,
        )
        return self._paint_here(proposal, Tool.SMART_EDGE)

    def _paint_here(self, proposal: NDArray[np.uint8], tool: Tool) -> Stroke | None:
        session = self._session
        session.playing = False
        if not session.view().editable:
            label = session.classes[session.class_index()].label
            why = "is locked" if session.class_name in session.locked else "is hidden"
            session.message = (
                f"{label} {why}." if session.writable else session.editor.why_read_only
            )
            return None
        if not proposal.any():
            session.message = "Nothing was marked: that lies outside the sector."
            return None
        return self.mark_here({session.class_index(): proposal}, session.confidence, tool.value)

    def mark_here(
        self, proposals: Mapping[int, NDArray[np.uint8]], confidence: int, tool: str
    ) -> Stroke | None:
        """Commit proposals, by class index, for the frame on show."""
        session = self._session
        frame = session.view().frame
        changes = [
            Change(c, frame, before, merged(before, proposal, session.merge))
            for c, proposal in proposals.items()
            for before in [session.planes[session.classes[c].name][frame]]
        ]
        class_index = next(iter(proposals))
        edit = edit_from(
            changes, confidence=confidence, tool=tool, class_index=class_index, frame=frame
        )
        if edit is None:
            session.message = NOTHING_BY_RULE
        return session.commit(edit) if edit else None
