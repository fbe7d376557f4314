"""Connections of a panel's parts: what a handler raises is told in its panel, and no further."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from napari_confseg.annotate.links import Links

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QObject


@runtime_checkable
class _Tells(Protocol):
    def say_failed(self, error: Exception) -> None: ...


def links_of(part: QObject, *pairs: tuple[Any, Callable[..., Any]]) -> Links:
    """Return links of `part`; an exception of a slot is told by the panel that `part` is in."""
    where = weakref.ref(part)

    def failed(error: Exception) -> None:
        owner: Any = where()
        while owner is not None and not isinstance(owner, _Tells):
            owner = owner.parent()
        if owner is not None:
            owner.say_failed(error)

    return Links(*pairs, failed=failed)
