"""Connections to psygnal signals that end together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from psygnal import SignalInstance


class Links:
    """Lets each signal call its slot, until all are cut.

    Parameters
    ----------
    *pairs : tuple of SignalInstance and callable
        What is listened to, and what is called.
    """

    def __init__(self, *pairs: tuple[SignalInstance, Callable[..., Any]]) -> None:
        self._pairs: list[tuple[SignalInstance, Callable[..., Any]]] = []
        self.add(*pairs)

    def add(self, *pairs: tuple[SignalInstance, Callable[..., Any]]) -> None:
        """Listen to more."""
        for signal, slot in pairs:
            signal.connect(slot)
        self._pairs += pairs

    def cut(self) -> None:
        """Call none of them any more; cutting twice does no harm."""
        for signal, slot in self._pairs:
            signal.disconnect(slot, missing_ok=True)
        self._pairs.clear()
