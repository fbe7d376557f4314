"""Pictures and short films of the documentation, from real windows.

::

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m tools.screenshots [SCENE ...]

makes the scenes that are named, else those that are old. Each scene (:mod:`tools.scenes`) names the
source files whose look it shows. ``manifest.json`` beside the pictures keeps a hash of them
without comments and docstrings, and ``tests/test_pictures.py`` says which are older.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGES: Final = ROOT / "docs" / "images"
MANIFEST: Final = IMAGES / "manifest.json"
COMMAND: Final = 'xvfb-run -a -s "-screen 0 1600x1000x24" python -m tools.screenshots'


def look_of(files: Iterable[str]) -> str:
    """Return the hash of source files, without comments, docstrings and layout."""
    digest = hashlib.sha256()
    for name in sorted(files):
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                del body[0]
        digest.update(name.encode() + ast.dump(tree).encode())
    return digest.hexdigest()


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def read_manifest() -> dict[str, dict[str, object]]:
    """Return what the pictures were made of: scene -> pictures, files that they show, hash."""
    if not MANIFEST.is_file():
        return {}
    found: dict[str, dict[str, object]] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return found


def old() -> dict[str, str]:
    """Return the scenes that must be made anew, each with the reason."""
    reasons: dict[str, str] = {}
    for name, entry in read_manifest().items():
        pictures, shows = entry["pictures"], entry["shows"]
        assert isinstance(pictures, list)
        assert isinstance(shows, list)
        if gone := [p for p in pictures if not (IMAGES / p).is_file()]:
            reasons[name] = f"{', '.join(gone)} is not there"
        elif gone := [s for s in shows if not (ROOT / s).is_file()]:
            reasons[name] = f"{', '.join(gone)}, which it shows, is gone: correct tools/scenes.py"
        elif look_of(shows) != entry["look"]:
            reasons[name] = f"one of {', '.join(shows)} has changed since"
    return reasons


def main() -> int:
    """Make scenes anew; return the exit code."""
    from tools.scenes import SCENES
    from tools.studio import Film, opened

    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument(
        "scenes", nargs="*", choices=[[], *SCENES], help="those named; else all that are old"
    )
    parser.add_argument("--work", type=Path, help="folder whose cohorts are used again")
    arguments = parser.parse_args()
    names = arguments.scenes
    manifest = read_manifest()
    names = names or [n for n in SCENES if n not in manifest or n in old()]
    with tempfile.TemporaryDirectory() as folder:
        work = (arguments.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        os.environ["CONFSEG_STATE_DIR"] = os.path.join(folder, "state")
        os.environ["CONFSEG_CACHE_DIR"] = os.path.join(folder, "cache")
        with opened(work) as studio:
            for name in names:
                began = monotonic()
                scene = SCENES[name]
                made = scene.make(studio)
                assert set(made) == set(scene.pictures), sorted(made)
                for file, picture in made.items():
                    path = IMAGES / file
                    if isinstance(picture, Film):
                        picture.save(path)
                    else:
                        picture.save(path, optimize=True)
                    size = f"{path.stat().st_size / 1000:.0f} kB"
                    told = f", {picture.seconds:.1f} s" if isinstance(picture, Film) else ""
                    print(f"{file}: {size}{told} ({monotonic() - began:.0f} s)", flush=True)
                manifest[name] = {
                    "pictures": list(scene.pictures),
                    "shows": list(scene.shows),
                    "look": look_of(scene.shows),
                }
                text = json.dumps(manifest, indent=1, sort_keys=True)
                MANIFEST.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
