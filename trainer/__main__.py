"""Command line: ``confseg-train fit | predict | evaluate | study | clinical | run``.

Torch is imported by the commands that need it, not by ``--help``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_confseg.job import FitRequest, JobError, PredictRequest, RunFolder
from napari_confseg.methods import LOSSES, METHODS, Method
from napari_confseg.store import Cohort, StoreError
from trainer.problems import TrainError

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, REFUSED, WRONG_USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 refused, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except (TrainError, StoreError, JobError) as error:
        print(f"confseg-train: {error}", file=sys.stderr)
        return REFUSED
    except ValidationError as error:
        for problem in error.errors():
            field = ".".join(map(str, problem["loc"]))
            said = problem["msg"].removeprefix("Value error, ")
            print(f"confseg-train: {field or error.title.lower()}: {said}", file=sys.stderr)
        return WRONG_USAGE
    except ValueError as error:
        print(f"confseg-train: {error}", file=sys.stderr)
        return WRONG_USAGE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="confseg-train", description="Train from confidence, predict, score."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _fit_parser(commands)
    _predict_parser(commands)
    _evaluate_parser(commands)
    _study_parser(commands)
    _clinical_parser(commands)
    run = _command(commands, "run", _run, "do what a run folder asks; resume it if it was stopped",
                   "confseg-train run runs/first")  # fmt: skip
    run.add_argument("folder", type=Path, metavar="FOLDER", help="a folder with job.json in it")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: object,
    purpose: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".",
        epilog=f"example: {example}",
    )  # fmt: skip
    parser.set_defaults(command=function)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    return parser


def _compute_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")


def _fit_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fit = _command(
        commands, "fit", _fit, "fit a model to a cohort",
        "confseg-train fit demo.zarr --out runs/first --method threshold:t=60",
    )  # fmt: skip
    fit.add_argument("cohort", metavar="COHORT", help="folder or s3:// address of a cohort")
    fit.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    fit.add_argument("--rater", help="the model's name in the cohort; the run's name if not given")
    fit.add_argument("--classes", nargs="+", default=[], help="classes to learn; all if not given")
    fit.add_argument("--raters", nargs="+", default=[], help="whom to learn from; all people")
    fit.add_argument("--method", default="own-scale",
                     help="NAME[:PARAMETER=NUMBER,...][+LOSS], e.g. soft, threshold:t=60, "
                     f"soft+semimetric. NAME is {', '.join(METHODS)}. LOSS is "
                     f"{', '.join(LOSSES)}.")  # fmt: skip
    fit.add_argument("--size", choices=("study", "quick", "normal"), default="quick")
    fit.add_argument("--steps", type=int, help="optimiser steps; the size's own number")
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--dropout", type=float, default=0,
                     help="share of units dropped, e.g. 0.1; for predict --draws")  # fmt: skip
    fit.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto",
                     help="of the network's arithmetic; default: what is fastest here. Name one "
                     "where fits on several machines must equal each other")  # fmt: skip
    fit.add_argument("--compile", action="store_true", help="compile the network (minutes)")
    fit.add_argument("--preview-clip", metavar="CLIP", help="mark this clip at each improvement")
    _compute_options(fit)


def _predict_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = _command(commands, "predict", _predict, "let a fitted model mark clips of a cohort",
                       "confseg-train predict runs/first demo.zarr")  # fmt: skip
    predict.add_argument("model", type=Path, metavar="RUN", help="folder of a fit")
    predict.add_argument("cohort", metavar="COHORT")
    predict.add_argument("--rater", help="the model's name in the cohort; the run's if not given")
    predict.add_argument("--clips", nargs="+", default=[], help="clips to mark; all if not given")
    predict.add_argument("--members", nargs="+", type=Path, default=[], metavar="RUN",
                         help="more runs: writes their mean, and what they don't know as "
                         "RATER-doubt and RATER-unseen")  # fmt: skip
    predict.add_argument("--draws", type=int, default=0,
                         help="passes with dropout, which serve as members do")  # fmt: skip
    predict.add_argument("--out", type=Path, metavar="FOLDER",
                         help="folder of this job; RUN/predictions/001 and so on")  # fmt: skip
    _compute_options(predict)


def _evaluate_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evaluate = _command(
        commands, "evaluate", _evaluate, "score a fitted model against raters, clip by clip",
        "confseg-train evaluate runs/first demo.zarr --against truth --thresholds 50 60",
    )  # fmt: skip
    evaluate.add_argument("model", type=Path, metavar="RUN", help="folder of a fit")
    evaluate.add_argument("cohort", metavar="COHORT")
    evaluate.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="RATER",
        help="raters to compare with; those learnt from if not given",
    )
    evaluate.add_argument("--thresholds", nargs="+", type=int, default=[50], metavar="PERCENT",
                          help="confidence from which the rater counts as saying yes")  # fmt: skip
    evaluate.add_argument("--clips", nargs="+", default=[],
                          help="clips to score; those held out if not given")  # fmt: skip
    evaluate.add_argument("--csv", type=Path, metavar="FILE", help="write one line per case")
    _compute_options(evaluate)


def _study_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    study = _command(
        commands, "study", _study, "fit every method to every panel of readers, and compare",
        "confseg-train study lung.zarr --out studies/first --methods threshold soft --folds 3",
    )  # fmt: skip
    study.add_argument("cohort", metavar="COHORT", help="folder or s3:// address of a cohort")
    study.add_argument("--out", type=Path, required=True, metavar="STUDY",
                       help="folder of the study; goes on with one that is there")  # fmt: skip
    study.add_argument("--methods", nargs="+", default=["threshold", "soft"], metavar="METHOD",
                       help="as in fit; 'threshold' alone: all of --thresholds")  # fmt: skip
    study.add_argument("--thresholds", default="10:90:10", metavar="FIRST:LAST:STEP",
                       help="training thresholds, percent; default: %(default)s")  # fmt: skip
    study.add_argument("--panels", nargs="+", default=[], metavar="NAME=RATER,...",
                       help="whom to learn from at a time; all people if not given")  # fmt: skip
    study.add_argument(
        "--classes", nargs="+", default=[], help="classes to learn; all if not given"
    )
    study.add_argument("--seeds", type=int, default=1, help="how often all is repeated")
    _fits_options(study)


def _fits_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--size", choices=("study", "quick", "normal"), default="study")
    parser.add_argument("--steps", type=int, help="optimiser steps of each fit")
    parser.add_argument("--jobs", type=int, default=2, help="fits side by side; default: 2")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster, instead of jobs")


def _clinical_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    clinical = _command(
        commands, "clinical", _clinical, "from planes to findings to outcomes of patients",
        "confseg-train clinical lung.zarr --table lung-clinical.csv --out clinical/first",
    )  # fmt: skip
    clinical.add_argument("cohort", metavar="COHORT", help="folder or s3:// address of a cohort")
    clinical.add_argument("--table", type=Path, required=True, metavar="CSV",
                          help="one line per patient and day, as sample data has it")  # fmt: skip
    clinical.add_argument("--out", type=Path, required=True, metavar="FOLDER",
                          help="for models, findings and page; is gone on with")  # fmt: skip
    clinical.add_argument("--methods", nargs="+", default=["threshold", "soft"], metavar="METHOD",
                          help="as in study")  # fmt: skip
    clinical.add_argument("--thresholds", default="30:90:20", metavar="FIRST:LAST:STEP",
                          help="training thresholds, percent; default: %(default)s")  # fmt: skip
    clinical.add_argument("--raters", nargs="+", default=[], help="whom to learn from; all people")
    clinical.add_argument("--covariates", nargs="*", default=["age", "sex"], metavar="COLUMN",
                          help="what else may foretell; default: age sex")  # fmt: skip
    _fits_options(clinical)


def _fit(arguments: argparse.Namespace) -> int:
    classes = arguments.classes or [c.name for c in Cohort.open(arguments.cohort).meta.classes]
    request = FitRequest(
        cohort=_absolute(arguments.cohort),
        rater=arguments.rater or arguments.out.name,
        classes=tuple(classes),
        raters=tuple(arguments.raters),
        method=Method.parse(arguments.method),
        size=arguments.size,
        device=arguments.device,
        seed=arguments.seed,
        steps=arguments.steps,
        threads=arguments.threads,
        dropout=arguments.dropout,
        precision=arguments.precision,
        compile=arguments.compile,
        preview_clip=arguments.preview_clip,
    )
    if _shared():
        return _carry_out_together(arguments.out, request, as_json=arguments.json)
    return _carry_out(RunFolder.create(arguments.out, request), as_json=arguments.json)


def _predict(arguments: argparse.Namespace) -> int:
    request = PredictRequest(
        run=str(arguments.model.absolute()),
        cohort=_absolute(arguments.cohort),
        rater=arguments.rater or arguments.model.absolute().name,
        clips=tuple(arguments.clips),
        members=tuple(str(run.absolute()) for run in arguments.members),
        draws=arguments.draws,
        device=arguments.device,
        threads=arguments.threads,
    )
    folder = arguments.out or _unused(arguments.model / "predictions")
    return _carry_out(RunFolder.create(folder, request), as_json=arguments.json)


def _run(arguments: argparse.Namespace) -> int:
    if _shared():
        return _carry_out_together(arguments.folder, None, as_json=arguments.json)
    return _carry_out(RunFolder(arguments.folder), as_json=arguments.json)


def _shared() -> bool:
    """Whether this is one of several processes that ``torchrun`` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _carry_out_together(path: Path, request: FitRequest | None, *, as_json: bool) -> int:
    from trainer import parallel

    team = parallel.meet()
    with team.folder(path, request) as folder:
        code = _carry_out(folder, as_json=as_json, quiet=team.rank > 0)
    if code == DONE:
        team.part()
    return code


