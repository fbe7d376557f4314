"""What the header of a DICOM ultrasound says of time, size and probe, as far as it can be true."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

    from napari_confseg.ingest.decoded import ProbeKind

_TWO_DIMENSIONAL = 1  # RegionSpatialFormat, PS3.3 C.8.5.5.1.1
_CENTIMETRES = 3  # PhysicalUnitsXDirection, PS3.3 C.8.5.5.1.15
_WIDEST = 10.0  # mm per pixel: anything beyond is no ultrasound

_PROBES: dict[str, ProbeKind] = {
    "SECTOR_PHASED": "phased",
    "CURVED LINEAR": "convex",
    "CURVED_LINEAR": "convex",
    "LINEAR": "linear",
}  # TransducerType, PS3.3 C.8.5.5.1.9


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def stated_seconds(data: Dataset, count: int) -> list[float | None]:
    """Return the time of each of `count` frames in seconds, None where the header doesn't say."""
    vector = data.get("FrameTimeVector")
    if vector is None:
        step = _number(data.get("FrameTime"))
        return [i * step / 1000 for i in range(count)] if step and step > 0 else [None] * count
    steps = [_number(v) for v in (vector if hasattr(vector, "__len__") else [vector])]
    if len(steps) != count or any(s is None for s in steps):
        return [None] * count
    seconds: list[float | None] = [0.0]
    for step in steps[1:]:  # milliseconds from the frame before; the first is 0 or means nothing
        seconds.append((seconds[-1] or 0.0) + (step or 0.0) / 1000)
    return seconds


def rate(data: Dataset) -> float | None:
    """Return frames a second, from CineRate, else the recommended rate."""
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        stated = _number(data.get(keyword))
        if stated and stated > 0:
            return stated
    return None


def probe(data: Dataset) -> ProbeKind | None:
    """Return the kind of probe, if the header names one that is known here."""
    return _PROBES.get(str(data.get("TransducerType") or "").strip().upper())


def region_spacing(
    data: Dataset, shape: tuple[int, int]
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return millimetres per pixel (y, x) from the regions of the image, and a tag if unsure.

    A region counts if it is a two-dimensional image in centimetres that lies within the frame.
    Regions that contradict one another leave the spacing unknown; so does one outside the frame,
    which is calibrated for another picture than this.
    """
    found = []
    outside = False
    for region in data.get("SequenceOfUltrasoundRegions") or []:
        if region.get("RegionSpatialFormat") != _TWO_DIMENSIONAL:
            continue
        units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
        if units != (_CENTIMETRES, _CENTIMETRES):
            continue
        if not _within(region, shape):
            outside = True
            continue
        dy, dx = (_number(region.get(f"PhysicalDelta{axis}")) for axis in "YX")
        if dy and dx and 0 < abs(dy) * 10 < _WIDEST and 0 < abs(dx) * 10 < _WIDEST:
            found.append((abs(dy) * 10, abs(dx) * 10))
    if not found:
        return None, ("spacing-region-outside-frame",) if outside else ()
    y, x = found[0]
    if any(abs(a - y) > 0.01 * y or abs(b - x) > 0.01 * x for a, b in found):
        return None, ("spacing-differs-by-region",)
    return (y, x), ()


def _within(region: Any, shape: tuple[int, int]) -> bool:
    keywords = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    x0, y0, x1, y1 = (region.get(f"RegionLocation{k}", -1) for k in keywords)
    return bool(0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0])
