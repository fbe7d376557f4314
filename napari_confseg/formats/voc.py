"""Index masks as in Pascal VOC: a palette PNG a frame, 255 for void, ``labelmap.txt``.

A pixel has one number, so what several classes claim is void, as is what is excluded: void is
never learnt from, neither for nor against.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_confseg.formats.frame_labels import (
    Frame,
    Shape,
    check_any,
    numbered,
    read_frames,
    told,
    wholly_reviewed,
)
from napari_confseg.formats.label_source import Found, check_pixels, check_size
from napari_confseg.store import EXCLUDED, Problem, StoreError
from napari_confseg.store.errors import sentence
from napari_confseg.store.files import MIB, check_file, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export
    from napari_confseg.formats.label_source import Labels, Target
    from napari_confseg.store import Clip

LABELMAP = "labelmap.txt"
VOID = 255
_ABOUT, _RESIZED = "confseg", "resized"
"""Text in a mask whose pixels are not the clip's."""
_VOID_COLOR = (224, 224, 192)
_NOTHING = ("background", "unlabeled", "unlabelled", "bg")
_IGNORED = ("ignored", "ignore", "void")
_Color = tuple[int, int, int]


def write(job: Export) -> None:
    """Write ``JPEGImages/``, ``SegmentationClass/``, ``ImageSets/Segmentation/``, ``labelmap.txt``.

    A mask has the number of a class from 1, and its colour. Void are what several classes claim,
    what is excluded, and with a band what lies inside it. Frames on which a class was not reviewed
    are left out, since background says that no class is there.
    """
    sets: dict[str, list[str]] = {}
    left_out = several = 0
    colors = _colors([spec.color for spec in job.manifest.classes])
    palette = [v for color in colors for v in color]
    palette += [0] * (3 * VOID - len(palette)) + list(_VOID_COLOR)
    for item in job.items():
        places = wholly_reviewed(item)
        left_out += len(item.frames) - len(places)
        for i in places:
            coded, overlapping = _coded(job, item.planes[i])
            several += overlapping
            name = f"{item.name}_{item.record.frames[i]:06d}"
            Image.fromarray(item.frames[i]).save(job.folder("JPEGImages") / f"{name}.png")
            mask = Image.fromarray(coded)
            mask.putpalette(palette)
            about = PngInfo()
            if item.resampled:
                about.add_text(_ABOUT, _RESIZED)
            mask.save(job.folder("SegmentationClass") / f"{name}.png", pnginfo=about)
            sets.setdefault(item.part, []).append(name)
    check_any(sets, job)
    for part, names in sets.items():
        text = "".join(f"{name}\n" for name in names)
        path = job.folder("ImageSets", "Segmentation") / f"{part}.txt"
        path.write_text(text, encoding="utf-8", newline="\n")
    names = ["background", *job.classes, "ignored"]
    named = zip(names, [*colors, _VOID_COLOR], strict=True)
    lines = [f"{name}:{r},{g},{b}::\n" for name, (r, g, b) in named]
    text = "# label:color_rgb:parts:actions\n" + "".join(lines)
    (job.out / LABELMAP).write_text(text, encoding="utf-8", newline="\n")
    if left_out:
        job.notes.append(f"{left_out} frames are left out: not all classes were reviewed there.")
    if several:
        job.notes.append(
            f"{several:,} pixels that several classes claim are void (255): a mask has one number "
            "for a pixel."
        )


def _colors(given: list[str]) -> list[_Color]:
    """Return black and the colours of classes; VOC's own where two could not be told apart."""
    own = [(0, 0, 0), *((int(c[1:3], 16), int(c[3:5], 16), int(c[5:7], 16)) for c in given)]
    return own if len({*own, _VOID_COLOR}) > len(own) else [*map(_usual_color, range(len(own)))]


