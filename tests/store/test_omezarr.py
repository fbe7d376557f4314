"""Every clip and rater is legal OME-Zarr 0.5, for others' validators, readers and codecs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import yaozarrs
import zarr
from napari_ome_zarr import napari_get_reader
from ome_zarr_models import open_ome_zarr

from napari_confseg.store import Cohort, RaterWriter, Spacing, validate
from tests.store.defects import CLIP, RATER, make_good
from tests.store.outside import VALIDATORS, official_schema
from tests.store.painting import Painter

GROUPS = (CLIP, RATER)


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ome")
    return make_good(folder, folder / "journal")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("validator", VALIDATORS)
def test_validators_that_are_not_ours(location: Path, group: str, validator: str) -> None:
    VALIDATORS[validator](location / group)


def test_the_official_schema_does_look(location: Path) -> None:
    attributes = dict(zarr.open_group(location / CLIP, mode="r").attrs)
    assert official_schema().is_valid(attributes)
    attributes["ome"]["multiscales"][0]["axes"] = []
    assert not official_schema().is_valid(attributes)


def test_models_read_what_we_mean(location: Path) -> None:
    image = open_ome_zarr(zarr.open_group(location / RATER, mode="r"), version="0.5")
    axes = image.attributes.ome.multiscales[0].axes
    assert [(a.name, a.type, a.unit) for a in axes] == [
        ("t", "time", "second"),
        ("c", "channel", None),
        ("y", "space", "millimeter"),
        ("x", "space", "millimeter"),
    ]
    other = yaozarrs.open_group(str(location / RATER)).ome_metadata()
    scale = other.multiscales[0].datasets[0].coordinateTransformations[0].scale
    assert scale == pytest.approx([0.05, 1.0, 0.2, 0.25])
    assert [c.label for c in other.omero.channels][:3] == ["Pleural line", "A-line", "B-line"]


def test_pixels_of_unknown_size_carry_no_unit(cohort: Cohort) -> None:
    root = Path(cohort.location)
    cohort.clip("clip-1").create_rater("reader-a", kind="human")
    for group in ("clip-1", "clip-1/raters/reader-a"):
        for check in VALIDATORS.values():
            check(root / group)
        axes = zarr.open_group(root / group, mode="r").attrs["ome"]["multiscales"][0]["axes"]
        assert [a.get("unit") for a in axes if a["type"] == "space"] == [None, None]


def test_raters_follow_when_the_spacing_becomes_known(cohort: Cohort) -> None:
    clip = cohort.clip("clip-1")
    clip.create_rater("reader-a", kind="human")
    clip.update_meta(spacing=Spacing(y=0.3, x=0.4, source="manual").model_dump())
    for group in ("clip-1", "clip-1/raters/reader-a"):
        ome = zarr.open_group(Path(cohort.location) / group, mode="r").attrs["ome"]
        transform = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]
        assert transform["scale"][-2:] == [0.3, 0.4]


def test_foreign_attributes_stay(cohort: Cohort) -> None:
    group = zarr.open_group(Path(cohort.location) / "clip-1", mode="r+")
    group.attrs["somebody"] = {"else": 1}
    cohort.clip("clip-1").update_meta(zone="L3")
    assert zarr.open_group(Path(cohort.location) / "clip-1", mode="r").attrs["somebody"] == {
        "else": 1
    }


@pytest.mark.parametrize(("group", "channels"), [(CLIP, 1), (RATER, 6)])
def test_napari_ome_zarr_opens_it(location: Path, group: str, channels: int) -> None:
    read = napari_get_reader(str(location / group))
    assert read is not None
    ((data, options, kind),) = read(str(location / group))
    level = data[0] if isinstance(data, list) else data
    assert kind == "image"
    np.testing.assert_array_equal(
        np.asarray(level), zarr.open_array(location / group / "0", mode="r")[:]
    )
    if channels > 1:
        assert options["channel_axis"] == 1
        assert options["name"][2] == "ann: B-line"


@pytest.mark.parametrize("group", GROUPS)
def test_tensorstore_reads_the_same_bytes(location: Path, group: str) -> None:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(location / group / "0")}}
    theirs = np.asarray(tensorstore.open(spec, read=True).result().read().result())
    cohort = Cohort.open(location)
    if group == CLIP:
        ours = np.asarray(cohort.clip(CLIP).frames)
    else:
        ours = cohort.clip(CLIP).rater("ann").read_classes(range(6)).swapaxes(0, 1)
    np.testing.assert_array_equal(theirs, ours)
    assert theirs.any()


def test_plain_zarr_reads_planes_and_status_and_what_it_writes_changes_no_record(
    cohort: Cohort, tmp_path: Path
) -> None:
    with RaterWriter.open(cohort, "clip-1", "reader-a") as writer:
        painter = Painter(writer)
        writer.commit(painter.rectangle(2, 1, 4, 5, 6, 7, 60))
    group = zarr.open_group(Path(cohort.location) / "clip-1/raters/reader-a", mode="r+")
    np.testing.assert_array_equal(group["0"][:], painter.planes)
    np.testing.assert_array_equal(group["status"][:], painter.status)
    group["0"][3, 2, 10:20, 10:20] = 45  # zarr's own codec
    rater = cohort.clip("clip-1").rater("reader-a")
    assert not rater.read_plane(3, 2).any()  # nobody's stroke
    assert rater.stored_chunks() == [(2, 1)]
    (problem,) = validate(cohort.location)
    assert (problem.code, problem.path) == ("view", f"{rater.path}/0/c/3/2/0/0")
    with RaterWriter.open(cohort, "clip-1", "reader-a") as writer:
        assert writer.flush(10)
        writer.commit(painter.rectangle(0, 0, 0, 0, 3, 3, 30))
    np.testing.assert_array_equal(group["0"][:], painter.planes)
    assert validate(cohort.location) == []


def test_planes_that_plain_zarr_has_made_are_read(cohort: Cohort) -> None:
    clip = cohort.clip("clip-1")
    clip.create_rater("theirs", kind="human")
    group = zarr.open_group(Path(cohort.location) / "clip-1/raters/theirs", mode="r+")
    group["0"][3, 2, 10:20, 10:20] = 45  # zarr's own codec
    rater = clip.rater("theirs")
    assert (rater.read_plane(3, 2)[10:20, 10:20] == 45).all()
    assert rater.stored_chunks() == [(3, 2)]
    with RaterWriter.open(cohort, "clip-1", "theirs") as writer:  # from here on it has a record
        painter = Painter(writer)
        writer.commit(painter.rectangle(3, 2, 10, 10, 5, 5, 90))
        painter.apply(writer.undo())
    painter.assert_stored(cohort, "clip-1", "theirs")
    shutil.rmtree(Path(cohort.location) / "clip-1/raters/theirs/0/c")  # all files are lost
    painter.assert_stored(cohort, "clip-1", "theirs")
    assert (clip.rater("theirs").read_plane(3, 2)[10:20, 10:20] == 45).all()
