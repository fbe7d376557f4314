"""Metrics of a run as TensorBoard reads them, without the package.

An event file is a row of records: length, its checksum, data, their checksum (TensorFlow's
TFRecord). The data is an ``Event`` of ``event.proto``, of which scalars need five fields. So
``tensorboard --logdir runs`` shows every run under the name of its folder, wherever it was fitted.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import google_crc32c

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVENT_FILES = "events.out.tfevents."
"""Beginning of the names of the files in a run's folder; TensorBoard looks for ``tfevents``."""

# Fields of event.proto and summary.proto with their wire types: number * 8 + type.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 0x09, 0x10, 0x1A, 0x2A, 0x3A
_VALUE, _TAG, _SIMPLE_VALUE = 0x0A, 0x0A, 0x15
_SESSION_START = b"\x08\x01"


class TensorBoardLog:
    """The event file of one session of a fit: from a step on, until it ends or is stopped.

    Parameters
    ----------
    folder : Path
        The run's folder.
    after : int
        The step that the session resumes from. Events of earlier sessions beyond it are not shown
        any more: those steps are done again.
    """

    def __init__(self, folder: Path, after: int) -> None:
        self._path = folder / f"{EVENT_FILES}{after:08d}.confseg"
        start = _event(0, bytes([_FILE_VERSION, 13]) + b"brain.Event:2")
        if after:
            log = bytes([_SESSION_LOG, len(_SESSION_START)]) + _SESSION_START
            start += _event(after + 1, log)
        self._path.write_bytes(start)

    def add(self, step: int, values: Mapping[str, float | None]) -> None:
        """Append the values after `step`; what is undefined is left out."""
        summary = b"".join(_scalar(n, v) for n, v in values.items() if v is not None)
        with self._path.open("ab") as file:
            file.write(_event(step, bytes([_SUMMARY]) + _varint(len(summary)) + summary))


def _scalar(name: str, value: float) -> bytes:
    tag = name.encode()
    content = bytes([_TAG]) + _varint(len(tag)) + tag
    content += bytes([_SIMPLE_VALUE]) + struct.pack("<f", value)
    return bytes([_VALUE]) + _varint(len(content)) + content


def _event(step: int, what: bytes) -> bytes:
    """Return the record of one event."""
    data = bytes([_WALL_TIME]) + struct.pack("<d", time.time())
    data += bytes([_STEP]) + _varint(step) + what
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """Return the checksum as TFRecord masks it."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(number: int) -> bytes:
    """Return a whole number as protobuf writes it."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