def _coded(job: Export, planes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Return the mask ``uint8 (Y, X)`` of planes ``(C, Y, X)``, and how many pixels overlap."""
    band = job.request.band
    excluded = planes == EXCLUDED
    void = excluded.any(0)
    if band is None:
        marked = job.cut(planes)
    else:
        marked = (planes >= band[1]) & ~excluded
        void |= ((planes >= band[0]) & (planes < band[1])).any(0)
        if job.threshold is None:
            job.threshold = band[1]
            job.notes.append(
                f"Marks of at least {band[1]} % count, those of {band[0]} to {band[1] - 1} % are "
                "void, others do not count."
            )
    overlapping = (marked.sum(0) > 1) & ~void
    numbers = np.arange(1, len(planes) + 1)[:, None, None]
    coded = (marked * numbers).max(0).astype(np.uint8)
    coded[void | overlapping] = VOID
    return coded, int(overlapping.sum())


@dataclass(frozen=True)
class _Label:
    """A line of ``labelmap.txt``: its name, number (from 0) and colour."""

    name: str
    number: int
    color: _Color


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips whose frames have a mask ``<clip>_<frame>.png`` in ``SegmentationClass``.

    Each mask counts as reviewed for every class of ``labelmap.txt``; its void is excluded. Colours
    are compared with those of ``labelmap.txt``, so that masks in full colour can be read, too.
    """
    root = source.parent if source.is_file() else source
    for info in sorted(root.rglob(LABELMAP)):
        labels = _labelmap(info)
        folder = info.parent / "SegmentationClass"
        of_clip: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        for path in sorted(folder.rglob("*.png")):
            name = path.relative_to(folder).as_posix()
            known = numbered(name)
            if known is None or not known[0]:
                expected = "a file name as clip_000012.png"
                target.report(Problem.mismatch("clip-unknown", str(path), expected, name))
                continue
            of_clip[known[0]].append((known[1], path))
        if not of_clip:
            said = "There is no folder SegmentationClass with masks beside it"
            target.report(Problem("voc", str(info), said))
        for clip, masks in sorted(of_clip.items()):
            yield Found(
                clip, masks[0][1], partial(_read, masks=masks, labels=labels, target=target)
            )


def _labelmap(path: Path) -> list[_Label]:
    try:
        lines = read_file(path, MIB).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = f"It can't be read: {sentence(error)}"
        raise StoreError(Problem("unreadable", str(path), said)) from error
    labels: list[_Label] = []
    for line in (text.strip() for text in lines):
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        parts = [p for p in rest.partition(":")[0].split(",") if p.strip()]
        good = len(parts) in (0, 3) and all(
            p.strip().isdecimal() and int(p[:9]) < 256 for p in parts
        )
        if not good:
            expected = "lines as pleura:240,228,66::"
            raise StoreError(Problem.mismatch("voc", str(path), expected, f"{line:.80}"))
        number = len(labels)
        r, g, b = (int(p) for p in parts) if parts else _usual_color(number)
        labels.append(_Label(name.strip(), number, (r, g, b)))
    return labels


def _usual_color(number: int) -> _Color:
    """Return the colour that Pascal VOC gives a number: its bits in turn, from the highest down."""
    r, g, b = (
        sum((number >> (3 * i + channel) & 1) << (7 - i) for i in range(8)) for channel in range(3)
    )
    return r, g, b


def _read(
    clip: Clip, masks: list[tuple[int, Path]], labels: list[_Label], target: Target
) -> Labels:
    names = [s.name for s in labels if s.name.lower() not in (*_NOTHING, *_IGNORED)]
    frames = (_frame(clip, number, path, labels, names) for number, path in masks)
    return read_frames(clip, frames, names, target)


def _frame(clip: Clip, number: int, path: Path, labels: list[_Label], names: list[str]) -> Frame:
    frame = Frame(path, path.name, clip.name, number, finished=True)
    try:
        numbers = _numbers(clip, path, labels)
    except (StoreError, OSError, SyntaxError, ValueError) as error:
        frame.problems += told(error, path.name, "The mask")
        return frame
    void = numbers == VOID
    for label in (s for s in labels if s.name in names):
        for mask, confidence in ((numbers == label.number, None), (void, EXCLUDED)):
            if mask.any():
                frame.shapes.append(Shape(label.name, "mask", _as_it_is(mask), confidence))
    return frame


def _as_it_is(mask: NDArray[np.bool_]) -> Any:
    return lambda size: mask


def _numbers(clip: Clip, path: Path, labels: list[_Label]) -> NDArray[np.uint8]:
    """Return the numbers of labels ``uint8 (Y, X)`` in a mask; 255 is void."""
    check_file(path, 8 * clip.shape[1] * clip.shape[2] + MIB)
    with Image.open(path, formats=("PNG",)) as image:
        check_pixels(image.info.get(_ABOUT) == _RESIZED, path.name)
        check_size(clip, image.size[::-1], path.name)  # before it is unpacked
        if image.mode not in ("P", "L", "RGB", "RGBA"):
            raise ValueError(f"its pixels are of the kind {image.mode}, not numbers or colours")
        palette = image.getpalette("RGB") if image.mode == "P" else None
        pixels = np.asarray(image)
    if pixels.ndim == 3:
        flat = pixels[..., :3].reshape(-1, 3).astype(np.uint32) @ np.array(
            [65536, 256, 1], np.uint32
        )
        words, back = np.unique(flat, return_inverse=True)
        found = [_by_color((w >> 16, w >> 8 & 255, w & 255), labels) for w in words.tolist()]
    else:
        words, back = np.unique(pixels, return_inverse=True)
        found = [_by_number(w, palette, labels) for w in words.tolist()]
    return np.array(found, np.uint8)[back].reshape(pixels.shape[:2])


def _by_number(number: int, palette: list[int] | None, labels: list[_Label]) -> int:
    """Return what a pixel of this number is: by its colour, if there is a palette of them."""
    if number == VOID:
        return VOID
    if palette is not None and len({s.color for s in labels}) == len(labels):
        return _by_color(tuple(palette[3 * number : 3 * number + 3]), labels)
    if number >= len(labels):
        raise ValueError(
            f"it has pixels of number {number}, and {LABELMAP} only {len(labels)} lines"
        )
    return VOID if labels[number].name.lower() in _IGNORED else number


def _by_color(color: tuple[int, ...], labels: list[_Label]) -> int:
    alike = [label for label in labels if label.color == color]
    if len(alike) > 1:
        raise ValueError(f"its colour {color} is that of several labels in {LABELMAP}")
    for label in alike:
        return VOID if label.name.lower() in _IGNORED else label.number
    if color == _VOID_COLOR:
        return VOID
    raise ValueError(f"it has pixels of the colour {color}, which {LABELMAP} does not name")
