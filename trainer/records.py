"""Numbered byte strings, in memory or in a scratch file."""

from __future__ import annotations

import errno
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from trainer.errors import TrainError

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = 2 * 2**30
"""Bytes that are held in memory; with more, all go into a file."""


class Records:
    """Numbered byte strings, each written once and read often, from any thread.

    Parameters
    ----------
    n : int
        Highest number, plus one.
    folder : Path or None
        Folder of the file; None for the system's temporary folder.
    memory : int
        Bytes to hold before the file is made.
    expected : int
        Bytes known to come; if more than `memory`, the file is made at once.
    """

    def __init__(
        self, n: int, folder: Path | None = None, *, memory: int = MEMORY, expected: int = 0
    ) -> None:
        self._folder, self._memory = folder, memory
        self._held: list[bytes | None] = [None] * n
        self._size = 0
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._begin = np.zeros(0, np.int64)
        self._length = np.zeros(0, np.int32)
        if expected > memory:
            self._refuse_small_disk(expected)
            self._spill()

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def on_disk(self) -> bool:
        """Whether the records are in a file."""
        return self._file is not None

    @property
    def nbytes(self) -> int:
        """Total size in bytes."""
        return self._size

    def put(self, number: int, data: bytes) -> None:
        """Keep `data` under its number.

        Raises
        ------
        TrainError
            If the disk is full.
        """
        with self._lock:
            self._size += len(data)
            if self._file is None:
                self._held[number] = data
                if self._size > self._memory:
                    self._spill()
            else:
                self._append(number, data)

    def get(self, number: int) -> bytes | None:
        """Return what was kept under `number`, or None if nothing was."""
        if self._file is None:
            return self._held[number]
        length = int(self._length[number])
        if length < 0:
            return None
        with self._lock:
            self._file.seek(int(self._begin[number]))
            return self._file.read(length)

    def _spill(self) -> None:
        """Move what is held into a file."""
        self._begin = np.zeros(len(self._held), np.int64)
        self._length = np.full(len(self._held), -1, np.int32)
        # It has no name (Windows removes it on closing), so nothing is left behind however the
        # process ends. Unbuffered: a full disk is noticed at the write, and reads are large enough.
        self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115
        for number, data in enumerate(self._held):
            if data is not None:
                self._append(number, data)
        self._held = []

    def _append(self, number: int, data: bytes) -> None:
        assert self._file is not None
        try:
            self._begin[number] = self._file.seek(0, 2)
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise self._full(self._size) from error
            raise
        self._length[number] = len(data)

    def _refuse_small_disk(self, expected: int) -> None:
        folder = self._folder or tempfile.gettempdir()
        if shutil.disk_usage(folder).free < expected:
            raise self._full(expected)

    def _full(self, size: int) -> TrainError:
        return TrainError(
            f"There is no room for {size / 2**30:.1f} GiB of frames in "
            f"{self._folder or tempfile.gettempdir()}: what exceeds "
            f"{self._memory / 2**30:.1f} GiB is read through a file there",
            "Free some space, choose another folder with --out, or a smaller --size.",
        )
