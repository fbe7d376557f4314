"""nnU-Net v2: overlapping classes as regions over observed combinations, doubt as ignore label."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_confseg.formats.label_source import (
    Found,
    Labels,
    check_frame,
    check_pixels,
    check_size,
    whole,
)
from napari_confseg.store import EXCLUDED, Problem, StoreError
from napari_confseg.store.files import MIB, check_file, check_unpacked, open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip


NUMBER = 801
MOST = 254
"""Labels an 8-bit PNG can hold beside background, less one for the ignore label."""


def write(job: Export) -> None:
    """Write ``Dataset801_<name>_at<percent>`` with one case a frame, and ``splits_final.json``.

    Each combination of classes that occurs becomes a label, each class the region of all labels it
    is in, so nnU-Net trains one sigmoid a class and overlaps are kept. With a band, a pixel that
    has a confidence inside it for any class, like one that is excluded, gets the ignore label.
    Frames on which a class was not reviewed are left out: nnU-Net cannot ignore one class alone.
    """
    labels = _Labels(job)
    splits: dict[str, list[str]] = {}
    cases: dict[str, list[str]] = {}
    root = job.folder(f"Dataset{NUMBER}_{job.manifest.request.name}_at{_threshold(job)}")
    left_out = 0
    resampled: list[str] = []
    for item in job.items():
        test = item.part == "test"
        names = _write_clip(job, item, root, labels, test=test)
        left_out += len(item.frames) - len(names)
        splits.setdefault(item.part, []).extend(names)
        cases[item.name] = names
        resampled += [item.name] if item.resampled else []
    _finish(job, root, labels, splits, cases, resampled)
    if left_out:
        job.notes.append(f"{left_out} frames are left out: not all classes were reviewed there.")


def _threshold(job: Export) -> int:
    return job.request.band[1] if job.request.band else job.request.threshold


class _Labels:
    """Numbers the combinations of classes as they turn up; 0 is none."""

    def __init__(self, job: Export) -> None:
        self._job = job
        self._number: dict[int, int] = {0: 0}
        self.ignored = False

    def encode(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label map ``uint8 (Y, X)`` of planes ``(C, Y, X)``; 255 for ignored."""
        job, band = self._job, self._job.request.band
        marks = job.cut(planes) if band is None else _sure(job, planes)
        doubt = (planes == EXCLUDED).any(0)
        if band is not None:
            doubt |= ((planes >= band[0]) & (planes < band[1])).any(0)
        bits = (marks * (1 << np.arange(len(marks)))[:, None, None]).sum(0)
        for word in np.unique(bits[~doubt]).tolist():
            self._number.setdefault(word, len(self._number))
        if len(self._number) > MOST:
            raise StoreError(
                Problem.mismatch(
                    "too-many-combinations",
                    "",
                    f"at most {MOST} combinations of classes",
                    str(len(self._number)),
                    "Export fewer classes at a time.",
                )
            )
        words, back = np.unique(bits, return_inverse=True)
        table = np.array([self._number.get(w, 0) for w in words.tolist()], np.uint8)
        coded = table[back].reshape(bits.shape)
        self.ignored |= bool(doubt.any())
        coded[doubt] = EXCLUDED
        return coded

    @property
    def ignore(self) -> int:
        """The label to ignore: nnU-Net wants it to be the highest, and all consecutive."""
        return len(self._number)

    def regions(self) -> dict[str, int | list[int]]:
        """Return ``labels`` of ``dataset.json``."""
        found: dict[str, int | list[int]] = {"background": 0}
        for c, name in enumerate(self._job.classes):
            ids = [n for word, n in self._number.items() if word >> c & 1]
            if ids:
                found[name] = ids
        if self.ignored:
            found["ignore"] = self.ignore
        return found


