"""The studies of docs/results/study.md: cohorts, fits, pages and pictures, by one command.

``python -m benchmarks.study FOLDER [--part test] [--jobs 2]``
``python -m benchmarks.study FOLDER --part people --pictures DIR``

Goes on where it was stopped. The parts ``people``, ``people-test`` and ``people-within`` learn from
real people, who outlined pictures in DIR (:mod:`benchmarks.people`). All other cohorts are
synthetic; readers of the test are of other kinds than those of the tuning, on other patients.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.people import DEVELOP, TEST, import_pictures, make_panel
from napari_confseg.report.figures import save_png
from napari_confseg.store import Cohort
from sample_data import make_cohort
from sample_data.cohort import clinical_path
from trainer.__main__ import main as train
from trainer.study import figures
from trainer.study.compare import differences, ranks
from trainer.study.pooled import pool
from trainer.study.report import best_others
from trainer.study.request import open_study

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.people import Panel

SIZE = (96, 128)
TUNED_ON = ("calibrated", "over-inclusive", "over-confident")
SEEN = ("one-value", "lazy", "school-deep", "school-visible")
NEW = ("hesitant", "hasty", "sparing")
GROUPS = (
    "one-value=reader-a",
    "lazy=reader-b",
    "schools=reader-c,reader-d",
    "hesitant=reader-e",
    "hasty=reader-f",
    "sparing=reader-g",
    "mixed=" + ",".join(f"reader-{letter}" for letter in "abcdefg"),
)
PICTURES = "pictures.zarr"
PEOPLE_HELD = "set3"
"""The set of pictures that no method was developed on."""
PEOPLE_METHODS = ("threshold:t=50", "soft", "relative-threshold", "soft+overlap")
HARD_METHODS = ("threshold:t=50", "relative-threshold")
"""For marks without confidence, of which all targets are the same."""
METHODS = (
    "threshold:t=30",
    "threshold:t=50",
    "threshold:t=60",
    "threshold:t=80",
    "soft",
    "weighted",
    "ignore-band",
    "regression",
    "semimetric",
    "smoothed",
    "sampled",
    "ordinal",
    "heteroscedastic",
    "raters",
    "calibrated",
    "relative-threshold",
)


def tune(folder: Path, jobs: int) -> None:
    """Every method, on three kinds of readers."""
    cohort = _cohort(folder / "tune.zarr", 24, 11, (*TUNED_ON, *SEEN))
    _study(
        folder / "tune",
        cohort,
        [
            "--methods",
            *METHODS,
            "--groups",
            "calibrated=reader-a",
            "over-inclusive=reader-b",
            "over-confident=reader-c",
            "mixed=reader-a,reader-b,reader-c",
        ],
        jobs,
    )


def develop(folder: Path, jobs: int) -> None:
    """Fewer methods, on four more kinds: where `relative-threshold` was developed."""
    cohort = _cohort(folder / "develop.zarr", 30, 29, SEEN)
    _study(
        folder / "develop",
        cohort,
        [
            "--methods",
            "threshold",
            "threshold:t=60",
            "soft",
            "calibrated",
            "relative-threshold",
            "--thresholds",
            "10:90:20",
            "--groups",
            "one-value=reader-a",
            "lazy=reader-b",
            "schools=reader-c,reader-d",
            "mixed=reader-a,reader-b,reader-c,reader-d",
        ],
        jobs,
    )


def kinds(folder: Path, jobs: int) -> None:
    """Compare the default with 50 % on six kinds of readers: its contour was developed on them."""
    readers = (*TUNED_ON, "lazy", "hesitant", "one-value")
    alone = {kind: f"reader-{letter}" for kind, letter in zip(readers, "abcdef", strict=True)}
    groups = [f"{kind}={reader}" for kind, reader in alone.items()]
    _study(
        folder / "kinds",
        _cohort(folder / "kinds.zarr", 24, 211, readers),
        [
            "--methods",
            "threshold:t=50",
            "relative-threshold",
            "--folds",
            "2",
            "--groups",
            *groups,
            "mixed=" + ",".join(alone.values()),
        ],
        jobs,
    )


def test(folder: Path, jobs: int) -> None:
    """The default beside its baselines, on patients that no earlier study saw."""
    _study(
        folder / "test",
        _cohort(folder / "test.zarr", 48, 307, (*SEEN, *NEW)),
        [
            "--methods",
            "threshold:t=50",
            "threshold:t=60",
            "soft",
            "relative-threshold",
            "--seeds",
            "2",
            "--groups",
            *GROUPS,
        ],
        jobs,
    )


def confirm(folder: Path, jobs: int) -> None:
    """With the network of normal size and a tenth of its steps, on an earlier test's patients."""
    _study(
        folder / "confirm",
        _confirmed_on(folder),
        [
            "--methods",
            "threshold:t=50",
            "threshold:t=60",
            "relative-threshold",
            "--size",
            "normal",
            "--steps",
            "400",
            "--folds",
            "2",
            "--groups",
            GROUPS[-1],
        ],
        jobs,
    )


def whole(folder: Path, jobs: int) -> None:
    """Fit the default and its baselines at normal size, over all of its steps.

    On `confirm`'s mixed group, one seed. Needs a GPU, or days: a step takes 3 seconds on a core.
    """
    _study(
        folder / "whole",
        _confirmed_on(folder),
        [
            "--methods",
            "threshold:t=50",
            "threshold:t=60",
            "soft",
            "relative-threshold",
            "--size",
            "normal",
            "--folds",
            "2",
            "--groups",
            GROUPS[-1],
        ],
        jobs,
    )


