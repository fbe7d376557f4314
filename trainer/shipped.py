"""The model that comes with the package, by its name."""

from __future__ import annotations

from pathlib import Path

STARTER = "starter"
"""Name by which the shipped model is asked for wherever a run's folder may be given."""

VERSION = 1
"""Of the shipped weights: every set of weights has its own, and what it marked says which."""

_HERE = Path(__file__).parent / "starter"


def run_folder(run: str | Path) -> Path:
    """Return the folder of a run, or of the shipped model if `run` is its name.

    A folder of the same name is asked for by a longer path, as in ``./starter`` or its absolute
    path.
    """
    return _HERE / f"{STARTER}-{VERSION}" if str(run) == STARTER else Path(run)


def is_shipped(run: str | Path) -> bool:
    """Whether `run` is the shipped model, by name or by folder."""
    return run_folder(run).parent == _HERE
