"""What changed between two versions of a dataset: clips, strokes, pixels, split, choices."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.dataset.manifest import ClipRecord


@dataclass(frozen=True)
class RaterChange:
    """One rater's marks on one clip.

    `pixels` counts those that differ, by class, on the frames that are in both; None if the frames
    are of another size. `status` counts frames and classes whose status differs.
    """

    clip: str
    rater: str
    strokes: int
    status: int
    pixels: dict[str, int] | None


@dataclass
class Changes:
    """All that differs; empty if nothing does."""

    clips_added: list[str] = field(default_factory=list)
    clips_removed: list[str] = field(default_factory=list)
    frames_changed: list[str] = field(default_factory=list)
    raters_added: list[str] = field(default_factory=list)
    raters_removed: list[str] = field(default_factory=list)
    marks: list[RaterChange] = field(default_factory=list)
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)
    request: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it in words, one line a change."""
        said = [f"{k}: {a} -> {b}" for k, (a, b) in self.request.items()]
        said += [f"+ clip {c}" for c in self.clips_added]
        said += [f"- clip {c}" for c in self.clips_removed]
        said += [f"~ clip {c}: other frames" for c in self.frames_changed]
        said += [f"+ rater {r}" for r in self.raters_added]
        said += [f"- rater {r}" for r in self.raters_removed]
        for m in self.marks:
            pixels = (
                "another size"
                if m.pixels is None
                else ", ".join(f"{n} px of {c}" for c, n in m.pixels.items()) or "no pixel"
            )
            said.append(
                f"~ {m.rater} on {m.clip}: {m.strokes:+d} strokes, {pixels}, {m.status} status"
            )
        return said + [f"> clip {c}: {a} -> {b}" for c, (a, b) in self.moved.items()]


def compare(old: Dataset, new: Dataset) -> Changes:
    """Return what changed from `old` to `new`."""
    changes = Changes()
    a, b = ({c.clip: c for c in d.manifest.clips} for d in (old, new))
    changes.clips_added, changes.clips_removed = sorted(b.keys() - a), sorted(a.keys() - b)
    before, after = set(old.manifest.raters), set(new.manifest.raters)
    changes.raters_added, changes.raters_removed = sorted(after - before), sorted(before - after)
    for name in sorted(a.keys() & b.keys()):
        if (a[name].source_sha256, a[name].frames) != (b[name].source_sha256, b[name].frames):
            changes.frames_changed.append(name)
        for rater in sorted(a[name].raters.keys() & b[name].raters.keys()):
            if a[name].raters[rater].source_sha256 != b[name].raters[rater].source_sha256:
                changes.marks.append(_marks(old, new, a[name], b[name], rater))
        parts = (old.manifest.split.of_clip[name], new.manifest.split.of_clip[name])
        if parts[0] != parts[1]:
            changes.moved[name] = parts
    choices = [d.manifest.request.model_dump(mode="json") for d in (old, new)]
    changes.request = {
        k: (choices[0][k], choices[1][k])
        for k in choices[0]
        if k not in ("clips", "raters") and choices[0][k] != choices[1][k]
    }
    return changes


def _marks(old: Dataset, new: Dataset, a: ClipRecord, b: ClipRecord, rater: str) -> RaterChange:
    strokes = b.raters[rater].strokes - a.raters[rater].strokes
    common = sorted(set(a.frames) & set(b.frames))
    at_a, at_b = [a.frames.index(f) for f in common], [b.frames.index(f) for f in common]
    classes = [c for c in old.manifest.class_names() if c in new.manifest.class_names()]
    in_a = [old.manifest.class_names().index(c) for c in classes]
    in_b = [new.manifest.class_names().index(c) for c in classes]
    status = int(
        np.count_nonzero(
            old.status(a.clip, rater)[np.ix_(at_a, in_a)]
            != new.status(b.clip, rater)[np.ix_(at_b, in_b)]
        )
    )
    if a.shape != b.shape:
        return RaterChange(a.clip, rater, strokes, status, None)
    path = f"{a.clip}/raters/{rater}/planes"
    x, y = old.array(path), new.array(path)
    differ = np.zeros(len(classes), np.int64)
    for i, j in zip(at_a, at_b, strict=True):  # frame by frame: a clip may be long
        differ += (x[i][in_a] != y[j][in_b]).sum((1, 2))
    pixels = {c: int(n) for c, n in zip(classes, differ, strict=True) if n}
    return RaterChange(a.clip, rater, strokes, status, pixels)
