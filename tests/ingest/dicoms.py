"""DICOM ultrasound made with pydicom: every way of storing pixels, and patients to leak."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def dataset(syntax: str = uid.ExplicitVRLittleEndian, **elements: object) -> Dataset:
    """Return a bare multi-frame ultrasound with `elements`."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = US_MULTIFRAME
    meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=["test"])
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID = US_MULTIFRAME
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.Modality = "US"
    ds.PatientID = "4711"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def with_pixels(
    ds: Dataset, samples: NDArray, photometric: str, data: bytes | None = None, **more: object
) -> Dataset:
    """Describe `samples`, (T, Y, X) or (T, Y, X, 3), in `ds`; `data` if not stored as they are."""
    ds.NumberOfFrames, ds.Rows, ds.Columns = samples.shape[:3]
    ds.SamplesPerPixel = 3 if samples.ndim == 4 else 1
    ds.PhotometricInterpretation = photometric
    if samples.ndim == 4:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = samples.dtype.itemsize * 8
    ds.PixelRepresentation = 0
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    ds.HighBit = ds.BitsStored - 1
    if data is None:
        big = ds.file_meta.TransferSyntaxUID == uid.ExplicitVRBigEndian
        data = samples.astype(samples.dtype.newbyteorder(">" if big else "<")).tobytes()
    data += b"\0" * (len(data) % 2)
    ds.PixelData = data
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    return ds


def save(ds: Dataset, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


def region(x0: int, y0: int, x1: int, y1: int, *, mm: tuple[float, float], **more: int) -> Dataset:
    """Return an ultrasound region with pixels of `mm` (y, x)."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaY, item.PhysicalDeltaX = mm[0] / 10, mm[1] / 10
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def palette(ds: Dataset, colors: NDArray[np.uint8], *, bits: int, first: int = 0) -> Dataset:
    """Put a palette, ``uint8 (n, 3)``, into `ds`, as entries of 8 or 16 bits."""
    for i, name in enumerate(("Red", "Green", "Blue")):
        wide = colors[:, i].astype(np.uint16) << (8 if bits == 16 else 0)
        entries = wide.astype("<u2") if bits == 16 else colors[:, i]
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [len(colors), first, bits])
        setattr(ds, f"{name}PaletteColorLookupTableData", entries.tobytes())
    return ds


def jpegs(frames: NDArray[np.uint8], **options: object) -> list[bytes]:
    """Encode each frame, (Y, X) or (Y, X, 3), with Pillow."""
    encoded = []
    for frame in frames:
        out = BytesIO()
        Image.fromarray(frame).save(out, "JPEG", quality=90, **options)
        encoded.append(out.getvalue())
    return encoded


def wrap(encoded: list[bytes]) -> bytes:
    return encapsulate([e + b"\0" * (len(e) % 2) for e in encoded])


def without_markers(jpeg: bytes) -> bytes:
    """Take JFIF's and Adobe's segments out of a JPEG."""
    out, at = bytearray(jpeg[:2]), 2
    while jpeg[at + 1] != 0xDA:
        size = 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        if jpeg[at + 1] not in (0xE0, 0xEE):
            out += jpeg[at : at + size]
        at += size
    return bytes(out + jpeg[at:])


def with_components(jpeg: bytes, names: tuple[int, int, int]) -> bytes:
    """Call the three components of a JPEG something else, in its frame and in its scan."""
    out = bytearray(jpeg)
    frame, scan = out.index(b"\xff\xc0"), out.index(b"\xff\xda")
    for i, name in enumerate(names):
        out[frame + 10 + 3 * i] = out[scan + 5 + 2 * i] = name
    return bytes(out)


def lossless_jpeg(frame: NDArray[np.unsignedinteger], bits: int = 8) -> bytes:
    """Encode grey losslessly: ITU-T T.81 process 14, predictor 1, codes of equal length."""
    height, width = frame.shape
    wide = frame.astype(int)
    predicted = np.empty_like(wide)
    predicted[:, 1:] = wide[:, :-1]
    predicted[1:, 0], predicted[0, 0] = wide[:-1, 0], 1 << (bits - 1)
    code = []
    for difference in (wide - predicted).ravel().tolist():
        size = abs(difference).bit_length()
        code.append(f"{size:04b}")  # category `size` has the 4-bit code `size`
        if size:
            extra = difference if difference > 0 else difference + (1 << size) - 1
            code.append(f"{extra:0{size}b}")
    text = "".join(code)
    text += "1" * (-len(text) % 8)
    scan = bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    table = bytes([0, 0, 0, 0, bits + 1] + [0] * 12) + bytes(range(bits + 1))
    segments = [
        (0xC3, struct.pack(">BHHB3B", bits, height, width, 1, 1, 0x11, 0)),
        (0xC4, table),
        (0xDA, bytes([1, 1, 0, 1, 0, 0])),
    ]
    body = b"".join(bytes([0xFF, m]) + struct.pack(">H", len(d) + 2) + d for m, d in segments)
    return b"\xff\xd8" + body + scan.replace(b"\xff", b"\xff\x00") + b"\xff\xd9"
