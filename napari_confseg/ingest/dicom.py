"""DICOM ultrasound: the pixels, when they were, how large they are; nothing else is read.

Only the elements named in :data:`~napari_confseg.ingest.dicom_file.ALLOWED` are taken from a file.
Names, dates, numbers, comments and private elements never enter this program; what tells one
patient from another leaves this module as one text, which becomes a keyed code before anything is
stored.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.extras import needed_for
from napari_confseg.ingest.codestreams import jpeg2000_frame, jpeg_frame, rle_segments
from napari_confseg.ingest.decoded import MAX_FRAMES, Frame, Head, IngestError, check_shape
from napari_confseg.ingest.dicom_file import (
    BIG_ENDIAN,
    DEFLATED,
    check_syntax,
    items_of,
    open_dicom,
    plain_words,
    quiet_pydicom,
)
from napari_confseg.ingest.dicom_header import (
    burned_in,
    check_ultrasound,
    identity,
    probe,
    rate,
    region_spacing,
    stated_seconds,
)
from napari_confseg.ingest.dicom_pixels import Grey, Layout, grey_of_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pydicom import Dataset

    from napari_confseg.ingest.dicom_pixels import Samples

_LOSSY_JPEG = frozenset(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"])
_LOSSLESS_JPEG = frozenset(["1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"])
_JPEG_2000 = frozenset(["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"])
_RLE = "1.2.840.10008.1.2.5"
# MPEG-2, H.264, HEVC; all but HEVC also in fragments (PS3.5, 10.7 to 10.18).
_VIDEO = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in range(100, 109)) | frozenset(
    f"1.2.840.10008.1.2.4.{n}.1" for n in range(100, 107)
)
_NATIVE = frozenset(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED])
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff", b"\0\0\0\x0cjP  ")  # JPEG, JPEG 2000, a JP2 file


def read_dicom(path: str) -> Iterator[Head | Frame]:
    """Decode the DICOM file at `path`: a head, then its frames.

    Raises
    ------
    IngestError
        If it is no DICOM file or no ultrasound, holds no pixels, or they are damaged, contradict
        the header, or are stored in a way that cannot be decoded here.
    """
    with needed_for("it is a DICOM file; reading it", lambda m: IngestError(str(m))):
        import pydicom  # noqa: F401
    with plain_words(), quiet_pydicom():
        data, syntax = open_dicom(Path(path))
        check_ultrasound(data)
        if not data.get("PixelData"):
            raise IngestError(
                "it holds no pixels: a report, a work list, an index, or an image that was cut "
                "short before them"
            )
        _check_known(syntax)
        count = int(data.get("NumberOfFrames") or 0)
        if not 0 <= count <= MAX_FRAMES:
            raise IngestError(f"it announces {count} frames, 1 to {MAX_FRAMES} can be used")
    if syntax in _VIDEO:
        yield from _video(data, count)
    else:
        yield from _images(data, syntax, count)


def _check_known(syntax: str) -> None:
    from pydicom.uid import UID

    if syntax not in _NATIVE | _LOSSY_JPEG | _LOSSLESS_JPEG | _JPEG_2000 | _VIDEO | {_RLE}:
        raise IngestError(
            f"its pixels are stored as {UID(syntax).name}, which cannot be decoded here; "
            "export it uncompressed, as JPEG or as JPEG 2000"
        )


# -- frames, one by one


def _images(data: Dataset, syntax: str, stated: int) -> Iterator[Head | Frame]:
    with plain_words(), quiet_pydicom():
        shape = check_shape((int(data.get("Rows") or 0), int(data.get("Columns") or 0)))
        layout = Layout.of(data, shape)
        if syntax in _JPEG_2000 | _LOSSLESS_JPEG:  # a stream's samples have no bits to spare
            layout = replace(layout, high=layout.stored - 1)
        if syntax in _NATIVE:
            count = layout.count(data.PixelData, stated)
        else:
            count = _separate(data, syntax, stated)
        deep = _samples(data, syntax, layout, count) if layout.stored > 8 else ()
        grey = Grey(data, layout, deep)
        head, seconds = _head(data, shape, count, syntax, grey.how), stated_seconds(data, count)
    yield head
    done = 0
    with plain_words(), quiet_pydicom():
        for pixels in _grey_frames(data, syntax, layout, count, grey):
            if pixels.shape != shape:
                raise IngestError(f"its frame {done} is {pixels.shape}, its header says {shape}")
            yield Frame(pixels, seconds[done])
            done += 1
    if done != count:
        raise IngestError(f"it is cut short: {count} frames are announced, {done} are there")


def _separate(data: Dataset, syntax: str, stated: int) -> int:
    """Give each compressed frame one item of its own, and return how many there are.

    Frames are told by how they begin: tables of offsets, and even the number of frames, are often
    wrong.
    """
    from pydicom.encaps import encapsulate

    items = items_of(data.PixelData)
    frames: list[bytes] = []
    for item in items:
        if syntax == _RLE or item.startswith(_STARTS) or not frames:
            frames.append(item)
        else:
            frames[-1] += item
    if stated and len(frames) != stated:
        short = "it is cut short" if len(frames) < stated else "its header contradicts its pixels"
        raise IngestError(f"{short}: {stated} frames are announced, {len(frames)} are there")
    if not frames:
        raise IngestError("its compressed pixels are empty")
    data.PixelData = encapsulate(frames, has_bot=False)
    data.NumberOfFrames = len(frames)
    return len(frames)


def _head(data: Dataset, shape: tuple[int, int], count: int, syntax: str, deep: str) -> Head:
    import pydicom
    from pydicom.uid import UID

    spacing, tags = region_spacing(data, shape)
    how = f"{UID(syntax).name} {data.get('PhotometricInterpretation')} to grey{deep}"
    return Head(
        shape=shape,
        decoder=f"pydicom {pydicom.__version__}, {_library(syntax)}, {how}",
        n_frames=count,
        rate=rate(data),
        tags=tags + burned_in(data),
        spacing=spacing,
        probe=probe(data),
        identity=identity(data),
    )


def _library(syntax: str) -> str:
    from importlib.metadata import version

    # Decoders differ in bytes: each syntax has one.
    if syntax in _NATIVE:
        return "uncompressed"
    if syntax in _LOSSY_JPEG:
        return f"Pillow {version('pillow')}"
    if syntax in _LOSSLESS_JPEG:
        return f"PyAV {version('av')}"
    name = "pylibjpeg-rle" if syntax == _RLE else "pylibjpeg-openjpeg"
    return f"{name} {version(name)}"


def identity_in(path: Path) -> str | None:
    """Return what a DICOM file says of its patient, by its header alone.

    None if it says nothing, or cannot be read: why, is told when it is decoded.
    """
    tags = ["PatientID", "IssuerOfPatientID", "PatientName", "StudyInstanceUID"]
    try:
        import pydicom

        check_syntax(path)
        with quiet_pydicom():
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)
        return identity(header)
    except Exception:  # whatever pydicom raises about broken files
        return None


def _grey_frames(
    data: Dataset, syntax: str, layout: Layout, count: int, grey: Grey
) -> Iterator[NDArray[np.uint8]]:
    if syntax in _LOSSY_JPEG:
        for encoded in items_of(data.PixelData):
            yield grey_of_jpeg(encoded, layout.photometric)
        return
    for samples, photometric in _samples(data, syntax, layout, count):
        yield grey(samples, photometric)


def _samples(data: Dataset, syntax: str, layout: Layout, count: int) -> Iterator[Samples]:
    """Yield the samples of each frame as they were before compression, and what they are."""
    if syntax in _LOSSY_JPEG:
        return  # of 8 bits, whatever the header says
    if syntax in _LOSSLESS_JPEG:
        for encoded in items_of(data.PixelData):
            yield _lossless_jpeg(encoded), layout.photometric
        return
    if syntax in _NATIVE:
        pairs = layout.photometric.endswith("_422")
        for pixels in (_shared_chroma if pairs else _native)(data, layout, count):
            yield pixels, "YBR_FULL" if pairs else layout.photometric
        return
    from pydicom.pixels.decoders.base import get_decoder

    # pydicom cuts off what lies above the stored bits, as if these were always the lowest.
    data.BitsStored, data.HighBit = data.BitsAllocated, data.BitsAllocated - 1
    decoder = get_decoder(data.file_meta.TransferSyntaxUID)
    items = items_of(data.PixelData)
    if syntax == _RLE:
        for item in items:
            _check_rle(item, layout)
        known = [layout.photometric] * count
    else:
        known = [_of_jpeg2000(item, layout) for item in items]
    # raw: YBR stays YBR, whose first sample is the luma we are after.
    decoded = decoder.iter_array(data, raw=True, decoding_plugin="pylibjpeg")
    for (pixels, _), photometric in zip(decoded, known, strict=True):
        yield pixels, photometric


def _of_jpeg2000(encoded: bytes, layout: Layout) -> str:
    """Return what the decoded samples of a JPEG 2000 frame are: its stream knows better."""
    frame = jpeg2000_frame(encoded)
    if frame.components != layout.samples or frame.signed:
        sign = "signed" if frame.signed else "unsigned"
        raise IngestError(
            f"its header contradicts its pixels: {layout.samples} unsigned samples a pixel are "
            f"announced, {frame.components} {sign} ones are there"
        )
    if frame.bits > layout.stored:
        raise IngestError(
            f"its header contradicts its pixels: {layout.stored} bits a sample are announced, "
            f"{frame.bits} are there"
        )
    if frame.components == 3 and frame.transformed:
        return "RGB"
    if layout.photometric in ("YBR_ICT", "YBR_RCT"):
        raise IngestError(
            f"its header contradicts its pixels: they are said to be {layout.photometric}, and "
            "their stream was not transformed"
        )
    return layout.photometric


def _check_rle(encoded: bytes, layout: Layout) -> None:
    expected = layout.samples * layout.allocated // 8
    if (found := rle_segments(encoded)) != expected:
        raise IngestError(
            f"its header contradicts its pixels: {expected} bytes a pixel are announced, {found} "
            "are there"
        )


def _native(data: Dataset, layout: Layout, count: int) -> Iterator[NDArray[Any]]:
    """Yield frames that are stored as they are: (Y, X) or (Y, X, 3)."""
    cells = np.frombuffer(data.PixelData, np.uint8)
    if layout.allocated == 16:
        cells = cells[: len(cells) // 2 * 2].view(">u2" if _big(data) else "<u2")
    elif _big(data) and data["PixelData"].VR == "OW":  # two samples of 8 bits make a word
        cells = cells[: len(cells) // 2 * 2].view(np.uint16).byteswap().view(np.uint8)
    size = layout.shape[0] * layout.shape[1] * layout.samples
    for i in range(count):
        frame = cells[i * size : (i + 1) * size]
        if layout.samples == 1:
            yield frame.reshape(layout.shape)
        elif data.get("PlanarConfiguration") == 1:
            yield np.moveaxis(frame.reshape(3, *layout.shape), 0, -1)
        else:
            yield frame.reshape(*layout.shape, 3)


def _big(data: Dataset) -> bool:
    return data.file_meta.TransferSyntaxUID == BIG_ENDIAN


def _shared_chroma(data: Dataset, layout: Layout, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield frames stored as Y Y Cb Cr for two pixels (PS3.3 C.7.6.3.1.2) as their Y, (Y, X, 1)."""
    samples = np.frombuffer(data.PixelData, np.uint8)
    size = layout.frame_bytes
    if layout.allocated != 8 or layout.shape[1] % 2:
        raise IngestError("its header says that two pixels share their colour, which cannot be")
    for i in range(count):
        pairs = samples[i * size : (i + 1) * size].reshape(-1, 4)
        yield pairs[:, :2].reshape(*layout.shape, 1)


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
        bits = jpeg_frame(encoded).bits
        if 8 < bits < 16:  # FFmpeg fills 16 bits from above
            pixels = pixels >> (16 - bits)
    elif name == "bgr24":
        pixels = frame.to_ndarray(format="rgb24")
    else:
        raise IngestError(f"its lossless JPEG is of a kind ({name}) that cannot be decoded here")
    return pixels


