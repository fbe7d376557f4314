"""DICOM samples to grey: what the photometric interpretation says, and what it gets wrong."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_confseg.ingest.decoded import IngestError, full_range, luma

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pydicom import Dataset

_LUMA_FIRST = ("YBR_FULL", "YBR_FULL_422")
_RGB = ("RGB", "YBR_ICT", "YBR_RCT")  # JPEG 2000 decoders undo the last two


def grey_of(data: Dataset) -> Callable[[NDArray[Any], str], NDArray[np.uint8]]:
    """Return what turns the decoded samples of a frame of `data` into ``uint8 (Y, X)``.

    The function takes the samples, (Y, X) or (Y, X, 3), and their photometric interpretation
    after decoding. Samples of more than 8 bits lose their low bits.

    Raises
    ------
    IngestError
        If there is no rule for `data`.
    """
    declared = str(data.get("PhotometricInterpretation"))
    bits, stored = int(data.get("BitsAllocated") or 0), int(data.get("BitsStored") or 0)
    if bits not in (8, 16) or data.get("PixelRepresentation") == 1:
        raise IngestError(
            f"its pixels are of {bits} bits, signed or not; unsigned ones of 8 or 16 can be used"
        )
    shift = max(0, (stored or bits) - 8)
    palette = _palette(data) if declared == "PALETTE COLOR" else None

    def grey(samples: NDArray[Any], photometric: str) -> NDArray[np.uint8]:
        if palette is not None:
            shown: NDArray[np.uint8] = palette[np.minimum(samples, len(palette) - 1)]
            return shown
        eight = samples if samples.dtype == np.uint8 and not shift else samples >> shift
        if declared == "YBR_PARTIAL_422":
            return full_range(eight[..., 0].astype(np.uint8))
        if photometric in _LUMA_FIRST:
            return np.ascontiguousarray(eight[..., 0].astype(np.uint8))
        if photometric in _RGB:
            return luma(eight.astype(np.uint8))
        if photometric == "MONOCHROME1":
            return (min((1 << (stored or bits)) - 1, 255) - eight).astype(np.uint8)
        if photometric == "MONOCHROME2":
            return np.ascontiguousarray(eight.astype(np.uint8))
        raise IngestError(f"its colours are {photometric}, which has no rule for becoming grey")

    return grey


def _palette(data: Dataset) -> NDArray[np.uint8]:
    """Return the grey of each palette entry; what lies beyond the table shows its last colour."""
    from pydicom.pixels.processing import apply_color_lut

    entries, first, bits = data.RedPaletteColorLookupTableDescriptor
    n = first + (entries or 65_536)  # 0 stands for 65,536 (PS3.3 C.7.6.3.1.5)
    index = np.arange(n, dtype=np.uint16).reshape(1, -1)
    colors = np.asarray(apply_color_lut(index, data))[0, :, :3]
    # Some writers declare 16 bits and fill in 8.
    if bits > 8 and colors.max(initial=0) > 255:
        colors = colors >> 8
    return luma(colors.astype(np.uint8))


def grey_of_jpeg(encoded: bytes, photometric: str) -> NDArray[np.uint8]:
    """Decode one lossy JPEG frame to grey.

    The stream's own markers count for more than the header: an Adobe marker says RGB (0) or YCbCr
    (1); a JFIF one says YCbCr (JFIF 1.02); only without either is `photometric` believed. Wrong
    headers of this kind are why colours so often come out wrong.
    """
    with Image.open(BytesIO(encoded), formats=("JPEG",)) as image:
        if image.mode == "L":
            return np.array(image)
        if image.mode != "RGB":
            raise IngestError(f"its JPEG frames are {image.mode}, grey or colour can be used")
        adobe = image.info.get("adobe_transform")
        is_rgb = adobe == 0 or (adobe is None and "jfif" not in image.info and photometric == "RGB")
        if not is_rgb:
            image.draft("L", image.size)  # the luma plane as it is stored
            return np.array(image)
        if adobe is None:
            image.draft("YCbCr", image.size)  # no transform: the three samples as they are
        return luma(np.asarray(image))
