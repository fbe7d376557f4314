"""``confseg build``: freeze a dataset; ``confseg diff``: what changed between two versions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE, REFUSED, add_command, local_path, positive, slug

if TYPE_CHECKING:
    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.dataset.manifest import BuildRequest


def add(commands: Subparsers) -> None:
    """Declare the commands."""
    parser = add_command(
        commands,
        "build",
        run,
        purpose="freeze a dataset: chosen frames and marks, split by patient, under a version",
        example="confseg build study.zarr --out lung-ds --raters calibrated --frames every:5",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(
        "--out",
        type=local_path,
        required=True,
        metavar="DATASET",
        help="folder of the dataset; versions become v1, v2, ... in it",
    )
    parser.add_argument("--name", type=slug, help="of the dataset (default: as its folder)")
    for what, text in (
        ("raters", "whose marks (default: every reader, but nobody imported)"),
        ("classes", "default: all"),
        ("clips", "default: all"),
    ):
        parser.add_argument(f"--{what}", nargs="+", type=slug, default=[], help=text)
    parser.add_argument(
        "--frames",
        default="reviewed",
        metavar="POLICY",
        help="reviewed, every:N or disagreement:N (a clip); default: reviewed",
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="SIZE",
        help="YxX to fit into and pad; or study, quick or normal: what "
        "confseg-train's networks of that size see",
    )
    parser.add_argument("--spacing", type=positive, metavar="MM", help="millimetres a pixel")
    parser.add_argument(
        "--split",
        nargs="+",
        type=_share,
        metavar="PART=SHARE",
        default=[("train", 0.7), ("val", 0.15), ("test", 0.15)],
        help="default: train=0.7 val=0.15 test=0.15",
    )
    parser.add_argument("--folds", type=int, default=0, metavar="K", help="default: none")
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="dask scheduler whose workers see the same folders"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="build nothing: say what has changed since the newest version, and "
        "whether its files are whole",
    )
    other = add_command(
        commands,
        "diff",
        run_diff,
        purpose="tell what changed between two versions of a dataset",
        example="confseg diff lung-ds/v3 lung-ds/v4",
    )
    other.add_argument("old", type=local_path, metavar="OLD", help="folder of a version")
    other.add_argument(
        "new", type=local_path, metavar="NEW", help="folder of another, or of a dataset"
    )


def _size(text: str) -> tuple[int, int] | str:
    from napari_confseg.dataset.resample import LONGEST

    if text in LONGEST:
        return text
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"expected e.g. 256x320 or quick, found {text!r}")
    return int(height), int(width)


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    return slug(name), positive(share)


def run(arguments: argparse.Namespace) -> int:
    """Build; refused if the request cannot be met."""
    from napari_confseg.cli.terminal import print_json, progress_bar
    from napari_confseg.dataset.build import build
    from napari_confseg.dataset.frozen import versions
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=True)
    if arguments.check:
        return _check(cohort, arguments)
    before = versions(arguments.out)
    with progress_bar(quiet=arguments.json) as progress:
        dataset = build(
            cohort,
            _request(arguments),
            arguments.out,
            progress=progress,
            scheduler=arguments.scheduler,
        )
    new = dataset.manifest.version not in before
    if arguments.json:
        print_json(_facts(dataset) | {"new": new})
    else:
        _print(dataset, new=new)
    return DONE


def _request(arguments: argparse.Namespace) -> BuildRequest:
    from pydantic import ValidationError

    from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
    from napari_confseg.store import Problem, StoreError

    try:
        return BuildRequest(
            name=arguments.name or arguments.out.resolve().name,
            raters=arguments.raters,
            classes=arguments.classes,
            clips=arguments.clips,
            frames=FramePolicy.parse(arguments.frames),
            size=arguments.size,
            spacing=arguments.spacing,
            parts=dict(arguments.split),
            folds=arguments.folds,
            seed=arguments.seed,
        )
    except ValidationError as error:
        raise StoreError(
            Problem("request", ".".join(map(str, e["loc"])), f"{e['msg']}, given {e['input']!r}")
            for e in error.errors()
        ) from error
    except ValueError as error:
        raise StoreError(
            Problem("request", "frames", f"{error}, given {arguments.frames!r}")
        ) from error


def _facts(dataset: Dataset) -> dict[str, Any]:
    m = dataset.manifest
    return {
        "dataset": str(dataset.folder),
        "version": m.version,
        "content_sha256": m.content_sha256,
        "clips": len(m.clips),
        "frames": sum(len(c.frames) for c in m.clips),
        "raters": list(m.raters),
        "classes": m.class_names(),
        "worst_prevalence_deviation": m.split.worst_prevalence_deviation,
        "worst_size_deviation": m.split.worst_size_deviation,
        "split": m.split.of_clip,
        "leakage": m.leakage.model_dump(mode="json"),
    }


def _print(dataset: Dataset, *, new: bool) -> None:
    from napari_confseg.cli.terminal import console, print_table

    m = dataset.manifest
    rows = []
    for part in m.split.names:
        clips = [c for c in m.clips if m.split.of_clip[c.clip] == part]
        rows.append(
            (
                part,
                str(len({c.patient for c in clips})),
                str(len(clips)),
                str(sum(len(c.frames) for c in clips)),
            )
        )
    print_table(f"{m.request.name} v{m.version}", ("part", ">patients", ">clips", ">frames"), rows)
    say = console().print
    say(
        f"Worst deviation: prevalence {m.split.worst_prevalence_deviation:.3f}, "
        f"size {m.split.worst_size_deviation:.3f}."
    )
    if m.leakage:
        say(
            f"LEAKAGE: {len(m.leakage.videos)} videos and {len(m.leakage.frames)} pairs of frames "
            f"in two parts; see {dataset.folder / 'README.md'}"
        )
    say(f"{'Built' if new else 'Nothing has changed since'} {dataset.folder}")


def _check(cohort: Any, arguments: argparse.Namespace) -> int:
    from napari_confseg.cli.terminal import console, print_json
    from napari_confseg.dataset.build import changed_sources
    from napari_confseg.dataset.frozen import Dataset

    dataset = Dataset.open(arguments.out)
    changes, problems = changed_sources(cohort, dataset), dataset.verify()
    if arguments.json:
        print_json(
            {
                "dataset": str(dataset.folder),
                "changes": changes,
                "problems": [p.as_dict() for p in problems],
            }
        )
    else:
        for line in (*changes, *map(str, problems)):
            console().print(line)
        if not changes and not problems:
            console().print(f"{dataset.folder} is whole, and its sources are as they were.")
    return REFUSED if changes or problems else DONE


def run_diff(arguments: argparse.Namespace) -> int:
    """Compare two versions."""
    from napari_confseg.cli.terminal import console, print_json
    from napari_confseg.dataset.diff import compare
    from napari_confseg.dataset.frozen import Dataset

    changes = compare(Dataset.open(arguments.old), Dataset.open(arguments.new))
    if arguments.json:
        print_json(changes.as_dict())
    else:
        for line in changes.lines() or ["Nothing has changed."]:
            console().print(line)
    return DONE
