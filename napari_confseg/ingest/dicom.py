"""DICOM ultrasound: the pixels, when they were, how large they are; nothing else is read.

Only the elements named in ``ALLOWED`` are taken from a file. Names, dates, numbers, comments and
private elements never enter this program; what tells one patient from another leaves this module
as one text, which becomes a keyed code before anything is stored.
"""

from __future__ import annotations

import math
import zlib
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.extras import needed_for
from napari_confseg.ingest.decoded import MAX_FRAMES, Frame, Head, IngestError, check_shape
from napari_confseg.ingest.dicom_pixels import grey_of, grey_of_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
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


MAX_INFLATED = 2**30
"""Bytes that a deflated file may grow to; 1.4 MB of them can hold 1.5 GB."""

ALLOWED = (
    # whose it is: becomes a code
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "StudyInstanceUID",
    # when the frames were
    "FrameTime",
    "FrameTimeVector",
    "CineRate",
    "RecommendedDisplayFrameRate",
    # how large pixels are, and with what
    "SequenceOfUltrasoundRegions",
    "TransducerType",
    "BurnedInAnnotation",
    # Image Pixel module
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
)

_LOSSY_JPEG = frozenset(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"])
_LOSSLESS_JPEG = frozenset(["1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"])
_VIDEO = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in range(100, 109))  # MPEG-2, H.264, HEVC
_DEFLATED = "1.2.840.10008.1.2.1.99"
# Decoders differ in bytes: each syntax has one. RLE and JPEG 2000 are pylibjpeg's.
_PLUGINS = {
    "1.2.840.10008.1.2": "",
    "1.2.840.10008.1.2.1": "",
    "1.2.840.10008.1.2.2": "",
    _DEFLATED: "",
    "1.2.840.10008.1.2.5": "pylibjpeg",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
}


def read_dicom(path: str) -> Iterator[Head | Frame]:
    """Decode the DICOM file at `path`: a head, then its frames.

    Raises
    ------
    IngestError
        If it is no DICOM file, holds no pixels, or they are damaged or stored in a way that
        cannot be decoded here.
    """
    with needed_for("it is a DICOM file; reading it", lambda m: IngestError(str(m))):
        import pydicom
    with _plain_words():
        syntax = _transfer_syntax(Path(path))
        data = pydicom.dcmread(path, specific_tags=list(ALLOWED))
        if "PixelData" not in data:
            raise IngestError("it holds no pixels: a report, a work list or an index")
    if syntax in _VIDEO:
        yield from _video(data)
        return
    with _plain_words():
        count = int(data.get("NumberOfFrames") or 1)
        shape = check_shape((int(data.get("Rows") or 0), int(data.get("Columns") or 0)))
        if not 0 < count <= MAX_FRAMES:
            raise IngestError(f"it announces {count} frames, 1 to {MAX_FRAMES} can be used")
        head, seconds = _head(data, shape, count, syntax), stated_seconds(data, count)
    yield head
    done = 0
    with _plain_words():
        for pixels in _frames(data, syntax, count):
            if pixels.shape != shape:
                raise IngestError(f"its frame {done} is {pixels.shape}, its header says {shape}")
            yield Frame(pixels, seconds[done])
            done += 1
    if done != count:
        raise IngestError(f"it is cut short: {count} frames are announced, {done} are there")


@contextmanager
def _plain_words() -> Iterator[None]:
    """Turn whatever a reader of broken files raises into one sentence."""
    try:
        yield
    except (IngestError, MemoryError, GeneratorExit):
        raise
    except RecursionError as error:
        raise IngestError("its elements are nested too deeply to be a real image") from error
    except Exception as error:
        text = " ".join(str(error).split())[:120]
        raise IngestError(f"it is cut short, damaged or no DICOM image: {text}") from error


