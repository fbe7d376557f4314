"""``confseg readouts``: what the Read-outs section shows, for a whole cohort."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from napari_confseg.__main__ import main
from napari_confseg.readouts import Beams, clip_readouts
from napari_confseg.store import Status

PLEURA, B_LINE = np.s_[10:13, 5:55], np.s_[13:40, 20:26]


def marked(cohort, clip, rater, reviewed):
    """Mark a pleural line and a doubtful B-line on frame 0, and review some frames."""
    made = cohort.clip(clip).create_rater(rater, kind="human", label=rater)
    _, height, width = cohort.clip(clip).shape
    index = {c.name: i for i, c in enumerate(cohort.clip(clip).classes)}
    for name, where, confidence in (("pleura", PLEURA, 100), ("b-line", B_LINE, 60)):
        plane = np.zeros((height, width), np.uint8)
        plane[where] = confidence
        with made.bulk() as write:
            write(0, index[name], plane)
    status = made.read_status()
    status[reviewed] = Status.REVIEWED
    made.write_status(status)


def test_each_readout_of_each_rater_is_a_line_and_as_the_library_says(cohort, tmp_path, capsys):
    marked(cohort, "clip-1", "anna", [0])
    marked(cohort, "clip-1", "bert", [])  # nothing reviewed: nothing is known to be absent
    out = tmp_path / "readouts.csv"
    assert main(["readouts", str(cohort.location), "--out", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert {r["rater"] for r in rows} == {"anna"}
    clip = cohort.clip("clip-1")
    planes = {c.name: clip.rater("anna").read_planes(i) for i, c in enumerate(clip.classes)}
    expected = clip_readouts(planes, Beams.of(clip.meta, clip.shape), [0])
    by_name = {r["readout"]: r for r in rows}
    for name in ("pleura_percentage", "b_line_count", "pleura_thickness", "pleura_breaks"):
        over = getattr(expected, name)
        assert by_name[name]["unit"] == over.mean.unit
        found = [float(by_name[name][k]) for k in ("value", "low", "high", "peak")]
        mean = over.mean
        assert found == pytest.approx([mean.value, mean.low, mean.high, over.peak.value], rel=1e-5)
    assert float(by_name["pleura_thickness"]["value"]) == 3
    assert by_name["b_line_count"]["high"] == "1"
    assert len(facts["readouts"]) == len(rows)
    told = {r["readout"]: r["value"] for r in facts["readouts"]}
    assert told["consolidation"] is None or math.isfinite(told["consolidation"])
    assert main(["readouts", str(cohort.location), "--raters", "anna"]) == 0
    assert "pleura thickness" in capsys.readouterr().out


def test_an_unknown_rater_and_a_cohort_without_review_are_refused(cohort, capsys):
    assert main(["readouts", str(cohort.location)]) == 1
    assert "Nobody has reviewed a frame in every class" in capsys.readouterr().out
    marked(cohort, "clip-1", "anna", [0])
    assert main(["readouts", str(cohort.location), "--raters", "anna", "carl"]) == 1
    assert "There is no rater carl" in capsys.readouterr().out
