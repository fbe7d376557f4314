"""The page: whole HTML, nothing fetched from elsewhere, worst first."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.agreement import agree
from napari_confseg.agreement.disagreement import worst_first
from napari_confseg.agreement.summary import summarise
from napari_confseg.report.agreement import write_report
from napari_confseg.store import Band, Guarantee, Margin
from tests.agreement.opinions import read_clip

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort


PROMISED = Guarantee(
    level=80,
    allowed=20,
    panel=("anna", "bert"),
    threshold=50,
    source="cohort ward",
    patients=24,
    bands={"a-line": Band(inner=90, outer=None)},
    margins={"b_line_count": Margin(half_width=1.5, unit="lines")},
)


class Balance(HTMLParser):
    """Collects text and tags left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_is_whole_and_needs_nothing_else(cohort: Cohort, tmp_path: Path) -> None:
    raters = {"anna": (1.0, 0.0), "anna-2": (0.9, 0.2), "bert": (0.7, 1.0), "carl": (1.2, 1.5)}
    for i, clip in enumerate(cohort.clips()):
        read_clip(cohort, clip, raters, seed=i)
    bad = cohort.clip("clip-2").rater("carl")
    bad.write_plane(3, 1, np.full((48, 64), 100, np.uint8))
    for clip in cohort.clips():
        cohort.clip(clip).rater("carl").update_meta(kind="model", guarantee=PROMISED)
    agreement = agree(cohort, raters=list(raters))
    path = tmp_path / "report.html"
    write_report(cohort, agreement, summarise(agreement), path)
    page = path.read_text(encoding="utf-8")
    parser = Balance()
    parser.feed(page)
    assert not parser.open
    assert not re.search(r'(src|href)=["\']?https?:', page)
    text = " ".join(parser.text)
    for heading in (
        "Worst disagreements",
        "Confidence against confidence",
        "At a threshold",
        "Beyond chance",
        "What a stated confidence is worth",
        "What a model guarantees",
        "Repeatability",
        "Over time",
    ):
        assert heading in text
    assert "for 80 % of patients, measured on 24 of cohort ward" in " ".join(text.split())
    row = "<td>a-line</td><td>80 %</td><td>from 90 %</td><td>the sector</td>"
    assert page.count(row) == 1  # the same on both clips
    assert page.count("data:image/png;base64,") == len(worst_first(agreement))
    worst = worst_first(agreement)[0]
    assert (worst.clip, worst.class_name, worst.worst_frame) == ("clip-2", "a-line", 3)
    assert "nan" not in text
    assert page.count("<svg") == 3  # Dice against threshold, reliability, over time


def test_nobody_disagrees(cohort: Cohort, tmp_path: Path) -> None:
    read_clip(cohort, "clip-1", {"anna": (1.0, 0.0), "bert": (1.0, 0.0)})
    agreement = agree(cohort)
    write_report(cohort, agreement, summarise(agreement), tmp_path / "r.html")
    assert "There are none." in (tmp_path / "r.html").read_text(encoding="utf-8")
