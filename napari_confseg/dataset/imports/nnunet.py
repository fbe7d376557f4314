"""nnU-Net labels: one label map a case, regions over labels, the ignore label excluded."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_confseg.dataset.imports.common import Found, Labels, check_frame, check_size
from napari_confseg.store import EXCLUDED, Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.dataset.imports.common import Target
    from napari_confseg.store import Clip

_CASE = re.compile(r"(?P<clip>.+)_(?P<frame>\d+)$")


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips whose frames are cases ``<clip>_<frame>`` beside a ``dataset.json``.

    Maps are looked for in ``labelsTr``, ``labelsTs`` and, as nnU-Net predicts them, in the folder
    itself: PNG, TIFF, or NIfTI, where a case called after the clip holds all its frames. Every
    case counts as reviewed for every class.
    """
    for info in sorted(source.rglob("dataset.json")):
        data = target.read_json(info)
        if data is None:
            continue
        ending = str(data.get("file_ending", ".png"))
        classes, ignore = _classes(info, data, target)
        cases: dict[str, list[tuple[int | None, Path]]] = defaultdict(list)
        for folder in (info.parent / "labelsTr", info.parent / "labelsTs", info.parent):
            for path in sorted(folder.glob(f"*{ending}")):
                name, frame = _case(path.name.removesuffix(ending))
                cases[name].append((frame, path))
        for name, maps in sorted(cases.items()):
            read = partial(_read, maps=maps, classes=classes, ignore=ignore, target=target)
            yield Found(name, maps[0][1], read)


def _case(name: str) -> tuple[str, int | None]:
    parts = _CASE.match(name)
    return (parts["clip"], int(parts["frame"])) if parts else (name, None)


def _classes(
    info: Path, data: dict[str, Any], target: Target
) -> tuple[dict[int, list[int]], int | None]:
    """Return class index -> labels it is made of, and the label to ignore."""
    classes: dict[int, list[int]] = {}
    ignore = None
    for name, value in data.get("labels", {}).items():
        labels = [int(v) for v in (value if isinstance(value, list) else [value])]
        if name == "ignore":
            ignore = labels[0]
        elif name != "background":
            index = target.class_index(name, str(info))
            if index is not None:
                classes[index] = labels
    return classes, ignore


def _read(
    clip: Clip,
    maps: list[tuple[int | None, Path]],
    classes: dict[int, list[int]],
    ignore: int | None,
    target: Target,
) -> Labels:
    labels = Labels()
    for frame, path in maps:
        for number, coded in _frames(path, frame):
            check_frame(clip, number, path.name)
            check_size(clip, coded.shape, path.name)
            for index, ids in classes.items():
                labels.reviewed.add((number, index))
                labels.mark(number, index, np.isin(coded, ids), target.options.confidence)
                if ignore is not None:
                    labels.mark(number, index, coded == ignore, EXCLUDED)
    return labels


def _frames(path: Path, frame: int | None) -> Iterator[tuple[int, NDArray[Any]]]:
    if path.name.endswith((".nii", ".nii.gz")):
        import nibabel

        data = np.asarray(nibabel.load(path).dataobj).squeeze()
        volume = data.T if data.ndim == 3 else data.T[None]  # (x, y, t) -> (t, y, x)
        if frame is not None and len(volume) > 1:
            raise StoreError(Problem("case", path.name, "one frame a case", f"{len(volume)}"))
        yield from enumerate(volume, frame or 0)
    else:
        yield frame or 0, np.asarray(Image.open(path))
