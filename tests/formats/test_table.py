"""The one table of formats: modules, documentation and options agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_confseg.formats import FORMATS, READ, WRITTEN
from napari_confseg.formats.export import ExportRequest
from napari_confseg.formats.label_source import LabelImportRequest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FORMATS)
def test_a_module_does_what_the_table_says(name: str) -> None:
    module = FORMATS[name].load()
    assert hasattr(module, "write") is FORMATS[name].writes
    assert hasattr(module, "find") is FORMATS[name].reads


@pytest.mark.parametrize(("page", "names"), [("exports.md", WRITTEN), ("import-labels.md", READ)])
def test_the_documentation_lists_them_all(page: str, names: tuple[str, ...]) -> None:
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]*) \|", text, re.M))
    assert set(rows) == set(names)
    if page == "exports.md":
        assert {n: "cut" not in cell for n, cell in rows.items()} == {
            n: FORMATS[n].keeps_confidence for n in names
        }


def test_options_are_fields_of_the_requests() -> None:
    for name, f in FORMATS.items():
        for option in f.options:
            fields = (f.writes and option in ExportRequest.model_fields) or (
                f.reads and option in LabelImportRequest.model_fields
            )
            assert fields, (name, option)


def test_each_is_known_by_something_of_its_own() -> None:
    markers = [FORMATS[n] for n in READ if FORMATS[n].marker]
    keys = [FORMATS[n].json_keys for n in READ if FORMATS[n].json_keys]
    inside = [n for n in READ if FORMATS[n].looks_inside]
    assert len({f.marker for f in markers}) == len(markers)
    assert len(markers) + len(keys) + len(inside) == len(READ)  # each is known by one of them
    assert not any(a < b for a in keys for b in keys)
