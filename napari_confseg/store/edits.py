"""Edits: what is committed, undone and redone as one, and how the journal keeps them."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numcodecs import zstd

from napari_confseg.store.codec import content_size
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.schema import EXCLUDED, MAX_CONFIDENCE, Status
from napari_confseg.store.strokes import Acceptance, Carrying, Decision, Stroke

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

MAX_EDIT = 2**31
"""Bytes of an edit once decompressed: 1,000 whole planes of a megapixel."""


@dataclass(frozen=True)
class StatusChange:
    """Change of what a rater has said of one class on one frame."""

    frame: int
    class_index: int
    before: int
    after: int


@dataclass(frozen=True)
class Patch:
    """Change of one plane within a box.

    Only pixels where `before` and `after` differ are ever written, so a list of edits can be
    replayed from any earlier point, in order, and comes to the same planes.

    Attributes
    ----------
    class_index, frame : int
        Which plane.
    y, x : int
        Top-left pixel of the box.
    before, after : ndarray
        Values of the box, ``uint8 (h, w)``.
    """

    class_index: int
    frame: int
    y: int
    x: int
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]

    def apply(self, plane: NDArray[np.uint8]) -> None:
        """Write the changed pixels into `plane`, ``uint8 (Y, X)``, in place."""
        h, w = self.after.shape
        box = plane[self.y : self.y + h, self.x : self.x + w]
        np.copyto(box, self.after, where=self.before != self.after)

    def inverted(self) -> Patch:
        """Return the patch that takes this one back."""
        return Patch(self.class_index, self.frame, self.y, self.x, self.after, self.before)


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
        for s in self.status:
            inside = 0 <= s.frame < shape[0] and 0 <= s.class_index < shape[1]
            if not inside or s.after not in set(Status) or s.before not in set(Status):
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
            other = p.before != p.after
            ys, xs = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
            if len(ys):
                pixels += int(np.count_nonzero(other))
                changed[p.frame, p.class_index] = None
                corners.append(
                    (
                        p.y + int(ys[0]),
                        p.x + int(xs[0]),
                        p.y + int(ys[-1]) + 1,
                        p.x + int(xs[-1]) + 1,
                    )
                )
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
    if p.before.dtype != np.uint8 or p.after.dtype != np.uint8 or p.before.shape != p.after.shape:
        found = f"{p.before.dtype} {p.before.shape} and {p.after.dtype} {p.after.shape}"
        return [("two uint8 arrays of one shape", found)]
    if p.after.ndim != 2:
        return [("arrays (h, w)", str(p.after.shape))]
    h, w = p.after.shape
    faults = []
    if not (0 <= p.frame < n_frames and 0 <= p.class_index < n_classes):
        faults.append((f"frame < {n_frames}, class < {n_classes}", f"{p.frame}, {p.class_index}"))
    if min(p.y, p.x) < 0 or p.y + h > height or p.x + w > width:
        faults.append((f"a box inside {(height, width)}", f"{(p.y, p.x, p.y + h, p.x + w)}"))
    wrong = (p.after > MAX_CONFIDENCE) & (p.after != EXCLUDED)
    if wrong.any():
        faults.append(("values 0..100 or 255", str(int(p.after[wrong][0]))))
    return faults


def pack(edit: Edit) -> bytes:
    """Return `edit` as bytes: a JSON head, then the boxes before and after, all zstd-compressed."""
    head = json.dumps(
        {
            "confidence": edit.confidence,
            "tool": edit.tool,
            "class_index": edit.class_index,
            "frame": edit.frame,
            "status": [[s.frame, s.class_index, s.before, s.after] for s in edit.status],
            "patches": [[p.class_index, p.frame, p.y, p.x, *p.after.shape] for p in edit.patches],
            "decision": edit.decision and edit.decision.model_dump(mode="json"),
            "accepted": edit.accepted and edit.accepted.model_dump(mode="json"),
            "carrying": edit.carrying and edit.carrying.model_dump(mode="json"),
        }
    ).encode()
    boxes = (a.tobytes() for p in edit.patches for a in (p.before, p.after))
    raw = b"".join([struct.pack("<I", len(head)), head, *boxes])
    return bytes(zstd.compress(raw, 1, True))  # fast level, with checksum


def unpack(data: bytes) -> Edit:
    """Return the edit that :func:`pack` made bytes of.

    Raises
    ------
    StoreError
        If they are something else; no more is decompressed than an edit can take.
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
    size = content_size(data)
    if size is None or size > MAX_EDIT:
        raise ValueError(size)
    raw = bytes(zstd.decompress(data))
    (n,) = struct.unpack_from("<I", raw)
    head = json.loads(raw[4 : 4 + n])
    offset, patches = 4 + n, []
    for class_index, frame, y, x, h, w in head["patches"]:
        both = np.frombuffer(raw, np.uint8, 2 * h * w, offset).reshape(2, h, w)
        patches.append(Patch(class_index, frame, y, x, both[0], both[1]))
        offset += 2 * h * w
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
