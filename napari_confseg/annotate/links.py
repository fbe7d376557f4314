"""Connections to psygnal signals that end together, and whose failures stay with who listens."""

from __future__ import annotations

import inspect
import logging
import weakref
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from napari_confseg.store.errors import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from psygnal import SignalGroup, SignalInstance

    from napari_confseg.annotate.session import Session

    Pair = tuple[SignalInstance | SignalGroup, Callable[..., Any]]
    Failed = Callable[[Exception], object]

log = logging.getLogger(__name__)


class Links:
    """Lets each signal call its slot, until all are cut.

    A slot that raises does not stop the emission: the session and whoever else listens go on. The
    exception is logged with its traceback, and handed to `failed`.

    Parameters
    ----------
    *pairs : tuple of SignalInstance or SignalGroup and callable
        What is listened to, and what is called.
    failed : callable, optional
        Called with the exception of a slot.
    """

    def __init__(
        self,
        *pairs: tuple[SignalInstance | SignalGroup, Callable[..., Any]],
        failed: Failed | None = None,
    ) -> None:
        self._pairs: list[Pair] = []
        self._failed = failed
        self.add(*pairs)

    def add(self, *pairs: Pair) -> None:
        """Listen to more."""
        guarded = [(signal, guard(slot, self._failed)) for signal, slot in pairs]
        for signal, slot in guarded:
            signal.connect(slot)
        self._pairs += guarded

    def __bool__(self) -> bool:
        """Whether anything is listened to."""
        return bool(self._pairs)

    def cut(self) -> None:
        """Call none of them any more; cutting twice does no harm."""
        for signal, slot in self._pairs:
            signal.disconnect(slot, missing_ok=True)
        self._pairs.clear()


def guard(slot: Callable[..., Any], failed: Failed | None = None) -> Callable[..., None]:
    """Return a function that calls `slot` and lets no exception out.

    A method's object is not kept alive by it, as psygnal would not either.
    """
    bound = inspect.ismethod(slot)
    find = weakref.WeakMethod(slot) if bound else (lambda: slot)
    name = getattr(slot, "__qualname__", repr(slot))
    find_failed = weakref.WeakMethod(failed) if inspect.ismethod(failed) else (lambda: failed)

    def call(*arguments: Any) -> None:
        called = find()
        if called is None:
            return
        try:
            called(*arguments)
        except Exception as error:
            log.exception("%s failed; the session goes on", name)
            report = find_failed()
            if report is not None:
                report(error)

    # psygnal reads from it how many of a signal's arguments are wanted.
    call.__signature__ = inspect.signature(slot)  # type: ignore[attr-defined]
    return call


def to_message(session: Session) -> Failed:
    """Return a callable that puts an exception into the message of `session`."""

    def show(error: Exception) -> None:
        session.message = f"Not all could be shown: {sentence(error)}"

    return show


@runtime_checkable
class _ShowsFailure(Protocol):
    def show_failure(self, error: Exception) -> None: ...


def links_of(part: Any, *pairs: Pair) -> Links:
    """Return links of a widget or other Qt object; what a slot raises is shown by its panel.

    That is the nearest of its parents that has a `show_failure`.
    """
    where = weakref.ref(part)

    def failed(error: Exception) -> None:
        owner = where()
        while owner is not None and not isinstance(owner, _ShowsFailure):
            owner = owner.parent()
        if owner is not None:
            owner.show_failure(error)

    return Links(*pairs, failed=failed)
