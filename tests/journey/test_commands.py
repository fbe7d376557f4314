"""The whole road by command line, from videos to labels that come back from an export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.__main__ import main as confseg
from napari_confseg.store import Cohort, Edit, Patch, RaterWriter, StatusChange
from tests.ingest.films import film, moving
from tests.journey.artefacts import (
    B_LINE,
    CLASSES,
    PLEURA,
    array,
    attributes,
    dice,
    frames,
    json_lines,
    planes,
    record,
    reviewed,
)
from trainer.__main__ import main as confseg_train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENTS = ("p1", "p2", "p3", "p4")
SHAPE = (64, 96)
TRAINING = ("--device", "cpu", "--threads", "1", "--json")


def disc(y: float, x: float, radius: float) -> np.ndarray:
    """Whether each pixel is within a disc."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


class Road:
    """The stations, one after the other; each asserts what it leaves on disk."""

    def __init__(self, folder: Path, output: Callable[[], str]) -> None:
        self.folder = folder
        self.output = output
        self.cohort = folder / "ward.zarr"
        self.dataset = folder / "lung-ds"
        self.run = folder / "runs" / "first"
        self.clips: dict[str, str] = {}

    def confseg(self, *arguments: object, code: int = 0) -> Any:
        """Run a command for machines; return what it prints."""
        assert confseg([*map(str, arguments), "--json"]) == code
        return json.loads(self.output())

    def train(self, *arguments: object) -> list[Any]:
        """Run a command of the trainer; return the lines it prints."""
        assert confseg_train([*map(str, arguments), *TRAINING]) == 0
        return [json.loads(line) for line in self.output().splitlines()]

    def clip(self, patient: str) -> Path:
        """The folder of a patient's clip."""
        return self.cohort / self.clips[patient]

    def expected(self, patient: str, rater: str) -> np.ndarray:
        """What a rater paints, ``(T, C, Y, X)``: both a pleura, Bo a smaller and surer disc."""
        made = np.zeros((3, len(CLASSES), *SHAPE), np.uint8)
        offset = 8 * PATIENTS.index(patient)
        for t in range(2):  # on the third frame there is nothing
            made[t, PLEURA, 8:12, 10:80] = 90
            rim, core = disc(40, 30 + offset + 2 * t, 10), disc(40, 30 + offset + 2 * t, 6)
            made[t, B_LINE] = np.where(core, 60, np.where(rim, 30, 0))
            if rater == "bo":
                made[t, B_LINE] = np.where(core, 90, 0)
        return made

    def import_videos(self) -> None:
        """One clip each of four patients."""
        for number, patient in enumerate(PATIENTS):
            seen = [
                np.roll(f, 9 * number, axis=1)[:: 1 - 2 * (number % 2)] for f in moving(3, SHAPE)
            ]
            source = film(self.folder / f"{patient}.avi", seen, codec="ffv1", pix_fmt="gray")
            report = self.confseg(
                "import", source, "--cohort", self.cohort, "--create", "--patient", patient
            )
            (made,) = report["imported"]
            assert (made["frames"], made["height"], made["width"]) == (3, *SHAPE)
            assert made["patient"] == patient
            self.clips[patient] = made["clip"]
            assert attributes(self.clip(patient))["patient"] == patient
            assert np.array_equal(frames(self.clip(patient)), seen)

    def paint(self) -> None:
        """Two readers mark and review every frame, an act for each plane, one taken back."""
        cohort = Cohort.open(self.cohort)
        for patient in PATIENTS:
            for rater in ("ann", "bo"):
                expected = self.expected(patient, rater)
                with RaterWriter.open(cohort, self.clips[patient], rater) as writer:
                    for t, c in np.argwhere(expected.any((2, 3))):
                        after = expected[t, c]
                        patch = Patch(int(c), int(t), 0, 0, np.zeros_like(after), after)
                        writer.commit(Edit((patch,), int(after.max()), "brush", int(c), int(t)))
                    slip = Patch(
                        5, 2, 4, 4, np.zeros((3, 3), np.uint8), np.full((3, 3), 80, np.uint8)
                    )
                    writer.commit(Edit((slip,), 80, "brush", 5, 2))
                    assert writer.undo() is not None
                    status = writer.load_status()
                    changes = tuple(
                        StatusChange(t, c, int(status[t, c]), 2)
                        for t, c in np.ndindex(status.shape)
                    )
                    writer.commit(Edit((), 0, "status", 0, 0, changes))
        for patient in PATIENTS:
            for rater in ("ann", "bo"):
                clip = self.clip(patient)
                assert np.array_equal(planes(clip, rater), self.expected(patient, rater))
                assert reviewed(clip, rater).all()
                told = [(s["class_index"], s["frame"], s["undone"]) for s in record(clip, rater)]
                assert told[:5] == [
                    (PLEURA, 0, False),
                    (B_LINE, 0, False),
                    (PLEURA, 1, False),
                    (B_LINE, 1, False),
                    (5, 2, True),
                ]

    def agree(self) -> None:
        """The scores are those of numpy; a page and a table are written."""
        page, table = self.folder / "agreement.html", self.folder / "scores.csv"
        agreed = self.confseg(
            "agree",
            self.cohort,
            "--classes",
            "b-line",
            "--at",
            60,
            "--report",
            page,
            "--per-clip",
            table,
        )
        (pair,) = agreed["pairs"]
        of_clips = [
            dice(planes(self.clip(p), "ann")[:, B_LINE], planes(self.clip(p), "bo")[:, B_LINE], 60)
            for p in PATIENTS
        ]
        assert {pair["a"], pair["b"]} == {"ann", "bo"}
        assert pair["dice"]["value"] == pytest.approx(np.mean(of_clips))
        assert pair["dice"]["n"] == 4
        assert page.read_text().count("data:image/png;base64,") > 0
        assert len(table.read_text().splitlines()) == 1 + 4 * 5

    def consensus(self) -> None:
        """The mean of two is the mean of two."""
        made = self.confseg("consensus", self.cohort, "--method", "mean")
        assert made["clips"] == sorted(self.clips.values())
        for patient in PATIENTS:
            both = [self.expected(patient, r).astype(int) for r in ("ann", "bo")]
            assert np.array_equal(planes(self.clip(patient), "mean"), sum(both) // 2)
            assert reviewed(self.clip(patient), "mean").all()

    def build(self) -> None:
        """The dataset holds what the cohort holds; the same again is no new version."""
        self.request = (
            "build",
            self.cohort,
            "--out",
            self.dataset,
            "--raters",
            "mean",
            "--classes",
            "pleura",
            "b-line",
            "--split",
            "train=0.5",
            "val=0.25",
            "test=0.25",
        )
        first = self.confseg(*self.request)
        assert (first["version"], first["new"], first["frames"]) == (1, True, 12)
        assert self.confseg(*self.request)["new"] is False
        checked = self.confseg("build", self.cohort, "--out", self.dataset, "--check")
        assert checked["changes"] == checked["problems"] == []
        manifest = json.loads((self.dataset / "v1" / "manifest.json").read_text())
        self.part = manifest["split"]["of_clip"]
        assert sorted(self.part.values()) == ["test", "train", "train", "val"]
        for patient, name in self.clips.items():
            data = self.dataset / "v1" / "data.zarr" / name
            frozen = array(data / "raters" / "mean" / "planes")
            assert np.array_equal(frozen, planes(self.clip(patient), "mean")[:, [PLEURA, B_LINE]])
            assert np.array_equal(array(data / "frames"), frames(self.clip(patient)))

    def fit(self) -> None:
        """The frozen split is the one that is learnt by."""
        events = self.train(
            "fit",
            self.dataset,
            "--out",
            self.run,
            "--method",
            "soft",
            "--size",
            "study",
            "--steps",
            12,
            "--precision",
            "fp32",
        )
        assert events[-1]["event"] == "finished"
        config = json.loads((self.run / "config.json").read_text())
        assert config["classes"] == ["pleura", "b-line"]
        assert config["raters"] == ["mean"]
        for ours, theirs in (("train", "train"), ("validation", "val")):
            clips = {c for c, part in self.part.items() if part == theirs}
            assert set(config["split"][ours]) == clips
        manifest = json.loads((self.dataset / "v1" / "manifest.json").read_text())
        assert config["origin"]["name"] == "lung-ds/v1"
        assert config["origin"]["sha256"] == manifest["content_sha256"]
        metrics = (self.run / "metrics.csv").read_text().splitlines()
        assert metrics[-1].startswith("12,")
        assert (self.run / "checkpoint.safetensors").stat().st_size > 1000
        assert json_lines(self.run / "events.jsonl")[-1]["event"] == "finished"

    def evaluate(self) -> None:
        """Scores of the clips held out, against the rater learnt from."""
        table = self.folder / "cases.csv"
        (scores,) = self.train(
            "evaluate",
            self.run,
            self.dataset,
            "--against",
            "mean",
            "--thresholds",
            30,
            60,
            "--csv",
            table,
        )
        assert [m["threshold"] for m in scores["means"]] == [30, 60] * 2
        assert len(table.read_text().splitlines()) == 1 + len(scores["cases"])
        held_out = {c for c, part in self.part.items() if part == "test"}
        assert {case["clip"] for case in scores["cases"]} == held_out

    def predict(self) -> None:
        """The model is one more rater, on every clip."""
        events = self.train("predict", self.run, self.cohort)
        assert events[-1]["event"] == "finished"
        for patient in PATIENTS:
            marked = planes(self.clip(patient), "first")
            assert marked.shape == (3, len(CLASSES), *SHAPE)
            assert marked.max() <= 100
            assert marked[:, PLEURA].any()
            meta = attributes(self.clip(patient) / "raters" / "first")
            assert (meta["kind"], meta["run"]) == ("model", "first")

    def export_and_bring_back(self) -> None:
        """What leaves as COCO comes back as the planes that it was."""
        out = self.folder / "coco"
        exported = self.confseg("export", self.dataset, "--format", "coco", "--out", out)
        assert exported["threshold"] == 50
        names = {p.name for p in (out / "annotations").glob("instances_*.json")}
        assert names == {"instances_train.json", "instances_val.json", "instances_test.json"}
        report = self.confseg(
            "import-labels", out, "--cohort", self.cohort, "--rater", "back", "--kind", "consensus"
        )
        assert report["problems"] == []
        for patient in PATIENTS:
            kept = [PLEURA, B_LINE]
            was, back = (planes(self.clip(patient), r)[:, kept] for r in ("mean", "back"))
            assert np.array_equal(back, was)
            assert attributes(self.clip(patient) / "raters" / "back")["kind"] == "consensus"

    def change_and_freeze_again(self) -> None:
        """Another consensus under the same name is noticed, and makes a second version."""
        self.confseg(
            "consensus",
            self.cohort,
            "--raters",
            "ann",
            "bo",
            "--method",
            "majority",
            "--name",
            "mean",
            "--at",
            30,
        )
        check = ("build", self.cohort, "--out", self.dataset, "--check")
        (change, *_) = self.confseg(*check, code=1)["changes"]
        assert "marks of mean changed" in change
        assert self.confseg(*self.request)["version"] == 2
        changes = self.confseg("diff", self.dataset / "v1", self.dataset / "v2")
        assert {m["rater"] for m in changes["marks"]} == {"mean"}

    def validate(self) -> None:
        """Nothing is wrong, and everybody is there."""
        assert self.confseg("validate", self.cohort)["problems"] == []
        shown = self.confseg("status", self.cohort)
        names = {r["rater"] for c in shown["clips"] for r in c["raters"]}
        assert names == {"ann", "bo", "mean", "first", "back"}


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
def test_the_whole_road(
    tmp_path: Path, state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    road = Road(tmp_path, lambda: capsys.readouterr().out)
    road.import_videos()
    road.paint()
    road.agree()
    road.consensus()
    road.build()
    road.fit()
    road.evaluate()
    road.predict()
    road.export_and_bring_back()
    road.change_and_freeze_again()
    road.validate()
