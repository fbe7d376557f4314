"""OME-TIFF: a stack of frames and a stack of planes a clip, with names and sizes inside."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import numpy as np
import tifffile

from napari_confseg.formats.label_source import Found
from napari_confseg.formats.reviewed import (
    NAME,
    exact_labels,
    read_reviewed,
    reviewed_clip,
    write_reviewed,
)
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.files import MIB, open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Labels, Target
    from napari_confseg.formats.reviewed import ReviewedClip, ReviewedTable
    from napari_confseg.store import Clip

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
        reviewed[item.name] = reviewed_clip(item)
    write_reviewed(job, reviewed)
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


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of our own export: ``reviewed.json`` and ``planes/<clip>.ome.tif``."""
    table = read_reviewed(source / NAME, target)
    if table is None:
        return
    for name, said in table.clips.items():
        path = source / "planes" / f"{name}.ome.tif"
        read = partial(_read, path=path, table=table, said=said, target=target)
        yield Found(name, source / NAME, read)


def _read(
    clip: Clip, path: Path, table: ReviewedTable, said: ReviewedClip, target: Target
) -> Labels:
    shape = (len(said.frames), len(table.classes), *clip.shape[1:])
    most = 2 * int(np.prod(shape)) + MIB
    with open_file(path, most) as file, tifffile.TiffFile(file, name=path.name) as tif:
        pages = _pages(tif, shape, path.name)

        def planes(name: str) -> NDArray[np.uint8]:
            mine = pages[table.classes.index(name) :: shape[1]]
            return np.stack([_page(tif, page, shape[2:]) for page in mine])

        return exact_labels(clip, table.classes, said, planes, target, path.name)


def _pages(tif: tifffile.TiffFile, shape: tuple[int, ...], where: str) -> list[Any]:
    """Return the pages of planes ``uint8 (T, C, Y, X)``, one after the other."""
    pages: list[Any] = []
    for frame in tif.pages:
        page: Any = frame.aspage()
        fits = (page.shape, page.dtype, page.predictor) == (shape[2:], np.uint8, 1)
        if not fits or page.compression not in (1, 8) or len(pages) == shape[0] * shape[1]:
            raise StoreError(
                Problem.mismatch(
                    "image-size",
                    where,
                    f"{shape[0] * shape[1]} pages of {shape[2:]} bytes (y, x), plain or zlib",
                    f"a page more of {page.shape} {page.dtype}, compression {page.compression}",
                    "Labels come back only to frames of their own size.",
                )
            )
        pages.append(page)
    if len(pages) < shape[0] * shape[1]:
        expected = f"{shape[0] * shape[1]} pages, one a frame and class"
        raise StoreError(Problem.mismatch("pages", where, expected, str(len(pages))))
    return pages


def _page(tif: tifffile.TiffFile, page: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a page, unpacked to no more than it holds."""
    size = int(np.prod(shape))
    if page.is_tiled:
        raise ValueError("pages in tiles are not read")
    data = b""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tif.filehandle.seek(offset)
        strip = tif.filehandle.read(min(count, 2 * size + MIB))
        if page.compression != 1:
            strip = zlib.decompressobj().decompress(strip, size + 1 - len(data))
        data += strip
        if len(data) > size:
            break
    if len(data) != size:
        raise ValueError(f"a page unpacks to other than {size} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape)