def _transfer_syntax(path: Path) -> str:
    """Return how the pixels are stored, refusing what this cannot decode and what is a bomb."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import UID

    meta = read_file_meta_info(path)
    syntax = UID(meta.get("TransferSyntaxUID", ""))
    known = _LOSSY_JPEG | _LOSSLESS_JPEG | _VIDEO | set(_PLUGINS)
    if syntax not in known:
        raise IngestError(
            f"its pixels are stored as {syntax.name or 'nothing'}, which cannot be decoded here; "
            "export it uncompressed, as JPEG or as JPEG 2000"
        )
    if syntax == _DEFLATED:
        _check_inflated(path)
    return str(syntax)


def check_syntax(path: Path) -> None:
    """Refuse a file of DICOM elements that inflates to more than anybody has memory for.

    Raises
    ------
    IngestError
        Also if it holds no transfer syntax.
    """
    from pydicom.filereader import read_file_meta_info

    with _plain_words():
        if read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED:
            _check_inflated(path)


def _check_inflated(path: Path) -> None:
    from pydicom.filereader import _read_file_meta_info, read_preamble

    with path.open("rb") as f:
        read_preamble(f, False)
        _read_file_meta_info(f)
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        size, pending = 0, b""
        while not inflate.eof and (pending := pending or f.read(2**16)):
            size += len(inflate.decompress(pending, 2**20))
            pending = inflate.unconsumed_tail
            if size > MAX_INFLATED:
                raise IngestError(f"it inflates to more than {MAX_INFLATED // 2**20} MB")


def _head(data: Dataset, shape: tuple[int, int], count: int, syntax: str) -> Head:
    import pydicom
    from pydicom.uid import UID

    spacing, tags = region_spacing(data, shape)
    if data.get("BurnedInAnnotation") == "YES":
        tags = (*tags, "burned-in-annotation")
    how = f"{UID(syntax).name} {data.get('PhotometricInterpretation')} to grey"
    return Head(
        shape=shape,
        decoder=f"pydicom {pydicom.__version__}, {_library(syntax)}, {how}",
        n_frames=count,
        rate=rate(data),
        tags=tags,
        spacing=spacing,
        probe=probe(data),
        identity=_identity(data),
    )


def _library(syntax: str) -> str:
    from importlib.metadata import version

    if syntax in _LOSSY_JPEG:
        return f"Pillow {version('pillow')}"
    if syntax in _LOSSLESS_JPEG:
        return f"PyAV {version('av')}"
    plugin = _PLUGINS[syntax]
    if not plugin:
        return "uncompressed"
    name = "pylibjpeg-rle" if syntax.endswith(".5") else "pylibjpeg-openjpeg"
    return f"{name} {version(name)}"


def _identity(data: Dataset) -> str | None:
    """Return what tells this patient from others; it is turned into a code and never stored."""
    if number := str(data.get("PatientID") or "").strip():
        return f"id\0{data.get('IssuerOfPatientID') or ''}\0{number}"
    if name := str(data.get("PatientName") or "").strip(" ^"):
        return f"name\0{name}"
    if study := str(data.get("StudyInstanceUID") or ""):
        return f"study\0{study}"
    return None


def identity_in(path: Path) -> str | None:
    """Return what a DICOM file says of its patient, by its header alone.

    None if it says nothing, or cannot be read: why, is told when it is decoded.
    """
    tags = ["PatientID", "IssuerOfPatientID", "PatientName", "StudyInstanceUID"]
    try:
        import pydicom

        check_syntax(path)
        return _identity(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags))
    except Exception:  # whatever pydicom raises about broken files
        return None


def _frames(data: Dataset, syntax: str, count: int) -> Iterator[NDArray[np.uint8]]:
    if syntax in _LOSSY_JPEG:
        for encoded in _encoded(data, count):
            yield grey_of_jpeg(encoded, str(data.PhotometricInterpretation))
        return
    grey = grey_of(data)
    if syntax in _LOSSLESS_JPEG:
        for encoded in _encoded(data, count):
            yield grey(_lossless_jpeg(encoded), str(data.PhotometricInterpretation))
        return
    if not _PLUGINS[syntax] and str(data.PhotometricInterpretation).endswith("_422"):
        for pixels in _shared_chroma(data, count):
            yield grey(pixels, "YBR_FULL")
        return
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(data.file_meta.TransferSyntaxUID)
    # raw: YBR stays YBR, whose first sample is the luma we are after.
    for pixels, facts in decoder.iter_array(data, raw=True, decoding_plugin=_PLUGINS[syntax]):
        yield grey(pixels, str(facts["photometric_interpretation"]))


def _encoded(data: Dataset, count: int) -> Iterator[bytes]:
    from pydicom.encaps import generate_frames

    return generate_frames(data.PixelData, number_of_frames=count)


def _shared_chroma(data: Dataset, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield frames stored as Y Y Cb Cr for two pixels (PS3.3 C.7.6.3.1.2) as their Y, (Y, X, 1).

    pydicom 3.0 unpacks the first frame of such a cine and fails on the second.
    """
    samples = np.frombuffer(data.PixelData, np.uint8)
    size = data.Rows * data.Columns * 2
    if data.BitsAllocated != 8 or data.Columns % 2 or len(samples) < size * count:
        raise IngestError("its pixels are cut short, or their chroma is not shared by two of them")
    for i in range(count):
        pairs = samples[i * size : (i + 1) * size].reshape(-1, 4)
        yield pairs[:, :2].reshape(data.Rows, data.Columns, 1)


def _lossless_jpeg(encoded: bytes) -> NDArray[Any]:
    """Decode one lossless JPEG with FFmpeg: (Y, X) or (Y, X, 3), samples as they are stored."""
    import av

    codec = av.CodecContext.create("mjpeg", "r")
    frames = [*codec.decode(av.Packet(encoded)), *codec.decode(None)]
    if len(frames) != 1:
        raise IngestError("one of its frames is damaged")
    frame: Any = frames[0]
    name = frame.format.name
    if name in ("gray", "gray16le", "gray16be"):
        pixels: NDArray[Any] = frame.to_ndarray()
    elif name == "bgr24":
        pixels = frame.to_ndarray(format="rgb24")
    else:
        raise IngestError(f"its lossless JPEG is of a kind ({name}) that cannot be decoded here")
    return pixels


def _video(data: Dataset) -> Iterator[Head | Frame]:
    """Decode MPEG-2, H.264 or HEVC within DICOM, as a video of its own with its own times."""
    from dataclasses import replace

    from napari_confseg.ingest.video import read_video

    with _plain_words():
        stream = BytesIO(next(_encoded(data, 1)))  # the whole video is one "frame"
    for part in read_video(stream):
        if isinstance(part, Head):
            spacing, tags = region_spacing(data, part.shape)
            yield replace(
                part,
                spacing=spacing,
                tags=part.tags + tags,
                probe=probe(data),
                identity=_identity(data),
                decoder=f"DICOM, {part.decoder}",
            )
        else:
            yield part
