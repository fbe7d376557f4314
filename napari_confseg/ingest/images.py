"""Still images that make up a clip: the images of a folder, or the pages of one TIFF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from napari_confseg.ingest.decoded import (
    MAX_FRAMES,
    Frame,
    Head,
    IngestError,
    check_shape,
    luma,
    on_black,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_FORMATS = ("BMP", "JPEG", "PNG", "TIFF")
_DEEP = ("I", "I;16", "I;16B", "I;16L")


def has_pages(path: Path) -> bool:
    """Whether the TIFF at `path` has more than one page; only headers are read."""
    try:
        with Image.open(path, formats=("TIFF",)) as image:
            image.seek(1)
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError):
        return False
    return True


def read_images(paths: Sequence[str]) -> Iterator[Head | Frame]:
    """Decode images one by one: a head, then one frame for each page of each image.

    Deep grey images (more than 8 bits) are shifted right until the brightest pixel of the clip
    fits into 8 bits; that takes a pass of its own.

    Raises
    ------
    IngestError
        If one is no image, is damaged, or differs in size from the first.
    """
    Image.MAX_IMAGE_PIXELS = None  # our own bound is checked before a page is decoded
    low_bits = _low_bits(paths)
    shape: tuple[int, int] | None = None
    for count, (name, page) in enumerate(_pages(paths)):
        if count == MAX_FRAMES:
            raise IngestError(f"it has more than {MAX_FRAMES} images")
        pixels = _grey(page, low_bits)
        if shape is None:
            shape = check_shape((pixels.shape[0], pixels.shape[1]))
            many = len(paths) if len(paths) > 1 else None
            how = "BT.601 luma" + (f", {low_bits} low bits dropped" if low_bits else "")
            yield Head(shape, f"Pillow {PIL.__version__}, {how}", n_frames=many)
        if pixels.shape != shape:
            raise IngestError(
                f"{name} is {pixels.shape[0]} x {pixels.shape[1]} pixels, those before are "
                f"{shape[0]} x {shape[1]}; keep only images of one clip in a folder"
            )
        yield Frame(pixels)
    if shape is None:
        raise IngestError("it holds no images")


def _pages(paths: Sequence[str]) -> Iterator[tuple[str, Image.Image]]:
    for path in paths:
        name = Path(path).name
        try:
            with Image.open(path, formats=_FORMATS) as image:
                for page in ImageSequence.Iterator(image):
                    check_shape((page.height, page.width))
                    page.load()
                    yield name, page
        except UnidentifiedImageError as error:
            raise IngestError(f"{name} is no PNG, JPEG, TIFF or BMP image") from error
        except IngestError:
            raise
        except Exception as error:  # Pillow's readers raise whatever a broken header leads to
            raise IngestError(f"{name} is cut short or damaged") from error


def _low_bits(paths: Sequence[str]) -> int:
    """Return how many low bits of deep images to drop; ordinary ones are not read for it."""
    brightest = 0
    for _, page in _pages(paths):
        if page.mode not in _DEEP:
            break
        values = np.asarray(page)
        brightest = max(brightest, int(values.max(initial=0)))
        if values.min(initial=0) < 0 or brightest > 65_535:
            raise IngestError("it holds values outside 0..65535; save it as 8 or 16 bits")
    return max(0, brightest.bit_length() - 8)


def _grey(page: Image.Image, low_bits: int) -> NDArray[np.uint8]:
    if page.mode == "F":
        raise IngestError("it holds floating-point images; save them as 8 or 16 bits")
    upright = ImageOps.exif_transpose(page)
    if page.mode in _DEEP:
        values = np.asarray(upright) >> low_bits
        if values.max(initial=0) > 255:
            raise IngestError("it mixes images of 8 and of more bits; save all alike")
        return values.astype(np.uint8)
    if page.mode in ("1", "L") and "transparency" not in page.info:
        return np.array(upright.convert("L"))
    if upright.has_transparency_data:
        rgba = np.asarray(upright.convert("RGBA"))
        return on_black(luma(rgba[..., :3]), rgba[..., 3])
    return luma(np.asarray(upright.convert("RGB")))
