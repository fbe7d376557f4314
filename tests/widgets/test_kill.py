"""A real viewer, killed right after its panel said "Saved", has lost nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from napari_confseg.annotate.save_state import SaveCondition, describe
from napari_confseg.annotate.session import Session
from napari_confseg.store.validate import validate
from tests.annotate.edits import as_stored, paint
from tests.widgets.bench import make_cohort

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def test_kill_after_saved(tmp_path: Path, state_dir: Path, request: pytest.FixtureRequest) -> None:
    cohort = make_cohort(tmp_path / "cohort.zarr", "clip-1")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.widgets.killed_viewer", cohort.location],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "NAPARI_CONFIG": str(tmp_path / "napari.yaml")},
    )
    request.addfinalizer(process.wait)
    request.addfinalizer(process.kill)
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(4)]
    strokes, checksum = lines[-1]

    # Meanwhile a second viewer may look, is told who paints, and cannot paint.
    second = Session()
    second.open_cohort(cohort.location)
    second.open_clip("clip-1", "dr-ada")
    assert second.save_state is not None
    assert second.save_state.holder is not None
    assert second.save_state.holder.pid == process.pid
    assert describe(second.save_state).condition is SaveCondition.LOCKED
    assert not second.handover.take_over()
    assert paint(second, (0, 0, 4, 4)) is None

    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # It may have painted on until the signal came: nothing that it told of may be missing.
    lines += [json.loads(line) for line in process.stdout.read().splitlines(True) if "\n" in line]
    process.stdout.close()
    strokes, checksum = lines[-1]
    assert second.handover.take_over()
    assert len(second.strokes) >= strokes
    while len([s for s in second.strokes if not s.undone]) > strokes:
        second.undo()  # a stroke that came after the last line
    planes = b"".join(second.planes[c.name][:].tobytes() for c in second.classes)
    assert zlib.crc32(planes) == checksum
    assert second.flush()
    stored = as_stored(second)
    assert all((stored[name] == plane).all() for name, plane in second.planes.items())
    second.close_clip()
    assert validate(cohort.location) == []
