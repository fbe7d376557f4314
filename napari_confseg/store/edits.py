"""Edits: what is committed, undone and redone as one, and how the journal keeps them."""

from __future__ import annotations

import json
import struct
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import google_crc32c
import numpy as np
from numcodecs import zstd

from napari_confseg.store.codec import content_size, decode
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.schema import EXCLUDED, MAX_CONFIDENCE, Status
from napari_confseg.store.strokes import Acceptance, Carrying, Decision, Stroke

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

MAX_HEAD = 2**26
"""Bytes of the head of an edit once decompressed: 500,000 planes."""
MAX_EDIT = 128 * 2**20
"""Bytes of a packed edit: a file of the record holds it, and what is written with it."""


@dataclass(frozen=True)
class StatusChange:
    """Change of what a rater has said of one class on one frame."""

    frame: int
    class_index: int
    before: int
    after: int


class Changes(NamedTuple):
    """What a patch changes."""

    pixels: int
    gain: int  # marked pixels after it, less those before
    box: tuple[int, int, int, int]  # y0, x0, y1, x1 in the plane; zeros if nothing


class Patch:
    """Change of one plane within a box.

    Only pixels where `before` and `after` differ are ever written, so a list of edits can be
    replayed from any earlier point, in order, and comes to the same planes.

    A patch that was read, or that :meth:`packed` returned, holds its boxes compressed, and
    decodes them each time they are looked at: thousands of them take little memory.

    Parameters
    ----------
    class_index, frame : int
        Which plane.
    y, x : int
        Top-left pixel of the box.
    before, after : ndarray
        Values of the box, ``uint8 (h, w)``.
    """

    def __init__(
        self,
        class_index: int,
        frame: int,
        y: int,
        x: int,
        before: NDArray[np.uint8],
        after: NDArray[np.uint8],
    ) -> None:
        self.class_index, self.frame, self.y, self.x = class_index, frame, y, x
        self.shape: tuple[int, ...] = after.shape
        """(h, w)."""
        self._boxes: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = (before, after)
        self._packed: bytes | memoryview = b""
        self._turned = False  # of what is packed, `after` comes first
        self._gain: int | None = None
        self._checked = False  # the boxes are known to hold what they may

    @classmethod
    def of_packed(
        cls,
        class_index: int,
        frame: int,
        y: int,
        x: int,
        shape: tuple[int, int],
        packed: bytes | memoryview,
        gain: int,
    ) -> Patch:
        """Return a patch whose boxes are packed.

        Parameters
        ----------
        class_index, frame : int
            Which plane.
        y, x : int
            Top-left pixel of the box.
        shape : (int, int)
            (h, w).
        packed : bytes
            What :meth:`pack` made of the boxes.
        gain : int
            How many more pixels are marked after it than before.
        """
        patch = cls.__new__(cls)
        patch.class_index, patch.frame, patch.y, patch.x = class_index, frame, y, x
        patch.shape, patch._boxes, patch._packed = shape, None, packed
        patch._turned, patch._gain, patch._checked = False, gain, False
        return patch

    @property
    def before(self) -> NDArray[np.uint8]:
        """Values of the box before, ``uint8 (h, w)``."""
        return self._both()[0]

    @property
    def after(self) -> NDArray[np.uint8]:
        """Values of the box after, ``uint8 (h, w)``."""
        return self._both()[1]

    def _both(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if self._boxes is not None:
            return self._boxes
        both = np.empty((2, *self.shape), np.uint8)
        decode(self._packed, both, f"edit of frame {self.frame}")
        return (both[1], both[0]) if self._turned else (both[0], both[1])

    @cached_property
    def changes(self) -> Changes:
        """How much it changes, and where."""
        before, after = self._both()
        other = before != after
        ys, xs = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
        if not len(ys):
            return Changes(0, 0, (0, 0, 0, 0))
        box = (
            self.y + int(ys[0]),
            self.x + int(xs[0]),
            self.y + int(ys[-1]) + 1,
            self.x + int(xs[-1]) + 1,
        )
        gain = int(np.count_nonzero(after)) - int(np.count_nonzero(before))
        return Changes(int(np.count_nonzero(other)), gain, box)

    @property
    def gain(self) -> int:
        """How many more pixels are marked after it than before."""
        return self.changes.gain if self._gain is None else self._gain

    def apply(self, plane: NDArray[np.uint8]) -> None:
        """Write the changed pixels into `plane`, ``uint8 (Y, X)``, in place."""
        before, after = self._both()
        h, w = self.shape
        box = plane[self.y : self.y + h, self.x : self.x + w]
        np.copyto(box, after, where=before != after)

    def inverted(self) -> Patch:
        """Return the patch that takes this one back."""
        if self._boxes is not None:
            before, after = self._boxes
            return Patch(self.class_index, self.frame, self.y, self.x, after, before)
        twin = copy(self)
        twin.__dict__.pop("changes", None)
        twin._turned, twin._gain = not self._turned, -self.gain
        return twin

    def pack(self) -> bytes | memoryview:
        """Return the boxes, before and after, as one zstd chunk with checksum."""
        if self._boxes is None and not self._turned:
            return self._packed
        # The fast level: it is not for long, and mostly of one value.
        return bytes(zstd.compress(np.stack(self._both()), 1, True))

    def packed(self) -> Patch:
        """Return the same patch, holding its boxes compressed; what it changes is counted.

        Raises
        ------
        StoreError
            If the boxes hold what they may not.
        """
        faults = self.faults()
        if faults:
            where = f"frame {self.frame}, class {self.class_index}"
            raise StoreError([Problem.mismatch("edit", where, *fault) for fault in faults])
        h, w = self.shape
        where_to = (self.class_index, self.frame, self.y, self.x)
        patch = Patch.of_packed(*where_to, (h, w), self.pack(), self.gain)
        patch.__dict__["changes"] = self.changes
        patch._checked = True
        return patch

    def faults(self) -> list[tuple[str, str]]:
        """Return (expected, found) where the boxes are no two of uint8 and one shape, or worse."""
        if self._checked:
            return []
        before, after = self._both()
        if before.dtype != np.uint8 or after.dtype != np.uint8 or before.shape != after.shape:
            found = f"{before.dtype} {before.shape} and {after.dtype} {after.shape}"
            return [("two uint8 arrays of one shape", found)]
        if after.ndim != 2:
            return [("arrays (h, w)", str(after.shape))]
        if after.max(initial=0) <= MAX_CONFIDENCE:  # cheap, and so for almost every patch
            return []
        wrong = (after > MAX_CONFIDENCE) & (after != EXCLUDED)
        return [("values 0..100 or 255", str(int(after[wrong][0])))] if wrong.any() else []


@dataclass(frozen=True)
class Edit:
    """What is undone and redone as one: a stroke, an acceptance, a change of status.

    Attributes
    ----------
    patches : tuple of Patch
        Changes of planes; may be empty.
    confidence : int
        0 erases; 1..100 percent; 255 excludes.
    tool : str
        ``"brush"``, ``"polygon"``, ``"accept"``, ``"status"``, ...
    class_index, frame : int
        What it is about; an edit may change other planes too.
    status : tuple of StatusChange
        Changes of status; may be empty.
    decision : Decision or None
        What it decides, if it is an adjudicator's.
    accepted : Acceptance or None
        Whose marks it takes over, if it takes some.
    carrying : Carrying or None
        How well the picture matched, if it is a propagation.
    """

    patches: tuple[Patch, ...]
    confidence: int
    tool: str
    class_index: int
    frame: int
    status: tuple[StatusChange, ...] = ()
    decision: Decision | None = None
    accepted: Acceptance | None = None
    carrying: Carrying | None = None

    def inverted(self) -> Edit:
        """Return the edit that takes this one back."""
        return Edit(
            tuple(p.inverted() for p in reversed(self.patches)),
            self.confidence,
            self.tool,
            self.class_index,
            self.frame,
            tuple(
                StatusChange(s.frame, s.class_index, s.after, s.before)
                for s in reversed(self.status)
            ),
            self.decision,
            self.accepted,
            self.carrying,
        )

    def check(self, shape: tuple[int, int, int, int]) -> None:
        """Refuse what does not fit planes of `shape` (T, C, Y, X).

        Raises
        ------
        StoreError
            With one problem for each patch and status that is wrong.
        """
        problems = [
            Problem.mismatch("edit", f"patch {i}", expected, found)
            for i, p in enumerate(self.patches)
            for expected, found in _patch_faults(p, shape)
        ]
        known = set(Status)
        for s in self.status:
            inside = 0 <= s.frame < shape[0] and 0 <= s.class_index < shape[1]
            if not inside or s.after not in known or s.before not in known:
                problems.append(
                    Problem.mismatch("edit", "status", f"0, 1 or 2 inside {shape[:2]}", str(s))
                )
        if problems:
            raise StoreError(problems)

    def stroke(self, seq: int, time: datetime) -> Stroke:
        """Return the line that the record of strokes gets for this edit: entry `seq`, at `time`."""
        corners: list[tuple[int, int, int, int]] = []
        changed: dict[tuple[int, int], None] = {}  # in order, each once
        pixels = 0
        for p in self.patches:
            if p.changes.pixels:
                pixels += p.changes.pixels
                changed[p.frame, p.class_index] = None
                corners.append(p.changes.box)
        box = (0, 0, 0, 0)
        if corners:
            y0, x0, y1, x1 = zip(*corners, strict=True)
            box = (min(y0), min(x0), max(y1), max(x1))
        own = [s for s in self.status if (s.frame, s.class_index) == (self.frame, self.class_index)]
        return Stroke(
            seq=seq,
            time=time,
            class_index=self.class_index,
            frame=self.frame,
            confidence=self.confidence,
            tool=self.tool,
            box=box,
            pixels=pixels,
            status=own[-1].after if own else None,
            also=tuple((s.frame, s.class_index, s.after) for s in self.status if s not in own),
            decision=self.decision,
            accepted=self.accepted,
            carrying=self.carrying,
            planes=() if set(changed) <= {(self.frame, self.class_index)} else tuple(changed),
        )


def _patch_faults(p: Patch, shape: tuple[int, int, int, int]) -> list[tuple[str, str]]:
    n_frames, n_classes, height, width = shape
    faults = p.faults()
    if len(p.shape) != 2:
        return faults
    h, w = p.shape
    if not (0 <= p.frame < n_frames and 0 <= p.class_index < n_classes):
        faults.append((f"frame < {n_frames}, class < {n_classes}", f"{p.frame}, {p.class_index}"))
    if min(p.y, p.x) < 0 or p.y + h > height or p.x + w > width:
        faults.append((f"a box inside {(height, width)}", f"{(p.y, p.x, p.y + h, p.x + w)}"))
    return faults


def pack(edit: Edit) -> bytes:
    """Return `edit` as bytes: a JSON head, then the boxes of each patch, all zstd-compressed.

    Raises
    ------
    StoreError
        If that is more than a record can hold.
    """
    boxes = [p.pack() for p in edit.patches]
    head = json.dumps(
        {
            "confidence": edit.confidence,
            "tool": edit.tool,
            "class_index": edit.class_index,
            "frame": edit.frame,
            "status": [[s.frame, s.class_index, s.before, s.after] for s in edit.status],
            "patches": [
                [p.class_index, p.frame, p.y, p.x, *p.shape, len(box), p.gain]
                for p, box in zip(edit.patches, boxes, strict=True)
            ],
            "decision": edit.decision and edit.decision.model_dump(mode="json"),
            "accepted": edit.accepted and edit.accepted.model_dump(mode="json"),
            "carrying": edit.carrying and edit.carrying.model_dump(mode="json"),
        }
    ).encode()
    body = b"".join(boxes)
    small = bytes(zstd.compress(head, 1, True))
    # Boxes are decoded when they are looked at: that they are whole is to be known before.
    start = struct.pack("<II", len(small), google_crc32c.value(body))
    data = b"".join([start, small, body])
    if len(data) > MAX_EDIT:
        raise StoreError(
            Problem(
                "edit",
                "edit",
                f"These are {len(edit.patches)} planes of {len(data) / 2**20:.0f} MB, more than "
                f"one edit can hold ({MAX_EDIT / 2**20:.0f} MB)",
                hint="Do it for fewer frames or classes at a time.",
            )
        )
    return data


def unpack(data: bytes) -> Edit:
    """Return the edit that :func:`pack` made bytes of.

    Raises
    ------
    StoreError
        If they are something else; no more is decompressed than the head can take.
    """
    try:
        return _unpack(data)
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, struct.error) as error:
        raise StoreError(
            Problem(
                "record-corrupt",
                "record",
                f"An edit in it can't be read: {type(error).__name__}",
                hint="Restore the record from a copy.",
            )
        ) from error


