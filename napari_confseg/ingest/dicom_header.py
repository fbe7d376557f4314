"""What a DICOM header tells of a cine: what it shows, whose it is, its times and its sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_confseg.ingest.decoded import IngestError

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

_FRAME_TIME, _FRAME_TIME_VECTOR = 0x0018_1063, 0x0018_1065

_ULTRASOUND = frozenset(["US", "IVUS", "EC", "DD", "CD"])  # the last three are retired
_UNTOLD = frozenset(["", "OT", "SC"])
"""Modalities of grabbed screens: their class decides."""
_CLASSES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{end}"
    for end in ("3", "3.1", "6", "6.1", "6.2", "7", "7.1", "7.2", "7.3", "7.4")
)
"""Ultrasound images, and secondary captures: screens, photographs, what other programs export."""
_NO_IMAGES = ("1.2.840.10008.5.1.4.1.1.66.", "1.2.840.10008.5.1.4.1.1.30")
"""Segmentations and other maps of values."""


def check_ultrasound(data: Dataset) -> None:
    """Refuse what is of another modality, such as a CT slice, or no image, such as a segmentation.

    Raises
    ------
    IngestError
        Also for objects without pixels, such as reports.
    """
    from pydicom.uid import UID

    modality = str(data.get("Modality") or "").strip().upper()
    uid = UID(str(data.get("SOPClassUID") or ""))
    known = uid.name if uid and uid.name != uid else ""
    wrong = str(uid).startswith(_NO_IMAGES) or (
        modality not in _ULTRASOUND
        and (modality not in _UNTOLD or (bool(known) and uid not in _CLASSES))
    )
    if wrong:
        what = ", ".join(filter(None, [known, f"modality {modality}" if modality else ""]))
        raise IngestError(
            f"it is no ultrasound but of another kind ({what}); export it as a video or as images "
            "if it is to be labelled all the same"
        )


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def stated_seconds(data: Dataset, count: int) -> list[float | None]:
    """Return the time of each of `count` frames in seconds, None where the header doesn't say.

    Where it holds a step and a vector of steps, the frame increment pointer tells which counts.
    """
    vector, step = data.get("FrameTimeVector"), _number(data.get("FrameTime"))
    pointers = data.get("FrameIncrementPointer")
    named = pointers if isinstance(pointers, (list, tuple)) else [pointers]
    if vector is None or (_FRAME_TIME in named and _FRAME_TIME_VECTOR not in named and step):
        return [i * step / 1000 for i in range(count)] if step and step > 0 else [None] * count
    steps = [_number(v) for v in (vector if hasattr(vector, "__len__") else [vector])]
    if len(steps) != count or any(s is None for s in steps):
        return [None] * count
    seconds: list[float | None] = [0.0]
    for step in steps[1:]:  # milliseconds from the frame before; the first is 0 or means nothing
        seconds.append((seconds[-1] or 0.0) + (step or 0.0) / 1000)
    return seconds


def rate(data: Dataset) -> float | None:
    """Return frames a second, from CineRate, the recommended rate, or the time of a frame."""
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        stated = _number(data.get(keyword))
        if stated and stated > 0:
            return stated
    step = _number(data.get("FrameTime"))
    return 1000 / step if step and step > 0 else None


def probe(data: Dataset) -> ProbeKind | None:
    """Return the kind of probe, if the header names one that is known here."""
    return _PROBES.get(str(data.get("TransducerType") or "").strip().upper())


def burned_in(data: Dataset) -> tuple[str, ...]:
    """Return the tag of a cine whose header says that text of the patient is in the picture."""
    said = str(data.get("BurnedInAnnotation") or "").strip().upper()
    return ("burned-in-annotation",) if said == "YES" else ()


def identity(data: Dataset) -> str | None:
    """Return what tells this patient from others; it is turned into a code and never stored."""
    if number := str(data.get("PatientID") or "").strip():
        return f"id\0{data.get('IssuerOfPatientID') or ''}\0{number}"
    if name := str(data.get("PatientName") or "").strip(" ^"):
        return f"name\0{name}"
    if study := str(data.get("StudyInstanceUID") or ""):
        return f"study\0{study}"
    return None


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
