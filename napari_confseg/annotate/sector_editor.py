"""Correction of the clip's sector; nothing is stored before it is confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from psygnal import Signal

from napari_confseg.annotate.links import Links, to_message
from napari_confseg.ingest.sector_outline import Outline, crosses_itself, outline_of, template
from napari_confseg.store import Sector, StoreError

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.ingest.sector_fit import Kind, Points

KINDS: Final = ("linear", "curved", "phased")
_SMALLEST: Final = 0.02
"""Share of the frame: a smaller sector is a slip of the hand."""


class SectorEditor:
    """The sector as it is being corrected.

    Parameters
    ----------
    session : Session
        Whose clip it is; another clip ends the correction.
    """

    # something to show is different: what is proposed, or whether anything is
    changed: ClassVar[Signal] = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outline: Outline | None = None
        self._polygon: Points = []
        self.kind: str = "unknown"
        self._links = Links(
            (session.events.clip, self._on_clip),
            (session.sector_changed, self._on_sector),
            failed=to_message(session),
        )

    def close(self) -> None:
        """Follow the session no longer."""
        self._links.cut()

    def _on_clip(self, *_: object) -> None:
        self.cancel()
        self.changed.emit()

    def _on_sector(self) -> None:
        if not self.active:  # what is being drawn is not taken away by what others confirm
            self.changed.emit()

    # ---- what there is --------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether the sector is being corrected."""
        return self._outline is not None

    @property
    def stored(self) -> Sector | None:
        """The sector that the clip has, found or confirmed."""
        clip = self._session.clip
        return None if clip is None else clip.meta.sector

    @property
    def polygon(self) -> Points:
        """The proposal as points (y, x) within the frame; empty if there is none."""
        return self._polygon

    @property
    def handles(self) -> Points:
        """What can be dragged, (y, x) each; empty if there is nothing to correct."""
        return [] if self._outline is None else self._outline.handles()

    @property
    def n_corners(self) -> int:
        """How many of the handles, the first ones, are corners; the rest bend arcs."""
        return 0 if self._outline is None else len(self._outline.corners)

    def problem(self) -> str:
        """Return why the proposal cannot be confirmed, in a sentence; empty if it can."""
        # A crossed outline may enclose next to nothing: that is not what is wrong with it.
        crossed = len(self._polygon) > 3 and crosses_itself(self._polygon)
        if crossed and self._extent() >= _SMALLEST:
            return "The outline crosses itself: drag the corners back into order."
        if len(self._polygon) < 3 or self._area() < _SMALLEST:
            return (
                f"This is smaller than {100 * _SMALLEST:.0f} % of the picture: drag the corners "
                "apart."
            )
        return ""

    def _area(self) -> float:
        y, x = np.array(self._polygon).T
        area = abs(float(y @ np.roll(x, 1) - x @ np.roll(y, 1))) / 2
        return area / float(np.prod(self._shape()))

    def _extent(self) -> float:
        """Return the share of the frame that the box around the proposal takes."""
        return float(np.prod(np.ptp(np.array(self._polygon), axis=0)) / np.prod(self._shape()))

    def _shape(self) -> tuple[int, int]:
        assert self._session.clip is not None
        return self._session.clip.shape[1:]

    # ---- what can be done -----------------------------------------------------------------

    def begin(self) -> None:
        """Begin to correct the clip's sector; without one, from a shape that fills the frame."""
        if self._session.clip is None or self.active:
            return
        sector = self.stored
        if sector is None:
            probe = self._session.clip.meta.probe
            self._reshape({"linear": "linear", "phased": "phased"}.get(probe, "curved"))
            return
        # As stored until something is dragged: corners are a little coarser than its points.
        self.kind, self._polygon = sector.kind, [*sector.polygon]
        self._outline = outline_of(sector.polygon)
        self.changed.emit()

    def drag(self, handle: int, y: float, x: float) -> None:
        """Move a handle to (y, x), or as near as the frame allows."""
        if self._outline is not None:
            self._outline = self._outline.dragged(handle, y, x, self._shape())
            self._polygon = self._outline.polygon(self._shape())
            self.changed.emit()

    def choose_kind(self, kind: str) -> None:
        """Set the kind of probe; a sector drawn as another kind gets this one's shape."""
        if self.active and kind in KINDS and kind != self.kind:
            self._reshape(kind)

    def _reshape(self, kind: str) -> None:
        wanted: Kind = kind  # type: ignore[assignment]
        y0, x0, y1, x1 = (0.0, 0.0, *map(float, self._shape()))
        if self._polygon:
            (y0, x0), (y1, x1) = np.min(self._polygon, 0), np.max(self._polygon, 0)
        self.kind, self._outline = kind, template(wanted, (y0, x0, y1, x1))
        self._polygon = self._outline.polygon(self._shape())
        self.changed.emit()

    def cancel(self) -> None:
        """Leave the sector as it was."""
        if self.active:
            self._outline, self._polygon = None, []
            self.changed.emit()

    def confirm(self) -> bool:
        """Store the proposal, or the sector as it was found, as confirmed; False if refused.

        Nothing else of the clip is touched. Where it cannot be stored, the proposal stays and
        the session's message has the reason.
        """
        clip = self._session.clip
        if clip is None or (self.active and self.problem()):
            return False
        sector = self.stored
        if self.active:
            polygon = tuple((round(y, 2), round(x, 2)) for y, x in self._polygon)
            sector = Sector.model_validate({"kind": self.kind, "polygon": polygon})
        if sector is None:
            return False
        try:
            clip.update_meta(sector=sector.model_copy(update={"confirmed": True}))
        except (StoreError, OSError, ValueError) as error:
            self._session.message = f"The sector could not be stored: {_reason(error)}"
            return False
        self._outline, self._polygon = None, []
        self.changed.emit()
        self._session.sector_changed.emit()
        return True


def _reason(error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error.problems[0])
    return str(getattr(error, "strerror", None) or error)