def clinical(folder: Path, jobs: int) -> None:
    """From planes to outcomes of a hundred patients."""
    cohort = _cohort(folder / "ward.zarr", 100, 41, TUNED_ON, frames=4)
    code = train(
        [
            "clinical",
            str(cohort),
            "--table",
            str(clinical_path(cohort)),
            "--out",
            str(folder / "clinical"),
            "--methods",
            "threshold",
            "threshold:t=60",
            "relative-threshold",
            "--folds",
            "2",
            "--jobs",
            str(jobs),
        ]
    )
    if code:
        sys.exit(code)


def followed(folder: Path, jobs: int) -> None:
    """From the raters' planes to outcomes of patients of three days; no model is fitted."""
    cohort = _cohort(folder / "followed.zarr", 150, 43, TUNED_ON, frames=4, days=3)
    _clinical(cohort, folder / "followed")


def zones(folder: Path, jobs: int) -> None:
    """From the true planes of four zones on two days to outcomes; no model is fitted."""
    cohort = _cohort(folder / "zones.zarr", 100, 47, (), frames=1, days=2, clips_per_patient=4)
    _clinical(cohort, folder / "zones")


def _clinical(cohort: Path, out: Path) -> None:
    table = str(clinical_path(cohort))
    code = train(["clinical", str(cohort), "--table", table, "--out", str(out), "--no-models"])
    if code:
        sys.exit(code)


def people(folder: Path, jobs: int) -> None:
    """Panels of real people, on the sets that methods are developed on."""
    cohort = _panel(folder, "people-develop", DEVELOP)
    _panel_studies(folder / "people-develop", cohort, DEVELOP, ["--folds", "2"], jobs)


def people_test(folder: Path, jobs: int) -> None:
    """Other people, on a set of pictures that had no say; learnt from the two other sets."""
    cohort = _panel(folder, "people-test", TEST)
    _panel_studies(folder / "people-test", cohort, TEST, ["--domains", PEOPLE_HELD], jobs)


def people_within(folder: Path, jobs: int) -> None:
    """As the test, but learnt from other pictures of the set itself."""
    panel = replace(TEST, sets=(PEOPLE_HELD,))
    cohort = _panel(folder, "people-within", panel)
    _panel_studies(folder / "people-within", cohort, panel, ["--folds", "2"], jobs)


def _panel(folder: Path, name: str, panel: Panel) -> Path:
    path = folder / f"{name}.zarr"
    make_panel(path, Cohort.open(folder / PICTURES), panel, panel.groups)
    return path


def _panel_studies(out: Path, cohort: Path, panel: Panel, how: list[str], jobs: int) -> None:
    rule = ("threshold:t=60",)
    for part, groups, methods in (
        ("stated", panel.stated, PEOPLE_METHODS),
        ("halves", panel.halves, rule + PEOPLE_METHODS),
        ("hard", panel.hard, HARD_METHODS),
    ):
        named = [f"{name}={','.join(raters)}" for name, raters in groups.items()]
        options = ["--methods", *methods, "--groups", *named, "--against", ",".join(panel.against)]
        where = ["study", str(cohort), "--out", str(out / part), "--jobs", str(jobs)]
        code = train([*where, "--seeds", "2", *options, *how])
        if code:
            sys.exit(code)


PARTS: dict[str, Callable[[Path, int], None]] = {
    "test": test,
    "clinical": clinical,
    "followed": followed,
    "zones": zones,
    "tune": tune,
    "develop": develop,
    "kinds": kinds,
    "confirm": confirm,
    "whole": whole,
    "people": people,
    "people-test": people_test,
    "people-within": people_within,
}


def _cohort(
    path: Path,
    patients: int,
    seed: int,
    readers: tuple[str, ...],
    frames: int = 6,
    days: int = 1,
    clips_per_patient: int = 2,
) -> Path:
    if not clinical_path(path).exists():  # written last
        make_cohort(
            path,
            patients=patients,
            seed=seed,
            clips_per_patient=clips_per_patient,
            days=days,
            frames=frames,
            size=SIZE,
            readers=readers,
        )
    return path


def _confirmed_on(folder: Path) -> Path:
    return _cohort(folder / "confirm.zarr", 48, 101, (*SEEN, *NEW))


def _study(out: Path, cohort: Path, options: list[str], jobs: int) -> None:
    code = train(["study", str(cohort), "--out", str(out), "--folds", "3", "--jobs", str(jobs),
                  *options])  # fmt: skip  # of an option given twice, the latter counts
    if code:
        sys.exit(code)
    pooled = pool(out, open_study(out))
    pictures = out / "pictures"
    pictures.mkdir(exist_ok=True)
    save_png(figures.threshold_curves(pooled, others=best_others(pooled)), pictures / "curve.png")
    save_png(figures.rank_plot(ranks(pooled)), pictures / "ranks.png")
    for baseline in ("threshold-50", "threshold-60"):
        found = [d for d in differences(pooled) if d.baseline == baseline]
        figure = figures.forest(found, f"gain over {baseline} in Dice over thresholds")
        save_png(figure, pictures / f"gain-{baseline}.png")


def main() -> int:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(tempfile.gettempdir(), "study")
    )
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=["test", "clinical"])
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="pictures of the people parts")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.part:
        if name.startswith("people"):
            if arguments.pictures is None:
                sys.exit(
                    f"Part {name} learns from real people: name their pictures with --pictures."
                )
            import_pictures(arguments.folder / PICTURES, arguments.pictures)
        begun = time.monotonic()
        PARTS[name](arguments.folder, arguments.jobs)
        print(f"{name}: {(time.monotonic() - begun) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
