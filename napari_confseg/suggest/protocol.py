"""Messages between the viewer and a model's process, on the process's stdin and stdout.

A message is a fixed start (magic, bytes of the head, bytes of the arrays), a head in JSON and the
arrays one after the other. The head names each array's type and shape, so that frames and planes
travel as they lie in memory.
"""

from __future__ import annotations

import json
import math
import struct
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAGIC: Final = b"CSs2"
_START: Final = struct.Struct("<4sIQ")
_MOST_HEAD: Final = 2**20
_MOST_ARRAYS: Final = 2**31
_TYPES: Final = ("uint8", "int32", "float32")


class ProtocolError(Exception):
    """The other side said something that is no message."""


class _Message(BaseModel):
    """Head of a message: no field unknown, none changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Load(_Message):
    """Get the model in the folder `model` ready; the answer is :class:`Loaded`."""

    kind: Literal["load"] = "load"
    model: str


class Loaded(_Message):
    """The model is ready: its `name`, the hash of its weights, what it learnt."""

    kind: Literal["loaded"] = "loaded"
    name: str
    version: str
    classes: tuple[str, ...]


class Suggest(_Message):
    """Propose on frames; the answer is :class:`Suggested`.

    Arrays: ``frames``, uint8 (n, Y, X); and, if marks of the clip are to be learnt from,
    ``taught``, uint8 (k, Y, X), frames, and ``marks``, uint8 (m, Y, X), planes on them. If they
    are to be carried along with the picture as well, ``path``, float32 (p, h, w): the frames
    between, small (:func:`napari_confseg.motion.small`).

    Attributes
    ----------
    model : str
        Folder of a run, or the name of the model that comes with the package.
    marks : tuple of (int, str)
        Of each plane, which taught frame and class it is of.
    reviewed : tuple of (int, str)
        Taught frames and classes whose unmarked pixels are known to be absent.
    strokes : int
        How many strokes are in it, for the version.
    frames_at, taught_at, path_at : tuple of int
        Index in the clip of each frame that is asked for, of each taught one and of each on the
        path; all empty to carry nothing.
    factor : int
        Pixels of a frame per pixel of one on the path, each way.
    shown_from : int
        The percentage from which on what is proposed shows; tiny pieces of that are left out.
    """

    kind: Literal["suggest"] = "suggest"
    model: str
    marks: tuple[tuple[int, str], ...] = ()
    reviewed: tuple[tuple[int, str], ...] = ()
    strokes: int = Field(default=0, ge=0)
    frames_at: tuple[int, ...] = ()
    taught_at: tuple[int, ...] = ()
    path_at: tuple[int, ...] = ()
    factor: int = Field(default=1, ge=1)
    shown_from: int = Field(default=50, ge=1, le=100)


class Suggested(_Message):
    """What a model proposes, and which version of it does.

    Arrays: ``percent``, uint8 (n, C, Y, X), of the model's classes in their order. The version is
    the hash of the weights, and ``+n`` if n strokes were learnt from.

    Attributes
    ----------
    partial : bool
        Whether there was no time yet to follow the picture from all painted frames in reach: the
        same question, asked again, is answered better.
    """

    kind: Literal["suggested"] = "suggested"
    name: str
    version: str
    classes: tuple[str, ...]
    partial: bool = False


class Refused(_Message):
    """The request can't be answered: why, in one sentence, and what to do."""

    kind: Literal["refused"] = "refused"
    message: str
    hint: str = ""


Message = Load | Loaded | Suggest | Suggested | Refused
Arrays = dict[str, "NDArray[Any]"]

_MESSAGE: Final[TypeAdapter[Message]] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


class Received(NamedTuple):
    """A message with its arrays, which are read-only."""

    message: Message
    arrays: Arrays


def send(
    stream: IO[bytes], message: Message, arrays: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Write a message.

    Raises
    ------
    OSError
        If the other side is gone.
    """
    # In one piece; of a single number numpy would make a row.
    given = {n: np.ascontiguousarray(a).reshape(a.shape) for n, a in (arrays or {}).items()}
    layout = [[name, a.dtype.name, list(a.shape)] for name, a in given.items()]
    head = json.dumps({"message": message.model_dump(mode="json"), "arrays": layout}).encode()
    stream.write(_START.pack(MAGIC, len(head), sum(a.nbytes for a in given.values())))
    stream.write(head)
    for array in given.values():
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: IO[bytes]) -> Received | None:
    """Read a message; None if the other side ended before one began.

    Raises
    ------
    ProtocolError
        If something else came, or the message breaks off.
    """
    start = stream.read(_START.size)
    if not start:
        return None
    try:
        magic, head_bytes, array_bytes = _START.unpack(start)
    except struct.error as error:
        raise ProtocolError("The message breaks off at its start.") from error
    if magic != MAGIC or head_bytes > _MOST_HEAD or array_bytes > _MOST_ARRAYS:
        raise ProtocolError("What came is no message of this version.")
    head, data = stream.read(head_bytes), stream.read(array_bytes)
    if len(head) != head_bytes or len(data) != array_bytes:
        raise ProtocolError("The message breaks off.")
    try:
        parts = json.loads(head)
        return Received(_MESSAGE.validate_python(parts["message"]), _arrays(parts["arrays"], data))
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise ProtocolError(f"What came can't be read: {type(error).__name__}.") from error


def _arrays(layout: list[tuple[str, str, list[int]]], data: bytes) -> Arrays:
    """Return the arrays that `layout` finds in `data`; ``ValueError`` unless they are all of it."""
    made: Arrays = {}
    offset = 0
    for name, kind, shape in layout:
        if kind not in _TYPES or min(shape, default=0) < 0:
            raise ValueError(kind)
        count = math.prod(shape)
        made[name] = np.frombuffer(data, kind, count, offset).reshape(shape)
        offset += made[name].nbytes
    if offset != len(data):
        raise ValueError(offset)
    return made
