"""What napari's File > Open and drag and drop can open of ours: DICOM cines, clips, cohorts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import napari
import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_confseg.annotate.frames import CachedFrames
from napari_confseg.annotate.overlays import load_overlay
from napari_confseg.ingest.decoded import Frame, Head, IngestError, Source
from napari_confseg.ingest.file_kinds import DICOMS, VIDEOS
from napari_confseg.ingest.pipeline import frame_times
from napari_confseg.ingest.sources import is_dicom
from napari_confseg.ingest.worker import Decoder
from napari_confseg.store import kind_at, open_clip_at
from napari_confseg.widgets.layers.colormaps import ramp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qtpy.QtCore import QMimeData

    from napari_confseg.store import Clip, Cohort, Spacing

    Layers = list[tuple[Any, ...]]

_AXES: Final = ("frame", "y", "x")
_NOTHING: Final[list[tuple[Any, ...]]] = [(None,)]
"""napari's sign that all is done and there is no layer to add."""


def get_reader(path: str | Sequence[str]) -> Callable[[Any], Layers] | None:
    """Return what opens `path`, or None if it is not ours: any other zarr is left to others."""
    paths = _listed(path)
    openers = [_opener(p) for p in paths]
    if not paths or None in openers:
        return None

    def read(_path: Any) -> Layers:
        return [layer for p, opener in zip(paths, openers, strict=True) for layer in opener(p)]  # type: ignore[misc]

    return read


def _listed(path: str | Sequence[str]) -> list[str]:
    return [str(path)] if isinstance(path, (str, Path)) else [str(p) for p in path]


def _opener(path: str) -> Callable[[str], Layers] | None:
    place = Path(path)
    if place.is_file() and place.suffix.lower() != ".zip":
        ours = place.suffix.lower() in DICOMS or is_dicom(place)
        return read_dicom_layers if ours else None
    kind = kind_at(path)
    if kind is None:
        return None
    return open_in_panel if kind == "cohort" else read_clip_layers


# ---- a DICOM file -------------------------------------------------------------------------


def read_dicom_layers(path: str) -> Layers:
    """Return the frames of a DICOM file as an image, decoded as an import would decode them.

    Raises
    ------
    IngestError
        If it cannot be decoded; says why.
    """
    head: Head | None = None
    frames: list[Frame] = []
    with Decoder() as decoder:
        try:
            for part in decoder.read(Source("dicom", (path,))):
                if isinstance(part, Head):
                    head = part
                else:
                    frames.append(part)
        except IngestError as error:
            raise IngestError(f"{Path(path).name}: {error}") from None
    assert head is not None  # the decoder sends it first, or refuses
    times, tags = frame_times([f.seconds for f in frames], head.rate)
    data = np.stack([f.pixels for f in frames])
    about = {"frame_times": times, "tags": head.tags + tags, "decoder": head.decoder}
    scale = (1.0, *head.spacing) if head.spacing else (1.0, 1.0, 1.0)
    return [_image(data, Path(path).stem, scale, about)]


def _image(data: Any, name: str, scale: Sequence[float], about: dict[str, Any]) -> tuple[Any, ...]:
    # A fixed window: brightness means the same on every frame.
    meta = {
        "name": name,
        "contrast_limits": (0, 255),
        "scale": tuple(scale),
        "axis_labels": _AXES,
        "metadata": {"confseg": about},
    }
    return data, meta, "image"


# ---- a clip ---------------------------------------------------------------------------------


def read_clip_layers(path: str) -> Layers:
    """Return a clip's frames, and the planes of everyone who marked it, for viewing.

    The planes are read-only: marks painted here would be saved nowhere.
    """
    cohort, clip = open_clip_at(path)
    layers = [
        _image(
            CachedFrames(clip),
            clip.name,
            _scale(clip.meta.spacing),
            {"clip": clip.name, "cohort": cohort.location},
        )
    ]
    layers += _planes(cohort, clip)
    if len(layers) > 1:
        show_info(
            f"{clip.name} is shown for viewing only. To mark it, open its study folder "
            f"({Path(cohort.location).name}): drop that folder here."
        )
    return layers


