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
    return {
        "version": VERSION,
        "multiscales": _multiscales(name, RATER_AXES, interval, spacing),
        "omero": {"name": name, "channels": channels(classes), "rdefs": {"model": "color"}},
    }


def channels(classes: Sequence[ClassSpec]) -> list[dict[str, Any]]:
    """Return the ``omero`` channels of a rater whose planes are of these classes."""
    window = {"min": 0, "max": 100, "start": 0, "end": 100}
    return [
        {"label": c.label, "color": c.color[1:].upper(), "active": True, "window": window}
        for c in classes
    ]


_UNITS = ("second", "millimeter")


def ome_faults(found: object, expected: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Compare ``attributes["ome"]`` as found with what this module would write.

    Returns
    -------
    list of (code, expected, found)
        Codes ``ome-missing``, ``ome-version``, ``ome-axes``, ``ome-unit``, ``ome-scale``,
        ``ome-dataset`` and ``ome-channels``. Further keys that others added are left alone.
    """
    if not isinstance(found, dict):
        return [("ome-missing", "OME-Zarr metadata", repr(found)[:80])]
    faults = []
    if found.get("version") != expected["version"]:
        faults.append(("ome-version", expected["version"], repr(found.get("version"))))
    images = found.get("multiscales")
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        return [*faults, ("ome-missing", "one multiscale image", repr(images)[:80])]
    faults += _image_faults(images[0], expected["multiscales"][0])
    if "omero" in expected:
        ours = _channels(expected)
        if _channels(found) != ours:
            faults.append(("ome-channels", str(ours), str(_channels(found))[:300]))
    return faults


def _image_faults(found: dict[str, Any], ours: dict[str, Any]) -> list[tuple[str, str, str]]:
    faults = []
    axes = found.get("axes")
    axes = [a for a in axes if isinstance(a, dict)] if isinstance(axes, list) else []
    kinds = [(a.get("name"), a.get("type")) for a in axes]
    expected = [(a["name"], a["type"]) for a in ours["axes"]]
    if kinds != expected:
        faults.append(("ome-axes", str(expected), str(kinds)))
    else:
        for axis, own in zip(axes, ours["axes"], strict=True):
            if axis.get("unit") != own.get("unit"):
                known = "" if axis.get("unit") in _UNITS or not axis.get("unit") else ", unknown"
                faults.append(
                    (
                        "ome-unit",
                        f"{own['name']} in {own.get('unit', 'no unit')}",
                        f"{axis.get('unit', 'no unit')}{known}",
                    )
                )
    datasets = found.get("datasets")
    one = datasets[0] if isinstance(datasets, list) and len(datasets) == 1 else {}
    own = ours["datasets"][0]
    if not isinstance(one, dict) or one.get("path") != own["path"]:
        return [*faults, ("ome-dataset", "one dataset, at '0'", repr(datasets)[:80])]
    transforms = one.get("coordinateTransformations")
    if transforms != own["coordinateTransformations"]:
        expected_scale = own["coordinateTransformations"][0]["scale"]
        faults.append(("ome-scale", f"a scale of {expected_scale}", repr(transforms)[:120]))
    return faults


def _channels(ome: dict[str, Any]) -> list[tuple[object, object]]:
    omero = ome.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return []
    return [(c.get("label"), c.get("color")) for c in channels if isinstance(c, dict)]
