"""PNG: frames, and planes with the confidence as the grey value."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from napari_confseg.formats.export import Export


def write(job: Export) -> None:
    """Write ``images/<clip>/<frame>.png``, ``planes/<class>/<clip>/<frame>.png``, ``frames.csv``.

    A plane's file is there exactly for what was reviewed; its values are 0..100 and 255 (excluded).
    """
    rows: list[list[object]] = []
    for item in job.items():
        images = job.folder("images", item.name)
        for i, number in enumerate(item.record.frames):
            name = f"{number:06d}.png"
            Image.fromarray(item.frames[i]).save(images / name)
            for c, class_name in enumerate(job.classes):
                if item.reviewed[i, c]:
                    folder = job.folder("planes", class_name, item.name)
                    Image.fromarray(item.planes[i, c]).save(folder / name)
            rows.append(
                [
                    item.name,
                    item.record.patient,
                    item.part,
                    number,
                    item.record.times[i],
                    *item.reviewed[i].astype(int),
                ]
            )
    with (job.out / "frames.csv").open("w", newline="", encoding="utf-8") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(
            ["clip", "patient", "part", "frame", "seconds", *(f"reviewed_{c}" for c in job.classes)]
        )
        table.writerows(rows)
    job.notes.append("A plane's grey value is the confidence in percent; 255 is excluded.")