def _carry_out(folder: RunFolder, *, as_json: bool, quiet: bool = False) -> int:
    from trainer.execute import execute
    from trainer.terminal import Terminal, print_json

    if quiet:
        return REFUSED if execute(folder) is None else DONE
    if as_json:
        return REFUSED if execute(folder, print_json) is None else DONE
    with Terminal() as terminal:
        result = execute(folder, terminal.show)
    return REFUSED if result is None else DONE


def _evaluate(arguments: argparse.Namespace) -> int:
    from trainer.compute import set_threads
    from trainer.evaluate import evaluate
    from trainer.terminal import print_evaluation, print_json, waiting

    set_threads(arguments.threads)
    with waiting("Scoring", quiet=arguments.json) as tell:
        evaluation = evaluate(
            arguments.model,
            Cohort.open(arguments.cohort, read_only=True),
            against=arguments.against,
            thresholds=arguments.thresholds,
            clips=arguments.clips,
            device=arguments.device,
            tell=tell,
        )
    if arguments.csv:
        evaluation.write_csv(arguments.csv)
    if arguments.json:
        print_json(evaluation)
    else:
        print_evaluation(evaluation)
    return DONE


def _study(arguments: argparse.Namespace) -> int:
    from trainer.study.command import study

    return study(arguments, _absolute(arguments.cohort))


def _clinical(arguments: argparse.Namespace) -> int:
    from trainer.clinical.command import clinical

    return clinical(arguments, _absolute(arguments.cohort))


def _absolute(location: str) -> str:
    """Return an address that holds in another working folder, too."""
    return location if "://" in location else str(Path(location).expanduser().absolute())


def _unused(parent: Path) -> Path:
    number = 1
    while (parent / f"{number:03d}").exists():
        number += 1
    return parent / f"{number:03d}"


if __name__ == "__main__":
    sys.exit(main())
