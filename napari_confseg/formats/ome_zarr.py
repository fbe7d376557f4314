"""The release form of OME-Zarr 0.5: one image a clip with flat ``labels/<class>``."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from napari_confseg.formats.label_source import Found, Labels
from napari_confseg.formats.reviewed import ReviewedClip, exact_labels
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.codec import decode
from napari_confseg.store.files import MIB, read_file, read_json
from napari_confseg.store.rater_kinds import RaterKind
from napari_confseg.store.schema import Slug, Strict, check_slug

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import ClassSpec, Clip

ENDING = ".ome.zarr"
_CODEC = ZstdCodec(level=3, checksum=True)


def write(job: Export) -> None:
    """Write ``<clip>.ome.zarr``: frames, and a label image a class whose value is the confidence.

    Colours are the class's with an opacity that rises with the confidence, so any OME-Zarr viewer
    shows doubt as faintness. What was reviewed stands in ``attributes["confseg"]`` of the labels.
    """
    for item in job.items():
        root = job.folder(f"{item.name}{ENDING}")
        store = LocalStore(root)
        _array(store, "0", item.frames)
        scales = _multiscales(item, item.name)
        _group(root, {"ome": {"version": "0.5", "multiscales": scales}})
        _group(root / "labels", {"ome": {"version": "0.5", "labels": job.classes}})
        for c, spec in enumerate(job.manifest.classes):
            _array(store, f"labels/{spec.name}/0", item.planes[:, c])
            ome = {
                "version": "0.5",
                "multiscales": _multiscales(item, spec.name),
                "image-label": _image_label(spec),
            }
            said = {
                "rater": job.rater,
                "kind": job.kind,
                "resampled": item.resampled,
                "frames": list(item.record.frames),
                "seconds": list(item.record.times),
                "reviewed": item.reviewed[:, c].astype(int).tolist(),
            }
            _group(root / "labels" / spec.name, {"ome": ome, "confseg": said})
    job.notes.append("A label's value is the confidence in percent; 255 is excluded.")


def _array(store: LocalStore, name: str, data: NDArray[Any]) -> None:
    array = zarr.create_array(
        store,
        name=name,
        shape=data.shape,
        chunks=(1, *data.shape[1:]),
        dtype="uint8",
        fill_value=0,
        compressors=_CODEC,
        dimension_names=("t", "y", "x"),
        # Else a plane that got lost is one without a mark.
        config={"write_empty_chunks": True},
    )
    # One chunk at a time: writes that zarr has started side by side go on after one has failed, and
    # would put files back that a refused export has removed.
    for t, picture in enumerate(data):
        array[t] = picture


def _group(folder: Path, attributes: dict[str, Any]) -> None:
    node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    text = json.dumps(node, indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(text, encoding="utf-8", newline="\n")


def _multiscales(item: Item, name: str) -> list[dict[str, Any]]:
    unit = {"unit": "millimeter"} if item.record.spacing else {}
    axes = [
        {"name": "t", "type": "time", "unit": "second"},
        *({"name": a, "type": "space"} | unit for a in "yx"),
    ]
    scale = {"type": "scale", "scale": [item.interval, *item.spacing]}
    return [
        {
            "name": name,
            "axes": axes,
            "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
        }
    ]


def _image_label(spec: ClassSpec) -> dict[str, Any]:
    rgb = [int(spec.color[i : i + 2], 16) for i in (1, 3, 5)]
    colors = [{"label-value": v, "rgba": [*rgb, round(2.55 * v)]} for v in range(1, 101)]
    return {"source": {"image": "../../"}, "colors": colors}


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of our own export: folders ``<clip>.ome.zarr``."""
    folders = [source] if source.name.endswith(ENDING) else sorted(source.glob(f"*{ENDING}"))
    for folder in folders:
        node = target.read_json(folder / "labels" / "zarr.json")
        if node is not None:
            names = node["attributes"]["ome"]["labels"]
            read = partial(_read, folder=folder, names=names, target=target)
            yield Found(folder.name.removesuffix(ENDING), folder, read)


class _Said(Strict):
    """What we write of a label image."""

    rater: Slug
    kind: RaterKind
    resampled: bool
    frames: tuple[int, ...]
    seconds: tuple[float, ...]
    reviewed: tuple[int, ...]


def _read(clip: Clip, folder: Path, names: list[str], target: Target) -> Labels:
    labels = Labels()
    for name in names:
        label = folder / "labels" / check_slug(name)
        where = f"{folder.name}/labels/{name}"
        node = read_json(label / "zarr.json", MIB)
        said = _Said.model_validate(node["attributes"]["confseg"])
        of_clip = ReviewedClip(
            resampled=said.resampled,
            frames=said.frames,
            seconds=said.seconds,
            reviewed=tuple((seen,) for seen in said.reviewed),
        )
        shape = (len(said.frames), *clip.shape[1:])
        planes = partial(_planes, label / "0", shape, where)
        mine = exact_labels(clip, [name], of_clip, planes, target, where)
        labels.planes |= mine.planes
        labels.reviewed |= mine.reviewed
    return labels


def _planes(folder: Path, shape: tuple[int, ...], where: str, name: str) -> NDArray[np.uint8]:
    """Return an array that is stored as ours are: a chunk a plane, zstd."""
    node = read_json(folder / "zarr.json", MIB)
    found = {
        "shape": node["shape"],
        "type": node["data_type"],
        "chunks": node["chunk_grid"]["configuration"]["chunk_shape"],
        "keys": node["chunk_key_encoding"],
        "codecs": [codec["name"] for codec in node["codecs"]],
    }
    expected = {
        "shape": list(shape),
        "type": "uint8",
        "chunks": [1, *shape[1:]],
        "keys": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": ["bytes", "zstd"],
    }
    if found != expected:
        hint = "Only arrays as we write them come in, of the clip's own size."
        raise StoreError(Problem.mismatch("array", where, str(expected), f"{found!s:.400}", hint))
    planes = np.zeros(shape, np.uint8)
    for t, plane in enumerate(planes):
        key = f"c/{t}/0/0"
        decode(read_file(folder / key, 2 * plane.nbytes + MIB), plane, f"{where}/0/{key}")
    return planes
