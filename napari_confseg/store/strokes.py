"""The record of strokes: one JSON line each, the history that goes with the planes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from napari_confseg.store.problems import Problem, StoreError
from napari_confseg.store.schema import Strict

if TYPE_CHECKING:
    from collections.abc import Iterable

Coordinate = Annotated[int, Field(ge=0)]


class Stroke(Strict):
    """One act of a rater on planes or status.

    Attributes
    ----------
    seq : int
        Order within the rater, from 1, without gaps.
    time : datetime
        When it was made, with time zone. For people: order is by `seq`.
    class_index, frame : int
        What it marked.
    confidence : int
        0 erases; 1..100 percent; 255 excludes.
    tool : str
        ``"brush"``, ``"polygon"``, ``"fill"``, ``"erase"``, ``"accept"``, ...; ``"status"`` for a
        change of status alone, whose new value is `status`.
    box : tuple of int
        (y0, x0, y1, x1), half open, around the changed pixels; zeros if none.
    pixels : int
        How many pixels changed.
    status : int or None
        New status of (frame, class), if the act changed it.
    also : tuple of (frame, class index, status)
        Every further status that the same act changed.
    undone : bool
        Whether it stands undone now.
    """

    seq: int = Field(ge=1)
    time: datetime
    class_index: int = Field(ge=0, lt=64)
    frame: Coordinate
    confidence: int = Field(ge=0, le=255)
    tool: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}$")]
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] = (0, 0, 0, 0)
    pixels: int = Field(default=0, ge=0)
    status: Annotated[int, Field(ge=0, le=2)] | None = None
    also: tuple[
        tuple[Coordinate, Annotated[int, Field(ge=0, lt=64)], Annotated[int, Field(ge=0, le=2)]],
        ...,
    ] = ()
    undone: bool = False


def dump_strokes(strokes: Iterable[Stroke]) -> bytes:
    """Return the record as JSON lines."""
    return b"".join(s.model_dump_json().encode() + b"\n" for s in strokes)


def parse_strokes(data: bytes, path: str) -> list[Stroke]:
    """Return the record read from JSON lines.

    Raises
    ------
    StoreError
        With one problem for each line that is wrong.
    """
    strokes, problems = [], []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            strokes.append(Stroke.model_validate_json(line))
        except ValidationError as error:
            e = error.errors()[0]
            where = ".".join(map(str, e["loc"])) or "line"
            problems.append(Problem("stroke-record", f"{path}:{number}", f"{where}: {e['msg']}",
                                    repr(e["input"])[:80]))  # fmt: skip
    if problems:
        raise StoreError(problems)
    return strokes
