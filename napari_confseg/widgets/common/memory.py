"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_memory_back() -> None:
    """Give back what a closed clip leaves; the C library of Linux else keeps it for what comes.

    Of a long clip that is some 300 MB, in 40 ms. Other systems, and other C libraries, do without.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
