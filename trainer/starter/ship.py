"""Make the shipped model of a run of ``confseg-train starter``: half precision, and its record.

::

    python -m trainer.starter.ship runs/starter

Raise ``VERSION`` in ``trainer/shipped.py`` first: weights that were shipped are never changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from napari_confseg.job import CHECKPOINT, CONFIG
from napari_confseg.store.durable import write_durably
from trainer.checkpoint import load_checkpoint, load_config
from trainer.shipped import STARTER, run_folder


def ship(run: Path, out: Path) -> int:
    """Write weights and configuration of `run` to the folder `out`; return bytes of weights.

    Raises
    ------
    FileExistsError
        If weights of that version are there already.
    """
    if (out / CHECKPOINT).exists():
        raise FileExistsError(f"{out} holds weights already: raise VERSION in trainer/shipped.py")
    config = load_config(run)
    _, step = load_checkpoint(run, config)  # so that what can't be read is refused
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in load_file(run / CHECKPOINT).items()
    }
    if not all(bool(torch.isfinite(value.float()).all()) for value in tensors.values()):
        raise ValueError("a weight is beyond the range of half precision")
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).write_bytes((run / CONFIG).read_bytes())
    packed = save(tensors, {"step": str(step)})
    write_durably(out / CHECKPOINT, packed)
    return len(packed)


def main() -> None:
    """Ship the run that is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    arguments = parser.parse_args()
    out = run_folder(STARTER)
    print(f"{ship(arguments.run, out):,} bytes of weights in {out}")


if __name__ == "__main__":
    main()
