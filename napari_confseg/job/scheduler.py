"""Addresses of dask schedulers, as people write them."""

from __future__ import annotations

import re
from typing import Final

PORT: Final = 8786
"""Of a dask scheduler, unless it was told another."""

_ADDRESS: Final = re.compile(r"(tcp|tls|ws|wss|ucx)://([\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}")


def address_of(text: str) -> str:
    """Return a scheduler's address as it is meant: the protocol and the port may be left out.

    >>> address_of("gpu-server"), address_of(" tls://10.0.0.7:9000 "), address_of("")
    ('tcp://gpu-server:8786', 'tls://10.0.0.7:9000', '')
    """
    text = text.strip()
    if not text:
        return ""
    protocol, found, host = text.rpartition("://")
    host = host if re.search(r":\d+$", host) else f"{host}:{PORT}"
    return f"{protocol if found else 'tcp'}://{host}"


def where_problem(where: str) -> str:
    """Return what is wrong with a scheduler's address, in a sentence; empty if nothing.

    >>> where_problem("tcp://gpu-server:8786")
    ''
    """
    if not where or _ADDRESS.fullmatch(where):
        return ""
    return f"Where: {where} is no address of a dask scheduler, as tcp://gpu-server:8786 is."
