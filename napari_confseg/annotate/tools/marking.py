"""Mouse tools beyond the brush: bands and smart edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.segmentation import flood

from napari_confseg.annotate.tools.bands import b_line_band, pleura_band
from napari_confseg.annotate.tools.merging import Change, edit_from, merged
from napari_confseg.annotate.tools.snapping import region_of, snapped
from napari_confseg.annotate.view import BAND_TOOLS, Tool
from napari_confseg.readouts import Beams, is_known
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, NOT_MARKED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.tools.bands import Point
    from napari_confseg.store import Clip, ClipMeta, Stroke

SNAP_REACH = 0.03
"""How far a smart edge may move, as a share of the frame's shorter side."""


MOST_FILLED = 0.25
"""Share of the sector that one fill covers at most where nothing is marked yet."""

NOTHING_BY_RULE = "Nothing changed: by the merge rule what is there stays."
EXCLUDED_STAYS = "What is excluded stays so: erase it before you mark there."


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
        self._pointer: Callable[[], tuple[int, int] | None] = lambda: None

    def point_with(self, pointer: Callable[[], tuple[int, int] | None]) -> None:
        """Ask `pointer` for the pixel (y, x) under the mouse; None is beside the picture."""
        self._pointer = pointer

    def pointed(self) -> tuple[int, int] | None:
        """Return the pixel (y, x) under the mouse; None beside the picture."""
        return self._pointer()

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

    def swap(self) -> None:
        """Change between painting and erasing."""
        erasing = self._session.tool is Tool.ERASE
        self.take(Tool.BRUSH if erasing else Tool.ERASE)

    def pick(self) -> None:
        """Take the confidence under the mouse for the next strokes."""
        session, at = self._session, self._pointer()
        plane = session.planes.get(session.class_name)
        found = int(plane[session.view().frame][at]) if plane is not None and at else 0
        if 0 < found <= MAX_CONFIDENCE:
            session.confidence = found
        else:
            label = session.classes[session.class_index()].label if session.cohort else "this class"
            session.message = f"Nothing of {label} is marked under the mouse."

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

    def fill(
        self, at: tuple[int, int], frame: int, class_name: str, confidence: int
    ) -> Stroke | None:
        """Give the area of one value around a pixel `confidence`.

        Only within the sector, and of unmarked ground no more than ``MOST_FILLED`` of it.

        Parameters
        ----------
        at : tuple of int
            Pixel (y, x).
        frame : int
            Its frame.
        class_name : str
            Whose plane.
        confidence : int
            1..100.
        """
        session, inside = self._session, self.beams.inside
        session.playing = False
        plane = session.planes[class_name][frame]
        within = all(0 <= v < n for v, n in zip(at, plane.shape, strict=True))
        if not within or not inside[at]:
            session.message = "Nothing was filled: that lies outside the sector."
            return None
        value = int(plane[at])
        if value == EXCLUDED:
            session.message = EXCLUDED_STAYS
            return None
        same = plane == value
        area = flood(same & inside, at, connectivity=1)
        share = area.sum() / inside.sum()
        if value == NOT_MARKED and share > MOST_FILLED:
            ground = "sector" if is_known(self.clip.meta.sector) else "picture"
            session.message = (
                f"Nothing was filled: {100 * share:.0f} % of the {ground} is open there, and one "
                f"fill covers {100 * MOST_FILLED:.0f} % at most. Ring what you mean with the "
                "polygon."
            )
            return None
        proposal = np.where(area, np.uint8(confidence), np.uint8(0))
        index = session.class_index(class_name)
        stroke = self.mark_here({index: proposal}, confidence, Tool.FILL.value, frame=frame)
        if stroke is not None and bool((flood(same, at, connectivity=1) & ~inside).any()):
            session.message = "Filled to the edge of the sector, and no further."
        return stroke

    def _paint_here(self, proposal: NDArray[np.uint8], tool: Tool) -> Stroke | None:
        session = self._session
        session.playing = False
        view = session.view()
        if not view.editable:
            session.message = view.blocked or session.editor.why_read_only
            return None
        if not proposal.any():
            session.message = "Nothing was marked: that lies outside the sector."
            return None
        return self.mark_here({session.class_index(): proposal}, session.confidence, tool.value)

    def mark_here(
        self,
        proposals: Mapping[int, NDArray[np.uint8]],
        confidence: int,
        tool: str,
        *,
        frame: int | None = None,
    ) -> Stroke | None:
        """Commit proposals, by class index, for the frame on show or another one."""
        session = self._session
        frame = session.view().frame if frame is None else frame
        changes = [
            Change(c, frame, before, merged(before, proposal, session.merge))
            for c, proposal in proposals.items()
            for before in [session.planes[session.classes[c].name][frame]]
        ]
        class_index = next(iter(proposals))
        edit = edit_from(
            changes, confidence=confidence, tool=tool, class_index=class_index, frame=frame
        )
        kept = any(
            bool(((c.before == EXCLUDED) & (proposals[c.class_index] > 0)).any()) for c in changes
        )
        if edit is None or kept:
            session.message = EXCLUDED_STAYS if kept else NOTHING_BY_RULE
        return session.commit(edit) if edit else None
