"""The release form of OME-Zarr 0.5: one image a clip with flat ``labels/<class>``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.store import ClassSpec

_CODEC = ZstdCodec(level=3, checksum=True)


def write(job: Export) -> None:
    """Write ``<clip>.ome.zarr``: frames, and a label image a class whose value is the confidence.

    Colours are the class's with an opacity that rises with the confidence, so any OME-Zarr viewer
    shows doubt as faintness. What was reviewed stands in ``attributes["confseg"]`` of the labels.
    """
    for item in job.items():
        root = job.folder(f"{item.name}.ome.zarr")
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
            said = {"rater": job.rater, "reviewed": item.reviewed[:, c].astype(int).tolist()}
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