def _planes(cohort: Cohort, clip: Clip) -> Iterator[tuple[Any, ...]]:
    specs = {c.name: c for c in cohort.meta.classes}
    for name in clip.raters():
        overlay = load_overlay(clip, name, cohort.meta)
        for class_name, plane in overlay.planes.items():
            spec = specs[class_name]
            meta = {
                "name": f"{spec.label} · {overlay.label}",
                "colormap": ramp(spec.color),
                "scale": _scale(clip.meta.spacing),
                "axis_labels": _AXES,
            }
            whole = np.asarray(plane)  # other plugins expect an array
            whole.flags.writeable = False
            yield whole, meta, "labels"


def _scale(spacing: Spacing | None) -> tuple[float, float, float]:
    return (1.0, spacing.y, spacing.x) if spacing else (1.0, 1.0, 1.0)


# ---- a cohort -------------------------------------------------------------------------------


def open_in_panel(path: str) -> Layers:
    """Open the cohort at `path` in the Annotate panel, which adds the layers itself.

    Raises
    ------
    RuntimeError
        If there is no viewer to open it in.
    """
    viewer = napari.current_viewer()
    if viewer is None:
        raise RuntimeError("open a viewer first; the cohort opens in its Annotate panel")
    _, panel = viewer.window.add_plugin_dock_widget("napari-confseg", "Annotate")
    panel.cohort_actions.open(path)
    return _NOTHING


def drop_targets(window: QObject) -> list[QObject]:
    """Return napari's widgets in `window` that take drops: the canvas, and what greets on it."""
    widgets = window.findChildren(QWidget)
    return [w for w in widgets if w.metaObject().className() in ("QtViewer", "QtWelcomeWidget")]


class DropCatcher(QObject):
    """Opens cohorts and clips dropped on napari's canvas without asking which plugin shall.

    Every zarr plugin claims every folder, so napari would ask; what bears our mark is ours.

    Parameters
    ----------
    parent : QObject
        Owner; when it goes, drops are napari's again.
    opened : callable
        Called with the path of a cohort or clip that was dropped.
    imported : callable
        Called with the paths of videos that were dropped, which napari cannot read.
    """

    def __init__(
        self,
        parent: QObject,
        opened: Callable[[str], object],
        imported: Callable[[list[str]], object],
    ) -> None:
        super().__init__(parent)
        self._opened, self._imported = opened, imported
        self._watched: list[QObject] = []

    def watch(self, window: QObject) -> None:
        """Watch the canvas of napari's main window; harmless to call again."""
        for target in drop_targets(window):
            if target not in self._watched:
                target.installEventFilter(self)
                self._watched.append(target)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Take the drop of one cohort or clip, or of videos; leave all else to napari."""
        if event.type() != QEvent.Type.Drop:
            return False
        path, films = one_of_ours(event.mimeData()), videos(event.mimeData())
        if path is None and not films:
            return False
        event.acceptProposedAction()
        if path is not None:
            self._opened(path)
        else:  # once the drop is over: a dialog asks what is to become of them
            QTimer.singleShot(0, lambda: self._imported(films))
        return True


def videos(data: QMimeData) -> list[str]:
    """Return the files that are being dropped if all of them are videos."""
    paths = [u.toLocalFile() for u in data.urls()]
    return paths if all(Path(p).suffix.lower() in VIDEOS for p in paths) else []


def one_of_ours(data: QMimeData) -> str | None:
    """Return the cohort or clip that is being dropped, if it is exactly one."""
    paths = [u.toLocalFile() for u in data.urls()]
    return paths[0] if len(paths) == 1 and paths[0] and kind_at(paths[0]) else None
