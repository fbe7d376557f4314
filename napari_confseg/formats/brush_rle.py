"""Label Studio's run lengths of a brush: a picture of four channels, packed bit by bit.

The stream has the number of values (32 bits), bits of a value less one (5), then four widths of
a length less one (4 each). A block is a bit, two bits that choose a width, a length less one in
that width; and one value for all of it if the bit is set, else a value for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_WIDTHS = (3, 4, 8, 16)
_LONGEST = 2 ** _WIDTHS[-1]
CHANNELS = 4


def encode(alpha: NDArray[np.uint8]) -> list[int]:
    """Return the code of a picture of which all channels are `alpha`, ``uint8 (Y, X)``."""
    flat = alpha.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = CHANNELS * np.diff(np.concatenate([starts, [flat.size]]))
    bits = [f"{CHANNELS * flat.size:032b}{7:05b}", *(f"{w - 1:04b}" for w in _WIDTHS)]
    for length, value in zip(lengths.tolist(), flat[starts].tolist(), strict=True):
        left = length
        while left:
            part = min(left, _LONGEST)
            which = next(i for i, w in enumerate(_WIDTHS) if part <= 2**w)
            bits.append(f"1{which:02b}{part - 1:0{_WIDTHS[which]}b}{value:08b}")
            left -= part
    packed: list[int] = np.packbits(np.frombuffer("".join(bits).encode(), np.uint8) & 1).tolist()
    return packed


def decode(code: Sequence[int], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the last channel, how opaque a pixel is, ``uint8 (Y, X)``.

    Raises
    ------
    ValueError
        If the code is none, or not of a picture of this size.
    """
    count = CHANNELS * size[0] * size[1]
    if len(code) > 2 * count + 64:
        raise ValueError("its code is longer than the picture")
    if not all(isinstance(n, int) and 0 <= n < 256 for n in code):
        raise ValueError("its code is no list of bytes")
    stream = _Bits(bytes(code))
    if (found := stream.read(32)) != count:
        raise ValueError(
            f"its code is of {found:,} values, not the {count:,} of {size[1]} x {size[0]} pixels"
        )
    if stream.read(5) != 7:
        raise ValueError("its values are not of 8 bits")
    widths = [stream.read(4) + 1 for _ in range(4)]
    out = np.empty(count, np.uint8)
    done = 0
    while done < count:
        alike = stream.read(1)
        stop = done + 1 + stream.read(widths[stream.read(2)])
        if stop > count:
            raise ValueError("its runs are longer than the picture")
        out[done:stop] = stream.read(8) if alike else stream.values(stop - done)
        done = stop
    return out.reshape(*size, CHANNELS)[..., CHANNELS - 1]


class _Bits:
    """Reads numbers of some bits, highest first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, bits: int) -> int:
        stop = self._at + bits
        last = -(-stop // 8)
        if last > len(self._data):
            raise ValueError("its code is cut short")
        chunk = int.from_bytes(self._data[self._at // 8 : last], "big")
        self._at = stop
        return chunk >> (8 * last - stop) & ((1 << bits) - 1)

    def values(self, count: int) -> NDArray[np.uint8]:
        """Return numbers of 8 bits."""
        first, stop = self._at // 8, -(-(self._at + 8 * count) // 8)
        if stop > len(self._data):
            raise ValueError("its code is cut short")
        bits = np.unpackbits(np.frombuffer(self._data, np.uint8, stop - first, first))
        start = self._at % 8
        self._at += 8 * count
        return np.packbits(bits[start : start + 8 * count])
