"""Classes and anchors of a cohort that is in use are changed: nothing painted may suffer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_confseg.store import (
    DEFAULT_ANCHORS,
    DEFAULT_CLASSES,
    Anchor,
    ClassSpec,
    Cohort,
    RaterWriter,
    StoreError,
    validate,
)
from napari_confseg.store.rater import Rater
from tests.store.painting import Painter

CYST = ClassSpec(index=6, name="cyst", label="Cyst", color="#000000", key="Y")
RECOLOURED = tuple(c.model_copy(update={"color": "#332288"}) for c in DEFAULT_CLASSES[:1])
MORE = (*RECOLOURED, *DEFAULT_CLASSES[1:], CYST)


@pytest.fixture
def painted(cohort: Cohort) -> Cohort:
    """The cohort with a rater who painted class 2 of frame 1."""
    with RaterWriter.open(cohort, "clip-1", "ann") as writer:
        writer.commit(Painter(writer).rectangle(1, 2, 4, 4, 8, 8, 60))
    return cohort


def test_a_class_is_added_and_raters_follow(painted: Cohort) -> None:
    planes = painted.clip("clip-1").rater("ann").read_classes(range(6))
    status = painted.clip("clip-1").rater("ann").read_status()
    assert painted.update_meta(classes=MORE) == []
    again = Cohort.open(painted.location)
    assert again.meta.classes == MORE
    rater = again.clip("clip-1").rater("ann")
    assert rater.shape[1] == 7
    assert np.array_equal(rater.read_classes(range(6)), planes)
    assert np.array_equal(rater.read_status()[:, :6], status)
    group = zarr.open_group(f"{painted.location}/{rater.path}", mode="r")
    assert group["0"].shape[1] == group["status"].shape[1] == 7  # for plain zarr as well
    assert not group["0"][:, 6].any()
    found = [(c["label"], c["color"]) for c in group.attrs["ome"]["omero"]["channels"]]
    assert found == [(c.label, c.color[1:].upper()) for c in MORE]
    assert validate(painted.location) == []
    with RaterWriter.open(again, "clip-1", "ann") as writer:
        assert writer.can_undo  # whoever changed the classes was no other writer
        writer.commit(Painter(writer).rectangle(0, 6, 4, 4, 8, 8, 30))
    assert (rater.read_plane(0, 6) == 30).sum() == 64
    assert validate(painted.location) == []


def test_who_is_painting_follows_with_the_next_stroke(painted: Cohort) -> None:
    with RaterWriter.open(painted, "clip-1", "ann") as writer:
        assert Cohort.open(painted.location).update_meta(classes=MORE) == ["clip-1/raters/ann"]
        writer.commit(Painter(writer).rectangle(2, 1, 0, 0, 3, 3, 90))
        assert writer.flush(10)
    again = Cohort.open(painted.location)
    rater = again.clip("clip-1").rater("ann")
    assert rater.shape[1] == 7
    assert not rater.read_plane(0, 6).any()
    assert rater.read_status()[:, 6].max() == 0
    with RaterWriter.open(again, "clip-1", "ann") as writer:
        writer.commit(Painter(writer).rectangle(2, 6, 0, 0, 3, 3, 90))
    assert zarr.open_array(f"{painted.location}/clip-1/raters/ann/0", mode="r").shape[1] == 7
    assert validate(painted.location) == []


@pytest.mark.parametrize("steps", range(4))
def test_a_crash_between_the_steps_costs_nothing(
    painted: Cohort, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = painted.clip("clip-1").rater("ann").read_status()
    painted.update_meta(anchors=DEFAULT_ANCHORS)
    rater = _rater_with(painted, MORE)
    keys, left = rater._keys, iter(range(steps))

    def set_few(key: str, data: bytes) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        type(keys).set(keys, key, data)

    monkeypatch.setattr(keys, "set", set_few)
    with pytest.raises(KeyboardInterrupt):
        rater.bring_in_step()
    monkeypatch.undo()
    again = _rater_with(painted, MORE)
    assert np.array_equal(again.read_status()[:, :6], before)
    assert (again.read_plane(1, 2) == 60).sum() == 64
    again.bring_in_step()
    assert np.array_equal(_rater_with(painted, MORE).read_status()[:, :6], before)


def _rater_with(cohort: Cohort, classes: tuple[ClassSpec, ...]) -> Rater:
    return Rater(cohort.store, "clip-1/raters/ann", cohort.clip("clip-1").shape, classes)


@pytest.mark.parametrize(
    ("classes", "code"),
    [
        (DEFAULT_CLASSES[:5], "class-changed"),
        (
            (DEFAULT_CLASSES[0].model_copy(update={"name": "other"}), *DEFAULT_CLASSES[1:]),
            "class-changed",
        ),
        ((*DEFAULT_CLASSES, CYST.model_copy(update={"index": 9})), "attributes"),
        ((*DEFAULT_CLASSES, CYST.model_copy(update={"name": "rib"})), "attributes"),
    ],
)
def test_what_would_harm_planes_is_refused(
    painted: Cohort, classes: tuple[ClassSpec, ...], code: str
) -> None:
    before = painted.meta
    with pytest.raises(StoreError) as caught:
        painted.update_meta(classes=classes)
    assert {p.code for p in caught.value.problems} == {code}
    assert painted.meta == Cohort.open(painted.location).meta == before


def test_two_who_change_it_at_once(painted: Cohort) -> None:
    other = Cohort.open(painted.location)
    sure = [Anchor(value=50, word="even", example="As many for it as against.")]
    painted.update_meta(anchors=sure)
    with pytest.raises(StoreError, match="changed"):
        other.update_meta(anchors=DEFAULT_ANCHORS)
    assert Cohort.open(painted.location).meta.anchors == tuple(sure)


def test_a_zip_stays_as_it_is(painted: Cohort, tmp_path: Path) -> None:
    import shutil

    name = shutil.make_archive(str(tmp_path / "packed"), "zip", painted.location)
    packed = Cohort.open(name, read_only=True)
    with pytest.raises(StoreError) as caught:
        packed.update_meta(anchors=DEFAULT_ANCHORS[:1])
    assert [p.code for p in caught.value.problems] == ["read-only"]


@pytest.mark.parametrize("content", ["", "1", "[]", "{", "{}"])
def test_a_rater_is_not_made_in_a_damaged_group(cohort: Cohort, content: str) -> None:
    clip = cohort.clip("clip-1")
    clip.create_rater("ann", kind="human")
    group = Path(cohort.location) / "clip-1/raters/zarr.json"
    group.write_text(content)
    with pytest.raises(StoreError) as caught:
        clip.create_rater("bob", kind="human")
    (problem,) = caught.value.problems
    assert problem.code in ("metadata-json", "zarr-format")
    assert problem.path == "clip-1/raters/zarr.json"
    assert group.read_text() == content
    assert clip.raters() == ["ann"]
