"""Start of the trainer: the command ``confseg-train``.

``python -m napari_confseg.launcher`` does the same. Neither ``python -m trainer`` nor a script that
imports ``trainer`` can see that a foreign package of that name comes first on the path.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from napari_confseg.extras import absent, foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED = 1


def trainer_problem() -> str:
    """Say why a process with the trainer would not start; empty if it would. Imports nothing."""
    missing = absent("train", "Training")
    # With -P a process does not look into the folder where it is started, as ours may do.
    here = sys.path[:1] in ([""], [os.getcwd()])
    return str(missing) if missing else foreign("trainer", sys.path[1:] if here else sys.path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``confseg-train`` and return its exit code; 1 if it is not ours that would run."""
    problem = foreign("trainer")
    if problem:
        print(f"confseg-train: {problem}", file=sys.stderr)
        return REFUSED
    # By name: nothing of the viewer may depend on the trainer.
    code: int = import_module("trainer.__main__").main(argv)
    return code


if __name__ == "__main__":
    sys.exit(main())