# -- a video as a whole

_ALIKE = 0.02
"""Part by which two statements of a frame rate may differ: 29.97 and 30 are the same."""


def _video(data: Dataset, stated: int) -> Iterator[Head | Frame]:
    """Decode MPEG-2, H.264 or HEVC within DICOM; what the header says of times comes first."""
    from napari_confseg.ingest.video import read_video

    with plain_words():
        stream = b"".join(items_of(data.PixelData))  # one video, in one fragment or several
    times = stated_seconds(data, stated)
    done = 0
    for part in read_video(stream):
        if isinstance(part, Head):
            yield _video_head(data, part, stated)
            continue
        if stated and done == stated:
            raise IngestError(
                f"its header contradicts its pixels: {stated} frames are announced, its video "
                "holds more"
            )
        yield Frame(part.pixels, times[done]) if times and times[done] is not None else part
        done += 1
    if stated and done != stated:
        raise IngestError(f"it is cut short: {stated} frames are announced, its video holds {done}")


def _video_head(data: Dataset, head: Head, stated: int) -> Head:
    spacing, tags = region_spacing(data, head.shape)
    said = rate(data)
    if said and head.rate and abs(said / head.rate - 1) > _ALIKE:
        tags = (*tags, "frame-rate-differs-in-video")
    known = tuple(t for t in head.tags if t != "length-not-stated" or not stated)
    return replace(
        head,
        n_frames=stated or head.n_frames,
        rate=said or head.rate,
        spacing=spacing,
        tags=known + tags + burned_in(data),
        probe=probe(data),
        identity=identity(data),
        decoder=f"DICOM, {head.decoder}",
    )
