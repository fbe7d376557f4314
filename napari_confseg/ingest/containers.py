"""Whether a file of frames ends where it says: containers walked by their own sizes.

Demuxers are made to play what they are given, and stop at the end of a file as if it had been the
end of the cine. Boxes, chunks and pages have sizes, though, and most containers an end mark.
MPEG program streams and elementary streams have neither: what is cut off of them at a boundary of
a packet cannot be told.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from napari_confseg.ingest.decoded import IngestError

if TYPE_CHECKING:
    from collections.abc import Callable

_CUT = "it is cut short: {}; copy or export it again"


def check_whole(file: BinaryIO, name: str) -> None:
    """Walk `file`, a container that FFmpeg calls `name`, from its first to its last part.

    Raises
    ------
    IngestError
        If a part lies beyond the end, or the end is missing.
    """
    for part, check in _CHECKS.items():
        if part in name.split(","):
            check(file, file.seek(0, os.SEEK_END))
            break
    file.seek(0)


def dropped_chunks(file: BinaryIO, stream: int) -> int:
    """Return how many frames of an AVI's `stream` have no data: the writer dropped them.

    Each has its place in time; the frame before is shown for longer.
    """
    names = (b"%02ddc" % stream, b"%02ddb" % stream)
    size = file.seek(0, os.SEEK_END)
    dropped = at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length, kind = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if name in (b"RIFF", b"LIST") and kind in (b"AVI ", b"AVIX", b"movi", b"rec "):
            at += 12  # what is in it follows
            continue
        dropped += name in names and length == 0
        at += 8 + length + length % 2
    file.seek(0)
    return dropped


def _boxes(file: BinaryIO, size: int) -> None:
    """ISO base media and QuickTime: a size and a name of four letters each."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name, wide = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
        if not all(32 <= c < 127 or c == 0xA9 for c in name):
            return  # something after the last box, which players pass over
        length = wide if length == 1 else length or size - at
        if at + length > size:
            raise IngestError(_CUT.format(f"its part “{name.decode('latin-1')}” ends beyond it"))
        at += max(length, 8)


def _ebml(file: BinaryIO, size: int) -> None:
    """Matroska and WebM: an element for the header, one for all the rest."""
    at = 0
    while at < size:
        file.seek(at)
        start = file.read(12)
        marker = _ebml_length(start)
        length = _ebml_length(start[marker:])
        if not marker or not length or marker + length > len(start):
            return
        value = int.from_bytes(start[marker : marker + length]) & ((1 << 7 * length) - 1)
        if value == (1 << 7 * length) - 1:
            return  # written live: it ends where it ends
        at += marker + length + value
    if at > size:
        raise IngestError(_CUT.format(f"{at - size} bytes are missing at its end"))


def _ebml_length(data: bytes) -> int:
    """Return the number of bytes of the number at the start of `data`; 0 if it is none."""
    return 9 - data[0].bit_length() if data and data[0] else 0


def _riff(file: BinaryIO, size: int) -> None:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            return
        at += 8 + length + length % 2
    if at > size + 1:  # some writers count a byte of padding that they leave out
        raise IngestError(_CUT.format(f"{at - size} bytes are missing at its end"))


def _gif(file: BinaryIO, size: int) -> None:
    file.seek(10)
    _skip_colors(file)
    while kind := file.read(1):
        if kind == b";":
            return
        if kind == b"!":
            file.read(1)
        elif kind == b",":
            file.seek(8, os.SEEK_CUR)
            _skip_colors(file, screen=False)
            file.read(1)
        elif kind == b"\0":
            continue
        else:
            raise IngestError("it is damaged: there is something between its frames")
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], os.SEEK_CUR)
    raise IngestError(_CUT.format("it has no end mark"))


def _skip_colors(file: BinaryIO, *, screen: bool = True) -> None:
    flags = (file.read(1) or b"\0")[0]
    entries = 2 << (flags & 7) if flags & 0x80 else 0
    file.seek(3 * entries + (2 if screen else 0), os.SEEK_CUR)


_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


def _ogg(file: BinaryIO, size: int) -> None:
    """Ogg: pages with a number, a checksum, and a mark on the last one (RFC 3533)."""
    file.seek(0)
    last: dict[int, tuple[int, bool]] = {}
    while head := file.read(27):
        if len(head) < 27 or head[:4] != b"OggS":
            raise IngestError(_CUT.format("its last page is not whole"))
        flags, serial, number, checksum = struct.unpack("<B8xIII", head[5:26])
        lengths = file.read(head[26])
        body = file.read(sum(lengths))
        if len(lengths) < head[26] or len(body) < sum(lengths):
            raise IngestError(_CUT.format("its last page is not whole"))
        if _ogg_checksum(head[:22] + b"\0\0\0\0" + head[26:] + lengths + body) != checksum:
            raise IngestError("it is damaged: the checksum of a page is wrong; copy it again")
        if serial in last and number != last[serial][0] + 1:
            raise IngestError("it is damaged: a page is missing; copy it again")
        last[serial] = number, bool(flags & 4)
    if not all(ended for _, ended in last.values()):
        raise IngestError(_CUT.format("it has no end mark"))


def _ogg_checksum(data: bytes) -> int:
    """Return the CRC-32 with the same polynomial as zlib's, but bits the other way round."""
    plain = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{plain:032b}"[::-1], 2)


_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1


def _asf(file: BinaryIO, size: int) -> None:
    """Windows Media: its header tells the size of the file, unless it was written live."""
    file.seek(0)
    head = file.read(2**16)
    at = head.find(_ASF_FILE)
    if not head.startswith(_ASF_HEADER) or at < 0 or len(head) < at + 92:
        return
    (stated,) = struct.unpack("<Q", head[at + 40 : at + 48])
    (flags,) = struct.unpack("<I", head[at + 88 : at + 92])
    if stated > size and not flags & _ASF_BROADCAST:
        raise IngestError(_CUT.format(f"{stated - size} bytes are missing at its end"))


def _transport(file: BinaryIO, size: int) -> None:
    file.seek(0)
    head = file.read(2**12)
    for length in (188, 192, 204):
        first = length - 188 if length == 192 else 0  # M2TS: four bytes of time before each
        marks = head[first::length]
        if len(marks) > 3 and set(marks) == {0x47} and size % length:
            raise IngestError(_CUT.format("its last packet is not whole"))


_CHECKS: dict[str, Callable[[BinaryIO, int], None]] = {
    "mov": _boxes,
    "matroska": _ebml,
    "avi": _riff,
    "gif": _gif,
    "ogg": _ogg,
    "asf": _asf,
    "mpegts": _transport,
}
