"""Every score of every clip as a table: what stands behind the means of a summary."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.dataset.scores import Agreement

COLUMNS = ("clip", "patient", "class", "a", "b", "threshold", "frames", "score", "value", "unit")


def write_per_clip(agreement: Agreement, path: Path) -> None:
    """Write one line for each clip, class, pair, threshold and score; undefined ones are empty.

    Soft Dice and energy distance have no threshold. The unit of HD95 is that of the clip.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for clip in agreement.clips:
            for p in clip.pairs:
                key = (p.clip, p.patient, p.class_name, p.a, p.b, p.threshold)
                table.writerow((*key, p.frames, "dice", _cell(p.dice), ""))
                table.writerow((*key, p.frames, "iou", _cell(p.iou), ""))
                table.writerow((*key, p.hd95_frames, "hd95", _cell(p.hd95), p.unit))
            for s in clip.soft:
                soft = (s.clip, s.patient, s.class_name, s.a, s.b, "", s.frames)
                table.writerow((*soft, "soft-dice", _cell(s.soft_dice), ""))
                table.writerow((*soft, "energy-distance", _cell(s.energy_distance), ""))


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
