"""WebDataset: tar shards a part, one sample a frame."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.formats.export import Export, Item

SHARD_BYTES = 2**28


def write(job: Export) -> None:
    """Write ``<part>-000000.tar``, ...: ``image.png``, ``planes.npy`` (C, Y, X), ``meta.json``.

    Exact, and the same bytes for the same dataset.
    """
    shards: dict[str, _Shards] = {}
    with ExitStack() as all_closed:  # also those behind one that finds no room for its end
        for item in job.items():
            if item.part not in shards:
                shards[item.part] = _Shards(job, item.part)
                all_closed.callback(shards[item.part].close)
            for files in _samples(job, item):
                shards[item.part].add(files)
    counts = {name: shard.number + 1 for name, shard in shards.items()}
    job.write_json(job.out / "shards.json", {"classes": job.classes, "shards": counts})
    job.notes.append("Planes are confidences in percent; 255 is excluded.")


def _samples(job: Export, item: Item) -> Iterator[dict[str, bytes]]:
    for i, number in enumerate(item.record.frames):
        key = f"{item.name}-{number:06d}"
        image, planes = io.BytesIO(), io.BytesIO()
        Image.fromarray(item.frames[i]).save(image, "PNG")
        np.save(planes, item.planes[i])
        spacing = item.record.spacing
        meta = {
            "clip": item.name,
            "patient": item.record.patient,
            "frame": number,
            "seconds": item.record.times[i],
            "classes": job.classes,
            "reviewed": item.reviewed[i].astype(int).tolist(),
            "spacing_mm": [spacing.y, spacing.x] if spacing else None,
        }
        yield {
            f"{key}.image.png": image.getvalue(),
            f"{key}.planes.npy": planes.getvalue(),
            f"{key}.meta.json": json.dumps(meta, sort_keys=True).encode(),
        }


class _Shards:
    """The tar files of one part, a new one when the last is full."""

    def __init__(self, job: Export, part: str) -> None:
        self._job, self._part = job, part
        self.number = -1
        self._next()

    def _next(self) -> None:
        self.number += 1
        self._bytes = 0
        path = self._job.out / f"{self._part}-{self.number:06d}.tar"
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def add(self, files: dict[str, bytes]) -> None:
        if self._bytes > SHARD_BYTES:
            self._tar.close()
            self._next()
        for name, data in files.items():
            info = tarfile.TarInfo(name)  # without time and owner
            info.size = len(data)
            self._tar.addfile(info, io.BytesIO(data))
            self._bytes += len(data)

    def close(self) -> None:
        self._tar.close()
