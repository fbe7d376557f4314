"""DICOM samples to grey: what the header says, and what it gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_confseg.ingest.codestreams import jpeg_frame
from napari_confseg.ingest.decoded import IngestError, full_range, luma

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from pydicom import Dataset

    Samples = tuple[NDArray[Any], str]

_GREY = ("MONOCHROME1", "MONOCHROME2")
_LUMA_FIRST = ("YBR_FULL", "YBR_FULL_422")
_RGB = ("RGB", "YBR_ICT", "YBR_RCT")  # JPEG 2000 decoders undo the last two
_PAIRS = ("YBR_FULL_422", "YBR_PARTIAL_422")
_SAMPLES = {
    **dict.fromkeys((*_GREY, "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"), 3),
    **dict.fromkeys(("YBR_ICT", "YBR_RCT"), 3),
}


@dataclass(frozen=True)
class Layout:
    """How the header says that samples are stored.

    Attributes
    ----------
    photometric : str
        Photometric interpretation.
    samples : int
        Samples a pixel.
    allocated, stored, high : int
        Bits of a sample's cell, bits of the sample, and the highest of them (PS3.5 8.1.1).
    shape : tuple of int
        (Y, X) of a frame.
    """

    photometric: str
    samples: int
    allocated: int
    stored: int
    high: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, data: Dataset, shape: tuple[int, int]) -> Layout:
        """Return the layout of `data`.

        Raises
        ------
        IngestError
            If there is no rule for it, or it contradicts itself.
        """
        photometric = str(data.get("PhotometricInterpretation"))
        allocated = int(data.get("BitsAllocated") or 0)
        stored = int(data.get("BitsStored") or allocated)
        high = data.get("HighBit")
        high = stored - 1 if high is None else int(high)
        samples = int(data.get("SamplesPerPixel") or _SAMPLES.get(photometric, 1))
        if allocated not in (8, 16) or data.get("PixelRepresentation") == 1:
            raise IngestError(
                f"its pixels are of {allocated} bits, signed or not; unsigned ones of 8 or 16 can "
                "be used"
            )
        if photometric not in _SAMPLES:
            raise IngestError(f"its colours are {photometric}, which has no rule for becoming grey")
        if samples != _SAMPLES[photometric]:
            raise IngestError(
                f"its header contradicts itself: {samples} samples a pixel that are {photometric}"
            )
        if not 0 < stored <= high + 1 <= allocated:
            raise IngestError(
                f"its header contradicts itself: {stored} bits up to bit {high} of {allocated}"
            )
        return cls(photometric, samples, allocated, stored, high, shape)

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame that is stored as it is; two pixels may share their colour."""
        samples = 2 if self.photometric in _PAIRS else self.samples
        return self.shape[0] * self.shape[1] * samples * self.allocated // 8

    def count(self, pixels: bytes, stated: int) -> int:
        """Return how many frames `pixels`, stored as they are, hold; `stated` is 0 if unknown.

        Raises
        ------
        IngestError
            If they don't fill the `stated` frames: one of the two is wrong, and so would be the
            picture.
        """
        count = stated or max(1, len(pixels) // self.frame_bytes)
        expected = count * self.frame_bytes
        rest = pixels[expected:]
        if len(pixels) < expected:
            raise IngestError(
                f"it is cut short, or not {self.photometric} as its header says: {count} frames "
                f"are announced, of {expected} bytes; {len(pixels)} are there"
            )
        if len(rest) > 1 and (len(rest) >= self.frame_bytes or rest.strip(b"\0")):
            raise IngestError(
                f"its header contradicts its pixels: {count} frames of {self.photometric} take "
                f"{expected} bytes, {len(pixels)} are there"
            )
        return count

    def values(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Return the stored bits of `samples`, without what may lie above and below them."""
        low = self.high + 1 - self.stored
        if self.allocated == 8 and self.stored == 8:
            return samples
        return (samples >> low) & ((1 << self.stored) - 1)


class Grey:
    """Turns the decoded samples of a cine into grey, all of its frames alike.

    Parameters
    ----------
    data : Dataset
        The header.
    layout : Layout
        How it says that samples are stored.
    deep : iterable of (samples, photometric), optional
        All frames, where samples have more than 8 bits: they are looked through for the window
        that the header names, else for the range that is used.
    """

    def __init__(self, data: Dataset, layout: Layout, deep: Iterable[Samples] = ()) -> None:
        self._layout = layout
        self._palette = _palette(data) if layout.photometric == "PALETTE COLOR" else None
        self._shift = min(0, layout.stored - 8)
        self._window: tuple[float, float] | None = None
        self.how = ""
        extremes = [(int(v.min()), int(v.max())) for v in (layout.values(s) for s, _ in deep)]
        if extremes and self._palette is None:
            darkest, brightest = min(e[0] for e in extremes), max(e[1] for e in extremes)
            self._shift = max(0, brightest.bit_length() - 8)
            window = _window(data) if layout.photometric in _GREY else None
            if window and window[0] < brightest and window[1] > darkest:
                self._window = window
                self.how = f", window {window[0]:g} to {window[1]:g}"
            elif self._shift:
                self.how = f", {self._shift} low bits dropped"

    def __call__(self, samples: NDArray[Any], photometric: str) -> NDArray[np.uint8]:
        """Return ``uint8 (Y, X)`` of samples (Y, X) or (Y, X, 3), which are `photometric` now."""
        values = self._layout.values(samples)
        if self._palette is not None:
            shown: NDArray[np.uint8] = self._palette[np.minimum(values, len(self._palette) - 1)]
            return shown
        eight = self._eight(values)
        if self._layout.photometric == "YBR_PARTIAL_422":
            return full_range(eight[..., 0])
        if photometric in _LUMA_FIRST:
            return np.ascontiguousarray(eight[..., 0])
        if photometric in _RGB:
            return luma(eight)
        if photometric == "MONOCHROME1":
            return 255 - eight
        if photometric == "MONOCHROME2":
            return np.ascontiguousarray(eight)
        raise IngestError(f"its colours are {photometric}, which has no rule for becoming grey")

    def _eight(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if self._window:
            low, high = self._window
            shown = (values.astype(np.float32) - low) * (255 / (high - low))
            values = np.clip(np.rint(shown), 0, 255)
        elif self._shift < 0:  # 6 bits of 8: as bright as they are meant
            values = values << -self._shift
        else:
            values = values >> self._shift
        eight: NDArray[np.uint8] = values.astype(np.uint8)
        return eight


def _window(data: Dataset) -> tuple[float, float] | None:
    """Return the stored values that the header wants shown black and white (PS3.3 C.11.2.1.2)."""
    center, width = (_first(data.get(f"Window{part}")) for part in ("Center", "Width"))
    function = str(data.get("VOILUTFunction") or "LINEAR")
    slope, intercept = _first(data.get("RescaleSlope")), _first(data.get("RescaleIntercept"))
    slope = 1.0 if slope is None else slope
    if center is None or width is None or slope <= 0:
        return None
    if function == "LINEAR" and width > 1:
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    elif function == "LINEAR_EXACT" and width > 0:
        low, high = center - width / 2, center + width / 2
    else:
        return None
    return (low - (intercept or 0)) / slope, (high - (intercept or 0)) / slope


def _first(value: Any) -> float | None:
    """Return the first of one or more numbers; a header may name several windows."""
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        value = next(iter(value), None)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


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

    The stream counts for more than the header, in the order of :func:`_is_rgb`. Wrong headers of
    this kind are why colours so often come out wrong.

    Raises
    ------
    IngestError
        If it is neither grey nor of three colours, or has more than 8 bits.
    """
    frame = jpeg_frame(encoded)
    if frame.bits != 8:
        raise IngestError(
            f"its JPEG frames are of {frame.bits} bits, which cannot be decoded here; export it "
            "uncompressed or as JPEG 2000"
        )
    if photometric == "PALETTE COLOR":
        raise IngestError("its header contradicts its pixels: a palette of lossy JPEG frames")
    with Image.open(BytesIO(encoded), formats=("JPEG",)) as image:
        if image.mode == "L":
            grey = np.array(image)
            return 255 - grey if photometric == "MONOCHROME1" else grey
        if image.mode != "RGB":
            raise IngestError(f"its JPEG frames are {image.mode}, grey or colour can be used")
        if not _is_rgb(frame.components, frame.subsampled, image.info, photometric):
            image.draft("L", image.size)  # the luma plane as it is stored
            return np.array(image)
        transformed = image.info.get("adobe_transform") != 0 and frame.components != _R_G_B
        if transformed or "jfif" in image.info:  # libjpeg takes it for YCbCr
            image.draft("YCbCr", image.size)  # no transform: the three samples as they are
        return luma(np.asarray(image))


_R_G_B, _ONE_TWO_THREE = (82, 71, 66), (1, 2, 3)


def _is_rgb(
    components: tuple[int, ...], subsampled: bool, markers: dict[Any, Any], photometric: str
) -> bool:
    """Whether the samples of a JPEG of three components are red, green and blue.

    An Adobe marker says RGB (0) or YCbCr (1). Else components called R, G and B are what they are
    called; a JFIF marker, shared chroma and components 1, 2, 3 stand for YCbCr (JFIF 1.02). Only
    where nothing of this is there, `photometric` is believed.
    """
    adobe = markers.get("adobe_transform")
    if adobe in (0, 1):
        return bool(adobe == 0)
    if components == _R_G_B:
        return True
    if "jfif" in markers or subsampled or components == _ONE_TWO_THREE:
        return False
    return photometric == "RGB"
