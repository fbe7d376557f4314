"""Headers of compressed frames: what JPEG, JPEG 2000 and RLE say of themselves."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from napari_confseg.ingest.decoded import IngestError

_DAMAGED = "one of its frames is damaged; copy or export it again"


@dataclass(frozen=True)
class JpegFrame:
    """The frame header of a JPEG (ITU-T T.81, B.2.2).

    Attributes
    ----------
    bits : int
        Bits of a sample.
    components : tuple of int
        What the components are called.
    subsampled : bool
        Whether some have fewer samples than others.
    """

    bits: int
    components: tuple[int, ...]
    subsampled: bool


_NO_FRAME_HEADERS = (0xC4, 0xC8, 0xCC)  # among the markers C0 to CF


def jpeg_frame(encoded: bytes) -> JpegFrame:
    """Read the frame header of a JPEG.

    Raises
    ------
    IngestError
        If there is none.
    """
    at = 2
    while at + 4 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == 0xFF:  # fill bytes may come before a marker
            at += 1
            continue
        (length,) = struct.unpack(">H", encoded[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADERS:
            body = encoded[at + 4 : at + 2 + length]
            if len(body) < 6 or len(body) < 6 + 3 * body[5]:
                break
            parts = [body[6 + 3 * i : 9 + 3 * i] for i in range(body[5])]
            return JpegFrame(
                bits=body[0],
                components=tuple(p[0] for p in parts),
                subsampled=len({p[1] for p in parts}) > 1,
            )
        at += 2 + length
    raise IngestError(_DAMAGED)


@dataclass(frozen=True)
class Jpeg2000Frame:
    """The main header of a JPEG 2000 codestream (ITU-T T.800, A.5.1 and A.6.1).

    Attributes
    ----------
    bits : int
        Bits of a sample.
    signed : bool
        Whether samples have a sign.
    components : int
        Their number.
    transformed : bool
        Whether red, green and blue were mixed, which decoders undo by themselves.
    """

    bits: int
    signed: bool
    components: int
    transformed: bool


def jpeg2000_frame(encoded: bytes) -> Jpeg2000Frame:
    """Read the main header of a JPEG 2000 codestream, bare or in a JP2 file.

    Raises
    ------
    IngestError
        If there is none.
    """
    at = encoded.find(b"\xff\x4f\xff\x51")
    if at < 0:
        raise IngestError(_DAMAGED)
    size = encoded[at + 4 : at + 44]
    transformed, at = None, at + 2
    while transformed is None and at + 4 <= len(encoded) and encoded[at] == 0xFF:
        if encoded[at + 1] == 0x52:  # COD
            transformed = bool(encoded[at + 8 : at + 9] > b"\0")
        at += 2 + struct.unpack(">H", encoded[at + 2 : at + 4])[0]
    if len(size) < 39 or transformed is None:
        raise IngestError(_DAMAGED)
    (components,) = struct.unpack(">H", size[36:38])
    return Jpeg2000Frame((size[38] & 0x7F) + 1, bool(size[38] & 0x80), components, transformed)


def rle_segments(encoded: bytes) -> int:
    """Return how many segments a frame of DICOM's RLE has (PS3.5 G.5): one a byte of a pixel."""
    return int(struct.unpack("<I", encoded[:4].ljust(4, b"\0"))[0])
