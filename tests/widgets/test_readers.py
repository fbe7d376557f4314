"""File > Open and drag and drop: DICOM cines, clips and cohorts in a real viewer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.annotate.session import Session
from napari_confseg.store import DEFAULT_CLASSES, Cohort
from napari_confseg.widgets.readers import drop_targets, get_reader
from napari_confseg.widgets.shared import session_for
from tests.annotate.edits import paint
from tests.conftest import add_clip
from tests.ingest.dicoms import dataset, region, save, with_pixels
from tests.widgets.bench import Bench, drop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLUGIN = "napari-confseg"


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    ds = dataset(FrameTime="40")
    with_pixels(ds, rng.integers(0, 255, (5, 32, 40), dtype=np.uint8), "MONOCHROME2")
    ds.SequenceOfUltrasoundRegions = [region(0, 0, 40, 32, mm=(0.2, 0.3))]
    return save(ds, tmp_path / "Ärzte-Schleife.dcm")


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    made = Cohort.create(tmp_path / "cohort.zarr", name="toy", classes=DEFAULT_CLASSES[:1])
    add_clip(made, "clip-1")
    add_clip(made, "clip-2")
    return made


@pytest.fixture
def marked(cohort: Cohort) -> Cohort:
    """With one stroke of one reader on clip-1."""
    session = Session(rater="ada")
    session.open_cohort(cohort.location)
    session.open_clip("clip-1")
    session.class_name = "pleura"
    paint(session, (4, 4, 12, 12), confidence=70)
    session.flush()
    session.close_cohort()
    return cohort


def test_what_is_not_ours_is_left_to_others(tmp_path: Path, cohort: Cohort, cine: Path) -> None:
    foreign = tmp_path / "foreign.zarr"
    foreign.mkdir()
    assert get_reader(str(foreign)) is None  # nothing in it
    node = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5"}}}
    (foreign / "zarr.json").write_text(json.dumps(node))
    assert get_reader(str(foreign)) is None
    (foreign / "zarr.json").write_text("no json")
    assert get_reader(str(foreign)) is None
    (tmp_path / "film.mp4").write_bytes(b"x")
    assert get_reader(str(tmp_path / "film.mp4")) is None
    assert get_reader(str(tmp_path / "nothing.zarr")) is None
    assert get_reader([str(cine), str(foreign)]) is None
    assert get_reader(str(cine))
    assert get_reader(cohort.location)
    assert get_reader(f"{cohort.location}/clip-1")


def test_opening_in_a_window(
    make_napari_viewer: Callable[..., Any], cine: Path, marked: Cohort, tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    (layer,) = viewer.open(cine, plugin=PLUGIN)
    assert layer.data.shape == (5, 32, 40)
    assert layer.scale.tolist() == [1, 0.2, 0.3]
    assert layer.metadata["confseg"]["frame_times"] == (0, 0.04, 0.08, 0.12, 0.16)

    frames, plane = viewer.open(f"{marked.location}/clip-1", plugin=PLUGIN)
    assert np.array_equal(frames.data[2], marked.clip("clip-1").frames[2])
    assert plane.name == "Pleural line · ada"
    assert (plane.data[0] == marked.clip("clip-1").rater("ada").read_plane(0, 0)).all()
    assert plane.data.max() == 70
    with pytest.raises(ValueError, match="read-only"):  # marks here would be saved nowhere
        plane.data_setitem((np.array([0]), np.array([0]), np.array([0])), 5)

    (tmp_path / "cut.dcm").write_bytes(cine.read_bytes()[:2000])
    with pytest.raises(Exception, match=r"cut\.dcm: .*cut short") as caught:
        viewer.open(tmp_path / "cut.dcm", plugin=PLUGIN)
    assert "Traceback" not in str(caught.value)

    viewer.layers.clear()
    assert viewer.open(marked.location, plugin=PLUGIN) == []  # the panel adds the layers
    session = session_for(viewer)
    assert session.clip.name == "clip-1"
    assert viewer.layers[0].name == "clip-1"
    session.close_cohort()


def test_dropping_on_the_canvas_asks_nothing(
    make_napari_viewer: Callable[..., Any], marked: Cohort, tmp_path: Path
) -> None:
    bench = Bench(make_napari_viewer(show=True))
    viewer, panel = bench.viewer, bench.panel
    (canvas, *_) = drop_targets(viewer.window._qt_window)
    assert drop(canvas, marked.location)
    assert panel.session.cohort.location == marked.location
    assert panel.session.clip.name == "clip-1"
    before = len(viewer.layers)
    drop(canvas, f"{marked.location}/clip-2")
    assert panel.session.clip.name == "clip-2"  # of the open cohort: to mark it
    assert len(viewer.layers) == before
    picture = tmp_path / "a.npy"
    np.save(picture, np.zeros((4, 4)))
    drop(canvas, picture)  # napari's own
    assert viewer.layers[-1].name == "a"
    asked: list[list[str]] = []
    panel.cohort_actions.ask_import = asked.append
    films = [str(tmp_path / "a.mp4"), str(tmp_path / "b.AVI")]
    assert drop(canvas, *films)
    bench.until(lambda: asked)
    assert asked == [films]
    bench.close()
