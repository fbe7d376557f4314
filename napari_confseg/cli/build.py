"""``confseg build``: freeze a dataset; ``confseg diff``: what changed between two versions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import (
    DONE,
    REFUSED,
    add_command,
    add_fields,
    local_path,
    positive,
    request_from,
    slug,
)

if TYPE_CHECKING:
    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.dataset.manifest import BuildRequest


def add(commands: Subparsers) -> None:
    """Declare the commands."""
    add_command(
        commands,
        "build",
        run,
        purpose="freeze a dataset: chosen frames and marks, split by patient, under a version",
        example="confseg build study.zarr --out lung-ds --raters calibrated --frames every:5",
        declare=_declare,
    )
    other = add_command(
        commands,
        "diff",
        run_diff,
        purpose="list what changed between two versions of a dataset",
        example="confseg diff lung-ds/v3 lung-ds/v4",
    )
    other.add_argument("old", type=local_path, metavar="OLD", help="folder of a version")
    other.add_argument(
        "new", type=local_path, metavar="NEW", help="folder of another, or of a dataset"
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from napari_confseg.dataset.manifest import BuildRequest

    def described(name: str) -> str:
        return BuildRequest.model_fields[name].description or ""

    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(
        "--out",
        type=local_path,
        required=True,
        metavar="DATASET",
        help="folder of the dataset; versions become v1, v2, ... in it",
    )
    parser.add_argument("--name", type=slug, help="name of the dataset (default: as its folder)")
    add_fields(parser, BuildRequest, "raters", "classes", "clips")
    parser.add_argument("--frames", default="reviewed", metavar="POLICY", help=described("frames"))
    parser.add_argument("--size", type=_size, metavar="SIZE", help=described("size"))
    add_fields(parser, BuildRequest, "spacing")
    parser.add_argument(
        "--split",
        nargs="+",
        type=_share,
        metavar="PART=SHARE",
        default=list(BuildRequest.model_fields["parts"].default.items()),
        help=f"{described('parts')} (default: train=0.7 val=0.15 test=0.15)",
    )
    add_fields(parser, BuildRequest, "folds", "seed")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="dask scheduler whose workers see the same folders"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="build nothing: say what has changed since the newest version, and "
        "whether its files are whole",
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
    from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
    from napari_confseg.store import Problem, StoreError

    try:
        frames = FramePolicy.parse(arguments.frames)
    except ValueError as error:
        raise StoreError(
            Problem("request", "frames", f"{error}, given {arguments.frames!r}")
        ) from error
    request: BuildRequest = request_from(
        arguments,
        BuildRequest,
        name=arguments.name or arguments.out.resolve().name,
        frames=frames,
        parts=dict(arguments.split),
    )
    return request


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
        "No patient is in two parts. Worst difference of a class's share of clips: "
        f"{100 * m.split.worst_prevalence_deviation:.0f} %; of a part's size: "
        f"{100 * m.split.worst_size_deviation:.0f} %."
    )
    if m.leakage:
        say(
            f"LEAKS between parts: videos {len(m.leakage.videos)}, pairs of frames "
            f"{len(m.leakage.frames)}; see {dataset.folder / 'README.md'}"
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
