"""Event files hold what metrics.csv holds, in the format that TensorBoard reads.

What the fields mean was held against TensorBoard 2.21's own reader; here they are read by the
format's specification, with an independent checksum.
"""

from __future__ import annotations

import csv
import struct
from typing import TYPE_CHECKING

import crc32c
import pytest

from tests.trainer.conftest import run_folder
from tests.trainer.test_fit import stop_at
from trainer.run_job import execute
from trainer.tensorboard import EVENT_FILES, TensorBoardLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def records(path: Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file; each checksum is checked."""

    def masked(data: bytes) -> int:
        crc = crc32c.crc32c(data)
        return ((crc >> 15 | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF

    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        record = data[12 : 12 + length]
        crcs = struct.unpack("<I", data[8:12]) + struct.unpack("<I", data[12 + length :][:4])
        assert crcs == (masked(data[:8]), masked(record))
        yield record
        data = data[16 + length :]


def fields(data: bytes) -> dict[int, list]:
    """Return the fields of a protobuf message by number."""
    found: dict[int, list] = {}

    def varint() -> int:
        nonlocal data
        number = shift = 0
        while True:
            byte, data = data[0], data[1:]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while data:
        key = varint()
        if key & 7 == 0:
            value: object = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value, data = data[:size], data[size:]
        found.setdefault(key >> 3, []).append(value)
    return found


def scalars(path: Path) -> dict[tuple[str, int], float]:
    """Return (name, step) -> value, as TensorBoard shows them."""
    found = {}
    for record in records(path):
        event = fields(record)
        for summary in event.get(5, ()):
            for value in fields(summary)[1]:
                one = fields(value)
                name, step = one[1][0].decode(), event[2][0]
                found[name, step] = struct.unpack("<f", one[2][0])[0]
    return found


def in_csv(path: Path) -> dict[tuple[str, int], float]:
    with (path / "metrics.csv").open(encoding="utf-8") as file:
        return {
            (name, int(row["step"])): float(value)
            for row in csv.DictReader(file)
            for name, value in row.items()
            if value and name != "step"
        }


def test_a_resumed_fit_says_which_steps_it_does_again(tmp_path, shared_toy):
    run = run_folder(tmp_path / "run", shared_toy, size="study", steps=8)
    assert execute(run, stop_at(run, 3)) is not None
    assert execute(run) is not None
    first, second = sorted(run.path.glob(f"{EVENT_FILES}*"))
    begun = [fields(r) for r in records(second)]
    assert begun[0][3] == [b"brain.Event:2"]
    (resumed,) = (e for e in begun if 7 in e)
    step = resumed[2][0]
    assert fields(resumed[7][0]) == {1: [1]}  # SessionLog.START: later steps are done again
    shown = {at: v for at, v in scalars(first).items() if at[1] < step} | scalars(second)
    assert shown == pytest.approx(in_csv(run.path), rel=1e-6)


def test_long_names_and_large_steps_fit(tmp_path):
    log = TensorBoardLog(tmp_path, 0)
    log.add(3_000_000, {"val_dice/" + "x" * 300: 0.25, "loss": None})
    (path,) = tmp_path.iterdir()
    assert scalars(path) == {("val_dice/" + "x" * 300, 3_000_000): 0.25}
