"""Pictures of the documentation are no older than what they show."""

from __future__ import annotations

import ast
from pathlib import Path

from PIL import Image

from tools.screenshots import COMMAND, IMAGES, MANIFEST, look_of, old, read_manifest

ROOT = Path(__file__).parents[1]
MOST_BYTES = 1_500_000


def test_no_picture_is_older_than_what_it_shows() -> None:
    reasons = old()
    assert reasons == {}, f"Look at the window, then run: {COMMAND} {' '.join(reasons)}"


def test_comments_and_docstrings_are_no_look(tmp_path: Path) -> None:
    code = "class A:\n    def f(self):\n        return 'Save'\n"
    same = 'class A:\n    """Says."""\n\n    def f(self):  # why\n        return "Save"\n'
    looks = []
    for text in (code, same, code.replace("Save", "Store")):
        (tmp_path / "form.py").write_text(text)
        looks.append(look_of([str(tmp_path / "form.py")]))
    assert looks[0] == looks[1] != looks[2]


def test_the_manifest_is_that_of_the_scenes() -> None:
    tree = ast.parse((ROOT / "tools" / "scenes.py").read_text(encoding="utf-8"))
    (scenes,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "SCENES"
    )
    assert isinstance(scenes, ast.Dict)
    assert sorted(ast.literal_eval(k) for k in scenes.keys if k) == sorted(read_manifest())
    assert MANIFEST.is_file()


def test_pictures_are_in_full_colour_and_films_are_short() -> None:
    for entry in read_manifest().values():
        pictures = entry["pictures"]
        assert isinstance(pictures, list)
        for name in pictures:
            assert (IMAGES / name).stat().st_size < MOST_BYTES, name
            with Image.open(IMAGES / name) as picture:
                assert picture.mode in ("RGB", "RGBA"), name  # never a palette
                if name.endswith(".webp"):
                    seconds = 0.0
                    for frame in range(picture.n_frames):
                        picture.seek(frame)
                        picture.load()
                        seconds += picture.info["duration"] / 1000
                    assert 10 <= seconds <= 20, name
