"""Shared metadata by compare-and-swap: nobody's change is lost without a word."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zarr

from napari_confseg.store import Anchor, ClassSpec, Cohort, StoreError, validate
from tests.conftest import add_clip
from tests.store.racing import race

if TYPE_CHECKING:
    from collections.abc import Callable


def with_class(cohort: Cohort, name: str, color: str = "#123456") -> tuple[ClassSpec, ...]:
    spec = ClassSpec(index=len(cohort.meta.classes), name=name, label=name, color=color)
    return (*cohort.meta.classes, spec)


@pytest.fixture(params=["folder", "bucket"])
def location(request: pytest.FixtureRequest, cohort: Cohort) -> str:
    if request.param == "folder":
        return cohort.location
    bucket: str = request.getfixturevalue("s3")
    add_clip(Cohort.create(bucket, name="toy"))
    return bucket


def test_processes_that_add_classes_at_once_lose_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = race(tmp_path, 6)
    assert all(made == there == {"ann", "bea"} for made, there in results)


def test_two_who_add_a_class_both_succeed(location: str) -> None:
    first, second = Cohort.open(location), Cohort.open(location)
    n = len(first.meta.classes)
    first.update_meta(classes=with_class(first, "cyst", "#111111"))
    second.update_meta(classes=with_class(second, "bleb", "#222222"))
    again = Cohort.open(location)
    assert [(c.index, c.name) for c in again.meta.classes[n:]] == [(n, "cyst"), (n + 1, "bleb")]
    assert second.meta == again.meta
    assert validate(location) == []


def test_who_changed_the_same_thing_is_told(location: str) -> None:
    def relabelled(cohort: Cohort, label: str) -> tuple[ClassSpec, ...]:
        first, *rest = cohort.meta.classes
        return (first.model_copy(update={"label": label}), *rest)

    changes: list[tuple[Callable[[Cohort], object], Callable[[Cohort], object]]] = [
        (
            lambda c: c.update_meta(classes=relabelled(c, "One")),
            lambda c: c.update_meta(classes=relabelled(c, "Two")),
        ),
        (
            lambda c: c.update_meta(classes=with_class(c, "cyst", "#111111")),
            lambda c: c.update_meta(classes=with_class(c, "cyst", "#222222")),
        ),
        (
            lambda c: c.update_meta(anchors=[Anchor(value=50, word="even")]),
            lambda c: c.update_meta(anchors=[Anchor(value=60, word="fair")]),
        ),
        (
            lambda c: c.update_meta(blinding="always", by="Prof. Dee"),
            lambda c: c.update_meta(blinding="until-reviewed", by="Dr. Ada"),
        ),
    ]
    for mine, theirs in changes:
        first, second = Cohort.open(location), Cohort.open(location)
        mine(first)
        with pytest.raises(StoreError) as error:
            theirs(second)
        assert [p.code for p in error.value.problems] == ["changed-meanwhile"]
        assert Cohort.open(location).meta == first.meta
        assert second.meta != first.meta


def test_different_things_are_changed_side_by_side(location: str) -> None:
    cohorts = [Cohort.open(location) for _ in range(4)]
    together = threading.Barrier(4)
    changes: list[Callable[[Cohort], object]] = [
        lambda c: c.update_meta(classes=with_class(c, "cyst")),
        lambda c: c.update_meta(anchors=[Anchor(value=50, word="even")]),
        lambda c: c.update_meta(blinding="always", by="Prof. Dee"),
        lambda c: c.clip("clip-1").update_meta(zone="L3"),
    ]

    def change(n: int) -> None:
        together.wait()
        changes[n](cohorts[n])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    found = Cohort.open(location)
    assert found.meta.classes[-1].name == "cyst"
    assert (found.meta.anchors[0].word, found.meta.blinding) == ("even", "always")
    assert found.meta.blinding_changes[-1].by == "Prof. Dee"
    assert found.clip("clip-1").meta.zone == "L3"
    assert validate(location) == []


def test_fields_of_a_clip_are_changed_by_many(location: str) -> None:
    clips = [Cohort.open(location).clip("clip-1") for _ in range(3)]
    fields: list[dict[str, object]] = [{"zone": "R5"}, {"probe": "linear"}, {"tags": ("a",)}]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda clip, field: clip.update_meta(**field), clips, fields))
    meta = Cohort.open(location).clip("clip-1").meta
    assert (meta.zone, meta.probe, meta.tags) == ("R5", "linear", ("a",))
    assert validate(location) == []


def test_a_stale_view_is_not_believed(cohort: Cohort) -> None:
    """A slow writer's late write, or a crash between change and view."""
    root = Path(cohort.location)
    views = [(root / "zarr.json").read_bytes()]
    for name, color in (("cyst", "#111111"), ("bleb", "#222222")):
        cohort.update_meta(classes=with_class(cohort, name, color))
        views.append((root / "zarr.json").read_bytes())
    for view in views[:2]:
        (root / "zarr.json").write_bytes(view)
        assert Cohort.open(root).meta == cohort.meta
        assert [p.code for p in validate(root)] == ["metadata-stale"]
    again = Cohort.open(root)
    again.update_meta(classes=with_class(again, "node", "#333333"))
    assert [c.name for c in Cohort.open(root).meta.classes[-3:]] == ["cyst", "bleb", "node"]
    assert validate(root) == []


def test_what_others_wrote_beside_is_kept(cohort: Cohort) -> None:
    cohort.update_meta(anchors=[Anchor(value=50, word="even")])
    zarr.open_group(cohort.location, mode="r+").attrs["theirs"] = {"x": 1}
    cohort.update_meta(classes=with_class(cohort, "cyst"))
    attributes = json.loads((Path(cohort.location) / "zarr.json").read_text())["attributes"]
    assert attributes["theirs"] == {"x": 1}
    assert len(attributes["confseg"]["anchors"]) == 1


def test_a_change_that_is_not_whole_stops_the_next(cohort: Cohort) -> None:
    changes = Path(cohort.location) / "_changes"
    changes.mkdir()
    (changes / "1.json").touch()
    with pytest.raises(StoreError) as error:
        cohort.update_meta(blinding="always", by="Prof. Dee")
    assert [p.code for p in error.value.problems] == ["change-damaged"]
    assert [p.code for p in validate(cohort.location)] == ["change-damaged"]