def _unpack(data: bytes) -> Edit:
    n_head, crc = struct.unpack_from("<II", data)
    packed = data[8 : 8 + n_head]
    size = content_size(packed)
    if size is None or size > MAX_HEAD:
        raise ValueError(size)
    body = memoryview(data)[8 + n_head :]
    if google_crc32c.value(data[8 + n_head :]) != crc:
        raise ValueError("checksum")
    head = json.loads(bytes(zstd.decompress(packed)))
    at, patches = 0, []
    for class_index, frame, y, x, h, w, n, gain in head["patches"]:
        box = body[at : at + n]
        if content_size(box) != 2 * h * w:
            raise ValueError("size of a box")
        patches.append(Patch.of_packed(class_index, frame, y, x, (h, w), box, gain))
        at += n
    if at != len(body):
        raise ValueError("boxes don't fill it")
    status = tuple(StatusChange(*s) for s in head["status"])
    decision = head["decision"] and Decision.model_validate(head["decision"])
    accepted = head["accepted"] and Acceptance.model_validate(head["accepted"])
    carrying = head.get("carrying") and Carrying.model_validate(head["carrying"])
    return Edit(
        tuple(patches),
        head["confidence"],
        head["tool"],
        head["class_index"],
        head["frame"],
        status,
        decision,
        accepted,
        carrying,
    )
