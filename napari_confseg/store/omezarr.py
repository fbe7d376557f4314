"""OME-Zarr 0.5 metadata. The only module that knows the specification: 0.6 is one edit here.

Specification: https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.store.schema import ClassSpec, Spacing

VERSION = "0.5"
CLIP_AXES = ("t", "y", "x")
RATER_AXES = ("t", "c", "y", "x")


def _axis(name: str, *, physical: bool) -> dict[str, str]:
    if name == "t":
        return {"name": "t", "type": "time", "unit": "second"}
    if name == "c":
        return {"name": "c", "type": "channel"}
    axis = {"name": name, "type": "space"}
    # A unit is a promise: pixels of unknown size carry none.
    return axis | {"unit": "millimeter"} if physical else axis


def _multiscales(
    name: str, axes: Sequence[str], interval: float, spacing: Spacing | None
) -> list[dict[str, Any]]:
    scale_of = {
        "t": interval,
        "c": 1.0,
        "y": spacing.y if spacing else 1.0,
        "x": spacing.x if spacing else 1.0,
    }
    transform = {"type": "scale", "scale": [scale_of[a] for a in axes]}
    return [
        {
            "name": name,
            "axes": [_axis(a, physical=spacing is not None) for a in axes],
            "datasets": [{"path": "0", "coordinateTransformations": [transform]}],
        }
    ]


def clip_ome(name: str, interval: float, spacing: Spacing | None) -> dict[str, Any]:
    """Return ``attributes["ome"]`` of a clip: a grey image with axes t y x.

    Parameters
    ----------
    name : str
        Name of the clip.
    interval : float
        Seconds between frames.
    spacing : Spacing or None
        Millimetres per pixel; None leaves the axes without a unit.
    """
    return {"version": VERSION, "multiscales": _multiscales(name, CLIP_AXES, interval, spacing)}


def rater_ome(
    name: str, interval: float, spacing: Spacing | None, classes: Sequence[ClassSpec]
) -> dict[str, Any]:
    """Return ``attributes["ome"]`` of a rater: axes t c y x, one coloured channel per class.

    The window is 0..100, so any viewer shows the confidence as the class's brightness.
    """
    window = {"min": 0, "max": 100, "start": 0, "end": 100}
    channels = [
        {"label": c.label, "color": c.color[1:].upper(), "active": True, "window": window}
        for c in classes
    ]
    return {
        "version": VERSION,
        "multiscales": _multiscales(name, RATER_AXES, interval, spacing),
        "omero": {"name": name, "channels": channels, "rdefs": {"model": "color"}},
    }
