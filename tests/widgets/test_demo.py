"""The demonstration, where something it needs is broken."""

import os
import subprocess
import sys

DEMO = """
import sys
from pathlib import Path
from napari_confseg.widgets.demo import scripted
scripted.PATIENTS = scripted.FRAMES = 1  # for time
sys.exit(scripted.run_demo(Path(sys.argv[1]), scripted=True))
"""


def test_a_demonstration_that_cannot_import_says_why(tmp_path):
    """Not that the disk is full; no traceback."""
    (tmp_path / "av").mkdir()
    (tmp_path / "av" / "__init__.py").write_text("raise ImportError('libavcodec.so: no such file')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", DEMO, tmp_path / "out"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith(
            "confseg: could not import a real clip: "
            "it cannot be decoded (ImportError: libavcodec.so: no such file)"
        )
    )
    assert "Traceback" not in done.stderr
