"""The public interface: what is exported is documented, and the examples run."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.store import Cohort
from tools.docs_pages import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorials" / "thirty-lines.md"
NUMPY_SHAPE = re.compile(r"shape \(|`?\([0-9TCYXHWNn,\s]+\)")


def functions() -> Iterator[tuple[str, Any]]:
    """Yield name and function, for all that people can call but constructors."""
    for package in PUBLIC:
        module = import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                for method, value in vars(thing).items():
                    value = getattr(value, "__func__", value)
                    own = inspect.isfunction(value) and _ours(value)
                    if own and not method.startswith("_"):
                        yield f"{package}.{name}.{method}", value
            elif inspect.isfunction(thing):
                yield f"{package}.{name}", thing


def _ours(function: Any) -> bool:
    return str(function.__module__).startswith(("napari_confseg", "trainer"))


def _raises(function: Any) -> bool:
    """Whether the function itself raises something."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (outer,) = tree.body
    nested = {
        id(child)
        for node in ast.walk(outer)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not outer
        for child in ast.walk(node)
    }
    return any(isinstance(n, ast.Raise) and n.exc and id(n) not in nested for n in ast.walk(outer))


def _described(parameter: str, text: str) -> bool:
    """Whether a docstring speaks of a parameter: by its name, or in a sentence by its noun."""
    noun = re.escape(parameter.split("_")[0].removesuffix("s"))
    return (
        re.search(rf"\b({re.escape(parameter)}|{noun}(s|es)?)\b", text, re.IGNORECASE) is not None
    )


def faults() -> Iterator[str]:
    """Yield what the docstrings of public callables lack."""
    for name, function in functions():
        text = inspect.getdoc(function) or ""
        if not text:
            yield f"{name}: no docstring"
            continue
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name not in ("self", "cls") and not _described(parameter.name, text):
                yield f"{name}: parameter {parameter.name} is not described"
        annotations = " ".join(str(a) for a in function.__annotations__.values())
        if "NDArray" in annotations and not NUMPY_SHAPE.search(text):
            yield f"{name}: no shape of its arrays"
        if _raises(function) and "Raises" not in text and "raise" not in text.lower():
            yield f"{name}: does not say what it raises"


def test_what_is_public_is_listed_and_documented() -> None:
    for package in PUBLIC:
        module = import_module(package)
        assert list(module.__all__) == sorted(
            module.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
        )
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert inspect.getdoc(value), f"{package}.{name}"
    assert list(faults()) == []


def test_a_fault_is_found() -> None:
    def blur(frames: np.ndarray, width: int) -> None:
        """Blur `frames`."""
        raise ValueError

    assert not _described("width", inspect.getdoc(blur) or "")
    assert _described("frames", inspect.getdoc(blur) or "")
    assert _raises(blur)


def test_thirty_lines(
    tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert sum(bool(line.strip()) for line in block.splitlines()) <= 30
    exec(compile(block, str(PAGE), "exec"), {})
    dice, shapes, percent = capsys.readouterr().out.splitlines()
    assert dice == "0.800 (0.800 to 0.800)"  # 12 columns within 18: 2 * 12 / (12 + 18)
    assert shapes.startswith("torch.Size([4, 1, 64, 64]) torch.Size([4, 1, 64, 64])")
    assert percent.startswith("(4, 1, 64, 64)")
    clip = Cohort.open("arrays.zarr").clip("clip-0")
    assert clip.raters() == ["ann", "bea"]
    assert set(np.unique(clip.rater("bea").read_planes(0))) == {0, 60}


@pytest.mark.parametrize(
    "name", ["agreement", "dataset", "readouts", "store", "store.arrays", "store.errors"]
)
def test_the_examples_in_docstrings_run(
    name: str, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(import_module(f"napari_confseg.{name}"))
    assert done.attempted > 0
    assert done.failed == 0
