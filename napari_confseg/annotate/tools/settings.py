"""Settings of the tools, and the clipboard."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, Self

    from napari_confseg.annotate.tools.placing import Snippet


@dataclass(frozen=True)
class BandWidths:
    """Widths of the bands, in millimetres and, for clips whose spacing nobody knows, in pixels."""

    b_line_mm: float = 3.0  # of a B-line across its beam where it leaves the pleura, at least
    b_line_px: float = 12.0
    pleura_mm: float = 1.5  # of the pleural line along the beams
    pleura_px: float = 6.0

    def of(self, band: str, unit: Literal["mm", "px"]) -> float:
        """Return the width of ``"b-line"`` or ``"pleura"`` in a clip measured in `unit`."""
        width: float = getattr(self, _field(band, unit))
        return width

    def changed(self, band: str, unit: Literal["mm", "px"], width: float) -> Self:
        """Return these widths with one of them set.

        Raises
        ------
        ValueError
            If `width` is not positive.
        """
        if not width > 0:
            raise ValueError(f"a band needs a width above 0 {unit}, found {width}")
        return replace(self, **{_field(band, unit): float(width)})


def _field(band: str, unit: str) -> str:
    return f"{band.replace('-', '_')}_{unit}"


@dataclass(frozen=True, eq=False)
class Clipboard:
    """Marks copied from one frame."""

    shape: tuple[int, int]  # (Y, X) of that frame
    frame: int
    snippets: Mapping[str, Snippet]  # by class name
