"""VIA, the VGG Image Annotator 2: polygons on pictures out; areas and lines in.

Coordinates are whole numbers of pixels, as the annotator stores them and its readers fill them:
the edge is part of a region. The class of a region is one of its attributes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.formats.frame_labels import (
    RESAMPLED,
    Draw,
    Frame,
    Shape,
    built,
    clips_of,
    marks,
    no_clip,
    numbered,
    refused,
    reviewed_names,
    save_frames,
    stated,
)
from napari_confseg.formats.outlines import band, box, ellipse, fill, outlines
from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Found, Target

_PICTURES, _ATTRIBUTES = "_via_img_metadata", "_via_attributes"
_FOLDER = "images"
_CLASS, _CONFIDENCE, _REVIEWED = "class", "confidence", "reviewed"
_NAMES = (_CLASS, "label", "name", "type", "category", "object")
"""Attributes that people keep the class in, the likeliest first."""
_SLACK = 2.0
"""Pixels by which a region may leave the picture: the annotator keeps no size to compare."""


def write(job: Export) -> None:
    """Write ``<part>.json``, a project that VIA opens, and ``images/``.

    Polygons are the pixels of one class marked with one confidence, which is their attribute
    ``confidence`` (255: excluded). ``reviewed`` of a picture holds the classes of which no polygon
    means absence. A part with a hole is cut in two.
    """
    parts: dict[str, dict[str, Any]] = {}
    for item in job.items():
        pictures = parts.setdefault(item.part, {})
        for i, name in save_frames(job, item, _FOLDER):
            size = (job.out / _FOLDER / name).stat().st_size
            seen = reviewed_names(job, item, i)
            pictures[f"{name}{size}"] = {
                "filename": name,
                "size": size,
                "regions": list(_regions(job, item, i)),
                "file_attributes": {_REVIEWED: dict.fromkeys(seen, True)},
            }
    for part, pictures in parts.items():
        job.write_json(job.out / f"{part}.json", _project(job, part, pictures), indent=None)


def _regions(job: Export, item: Item, i: int) -> Iterator[dict[str, Any]]:
    for c, value, mask in marks(item, i):
        for outline in outlines(mask):
            yield {
                "shape_attributes": {
                    "name": "polygon",
                    "all_points_x": outline[:, 0].tolist(),
                    "all_points_y": outline[:, 1].tolist(),
                },
                "region_attributes": {_CLASS: job.classes[c], _CONFIDENCE: str(value)},
            }


def _project(job: Export, part: str, pictures: dict[str, Any]) -> dict[str, Any]:
    options = {spec.name: spec.label for spec in job.manifest.classes}
    attributes = {
        _CLASS: {
            "type": "dropdown",
            "description": "",
            "options": options,
            "default_options": {},
        },
        _CONFIDENCE: {"type": "text", "description": "percent; 255: excluded", "default_value": ""},
    }
    ticks = options | (
        {RESAMPLED: RESAMPLED} if any(c.resampled for c in job.manifest.clips) else {}
    )
    seen = {"type": "checkbox", "description": "", "options": ticks, "default_options": {}}
    return {
        "_via_settings": {
            "ui": {
                "annotation_editor_height": 25,
                "annotation_editor_fontsize": 0.8,
                "leftsidebar_width": 18,
                "image_grid": {
                    "img_height": 80,
                    "rshape_fill": "none",
                    "rshape_fill_opacity": 0.3,
                    "rshape_stroke": "yellow",
                    "rshape_stroke_width": 2,
                    "show_region_shape": True,
                    "show_image_policy": "all",
                },
                "image": {
                    "region_label": _CLASS,
                    "region_color": _CLASS,
                    "region_label_font": "10px Sans",
                    "on_image_annotation_editor_placement": "NEAR_REGION",
                },
            },
            "core": {"buffer_size": 18, "filepath": {}, "default_filepath": f"{_FOLDER}/"},
            "project": {"name": f"{job.manifest.request.name}-{part}"},
        },
        _PICTURES: pictures,
        _ATTRIBUTES: {"region": attributes, "file": {_REVIEWED: seen}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": list(pictures),
    }


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield the clips of the VIA projects, or annotations saved as JSON, in `source`.

    A project lists every picture that was added. So a frame counts as reviewed as our own attribute
    says, else if it has a mark, or by the choice `reviewed`.
    """
    files = [source] if source.is_file() else sorted(source.glob("*.json"))
    frames: list[Frame] = []
    names: set[str] = set()
    for path in files:
        data = target.read_json(path)
        if data is None:
            continue
        pictures = data.get(_PICTURES, data)
        if not isinstance(pictures, dict) or not all(map(_is_picture, pictures.values())):
            target.report(
                Problem(
                    "via",
                    str(path),
                    "This is neither a project of VIA 2 nor its annotations as JSON",
                    hint="Save the project again, or export the annotations as JSON.",
                )
            )
            continue
        defined = (data.get(_ATTRIBUTES) or {}).get("region") or {}
        attribute = _class_attribute(path, pictures, defined)
        names |= set((defined.get(attribute) or {}).get("options") or {})
        for picture in pictures.values():
            where = f"{path.name}: {picture['filename']:.120}"
            known = numbered(picture["filename"])
            if known is None or not known[0]:
                target.report(no_clip(where, picture["filename"]))
                continue
            frame = Frame(path, where, *known)
            fill_in = partial(_fill, picture=picture, attribute=attribute, target=target)
            frames.append(built(frame, fill_in))
    yield from clips_of(frames, names, target)


