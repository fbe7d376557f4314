"""Overlap and trust of the sectors found on hard made-up screens, whose scans are known."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.ingest.sector import find_sector, inside_mask
from napari_confseg.ingest.sector_evidence import Survey
from napari_confseg.store.schema import DOUBTFUL
from tests.ingest.screens import HARD, hard_screen

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD, POOR = 0.95, 0.9
FIRST, SEEDS = 1000, 20
"""Seeds from 1000 on were never looked at while the search was made; those below 140 were."""

BEGIN, END = "<!-- made by benchmarks.sectors -->", "<!-- to here -->"
HEADINGS = (
    "what is hard",
    "screens",
    "overlap, median",
    "lowest",
    f"above {GOOD}",
    "trusted",
    "lowest trusted",
    f"below {POOR}",
    "of them trusted",
)


def measure(what: str, seed: int) -> tuple[float, float]:
    """Return overlap (intersection over union) and trust of the sector found; 0 if none is."""
    screen = hard_screen(what, seed)
    survey = Survey(screen.truth.shape)
    for frame in screen.frames():
        survey.add(frame)
    sector = find_sector(survey)
    if sector is None:
        return 0.0, 0.0
    found = inside_mask(sector, screen.truth.shape).astype(bool)
    return float((found & screen.truth).sum() / (found | screen.truth).sum()), sector.trust or 0.0


def row(what: str, measured: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """Return the cells of one kind of screen."""
    overlap, trust = np.array(measured).T
    trusted, poor = trust >= DOUBTFUL, overlap < POOR
    return (
        what,
        str(len(overlap)),
        f"{np.median(overlap):.3f}",
        f"{overlap.min():.2f}",
        str(int((overlap > GOOD).sum())),
        str(int(trusted.sum())),
        f"{overlap[trusted].min():.2f}" if trusted.any() else "",
        str(int(poor.sum())),
        str(int((poor & trusted).sum())),
    )


def table(results: dict[str, list[tuple[float, float]]]) -> str:
    """Return the results as a table in Markdown."""
    rows = [row(what, measured) for what, measured in results.items()]
    rows.append(row("all", [m for measured in results.values() for m in measured]))
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, *rows)]
    return "\n".join([lines[0], "|---" + "|---:" * (len(HEADINGS) - 1) + "|", *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="overlap and trust of each screen")
    parser.add_argument("--first", type=int, default=FIRST, help="first seed")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many of each kind")
    parser.add_argument("--into", type=Path, help="page whose table is replaced")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    results = {what: [measure(what, seed) for seed in seeds] for what in HARD}
    if arguments.json:
        print(json.dumps(results))
        return
    text = table(results)
    print(text)
    if arguments.into:
        before, rest = arguments.into.read_text(encoding="utf-8").split(BEGIN)
        _, after = rest.split(END)
        arguments.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
