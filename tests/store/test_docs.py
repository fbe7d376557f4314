"""docs/reference/store.md is current: its code runs, its codes are all the codes there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.store.defects import DEFECTS, make_good

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reference/store.md").read_text()


def test_its_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_good(tmp_path, tmp_path / "journal")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONFSEG_STATE_DIR", str(tmp_path / "state"))
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "docs/reference/store.md", "exec"), {})
    assert "'Pleural line'" in capsys.readouterr().out


def test_every_code_is_explained() -> None:
    sources = "\n".join(p.read_text() for p in (ROOT / "napari_confseg/store").glob("*.py"))
    raised = set(re.findall(r'(?:Problem|mismatch|_add|_report)\(\s*"([a-z0-9-]+)"', sources))
    raised |= set(re.findall(r'field_problems\(error, "([a-z-]+)"', sources))
    raised |= set(re.findall(r'\(\s*"(ome-[a-z]+)"', sources))
    raised |= set(re.findall(r'yield "([a-z-]+)"', sources)) | {"schema-version"}
    explained = set(re.findall(r"`([a-z0-9-]+)`", TEXT.split("## Codes")[1].split("###")[0]))
    assert raised - explained == set()
    assert {d.code for d in DEFECTS} <= raised


def test_the_table_of_defects_is_the_list_of_defects() -> None:
    rows = re.findall(r"^\| ([^|]+) \| `([a-z0-9-]+)` \|", TEXT, re.MULTILINE)
    assert rows[-len(DEFECTS) :] == [(d.name, d.code) for d in DEFECTS]
