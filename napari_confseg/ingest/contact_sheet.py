"""A contact sheet: every clip at a glance, to check sectors and burned-in text by eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.ingest.sector import MASKED, trust_words, waiting_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from napari_confseg.store import Clip, Cohort

_TILE = 320
_TITLE = 48
_COLUMNS = 4
_LOOKED_AT = 60  # frames; letters that come and go within a clip last longer than a sixtieth of it
_SECTOR, _DOUBTFUL, _CONFIRMED = (255, 200, 0), (255, 90, 90), (0, 200, 140)
_INK, _PALE = (235, 235, 235), (160, 160, 160)


def contact_sheet(
    cohort: Cohort,
    clips: Sequence[str] = (),
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Image:
    """Return a picture with a tile for each clip.

    A tile shows the brightest value of each pixel over time, lifted so that faint letters show,
    and the sector: amber as found, red where that is doubtful, green once confirmed. Its words say
    how far the sector can be trusted, how large the clip is, where millimetres come from, and
    whether it is cropped or masked. Memory is that of a few frames.

    Parameters
    ----------
    cohort : Cohort
        Where the clips are.
    clips : sequence of str, optional
        Which; all if not given.
    progress : callable, optional
        Called with (clips done, clips, name).
    """
    from PIL import Image

    names = list(clips) or cohort.clips()
    columns = min(_COLUMNS, max(len(names), 1))
    rows = -(-len(names) // columns)
    sheet = Image.new("RGB", (columns * _TILE, max(rows, 1) * (_TILE + _TITLE)), (24, 24, 24))
    for i, name in enumerate(names):
        if progress:
            progress(i, len(names), name)
        row, column = divmod(i, columns)
        sheet.paste(_tile(cohort.clip(name)), (column * _TILE, row * (_TILE + _TITLE)))
    return sheet


def save_contact_sheet(
    cohort: Cohort,
    clips: Sequence[str],
    path: Path,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Write :func:`contact_sheet` as a PNG; parent folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(cohort, clips, progress=progress).save(path, format="PNG", optimize=True)


def _tile(clip: Clip) -> Image:
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", (_TILE, _TILE + _TITLE), (24, 24, 24))
    draw = ImageDraw.Draw(tile)
    height, width = clip.shape[1:]
    scale = (_TILE - 8) / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    corner = ((_TILE - size[0]) // 2, _TITLE + (_TILE - size[1]) // 2)
    tile.paste(Image.fromarray(_lifted(_brightest(clip))).resize(size), corner)
    sector, kind = clip.meta.sector, "no sector found"
    if sector:
        line = [(corner[0] + x * scale, corner[1] + y * scale) for y, x in sector.polygon]
        color = _CONFIRMED if sector.confirmed else _SECTOR
        color = _DOUBTFUL if sector.doubtful else color
        draw.line([*line, line[0]], fill=color, width=2)
        kind = ", ".join(
            filter(None, [sector.kind, trust_words(sector), "confirmed" * sector.confirmed])
        )
    draw.text((5, 3), clip.name, fill=_INK)
    draw.text((5, 17), f"{clip.meta.patient}   {kind}", fill=_PALE)
    draw.text((5, 31), _size(clip), fill=_PALE)
    return tile


def _size(clip: Clip) -> str:
    frames, height, width = clip.shape
    meta = clip.meta
    words = [f"{frames} x {width} x {height}"]
    if meta.spacing is None:
        words.append("mm unknown")
    else:
        y, x = meta.spacing.y, meta.spacing.x
        step = f"{x:.3g}" if x == y else f"{x:.3g} x {y:.3g}"
        words.append(f"{step} mm ({meta.spacing.source})")
    if MASKED in meta.tags:
        words.append("masked")
    elif waiting_words(meta):
        words.append("waits for you")
    elif meta.provenance.crop:
        words.append("cropped")
    return ", ".join(words)


def _brightest(clip: Clip) -> NDArray[np.uint8]:
    picks = np.unique(np.linspace(0, clip.shape[0] - 1, _LOOKED_AT).astype(int))
    brightest = np.zeros(clip.shape[1:], np.uint8)
    for i in picks:
        np.maximum(brightest, clip.frames[int(i)], out=brightest)
    return brightest


def _lifted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.rint(255 * (pixels / 255) ** 0.6).astype(np.uint8)