def _sure(job: Export, planes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    if job.threshold is None:
        low, high = job.request.band or (0, 0)
        job.threshold = high
        job.notes.append(
            f"Marks of at least {high} % count, those of {low} to {high - 1} % are "
            "ignored in training, others do not count."
        )
    marks: NDArray[np.bool_] = (planes >= job.threshold) & (planes != EXCLUDED)
    return marks


def _write_clip(job: Export, item: Item, root: Path, labels: _Labels, *, test: bool) -> list[str]:
    images, maps = (root / f"{kind}{'Ts' if test else 'Tr'}" for kind in ("images", "labels"))
    images.mkdir(exist_ok=True)
    maps.mkdir(exist_ok=True)
    names = []
    for i in np.flatnonzero(item.reviewed.all(1)).tolist():
        name = f"{item.name}_{item.record.frames[i]:06d}"
        Image.fromarray(item.frames[i]).save(images / f"{name}_0000.png")
        Image.fromarray(labels.encode(item.planes[i])).save(maps / f"{name}.png")
        names.append(name)
    return names


def _finish(
    job: Export,
    root: Path,
    labels: _Labels,
    parts: dict[str, list[str]],
    cases: dict[str, list[str]],
    resampled: list[str],
) -> None:
    training = sorted(n for part, names in parts.items() if part != "test" for n in names)
    if not training:
        raise StoreError(
            Problem(
                "nothing-reviewed",
                "",
                "No frame has all classes reviewed",
                hint="Build the dataset with the reviewed classes alone.",
            )
        )
    for path in (root / "labelsTr", root / "labelsTs"):
        for file in path.glob("*.png"):
            coded = np.asarray(Image.open(file))
            if (coded == EXCLUDED).any():  # its number is known only now
                Image.fromarray(np.where(coded == EXCLUDED, np.uint8(labels.ignore), coded)).save(
                    file
                )
    regions = labels.regions()
    order = [i + 1 for i in range(len(regions) - 1 - ("ignore" in regions))]
    dataset: dict[str, Any] = {
        "channel_names": {"0": "ultrasound"},
        "labels": regions,
        "regions_class_order": order,
        "numTraining": len(training),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
        "name": job.manifest.request.name,
        "description": f"rater {job.rater}, marks of at least {job.threshold} %",
    }
    if resampled:  # nnU-Net copies it to what it predicts
        dataset["confseg_resampled"] = resampled
    job.write_json(root / "dataset.json", dataset)
    job.write_json(job.out / "splits_final.json", _splits(job, parts, cases))
    job.notes.append(
        "splits_final.json belongs into nnUNet_preprocessed/Dataset801_...; it keeps "
        "patients apart, which nnU-Net's own split of frames would not."
    )


def _splits(
    job: Export, parts: dict[str, list[str]], cases: dict[str, list[str]]
) -> list[dict[str, list[str]]]:
    m = job.manifest
    if m.folds is None:
        names = [p for p in parts if p not in ("test", "val")]
        return [
            {
                "train": sorted(n for p in names for n in parts[p]),
                "val": sorted(parts.get("val", [])),
            }
        ]
    pool = {c: f for c, f in m.folds.of_clip.items() if c in cases and m.split.of_clip[c] != "test"}
    return [
        {
            "train": sorted(n for c, f in pool.items() if f != fold for n in cases[c]),
            "val": sorted(n for c, f in pool.items() if f == fold for n in cases[c]),
        }
        for fold in m.folds.names
    ]


_ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".nii", ".nii.gz")
_LARGEST = 2**36
_CASE = re.compile(r"(?P<clip>.+)_(?P<frame>\d+)$")


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips whose frames are cases ``<clip>_<frame>`` beside a ``dataset.json``.

    Maps are looked for in ``labelsTr``, ``labelsTs`` and, as nnU-Net predicts them, in the folder
    itself: PNG, TIFF, or NIfTI, where a case called after the clip holds all its frames. Every
    case counts as reviewed for every class, so a value that is not declared is refused: it would
    pass for background.
    """
    for info in sorted(source.rglob("dataset.json")):
        data = target.read_json(info)
        if data is None:
            continue
        ending = str(data.get("file_ending", ".png"))
        if ending not in _ENDINGS:
            known = ", ".join(_ENDINGS)
            target.report(Problem.mismatch("file-ending", str(info), known, f"{ending:.40}"))
            continue
        with target.collected() as problems:
            meanings = _meanings(info, data, target)
        cases: dict[str, list[tuple[int | None, Path]]] = defaultdict(list)
        for folder in (info.parent / "labelsTr", info.parent / "labelsTs", info.parent):
            for path in sorted(folder.glob(f"*{ending}")):
                name, frame = _case(path.name.removesuffix(ending))
                cases[name].append((frame, path))
        for name, maps in sorted(cases.items()):
            read = partial(_read, name=name, maps=maps, meanings=meanings, target=target)
            yield Found(name, maps[0][1], read, problems=tuple(problems))
        for problem in problems if not cases else ():
            target.tell(problem)


def _case(name: str) -> tuple[str, int | None]:
    parts = _CASE.match(name)
    return (parts["clip"], int(parts["frame"])) if parts else (name, None)


@dataclass(frozen=True)
class _Meanings:
    """What the values of a label map mean: class index -> values, what to ignore, and all."""

    classes: dict[int, list[int]]
    ignore: int | None
    declared: frozenset[int]
    resampled: frozenset[str]


def _meanings(info: Path, data: dict[str, Any], target: Target) -> _Meanings:
    classes: dict[int, list[int]] = {}
    ignore, declared = None, {0}
    labels = data.get("labels")
    try:
        if not isinstance(labels, dict) or not labels:
            raise ValueError("there are no 'labels'")
        if all(str(name).isdecimal() for name in labels):  # as nnU-Net wrote it before version 2
            labels = {str(name): value for value, name in labels.items()}
        for name, value in labels.items():
            values = [whole(v) for v in (value if isinstance(value, list) else [value])]
            declared.update(values)
            if name == "ignore":
                ignore = values[0]
            elif name != "background":
                index = target.class_index(name, str(info))
                if index is not None:
                    classes.setdefault(index, []).extend(values)
    except (IndexError, ValueError) as error:
        target.report(Problem("labels", str(info), f"It does not say what values mean: {error}"))
    resampled = frozenset(map(str, data.get("confseg_resampled", ())))
    return _Meanings(classes, ignore, frozenset(declared), resampled)


def _read(
    clip: Clip,
    name: str,
    maps: list[tuple[int | None, Path]],
    meanings: _Meanings,
    target: Target,
) -> Labels:
    labels = Labels()
    check_pixels(name in meanings.resampled, name)
    seen: set[int] = set()
    for frame, path in maps:
        for number, coded in _frames(path, frame, clip):
            check_frame(clip, number, path.name)
            check_size(clip, coded.shape, path.name)
            _check_values(coded, meanings, path.name)
            if number in seen:
                text = f"There are two maps of frame {number}"
                raise StoreError(Problem("twice", path.name, text))
            seen.add(number)
            for index, ids in meanings.classes.items():
                labels.reviewed.add((number, index))
                labels.mark(number, index, np.isin(coded, ids), target.request.confidence)
                if meanings.ignore is not None:
                    labels.mark(number, index, coded == meanings.ignore, EXCLUDED)
    return labels


def _check_values(coded: NDArray[Any], meanings: _Meanings, where: str) -> None:
    wrong = [v for v in np.unique(coded).tolist() if v not in meanings.declared]
    if wrong:
        raise StoreError(
            Problem.mismatch(
                "value-undeclared",
                where,
                f"the values that dataset.json declares ({sorted(meanings.declared)[:20]})",
                ", ".join(f"{v:g}" for v in wrong[:5]),
                "Declare what it means, or write the map anew: it would pass for background.",
            )
        )


def _frames(path: Path, frame: int | None, clip: Clip) -> Iterator[tuple[int, NDArray[Any]]]:
    if path.name.endswith((".nii", ".nii.gz")):
        import nibabel

        # Values of up to 8 bytes, a header, and some words.
        most = 8 * clip.shape[0] * clip.shape[1] * clip.shape[2] + MIB
        if path.name.endswith(".gz"):
            with open_file(path, _LARGEST) as file:
                check_unpacked(file, "gzip", most, path.name)
        else:
            check_file(path, most)
        sizes = tuple(int(n) for n in nibabel.load(path).shape if n != 1)
        if sizes not in {clip.shape[:0:-1], (*clip.shape[:0:-1], clip.shape[0])}:
            check_size(clip, sizes[1::-1], path.name)
        data = np.asarray(nibabel.load(path).dataobj).squeeze()
        volume = data.T if data.ndim == 3 else data.T[None]  # (x, y, t) -> (t, y, x)
        if frame is not None and len(volume) > 1:
            raise StoreError(
                Problem.mismatch("case", path.name, "one frame a case", f"{len(volume)}")
            )
        yield from enumerate(volume, frame or 0)
    else:
        check_file(path, 8 * clip.shape[1] * clip.shape[2] + MIB)
        with Image.open(path, formats=("PNG", "TIFF", "BMP")) as image:
            check_size(clip, image.size[::-1], path.name)  # before it is unpacked
            yield frame or 0, np.asarray(image)
