"""Optional packages: which extra installs each, and the sentence that asks for it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EXTRAS: Final = {
    "viewer": ("napari", "qtpy", "superqt", "vispy", "magicgui"),
    "train": ("torch", "safetensors", "sklearn", "threadpoolctl"),
    "dataset": ("matplotlib",),
    "dicom": ("pydicom", "pylibjpeg", "openjpeg", "rle"),
    "s3": ("obstore",),
    "coco": ("pycocotools",),
    "dask": ("distributed",),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "nifti": ("nibabel",),
    "slicer": ("nrrd", "slicerio"),
}
"""Extra -> the packages it brings, by the names they are imported by."""

_NAMES: Final = {"torch": "PyTorch", "sklearn": "scikit-learn", "nrrd": "pynrrd"}
"""Packages that people know by another name than that of their import."""


@dataclass(frozen=True)
class Missing:
    """An optional package that cannot be imported.

    Attributes
    ----------
    sentence : str
        What needs which package, without a full stop: "Training needs PyTorch, which ...".
    install : str
        The command that installs it.
    """

    sentence: str
    install: str

    def __str__(self) -> str:
        return f"{self.sentence}: {self.install}"


def missing(error: ImportError, purpose: str) -> Missing | None:
    """Return what `error` is about; None if that is no optional package.

    Parameters
    ----------
    error : ImportError
        Raised by an import.
    purpose : str
        What the package is for, as the subject of a sentence: "Training".
    """
    package = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError):
        return _missing(package, purpose, "which is not installed", "pip install")
    # Installed, but for another Python, or with a shared library that the system lacks.
    reason = f"which does not load here ({str(error).splitlines()[0][:120]})"
    return _missing(package, purpose, reason, "pip install --force-reinstall")


def absent(extra: str, purpose: str) -> Missing | None:
    """Return the first package of `extra` that is not installed, if any. Imports nothing."""
    for package in EXTRAS[extra]:
        if find_spec(package) is None:
            return _missing(package, purpose, "which is not installed", "pip install")
    return None


@contextmanager
def needed_for(purpose: str, refuse: Callable[[Missing], Exception]) -> Iterator[None]:
    """Raise ``refuse(missing)`` where an optional package cannot be imported.

    Parameters
    ----------
    purpose : str
        What the imported packages are for, as the subject of a sentence.
    refuse : callable
        Makes the exception that the caller of this code knows.
    """
    try:
        yield
    except ImportError as error:
        found = missing(error, purpose)
        if found is None:
            raise
        raise refuse(found) from error


def _missing(package: str, purpose: str, reason: str, command: str) -> Missing | None:
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    if extra is None:
        return None
    sentence = f"{purpose} needs {_NAMES.get(package, package)}, {reason}"
    # Double quotes: those of every shell, Windows' too.
    return Missing(sentence, f'{command} "napari-confseg[{extra}]"')


def foreign(package: str, path: Sequence[str] | None = None) -> str:
    """Say where a package called like one of ours stands in its place; empty if none does.

    ``trainer`` and ``sample_data`` are names that others use too. Ours lies beside this package.
    Imports nothing; `path` stands for ``sys.path``.
    """
    ours = Path(__file__).resolve().parents[1] / package / "__init__.py"
    spec = find_spec(package) if path is None else PathFinder.find_spec(package, path)
    if spec is None:
        return f'The package "{package}", a part of napari-confseg, is not installed'
    found = Path(spec.origin or next(iter(spec.submodule_search_locations or [""]))).resolve()
    if found != ours:
        folder = found.parent if found.suffix else found
        return (
            f'A foreign package called "{package}" ({folder}) comes before ours ({ours.parent}): '
            "rename it, or take it off the path"
        )
    if "napari-confseg" not in ours.read_text(encoding="utf-8"):
        return (
            f'A foreign package called "{package}" has been installed over ours ({ours.parent}): '
            "pip uninstall it, then pip install --force-reinstall --no-deps napari-confseg"
        )
    return ""
