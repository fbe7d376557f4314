"""OME-TIFF: a stack of frames and a stack of planes a clip, with names and sizes inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import tifffile

if TYPE_CHECKING:
    from napari_confseg.formats.export import Export, Item

_UUIDS = UUID("6f0f7a54-8a43-4c0e-9d53-5c4f7a1f3c11")


def write(job: Export) -> None:
    """Write ``images/<clip>.ome.tif`` (TYX) and ``planes/<clip>.ome.tif`` (TCYX), exact."""
    images, planes = job.folder("images"), job.folder("planes")
    reviewed = {}
    for item in job.items():
        common = _metadata(item)
        digest = (item.record.source_sha256, item.record.raters[job.rater].source_sha256)
        for folder, data, extra in (
            (images, item.frames, {"axes": "TYX"}),
            (planes, item.planes, {"axes": "TCYX", "Channel": {"Name": job.classes}}),
        ):
            tifffile.imwrite(
                folder / f"{item.name}.ome.tif",
                data,
                ome=True,
                compression="zlib",
                photometric="minisblack",
                # Else one is drawn from clock and machine: same dataset, same bytes.
                metadata=common | extra | {"UUID": str(uuid5(_UUIDS, f"{folder.name} {digest}"))},
            )
        reviewed[item.name] = {
            "part": item.part,
            "frames": list(item.record.frames),
            "reviewed": item.reviewed.astype(int).tolist(),
        }
    job.write_json(job.out / "reviewed.json", {"classes": job.classes, "clips": reviewed})
    job.notes.append("A plane's value is the confidence in percent; 255 is excluded.")


def _metadata(item: Item) -> dict[str, Any]:
    data: dict[str, Any] = {"TimeIncrement": item.interval, "TimeIncrementUnit": "s"}
    if item.record.spacing:
        data |= {
            "PhysicalSizeX": item.spacing[1],
            "PhysicalSizeXUnit": "mm",
            "PhysicalSizeY": item.spacing[0],
            "PhysicalSizeYUnit": "mm",
        }
    return data