def _is_picture(picture: Any) -> bool:
    return isinstance(picture, dict) and isinstance(picture.get("filename"), str)


def _given(picture: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the regions; a dictionary in the first version of VIA."""
    regions = picture.get("regions") or []
    return list(regions.values()) if isinstance(regions, dict) else list(regions)


def _class_attribute(path: Path, pictures: dict[str, Any], defined: dict[str, Any]) -> str:
    """Return the attribute of regions that is the class."""
    used = {
        key
        for picture in pictures.values()
        for region in _given(picture)
        if isinstance(region, dict)
        for key in (region.get("region_attributes") or {})
    } | set(defined)
    likely = next((name for name in _NAMES if name in used), None)
    others = used - {_CONFIDENCE}
    if likely is None and len(others) > 1:
        raise StoreError(
            Problem(
                "via",
                str(path),
                f"Which attribute of a region is its class? There are {', '.join(sorted(others))}",
                hint=f"Call it {_CLASS!r} in VIA.",
            )
        )
    return likely or next(iter(others), _CLASS)


def _fill(frame: Frame, *, picture: dict[str, Any], attribute: str, target: Target) -> None:
    seen = (picture.get("file_attributes") or {}).get(_REVIEWED)
    if isinstance(seen, dict):
        frame.reviewed = [name for name, ticked in seen.items() if ticked is True]
    for region in _given(picture):
        shape, about = region["shape_attributes"], region.get("region_attributes") or {}
        kind, value = str(shape["name"]), about.get(attribute, "")
        given = about.get(_CONFIDENCE)
        confidence = stated(given, frame.where) if given not in (None, "") else None
        # A checkbox: several classes may be ticked.
        ticked = [k for k, on in value.items() if on] if isinstance(value, dict) else [str(value)]
        draw = _draw(kind, shape, target.request.line_width)
        frame.shapes += [Shape(name, kind, draw, confidence) for name in ticked or [""]]


def _draw(kind: str, given: dict[str, Any], width: float) -> Draw:
    match kind:
        case "polygon":
            return lambda size: fill(_points(given, size), size)
        case "polyline":
            return lambda size: band(_points(given, size), width, size)
        case "rect":
            return partial(_draw_box, given)
        case "circle" | "ellipse":
            return partial(_draw_ellipse, given)
    return refused(kind)


def _points(given: dict[str, Any], size: tuple[int, int]) -> NDArray[np.float64]:
    x, y = (np.asarray(given[f"all_points_{axis}"], float) for axis in "xy")
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"it has {x.size} x and {y.size} y")
    points = np.stack([x, y], -1)
    _check_inside(points, size)
    return points


def _check_inside(points: NDArray[np.float64], size: tuple[int, int]) -> None:
    outside = (points < -_SLACK) | (points > np.array(size[::-1]) + _SLACK)
    if outside.any() or not np.isfinite(points).all():
        worst = points[(outside | ~np.isfinite(points)).any(-1)][0].tolist()
        raise ValueError(
            f"(x, y) = {worst} lies outside the picture of {size[1]} x {size[0]} pixels; was it "
            "drawn on another size?"
        )


def _numbers(given: dict[str, Any], *keys: str) -> list[float]:
    return [float(given[key]) for key in keys]


def _draw_box(given: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    x, y, width, height = _numbers(given, "x", "y", "width", "height")
    _check_inside(np.array([(x, y), (x + width, y + height)]), size)
    return box((x, y), (width, height), size)


def _draw_ellipse(given: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    x, y = _numbers(given, "cx", "cy")
    _check_inside(np.array([(x, y)]), size)
    radii = _numbers(given, "r", "r") if "r" in given else _numbers(given, "rx", "ry")
    turned = float(np.rad2deg(float(given.get("theta") or 0)))  # VIA keeps radians
    return ellipse((x, y), (radii[0], radii[1]), size, rotation=turned)
