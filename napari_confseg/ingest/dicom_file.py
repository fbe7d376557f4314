"""DICOM as a file: with or without its preamble, whole or not; only listed elements are read."""

from __future__ import annotations

import logging
import re
import struct
import warnings
import zlib
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from napari_confseg.ingest.decoded import IngestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from pydicom import Dataset


MAX_INFLATED = 2**30
"""Bytes that a deflated file may grow to; 1.4 MB of them can hold 1.5 GB."""
MAX_UNDELIMITED = 2**31
"""Bytes of a file that is read as a whole to see what its unfinished pixel data hold."""

ALLOWED = (
    # whose it is: becomes a code
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "StudyInstanceUID",
    # what it is
    "SOPClassUID",
    "Modality",
    # when the frames were
    "FrameIncrementPointer",
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
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    # how deep samples are to be shown
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RescaleSlope",
    "RescaleIntercept",
)
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
_IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR "
    b"US UT UV".split()
)
_QUOTED = re.compile(r"""'[^']*'?|"[^"]*"?""")
"""What a library quotes from a file is of no use to anybody, and may be a name."""
_FIRST_ELEMENTS = range(0x20)
"""Of group 0008 the ones that a file without preamble may begin with."""


def begins_as_dicom(start: bytes) -> bool:
    """Whether a file that begins with the 132 bytes `start` is DICOM, if without its preamble.

    Old machines and exports leave the preamble out, and all that tells how the rest is stored.
    """
    if start[128:132] == b"DICM":
        return True
    if len(start) < 16:
        return False
    little, big = (struct.unpack(f"{order}HH", start[:4]) for order in "<>")
    if start[4:6] in _VRS:
        return little[0] in (2, 8) or big[0] == 8
    (length,) = struct.unpack("<I", start[4:8])
    return little[0] == 8 and little[1] in _FIRST_ELEMENTS and length <= 256


@contextmanager
def plain_words() -> Iterator[None]:
    """Turn whatever a reader of broken files raises into one sentence."""
    try:
        yield
    except (IngestError, MemoryError, GeneratorExit):
        raise
    except RecursionError as error:
        raise IngestError("its elements are nested too deeply to be a real image") from error
    except Exception as error:
        text = _QUOTED.sub("…", " ".join(str(error).split()))[:120]
        raise IngestError(f"it is cut short, damaged or no DICOM image: {text}") from error


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep back pydicom's warnings: they quote what they found, and that may be a name."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def open_dicom(path: Path) -> tuple[Dataset, str]:
    """Return the elements of `path` that are on the list, and its transfer syntax.

    Raises
    ------
    IngestError
        If it is no DICOM file, or one that inflates to more than anybody has memory for.
    """
    import pydicom
    from pydicom.uid import UID

    with plain_words(), quiet_pydicom():
        with path.open("rb") as f:
            if not begins_as_dicom(f.read(132)):
                raise IngestError("it is no DICOM file, or only the beginning of one")
        stated = check_syntax(path)
        tags = list(ALLOWED)
        data = pydicom.dcmread(path, force=True, specific_tags=tags)
        if "PixelData" not in data and stated != DEFLATED and _size(path) < MAX_UNDELIMITED:
            # Pixel data that nothing ends are passed over in silence: end them.
            ended = BytesIO(path.read_bytes() + _DELIMITER)
            data = pydicom.dcmread(ended, force=True, specific_tags=tags)
    syntax = stated or _guessed(data)
    data.file_meta.TransferSyntaxUID = UID(syntax)
    return data, syntax


def _size(path: Path) -> int:
    return path.stat().st_size


def check_syntax(path: Path) -> str | None:
    """Return the transfer syntax that a file of DICOM elements states, None if it doesn't.

    Raises
    ------
    IngestError
        If it is deflated, and more than anybody has memory for.
    """
    with plain_words(), quiet_pydicom(), path.open("rb") as f:
        syntax = _stated(f)
        if syntax == DEFLATED:
            _check_inflated(f)
        return syntax


def _stated(file: BinaryIO) -> str | None:
    """Return the transfer syntax; `file` stays where the elements begin."""
    from pydicom.filereader import _read_file_meta_info, read_preamble

    read_preamble(file, True)
    syntax = _read_file_meta_info(file).get("TransferSyntaxUID")
    return str(syntax) if syntax else None


def _check_inflated(file: BinaryIO) -> None:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    size, pending = 0, b""
    while not inflate.eof and (pending := pending or file.read(2**16)):
        size += len(inflate.decompress(pending, 2**20))
        pending = inflate.unconsumed_tail
        if size > MAX_INFLATED:
            raise IngestError(f"it inflates to more than {MAX_INFLATED // 2**20} MB")


def _guessed(data: Dataset) -> str:
    """Return the transfer syntax of a file that doesn't state it, as its elements were read."""
    if "PixelData" in data and data["PixelData"].is_undefined_length:
        raise IngestError("it doesn't say how its pixels are compressed; export it with its header")
    implicit, little = data.original_encoding
    return _IMPLICIT if implicit else _EXPLICIT if little else BIG_ENDIAN


def items_of(value: bytes) -> list[bytes]:
    """Return the fragments of encapsulated pixel data, without the table of offsets before them.

    Raises
    ------
    IngestError
        If the last one is cut short.
    """
    items, at = [], 0
    while at + 8 <= len(value) and value[at : at + 4] == _ITEM:
        (length,) = struct.unpack("<I", value[at + 4 : at + 8])
        items.append(value[at + 8 : at + 8 + length])
        at += 8 + length
    if at > len(value):
        raise IngestError("it is cut short: its last frame is not whole; copy or export it again")
    rest = value[at:]
    if not items or (rest.strip(b"\0") and not rest.startswith(_DELIMITER[:4])):
        raise IngestError("its compressed pixels are damaged; copy or export it again")
    return items[1:]
